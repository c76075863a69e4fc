"""The door for other servers as a whole: its document, keys of two clinics on every route, and n8n as its client.

security.md CL-01 to CL-06; what single routes do is tested in their rooms.
"""

import json
import re
import shlex
import threading
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from openapi_spec_validator import OpenAPIV31SpecValidator

from accounts.api_keys import services as keys
from accounts.api_keys.key_text import make_key
from accounts.api_keys.models import ApiKey
from accounts.api_keys.tests.fixtures import server_with
from accounts.users.tests.factories import open_clinic
from clinic.patients.api_v1 import EXAMPLE as PATIENT
from clinic.patients.models import DocumentType, Patient
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling.api_v1 import EXAMPLE as VISIT
from clinic.scheduling.models import Appointment
from clinic.scheduling.tests.factories import make_location, make_practitioner, make_type
from config import openapi
from tenancy.doors.limits import BucketLimit
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

DOCUMENT = openapi.schema()
ROOMS = ("/v1/patients", "/v1/appointments", "/v1/lookups")
OPERATIONS = [
    (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    if path.startswith(ROOMS)
    for method, operation in methods.items()
]
NAMES = [f"{method} {path}" for method, path, _operation in OPERATIONS]


# --- The document ----------------------------------------------------------------------------------------------------


def test_s20_n8n_can_import_the_document():
    """One file without references to others, a name for each operation that a node can bear, and the header to send."""
    schemes = DOCUMENT["components"]["securitySchemes"]
    names = [operation["operationId"] for _method, _path, operation in OPERATIONS]

    assert list(OpenAPIV31SpecValidator(json.loads(openapi.schema_bytes()[0])).iter_errors()) == []
    assert {key: schemes["api_key"][key] for key in ("type", "in", "name")} == {
        "type": "apiKey", "in": "header", "name": "X-Api-Key",
    }  # fmt: skip
    assert all({"api_key": []} in operation["security"] for _method, _path, operation in OPERATIONS)
    assert len(names) == len(set(names)) == len([name for name in names if name.isidentifier()])
    assert all(operation["summary"] for _method, _path, operation in OPERATIONS)
    assert not [path for path in DOCUMENT["paths"] if path.startswith("/v1/lookup/")]


def test_s20_the_document_of_v1_alone_is_complete(settings, client):
    """What n8n is given: the same operations, everything they refer to and nothing else, and where to send them."""
    settings.API_DOCS = "public"
    found = client.get("/v1/openapi.json")
    alone, whole = found.json(), DOCUMENT["components"]

    assert found.status_code == 200
    assert list(OpenAPIV31SpecValidator(alone).iter_errors()) == []
    assert alone["paths"] == {path: value for path, value in DOCUMENT["paths"].items() if path.startswith("/v1/")}
    assert alone["servers"] == [{"url": settings.PUBLIC_URL}]
    assert set(alone["components"]["securitySchemes"]) == {"api_key", "bearer"}
    referred = set(re.findall(r'"#/components/([^"]+)"', found.content.decode()))
    kept = {f"{kind}/{name}" for kind, parts in alone["components"].items() for name in parts}
    assert kept == referred | {"securitySchemes/api_key", "securitySchemes/bearer"}
    assert len(alone["components"]["schemas"]) < len(whole["schemas"])
    assert client.get("/v1/openapi.json", headers={"If-None-Match": found["ETag"]}).status_code == 304


def test_s20_the_documented_payloads_are_the_examples():
    def first_example(path):
        content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        return next(iter(content["examples"].values()))["value"]

    assert {key: first_example("/v1/patients")[key] for key in ("eventType", "actionType", "customFields")} == {
        "eventType": "PATIENT", "actionType": "CREATE", "customFields": PATIENT["customFields"],
    }  # fmt: skip
    assert first_example("/v1/appointments") == VISIT


EXAMPLES = [
    (f"{method} {path}: {name}", method, path, example["value"])
    for method, path, operation in OPERATIONS
    if "requestBody" in operation
    for name, example in operation["requestBody"]["content"]["application/json"].get("examples", {}).items()
]


@pytest.mark.parametrize(("method", "path", "body"), [e[1:] for e in EXAMPLES], ids=[e[0] for e in EXAMPLES])
def test_cl06_examples_of_the_document_run(key_client, clinic, method, path, body):
    server = key_client()
    if path != "/v1/patients":
        PatientFactory(document_type=DocumentType.objects.get(code="CC"), document_number=PATIENT["documentNumber"])
    if "{id}" in path:
        collection = path.partition("/{")[0]
        made = server.post(collection, PATIENT | {"documentNumber": "987654"} if "patients" in path else VISIT)
        path = path.replace("{id}", made.json()["id"])

    answer = server.generic(method.upper(), path, json.dumps(body), content_type="application/json")

    assert answer.status_code in (200, 201), answer.content
    if method == "post" and not path.endswith("/search"):
        said = {_snake(name): value for name, value in body.items()}
        told = answer.json()
        same = {"first_name", "first_last_name", "birth_date", "document_number", "patient_document_number", "comment"}
        assert {name: told[name] for name in same & said.keys()} == {name: said[name] for name in same & said.keys()}


def _snake(name):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def test_s22_the_session_of_the_readme_runs(key_client, clinic):
    server, codes, answers = key_client(), [], []
    text = (settings.BASE_DIR / "README.md").read_text()
    for line in [line.strip() for line in text.splitlines() if line.startswith("    curl ")]:
        words = shlex.split(line.replace("$V1", "/v1"))
        assert words[:3] == ["curl", "-H", "$KEY"]
        body = words[words.index("--json") + 1] if "--json" in words else ""
        method = "POST" if body else "GET"
        answers.append(server.generic(method, words[-1], body, content_type="application/json"))
        codes.append(answers[-1].status_code)

    assert codes == [201, 200, 201, 200, 200], answers[-1].content
    assert [answers[1].json()["total"], answers[3].json()["total"]] == [1, 1]


def test_cl06_every_body_has_an_example():
    assert {
        name for name, (_m, _p, operation) in zip(NAMES, OPERATIONS, strict=True) if "requestBody" in operation
    } == {name.partition(":")[0] for name, *_rest in EXAMPLES}


# --- Keys of two clinics on every route ------------------------------------------------------------------------------


def fill(tenant):
    """A clinic with a patient, a doctor, a house, a kind of visit and a visit: its key, and what nobody else sees."""
    with tenant_context(tenant.id):
        house, kind = make_location(f"House of {tenant.slug}"), make_type("kind", 30, name=f"Kind of {tenant.slug}")
        card = DocumentType.objects.get(code="CC")
        doctor = make_practitioner(document_type=card, document_number=VISIT["doctorDocumentNumber"])
        _key, plaintext = keys.create_key(by=None, name="n8n", scopes=["admin"])
        server = server_with(plaintext, raise_request_exception=False)
    with outside_tenant():
        patient = server.post("/v1/patients", PATIENT)
        visit = server.post("/v1/appointments", VISIT | {"appointmentType": "kind", "clinicId": str(house.pk)})
    assert (patient.status_code, visit.status_code) == (201, 201), visit.content
    ids = {"patients": patient.json()["id"], "appointments": visit.json()["id"]}
    secrets = {*ids.values(), str(house.pk), str(kind.pk), str(doctor.pk), str(tenant.id), house.name, kind.name}
    return server, ids, secrets


@pytest.fixture
def two(clinic, other_clinic):
    with outside_tenant():
        return fill(clinic), fill(other_clinic)


def asked(server, method, path, operation, ids, **headers):
    room = path.split("/")[2]
    address = (
        path.replace("{id}", ids.get(room, "")).replace("{type}", "1").replace("{number}", PATIENT["documentNumber"])
    )
    if path.endswith("by-date-range"):
        address += "?start_date=2030-01-01&end_date=2030-12-31"
    body = None
    if "requestBody" in operation:
        body = next(iter(operation["requestBody"]["content"]["application/json"]["examples"].values()))["value"]
    return server.generic(method.upper(), address, json.dumps(body) if body else "", content_type="application/json")


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=NAMES)
def test_s19_no_route_tells_the_key_of_another_clinic_anything(two, method, path, operation):
    (_ours, our_ids, our_secrets), (theirs, _their_ids, their_secrets) = two
    answer = asked(theirs, method, path, operation, our_ids)
    text = answer.content.decode()

    assert not [secret for secret in our_secrets if secret in text]
    if "{id}" in path:
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    else:
        assert answer.status_code in (200, 201, 409), text
    with tenant_context(Patient.objects.first().tenant_id):
        patient, visit = (
            Patient.objects.get(pk=our_ids["patients"]),
            Appointment.objects.get(pk=our_ids["appointments"]),
        )
        assert (patient.version, visit.version, visit.state) == (1, 1, "booked")
    assert their_secrets


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=NAMES)
def test_s19_the_same_question_shows_the_owner_their_own(two, method, path, operation):
    (ours, our_ids, our_secrets), (_theirs, _their_ids, their_secrets) = two
    answer = asked(ours, method, path, operation, our_ids)
    text = answer.content.decode()

    assert answer.status_code in (200, 201, 204, 409), text
    assert not [secret for secret in their_secrets if secret in text]
    if "{id}" in path and method == "get":
        assert our_ids[path.split("/")[2]] in text
        assert [secret for secret in our_secrets if secret in text]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=NAMES)
def test_s4_no_route_answers_without_a_good_key(two, anonymous_api, method, path, operation):
    ids = two[0][1]
    nobody, stranger = (
        asked(caller, method, path, operation, ids) for caller in (anonymous_api, server_with("cwk_no"))
    )

    assert (nobody.status_code, stranger.status_code) == (401, 401)
    assert nobody.json()["detail"] == "API key required. Provide X-Api-Key header."
    assert stranger.json()["detail"] == "Invalid API key"


WAYS_TO_END = ["revoked", "expired", "of a closed clinic", "moved to another clinic", "replaced without overlap"]


@pytest.mark.parametrize("end", WAYS_TO_END)
def test_s4_a_key_that_has_ended_opens_no_route_from_the_next_request(clinic, other_clinic, make_api_key, end):
    """On every route, one that has just answered it included."""
    key, text = make_api_key()
    before = server_with(text).get("/v1/patients").status_code
    if end == "revoked":
        keys.revoke_key(key, by=None)
    elif end == "expired":
        ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    elif end == "of a closed clinic":
        type(clinic).objects.filter(pk=clinic.pk).update(is_active=False)
    elif end == "moved to another clinic":
        text = make_key(other_clinic.pk).plaintext[:26] + text[26:]
    else:
        keys.rotate_key(key, by=None)

    ids = {"patients": str(key.pk), "appointments": str(key.pk)}
    with outside_tenant():
        answers = [asked(server_with(text), *operation, ids) for operation in OPERATIONS]
    assert before == 200
    assert {(answer.status_code, answer.json()["detail"]) for answer in answers} == {(401, "Invalid API key")}


@pytest.mark.parametrize(
    "spoil",
    [
        *[str.lower, str.upper, str.swapcase, lambda text: text[:-1], lambda text: text + "A", lambda text: text * 2],
        *[lambda text: f" {text}", lambda text: f"Bearer {text}", lambda text: f'"{text}"', lambda text: text + ","],
        *[lambda text: text.replace("cwk", "cwp", 1), lambda text: text.partition("_")[2], lambda text: text[::-1]],
        *[lambda text: "é" + text, lambda text: text + "\x00", lambda text: "x" * 8000, lambda text: "cwk_", repr],
    ],
)
def test_s4_a_key_that_is_not_spelt_so_opens_nothing(key_client, make_api_key, spoil):
    _key, text = make_api_key()
    stranger = server_with(spoil(text))
    answers = [stranger.get("/v1/patients"), stranger.post("/v1/patients", PATIENT), stranger.get("/v1/appointments")]

    assert {(answer.status_code, answer.json()["detail"]) for answer in answers} == {(401, "Invalid API key")}
    assert server_with(text).get("/v1/patients").status_code == 200


# --- Bad bodies ------------------------------------------------------------------------------------------------------

TOO_MANY = {str(n): n for n in range(51)}
DEEP = {"a": {"b": {"c": {"d": 1}}}}
BODIES = {
    "a list": (b"[]", 400),
    "NaN": (b'{"customFields": {"n": NaN}}', 400),
    "Infinity": (b'{"customFields": {"n": -Infinity}}', 400),
    "beyond a float": (b'{"customFields": {"n": 1e999}}', 400),
    "beyond 64 bits": (b'{"customFields": {"n": 99999999999999999999}}', 400),
    "a number of 5,000 digits": (b'{"customFields": {"n": ' + b"9" * 5000 + b"}}", 400),
    "a name twice": (b'{"comment": "a", "comment": "b"}', 400),
    "half a character": (b'{"customFields": {"n": "\xed\xa0\x80"}}', 400),
    "10 MB": (b'{"customFields": {"n": "' + b"x" * 10_000_000 + b'"}}', 413),
    "51 custom fields": (json.dumps({"customFields": TOO_MANY}).encode(), 400),
    "depth 4": (json.dumps({"customFields": DEEP}).encode(), 400),
    "both casings": (b'{"customFields": {"a": 1}, "custom_fields": {"a": 2}}', 400),
    "unknown": (b'{"nickname": "x"}', 400),
}


@pytest.mark.parametrize("room", ["patients", "appointments"])
@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES)
def test_in01_to_in11_bodies_that_are_wrong_create_and_change_nothing(key_client, clinic, room, body, status):
    server = key_client()
    patient = server.post("/v1/patients", PATIENT).json()
    row = server.post("/v1/appointments", VISIT).json() if room == "appointments" else patient
    address = f"/v1/{room}/{row['id']}"
    good = PATIENT | {"documentNumber": "987654"} if room == "patients" else VISIT
    rest = json.dumps({name: value for name, value in good.items() if name not in ("customFields", "comment")}).encode()
    mixed = rest[:-1] + b", " + body[1:] if body.startswith(b"{") else body

    answers = [
        server.generic(method, path, sent, content_type="application/json")
        for method, path, sent in (
            ("POST", f"/v1/{room}", mixed),
            ("POST", f"/v1/{room}", body),
            ("PATCH", address, body),
        )
    ]

    assert [answer.status_code for answer in answers] == [status] * 3
    assert all(answer.json()["detail"] for answer in answers)
    assert server.get(address).json() == row
    assert server.get(f"/v1/{room}").json()["total"] == 1


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"customFields": TOO_MANY}, {"customFields": "Too many custom fields (max 50)"}),
        ({"customFields": DEEP}, {"customFields": "Custom fields nested too deeply (max depth 3)"}),
        ({"nickname": "x", "e-mail": "y"}, dict.fromkeys(["nickname", "e-mail"], "There is no such field.")),
        ({"customFields": {"a": 1}, "custom_fields": {}},
         {"custom_fields": "customFields and custom_fields say different things."}),
    ],
)  # fmt: skip
def test_in09_in20_a_patch_names_what_is_wrong(key_client, clinic, body, named):
    server = key_client()
    rows = [f"/v1/patients/{server.post('/v1/patients', PATIENT).json()['id']}"]
    rows.append(f"/v1/appointments/{server.post('/v1/appointments', VISIT).json()['id']}")

    for address in rows:
        problems = server.patch(address, body).json()["detail"]
        assert {problem["loc"][-1]: problem["msg"] for problem in problems} == named


# --- n8n as client ---------------------------------------------------------------------------------------------------


class N8n:
    """The HTTP node of n8n: so many tries, the same wait between them, no Retry-After read, no header of its own.

    `lost` are the tries whose answers never arrive: the network, or a time-out of the node.
    """

    GIVES_UP_AT = (400, 401, 403, 404, 409, 410, 412, 422)

    def __init__(self, server, *, tries=3, wait=0.0, lost=()):
        self.server, self.tries, self.wait, self.lost = server, tries, wait, set(lost)
        self.answers = []

    def send(self, method, path, body=None):
        for number in range(self.tries):
            if number:
                time.sleep(self.wait)
            answer = self.server.generic(method, path, json.dumps(body or {}), content_type="application/json")
            self.answers.append(answer)
            if number in self.lost:
                continue
            if answer.status_code < 400 or answer.status_code in self.GIVES_UP_AT:
                return answer
        return None


@pytest.mark.parametrize("tries", [2, 3, 4, 5])
def test_s27_cl01_a_workflow_whose_payload_has_a_key_makes_one_of_each(key_client, clinic, tries):
    """All answers but the last are lost; patient and appointment are there once, and the workflow has their ids."""
    n8n = N8n(key_client("patients:write", "appointments:write"), tries=tries, lost=range(tries - 1))
    patient = n8n.send("POST", "/v1/patients", PATIENT | {"idempotencyKey": "execution-231:item-0"})
    visit = n8n.send("POST", "/v1/appointments", VISIT | {"idempotencyKey": "execution-231:item-0"})

    assert (patient.status_code, visit.status_code) == (200, 200)
    assert [answer.status_code for answer in n8n.answers] == [201, *[200] * (tries - 1)] * 2
    assert (Patient.objects.count(), Appointment.objects.count()) == (1, 1)
    assert patient.json()["id"] == visit.json()["patient_id"] == str(Patient.objects.get().pk)


def test_s27_cl01_without_any_key_documents_and_times_keep_duplicates_out(key_client, clinic):
    """The workflow is told that it is there already, and finds it by its document."""
    server = key_client("patients:write", "appointments:write")
    n8n = N8n(server, tries=3, lost=[0])
    patient = n8n.send("POST", "/v1/patients", PATIENT)
    n8n = N8n(server, tries=3, lost=[0])
    visit = n8n.send("POST", "/v1/appointments", VISIT)

    assert (patient.status_code, patient.json()["code"]) == (409, "duplicate_document")
    assert (visit.status_code, visit.json()["code"]) == (409, "time_taken")
    assert (Patient.objects.count(), Appointment.objects.count()) == (1, 1)
    assert server.get("/v1/patients/by-document/1/1020304050").status_code == 200


def test_s27_cl03_tries_after_a_failure_of_ours_are_safe(make_api_key, monkeypatch):
    """A 500 rolls everything back, the key with it; the next try does the work."""
    server = server_with(make_api_key()[1], raise_request_exception=False)
    body, calls = PATIENT | {"idempotencyKey": "execution-9:item-0"}, []

    def once_broken(patient, keys):
        calls.append(patient)
        if len(calls) == 1:
            raise ZeroDivisionError

    monkeypatch.setattr("clinic.patients.services._store_identifiers", once_broken)
    n8n = N8n(server)
    answer = n8n.send("POST", "/v1/patients", body)

    assert [answer.status_code for answer in n8n.answers] == [500, 201]
    assert answer.json()["id"] == str(Patient.objects.get().pk)


def test_s27_cl01_changes_and_deletes_may_be_repeated(key_client, clinic):
    server = key_client()
    patient = server.post("/v1/patients", PATIENT).json()
    visit = server.post("/v1/appointments", VISIT).json()
    address = f"/v1/patients/{patient['id']}"

    for _ in range(3):
        assert N8n(server, lost=[0, 1]).send("PATCH", address, {"phone": "6017654321"}).status_code == 200
        assert N8n(server, lost=[0, 1]).send("DELETE", f"/v1/appointments/{visit['id']}").status_code == 204
    assert Patient.objects.get().version == 2
    assert Appointment.objects.get().changes.count() == 2  # booked, cancelled
    assert N8n(server, lost=[0]).send("DELETE", address).status_code == 404  # gone is what was asked for


def test_s27_wrong_bodies_lock_nobody_out(key_client, clinic):
    """A workflow that sends nonsense for a while is told so each time, and the next right body is taken."""
    server = key_client("patients:write")
    refused = {server.post("/v1/patients", {"firstName": str(n)}).status_code for n in range(30)}
    strangers = {server_with("cwk_nonsense").get("/v1/patients").status_code for _ in range(30)}

    assert (refused, strangers) == ({400}, {401})
    assert server.post("/v1/patients", PATIENT).status_code == 201


def test_s27_cl02_a_burst_over_the_limit_passes_at_one_of_the_next_tries(key_client):
    """What is refused takes nothing from the bucket, which fills drop by drop: one a second with 60 a minute."""
    server = key_client("patients:write", requests_per_minute=60)
    bucket = BucketLimit("key", "60/m")
    while bucket.hit(str(server.key.pk)).allowed:
        pass
    n8n = N8n(server, tries=5, wait=1.0)
    made = n8n.send("POST", "/v1/patients", PATIENT)

    assert made.status_code == 201
    codes = [answer.status_code for answer in n8n.answers]
    assert codes[0] == 429
    assert int(n8n.answers[0]["Retry-After"]) <= 2
    assert n8n.answers[0].json()["detail"].startswith("Too many requests.")


def test_s27_cl01_two_tries_at_once_make_one(committed_db):
    """A node that times out sends again while the first request is still running."""
    tenant, _admin = open_clinic()
    with tenant_context(tenant.id):
        _key, plaintext = keys.create_key(by=None, name="n8n", scopes=["admin"])
    ready, answers = threading.Barrier(5), []

    def run():
        try:
            ready.wait(timeout=20)
            body = PATIENT | {"idempotencyKey": "execution-7:item-0"}
            answers.append(server_with(plaintext).post("/v1/patients", body))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    with tenant_context(tenant.id):
        assert Patient.objects.count() == 1
