"""The short way of registering a patient through /v1 leaves what the usual way leaves, and nothing else."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection, connections
from hypothesis import HealthCheck
from hypothesis import given as example
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework import serializers

from accounts.api_keys import fast_creates, fast_lane
from accounts.api_keys import services as keys
from accounts.api_keys.models import ApiKey, MadeOnce
from accounts.api_keys.tests.fixtures import server_with
from accounts.users.models import Membership
from accounts.users.tests.factories import open_clinic
from clinic.patients.api_v1 import EXAMPLE, FAST, SNAKE_EXAMPLE
from clinic.patients.custom_fields import define_custom_field
from clinic.patients.models import Consent, Patient, PatientToken, PatientVersion
from clinic.patients.serializers_v1 import V1PatientCreateSerializer
from tenancy import sealing
from tenancy.audit.models import AuditEntry, AuditPayload
from tenancy.audit.verification import verify_trail
from tenancy.doors import limits
from tenancy.doors.clear import ClearPayload, NoClearForm, NotClear
from tenancy.events.models import Delivery, Event
from tenancy.events.services import create_endpoint
from tenancy.retries import services as retries
from tenancy.retries.models import Answer
from tenancy.retries.services import PURPOSE
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant

USUAL = {"HTTP_COOKIE": "a=b"}  # the lane leaves alone whoever brings a cookie
BODY = {
    "firstName": "Ana",
    "firstLastName": "Ruiz",
    "birthDate": "1990-05-15",
    "genderId": 2,
    "documentTypeId": 1,
    "documentNumber": "10203040",
}


def define_fields(by):
    for key, type, is_filterable in (("team", "text", True), ("age", "number", True), ("secret", "yes_no", False)):
        define_custom_field(by=by, key=key, label=key.title(), type=type, is_filterable=is_filterable)


def program_in(tenant):
    with tenant_context(tenant.pk):
        define_fields(Membership.objects.first())
        key, plaintext = keys.create_key(by=None, name="n8n", scopes=["patients:write"])
    program = server_with(plaintext)
    program.tenant, program.key = tenant, key
    # The first create of a key goes the usual way, and so does all until its use is noted.
    program.post("/v1/patients", BODY | {"documentNumber": "99999999"}, format="json")
    return program


def listening(program):
    """Open a webhook; the next create goes the usual way and finds it."""
    with tenant_context(program.tenant.pk):
        create_endpoint(by=None, url="https://93.184.216.34/in")
    answer = program.post("/v1/patients", BODY | {"documentNumber": "98989898"}, format="json")
    assert not took_the_lane(answer)
    with tenant_context(program.tenant.pk):
        assert Delivery.objects.filter(event__object_id=answer.json()["id"]).count() == 1


@pytest.fixture(autouse=True)
def nothing_remembered():
    fast_lane._known_keys.clear()
    fast_lane._callers.clear()


@pytest.fixture
def house(committed_db):
    """A clinic that is really committed, with a program that has registered somebody before."""
    return program_in(open_clinic(name="Lane Clinic")[0])


@pytest.fixture
def twins(committed_db):
    """Two clinics alike, each with its program: one for each way."""
    return [program_in(open_clinic(name="Twin Clinic")[0]) for _ in range(2)]


def took_the_lane(answer) -> bool:
    return "Allow" not in answer  # the usual way says which methods there are


PLAIN = {
    "camel": BODY,
    "in an envelope": {"eventType": "PATIENT", "actionType": "CREATE", **BODY},
    "snake": {name: value for name, value in SNAKE_EXAMPLE.items() if name != "idempotencyKey"},
    "documented": EXAMPLE,
    "custom fields": BODY | {"customFields": {"a": None, "b": [1, {"c": "\u2028 </script>"}], "big": 10**15, "ü": ""}},
    "fields of the clinic": BODY | {"customFields": {"team": " Red ", "age": "7", "channel": "sms", "secret": True}},
    "a key of its own": BODY | {"idempotencyKey": "n8n-7f3a-item-0"},
    "everything": {
        **BODY, "secondName": " José  María ", "secondLastName": "Ñandú O’Hara-Sánchez", "phone": "601 234 5678",
        "cellPhone": "+57 300 123 4567", "email": "Ana.Ruiz@Example.COM", "epsId": "EPS001", "habeasData": True,
        "customFields": {}, "documentNumber": "10.203.040",
    },
    "nothing said": {**BODY, "secondName": None, "phone": "", "email": None, "epsId": None, "customFields": None},
    "words for ids": {**BODY, "genderId": "F", "documentTypeId": "CC"},
    "another script": {**BODY, "firstName": "山田", "firstLastName": "محمد", "secondLastName": 'a"b\\c'},
    "passport": {**BODY, "documentTypeId": 5, "documentNumber": "AB 123456", "habeasData": False},
}  # fmt: skip


@pytest.mark.parametrize("body", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("heard", [False, True], ids=["silent", "with-webhook"])
def test_a_new_patient_is_the_same_both_ways(twins, body, heard):
    fast, usual = twins
    if heard:
        listening(fast)
        listening(usual)

    answers = [
        fast.post("/v1/patients", body, format="json"),
        usual.post("/v1/patients", body, format="json", **USUAL),
    ]

    assert [took_the_lane(answer) for answer in answers] == [True, False]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0]["ETag"] == answers[1]["ETag"]
    assert answers[0]["Content-Type"] == answers[1]["Content-Type"]
    assert int(answers[0]["Content-Length"]) == len(answers[0].content)
    assert list(answers[0].json()) == list(answers[1].json())
    left = [all_that_is_left(program, answer) for program, answer in zip(twins, answers, strict=True)]
    assert left[0] == left[1]
    assert len(left[0]["deliveries"]) == heard
    assert left[0]["tokens"]


def all_that_is_left(program, answer) -> dict:
    """Every row that a registration writes, without what can not be the same twice."""
    told = answer.json()
    with tenant_context(program.tenant.pk):
        patient = Patient.objects.get(pk=told["id"])
        entry = AuditEntry.objects.get(object_id=told["id"])
        payload = json.loads(AuditPayload.objects.get(entry=entry).body)
        events = Event.objects.filter(object_id=told["id"])
        left = {
            "told": told,
            "patient": plain(patient),
            "version": [plain(row) for row in PatientVersion.objects.filter(pgh_obj_id=patient.pk)],
            "tokens": sorted(PatientToken.objects.filter(patient=patient).values_list("token", flat=True)),
            "values": sorted(patient.field_values.values_list("field__key", "value")),
            "once": [plain(row) for row in MadeOnce.objects.filter(object_id=patient.pk)],
            "consents": [plain(row) for row in Consent.objects.filter(patient=patient)],
            "entry": plain(entry),
            "payload": payload,
            "events": [plain(row) | {"body": json.loads(row.body)["data"]} for row in events],
            "deliveries": [plain(row) for row in Delivery.objects.filter(event__in=events)],
        }
        assert not verify_trail(program.tenant).findings
    names = {
        str(program.tenant.pk): "TENANT", told["id"]: "PATIENT", str(program.key.pk): "KEY",
        program.key.prefix: "PREFIX", str(entry.actor_ref): "ACTOR",
    }  # fmt: skip
    text = json.dumps(left, default=str, sort_keys=True)
    for name, word in names.items():
        text = text.replace(name, word)
    return drop_moments(json.loads(text))


UNLIKE = {
    *(
        "created_at",
        "updated_at",
        "at",
        "recorded_at",
        "pgh_created_at",
        "occurred_at",
        "since",
        "next_try_at",
        "made_at",
    ),
    *("entry_hash", "prev_hash", "payload_hash", "request_id", "pgh_id", "event_id", "endpoint_id"),
}


def plain(row) -> dict:
    names = [field.attname for field in row._meta.concrete_fields]
    return {name: getattr(row, name) for name in names if name != "body"}


def drop_moments(value, name=""):
    if isinstance(value, dict):
        return {
            key: drop_moments(item, key)
            for key, item in value.items()
            if key not in UNLIKE and (key != "id" or item == "PATIENT")
        }
    return [drop_moments(item) for item in value] if isinstance(value, list) else value


def test_numbers_go_on_without_a_gap(house):
    numbers = []
    for place in range(6):
        body = BODY | {"documentNumber": f"2000000{place}"}
        answer = house.post("/v1/patients", body, format="json", **(USUAL if place % 2 else {}))
        assert took_the_lane(answer) == (place % 2 == 0)
        with tenant_context(house.tenant.pk):
            patient = Patient.objects.get(pk=answer.json()["id"])
            assert PatientToken.objects.filter(patient=patient, token=str(patient.number)).exists()
        numbers.append(patient.number)

    assert numbers == list(range(numbers[0], numbers[0] + 6))


def test_many_at_once_through_both_ways_make_one_chain(house):
    codes = []

    def register(worker):
        for number in range(6):
            body = BODY | {"documentNumber": f"3{worker}00000{number}"}
            codes.append(house.post("/v1/patients", body, format="json", **(USUAL if number % 3 == 2 else {})))
        connections.close_all()

    threads = [threading.Thread(target=register, args=[worker]) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in codes} == {201}
    assert sum(took_the_lane(answer) for answer in codes) >= 20
    with tenant_context(house.tenant.pk):
        assert not verify_trail(house.tenant).findings
        numbers = sorted(Patient.objects.values_list("number", flat=True))
        assert numbers == list(range(1, len(codes) + 2))
        assert AuditEntry.objects.filter(action="patient_created").count() == len(numbers)


# --- Once -----------------------------------------------------------------------------------------------------------

RETRY = {"HTTP_IDEMPOTENCY_KEY": "k-1"}


def kept_in(program):
    with tenant_context(program.tenant.pk):
        (row,) = Answer.objects.all()
        headers, _newline, body = sealing.unseal(row.sealed, purpose=PURPOSE, owner_id=row.id).partition(b"\n")
        return row.status, json.loads(headers), body


def test_s3_an_answer_is_kept_as_the_usual_way_keeps_it(twins):
    fast, usual = twins
    answers = [
        fast.post("/v1/patients", BODY, format="json", **RETRY),
        usual.post("/v1/patients", BODY, format="json", **RETRY, **USUAL),
    ]
    assert [took_the_lane(answer) for answer in answers] == [True, False]

    (status, headers, body), (usual_status, usual_headers, _body) = kept_in(fast), kept_in(usual)

    assert (status, headers) == (usual_status, usual_headers)
    assert body == answers[0].content
    assert all_that_is_left(fast, answers[0]) == all_that_is_left(usual, answers[1])


@pytest.mark.parametrize("again", [{}, USUAL], ids=["the lane asked first", "the usual way"])
@pytest.mark.parametrize("first", [{}, USUAL], ids=["made by the lane", "made the usual way"])
def test_s3_whichever_way_it_was_made_the_same_is_told_again(house, first, again):
    made = house.post("/v1/patients", BODY, format="json", **RETRY, **first)
    assert took_the_lane(made) == (first == {})
    before = counted(house)

    told = [house.post(f"/v1/patients{slash}", BODY, format="json", **RETRY, **again) for slash in ("", "/", "")]

    assert [(answer.status_code, answer.content, answer["ETag"]) for answer in told] == [
        (201, made.content, made["ETag"])
    ] * 3
    assert {answer["Idempotent-Replayed"] for answer in told} == {"true"}
    assert counted(house) == before


def test_s3_the_key_is_one_callers_one_body_and_one_clinics(twins):
    one, other = twins
    assert one.post("/v1/patients", BODY, format="json", **RETRY).status_code == 201

    another_body = one.post("/v1/patients", BODY | {"documentNumber": "4444444"}, format="json", **RETRY)
    another_clinic = other.post("/v1/patients", BODY, format="json", **RETRY)

    assert another_body.status_code == 422
    assert (another_clinic.status_code, took_the_lane(another_clinic)) == (201, True)


def test_s3_refusals_are_not_kept_and_leave_the_key_free(house):
    assert house.post("/v1/patients", BODY, format="json").status_code == 201

    twice = house.post("/v1/patients", BODY, format="json", **RETRY)
    better = house.post("/v1/patients", BODY | {"documentNumber": "4444444"}, format="json", **RETRY)

    assert [twice.status_code, better.status_code] == [409, 201]
    assert took_the_lane(house.post("/v1/patients", BODY | {"documentNumber": "4444445"}, format="json"))


def test_s3_a_key_held_by_another_request_is_409(house):
    attempt = retries.attempt_of(
        house.key, "v1/patients", "k-1", address="/v1/patients", query="", body=json.dumps(BODY).encode()
    )
    before, codes = counted(house), []

    def ask():
        codes.append(house.post("/v1/patients", BODY, format="json", **RETRY).status_code)
        connections.close_all()

    with tenant_context(house.tenant.pk):
        assert retries.claim(attempt) is None
        other = threading.Thread(target=ask)
        other.start()
        other.join()

    assert codes == [409]
    assert counted(house) == before


def test_s3_a_key_of_yesterday_is_free(house):
    assert house.post("/v1/patients", BODY, format="json", **RETRY).status_code == 201
    with tenant_context(house.tenant.pk):
        Answer.objects.update(made_at=datetime.now(UTC) - timedelta(hours=24, seconds=1))

    later = house.post("/v1/patients", BODY | {"documentNumber": "4444444"}, format="json", **RETRY)

    assert later.status_code == 201
    assert kept_in(house)[2] == later.content


def test_s3_an_answer_that_can_not_be_kept_undoes_the_registration(house, monkeypatch):
    def fail(*args):
        raise RuntimeError("no seal")

    before = counted(house)
    with monkeypatch.context() as broken:
        broken.setattr(retries, "kept_values", fail)
        house.raise_request_exception = False
        assert house.post("/v1/patients", BODY, format="json", **RETRY).status_code == 500
    assert counted(house) == before

    answer = house.post("/v1/patients", BODY, format="json", **RETRY)

    assert answer.status_code == 201


def test_s3_forty_tries_at_once_make_one_patient(house):
    answers = []
    before = counted(house)

    def ask():
        answers.append(house.post("/v1/patients", BODY, format="json", **RETRY))
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} <= {201, 409}
    made = {answer.content for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert counted(house)[0] == before[0] + 1


@pytest.mark.parametrize("again", [{}, USUAL], ids=["the lane asked first", "the usual way"])
@pytest.mark.parametrize("first", [{}, USUAL], ids=["made by the lane", "made the usual way"])
def test_s27_a_key_in_the_body_makes_one_patient_whichever_way_it_goes(house, first, again):
    body = BODY | {"idempotencyKey": "execution-1"}
    made = house.post("/v1/patients", body, format="json", **first)
    before = counted(house)

    same = house.post("/v1/patients", body, format="json", **again)
    other = house.post("/v1/patients", body | {"firstName": "Eva"}, format="json", **again)

    assert (made.status_code, took_the_lane(made)) == (201, first == {})
    assert (same.status_code, same.json()["id"]) == (200, made.json()["id"])
    assert other.status_code == 422
    assert counted(house) == before


def test_s27_a_key_that_was_rotated_to_knows_what_the_older_made(house):
    body = BODY | {"idempotencyKey": "execution-1"}
    made = house.post("/v1/patients", body, format="json")
    with tenant_context(house.tenant.pk):
        _key, plaintext = keys.rotate_key(house.key, by=None, overlap=timedelta(hours=1))
    successor = server_with(plaintext)
    successor.post("/v1/patients", BODY | {"documentNumber": "4444444"}, format="json")

    assert took_the_lane(successor.post("/v1/patients", BODY | {"documentNumber": "4444445"}, format="json"))
    again = successor.post("/v1/patients", body, format="json")

    assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])


def test_a_field_the_clinic_adds_counts_from_the_next_create(house):
    body = BODY | {"customFields": {"shoe": "42"}}
    assert took_the_lane(house.post("/v1/patients", body, format="json"))
    with tenant_context(house.tenant.pk):
        define_custom_field(by=Membership.objects.first(), key="shoe", label="Shoe", type="number", is_filterable=True)

    answers = [house.post("/v1/patients", body | {"documentNumber": f"444444{n}"}, format="json") for n in (1, 2)]

    assert [took_the_lane(answer) for answer in answers] == [False, True]
    assert [answer.json()["custom_fields"] for answer in answers] == [{"shoe": 42}] * 2
    assert len(house.get("/v1/patients?custom[shoe]=42").json()["items"]) == 2


# --- What the lane leaves alone --------------------------------------------------------------------------------------

NOT_PLAIN = {
    "unknown field": BODY | {"shoeSize": 42},
    "both casings": BODY | {"first_name": "Ana"},
    "both casings, different": BODY | {"first_name": "Eva"},
    "too many custom fields": BODY | {"customFields": {str(number): 1 for number in range(51)}},
    "too deep custom fields": BODY | {"customFields": {"a": {"b": {"c": {"d": 1}}}}},
    "custom fields that are a list": BODY | {"customFields": [1]},
    "a text where the clinic wants a number": BODY | {"customFields": {"age": "seven"}},
    "an empty key of its own": BODY | {"idempotencyKey": ""},
    "no name": {name: value for name, value in BODY.items() if name != "firstName"},
    "a number for a text": BODY | {"firstName": 7},
    "a word for a truth": BODY | {"habeasData": "yes"},
    "a true gender": BODY | {"genderId": True},
    "an unknown gender": BODY | {"genderId": 77},
    "another word": BODY | {"eventType": "DOCTOR"},
    "bad day": BODY | {"birthDate": "1990-5-15"},
    "tomorrow": BODY | {"birthDate": (datetime.now(UTC) + timedelta(days=3)).date().isoformat()},
    "very old": BODY | {"birthDate": "1800-01-01"},
    "bad e-mail": BODY | {"email": "a@b"},
    "bad phone": BODY | {"phone": "12"},
    "bad document": BODY | {"documentNumber": "ABC"},
    "a line": BODY | {"firstName": "A\nB"},
    "too long": BODY | {"firstName": "A" * 121},
    "a list": [BODY],
    "null name": BODY | {"firstName": None},
    "blank name": BODY | {"firstName": "  "},
}


@pytest.mark.parametrize("body", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_not_plain_goes_the_usual_way(twins, body):
    one, other = twins

    answer = one.post("/v1/patients", body, format="json")
    usual = other.post("/v1/patients", body, format="json", **USUAL)

    assert not took_the_lane(answer)
    assert answer.status_code == usual.status_code
    if answer.status_code >= 400:
        problems = [reply.json()["detail"] for reply in (answer, usual)]
        assert problems[0] == problems[1]


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_IDEMPOTENCY_KEY": "k 1"},
        {"HTTP_IDEMPOTENCY_KEY": ""},
        {"HTTP_COOKIE": "a=b"},
        {"HTTP_ACCEPT": "text/html"},
        {"HTTP_CONTENT_ENCODING": "gzip"},
        {"QUERY_STRING": "a=b"},
        {"HTTP_X_HTTP_METHOD_OVERRIDE": "PUT"},
    ],
)
def test_whoever_brings_more_goes_the_usual_way(house, headers):
    assert not took_the_lane(house.post("/v1/patients", BODY, format="json", **headers))


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b'{"firstName": 1e999}', b"\xff", b'{"a":1,"a":2}', b'"x"'])
def test_bytes_that_are_no_object_are_refused_as_usual(house, raw):
    answer = house.generic("POST", "/v1/patients", raw, content_type="application/json")

    assert answer.status_code in (400, 422)
    assert not took_the_lane(answer)


@pytest.mark.parametrize("slash", ["", "/"])
def test_both_slashes_take_the_lane(house, slash):
    assert took_the_lane(house.post(f"/v1/patients{slash}", BODY, format="json"))


def test_m_a_document_twice_is_409_and_leaves_nothing(house):
    assert house.post("/v1/patients", BODY, format="json").status_code == 201
    before = counted(house)

    again = house.post("/v1/patients", BODY, format="json")

    assert again.status_code == 409
    assert "10203040" in again.json()["detail"]
    assert counted(house) == before
    # The connection is whole, and the number that was taken back goes to the next.
    later = house.post("/v1/patients", BODY | {"documentNumber": "10203041"}, format="json")
    assert took_the_lane(later)
    with tenant_context(house.tenant.pk):
        numbers = sorted(Patient.objects.values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


def counted(program) -> tuple:
    with tenant_context(program.tenant.pk):
        tables = (Patient, PatientToken, PatientVersion, AuditEntry, AuditPayload, Consent, Event)
        return tuple(table.objects.count() for table in tables)


# --- Who may ---------------------------------------------------------------------------------------------------------


def change_key(program, **fields):
    with tenant_context(program.tenant.pk):
        ApiKey.objects.filter(pk=program.key.pk).update(**fields)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"revoked_at": datetime(2026, 1, 1, tzinfo=UTC)}, 401),
        ({"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}, 401),
        ({"scopes": ["patients:read"]}, 403),
        ({"scopes": []}, 403),
        ({"key_hash": "0" * 64}, 401),
    ],
)
def test_s4_what_is_remembered_of_a_key_gives_no_right(house, fields, code):
    assert took_the_lane(house.post("/v1/patients", BODY, format="json"))
    before = counted(house)
    change_key(house, **fields)

    answer = house.post("/v1/patients", BODY | {"documentNumber": "5551234"}, format="json")

    assert answer.status_code == code
    assert counted(house) == before


def test_s4_a_key_of_a_closed_clinic_registers_nobody(house):
    Tenant.objects.filter(pk=house.tenant.pk).update(is_active=False)

    assert house.post("/v1/patients", BODY, format="json").status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda program: change_key(program, name="make.com"),
        lambda program: Tenant.objects.filter(pk=program.tenant.pk).update(country="US"),
        lambda program: Tenant.objects.filter(pk=program.tenant.pk).update(time_zone="Asia/Tokyo"),
        lambda program: change_key(program, last_used_at=datetime(2026, 1, 1, tzinfo=UTC)),
    ],
    ids=["renamed", "country", "time zone", "use to be noted"],
)
def test_what_has_changed_is_read_anew(house, change):
    assert took_the_lane(house.post("/v1/patients", BODY | {"documentNumber": "700001"}, format="json"))
    change(house)

    answers = [
        house.post("/v1/patients", BODY | {"documentNumber": f"70000{n}", "cellPhone": "2025550143"}, format="json")
        for n in (2, 3)
    ]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert [took_the_lane(answer) for answer in answers] == [False, True]
    assert answers[0].json()["cell_phone"] == answers[1].json()["cell_phone"]


def test_a_key_of_one_clinic_registers_in_no_other(twins):
    one, other = twins
    before = counted(other)

    assert took_the_lane(one.post("/v1/patients", BODY, format="json"))

    assert counted(other) == before


def test_creates_in_the_lane_are_counted_once(house, monkeypatch):
    monkeypatch.setattr(settings, "API_KEY_RATE_LIMIT", True)
    change_key(house, requests_per_minute=5)
    first = house.post("/v1/patients", BODY | {"documentNumber": "800000"}, format="json")
    assert not took_the_lane(first)  # what is remembered of the key's rate is no longer so

    answers = [house.post("/v1/patients", BODY | {"documentNumber": f"80000{n}"}, format="json") for n in range(1, 8)]

    codes = [answer.status_code for answer in answers]
    assert codes.count(201) in (3, 4)  # what was taken at 600 a minute may cost one
    assert codes.count(429) == 7 - codes.count(201)
    assert took_the_lane(answers[0])


def test_what_the_lane_leaves_to_the_usual_way_is_counted_once(house, monkeypatch):
    monkeypatch.setattr(settings, "API_KEY_RATE_LIMIT", True)
    counted, run = [], limits._run
    monkeypatch.setattr(limits, "_run", lambda *args: (counted.append(args), run(*args))[1])
    house.get("/v1/patients")

    house.get("/v1/patients/01890a5d-ac96-774b-bcce-b302099a8057")
    house.post("/v1/patients", BODY | {"birthDate": "1800-01-01"}, format="json")

    assert len(counted) == 3


def test_the_lane_leaves_no_tenant_and_no_transaction(house):
    assert took_the_lane(house.post("/v1/patients", BODY, format="json"))

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.tenant_id', true)")
        assert cursor.fetchone()[0] in ("", None)
    assert connection.connection.pgconn.transaction_status == 0


def test_the_log_line_of_a_create_names_route_clinic_and_key(house, monkeypatch):
    lines = []
    monkeypatch.setattr("config.middleware.write_access", lines.append)

    house.post("/v1/patients", BODY, format="json")

    (line,) = lines
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/patients", 201)
    assert (line["tenant_id"], line["key_id"]) == (str(house.tenant.pk), str(house.key.pk))


def test_a_worker_is_woken_for_what_was_delivered(house, monkeypatch):
    rung = []
    monkeypatch.setattr("tenancy.events.services.doorbell.ring_once", lambda task, tenant: rung.append(tenant))
    house.post("/v1/patients", BODY | {"documentNumber": "600001"}, format="json")
    assert rung == []
    listening(house)
    rung.clear()

    assert took_the_lane(house.post("/v1/patients", BODY | {"documentNumber": "600002"}, format="json"))

    assert rung == [str(house.tenant.pk)]


# --- The compiled check is the serializer's --------------------------------------------------------------------------

CONTEXT = {"country": "CO", "patient": None}
odd = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 12), st.floats(allow_nan=False), st.text(max_size=130),
    st.sampled_from(["CC", "F", "EPS001", "2", "a@b.co", "A.B@c-d.example", "+573001234567", "3001234567"]),
    st.dates().map(str),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip
names = sorted(ClearPayload(V1PatientCreateSerializer)._names)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example(st.dictionaries(st.sampled_from(names), odd, max_size=5), st.booleans())
def test_a_clear_body_is_what_the_serializer_makes_of_it(db, changes, is_whole):
    body = (BODY if is_whole else {}) | changes
    try:
        clear = ClearPayload(V1PatientCreateSerializer).read(body, dict(CONTEXT))
    except NotClear:
        return
    usual = V1PatientCreateSerializer(data=body, context=dict(CONTEXT))

    assert usual.is_valid(), usual.errors
    assert list(clear.values.items()) == list(usual.values.items())
    assert clear.patient_data() == usual.patient_data()


@pytest.mark.parametrize("body", PLAIN.values(), ids=PLAIN)
def test_plain_bodies_are_clear(db, body):
    clear = ClearPayload(V1PatientCreateSerializer).read(body, dict(CONTEXT))
    usual = V1PatientCreateSerializer(data=body, context=dict(CONTEXT))

    assert usual.is_valid()
    assert list(clear.values.items()) == list(usual.values.items())


def test_a_field_nobody_has_a_clear_form_for_is_refused():
    class WithSlug(V1PatientCreateSerializer):
        price = serializers.DecimalField(5, 2)

    with pytest.raises(NoClearForm, match="price"):
        ClearPayload(WithSlug)


def test_the_answer_is_that_of_the_reads():
    assert fast_creates.RESOURCES["/v1/patients"].rows is FAST.rows
