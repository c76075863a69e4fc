"""What the log and the trail say of other servers: which key, which request, no word of what they sent (S11, S12)."""

import json
import logging

import pytest

from accounts.api_keys import services
from accounts.api_keys.tests.fixtures import server_with
from config.logs import json_formatter
from tenancy.audit.models import AuditActor, AuditEntry
from tenancy.tenants.tests.contexts import outside_tenant

CANARY = "Zoraida"


@pytest.fixture
def lines():
    """Every line that settings.LOGGING would write."""
    written, handler = [], logging.Handler()
    formatter = json_formatter()
    handler.emit = lambda record: written.append(formatter.format(record))
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def access_lines(capfd):
    return [json.loads(line) for line in capfd.readouterr().out.splitlines() if '"event":"request"' in line]


def test_s12_the_line_names_the_key_and_its_clinic(key_client, clinic, capfd):
    program = key_client()

    answer = program.get("/v1/auth/api-keys/?page=1", headers={"X-Request-ID": "run-7.item-3"})

    (line,) = access_lines(capfd)
    assert answer["X-Request-ID"] == "run-7.item-3"
    assert line.pop("ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "run-7.item-3",
        "method": "GET",
        "route": "/v1/auth/api-keys",
        "status": 200,
        "tenant_id": str(clinic.pk),
        "actor_id": None,
        "key_id": str(program.key.pk),
    }


def test_s12_of_a_member_the_line_names_the_member(nurse, api_client, capfd):
    api_client(nurse).get("/api/auth/me")

    (line,) = access_lines(capfd)
    assert (line["actor_id"], line["key_id"]) == (str(nurse.pk), None)


def test_s12_a_key_of_the_platform_is_named_without_a_clinic(db, capfd):
    with outside_tenant():
        key, plaintext = services.create_platform_key(name="Operator")

    server_with(plaintext).get("/v1/tenants")

    (line,) = access_lines(capfd)
    assert (line["key_id"], line["tenant_id"], line["status"]) == (str(key.pk), None, 200)


def test_s11_a_write_of_a_key_stands_in_the_trail_with_key_and_request(key_client):
    program = key_client()

    made = program.post("/v1/auth/api-keys", {"name": "second"}, headers={"X-Request-ID": "r-77"})

    assert made.status_code == 201
    entry = AuditEntry.objects.filter(request_id="r-77").get()
    assert entry.actor_kind == "api_key"
    assert AuditActor.objects.get(pk=entry.actor_ref).ref_id == program.key.pk


@pytest.mark.parametrize(
    "sent",
    ["", "x" * 65, "r 1", "r\\n1", "Zoraida Ñ", "<script>"],
    ids=["none", "long", "space", "break", "name", "tag"],
)
def test_a_request_id_that_is_not_plain_is_replaced(key_client, sent, capfd):
    answer = key_client().get("/v1/auth/api-keys", headers={"X-Request-ID": sent.replace("\\n", " ")})

    (line,) = access_lines(capfd)
    assert len(answer["X-Request-ID"]) == 32
    assert line["request_id"] == answer["X-Request-ID"]


WAYS = {
    "query": ("GET", "/v1/auth/api-keys?name=Zoraida", None),
    "search": ("GET", "/v1/patients?email=zoraida@example.org&document_number=Zoraida&phone=Zoraida", None),
    "path": ("GET", "/v1/patients/Zoraida", None),
    "body": ("POST", "/v1/auth/api-keys", {"name": CANARY, "Zoraida": CANARY, "scopes": [CANARY]}),
    "patient": ("POST", "/v1/patients", {"firstName": CANARY, "email": "zoraida@", "customFields": {CANARY: CANARY}}),
    "appointment": ("POST", "/v1/appointments", {"comment": CANARY, "patientDocumentNumber": CANARY}),
    "broken": ("POST", "/v1/patients", '{"firstName": "Zoraida"'),
}


@pytest.mark.parametrize(("method", "path", "body"), WAYS.values(), ids=WAYS)
def test_pr01_nothing_a_key_sends_reaches_the_log(key_client, lines, capfd, method, path, body):
    program = key_client()
    text = program.defaults.get("HTTP_X_API_KEY") or program.defaults["headers"]["X-Api-Key"]
    headers = {"User-Agent": CANARY, "Referer": f"https://n8n.example/?q={CANARY}", "Idempotency-Key": "Zoraida-1"}

    content = body if isinstance(body, str) else json.dumps(body)
    program.generic(method, path, content if body else "", "application/json", headers=headers)

    written = [line for line in [*lines, *capfd.readouterr().out.splitlines()] if line.startswith("{")]
    assert written
    assert not [line for line in written if CANARY.lower() in line.lower() or text in line]


def test_pr01_a_wrong_key_is_not_repeated(clinic, lines, capfd):
    wrong = "cwk_" + "A" * 22 + "_ABCDEFGH_" + "s" * 43

    server_with(wrong).get("/v1/auth/api-keys")

    (line,) = access_lines(capfd)
    assert (line["status"], line["key_id"]) == (401, None)
    assert not [entry for entry in [*lines, json.dumps(line)] if "s" * 43 in entry or "ABCDEFGH" in entry]
