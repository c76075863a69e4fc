"""Secrets and signatures as Standard Webhooks 1.0 asks for, by the published package (never by hand)."""

import base64
import secrets
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from standardwebhooks import Webhook

SECRET_BYTES = 32


def new_secret() -> str:
    """`whsec_` and 256 random bits."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers_for(event_id: UUID, body: str, *, at: datetime, secrets: Iterable[str]) -> dict[str, str]:
    """The three headers of one try: the id is that of the event over all tries, the time that of this one.

    One signature for each secret, the newest first: a receiver that knows either
    accepts it.
    """
    signatures = [Webhook(secret).sign(str(event_id), at, body) for secret in secrets]
    return {
        "webhook-id": str(event_id),
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
