"""Signatures that the published verifier accepts, and nothing else (WH-10, WH-11)."""

import base64
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tenancy.events.signing import headers_for, new_secret

BODY = '{"type":"appointment.created","data":{"id":"1","name":"ñ"}}'
EVENT = uuid.UUID("0190a1b2-0000-7000-8000-000000000001")


def signed(*secrets, at=None, body=BODY):
    return headers_for(EVENT, body, at=at or datetime.now(UTC), secrets=secrets)


def test_wh10_a_known_vector():
    """The example of the specification's own reference implementation."""
    headers = headers_for(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", '{"test": 2432232314}',
        at=datetime.fromtimestamp(1614265330, UTC), secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )  # fmt: skip

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_wh10_the_published_verifier_accepts_both_secrets_of_a_rotation():
    new, old = new_secret(), new_secret()
    headers = signed(new, old)

    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        assert Webhook(secret).verify(BODY, headers)["type"] == "appointment.created"
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "signature"])
def test_wh10_one_changed_byte_is_refused(change):
    secret = new_secret()
    headers, body = signed(secret), BODY
    if change == "body":
        body = BODY.replace("created", "creatde")
    elif change == "signature":
        signature = headers["webhook-signature"]
        headers["webhook-signature"] = signature[:5] + ("A" if signature[5] != "A" else "B") + signature[6:]
    else:
        headers[f"webhook-{change}"] = headers[f"webhook-{change}"][:-1] + "x" if change == "id" else str(
            int(headers["webhook-timestamp"]) - 1
        )  # fmt: skip

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_wh10_five_minutes_are_the_limit(seconds):
    secret = new_secret()

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, signed(secret, at=datetime.now(UTC) + timedelta(seconds=seconds)))
    assert Webhook(secret).verify(BODY, signed(secret, at=datetime.now(UTC) + timedelta(seconds=seconds * 0.98)))


def test_wh11_a_secret_is_256_random_bits():
    secrets = {new_secret() for _ in range(50)}

    assert len(secrets) == 50
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
