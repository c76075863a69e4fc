"""Idempotency-Key at the doors (security.md CC-07, TI-H17): one effect, one answer, for whoever sent it first."""

import json
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from django.utils import timezone

from accounts.api_keys import services as keys
from accounts.api_keys.models import ApiKey
from accounts.api_keys.tests.fixtures import server_with
from accounts.users.tests.factories import PASSWORD
from clinic.patients.models import Patient
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling.tests.factories import at, make_location, make_practitioner, next_day, work
from config import openapi
from tenancy.audit.models import AuditEntry
from tenancy.doors.retry_keys import why_keyless
from tenancy.retries.models import Answer, PlatformAnswer
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant

from .test_house_rules import routes

PATIENTS = "/api/patients"
ANA = {
    "name": "Ana Pérez",
    "email": "ana@example.com",
    "phone": "+573001234567",
    "dateOfBirth": "1980-02-29",
    "gender": "female",
    "address": "Calle 1",
    "bloodType": "O+",
}


@pytest.fixture(autouse=True)
def no_limits(settings):
    settings.RATE_LIMIT_SCALE = 100_000


def new_key():
    return f"order-{uuid.uuid4()}"


def post(program, path=PATIENTS, body=ANA, key=None, **headers):
    return program.post(path, body, headers={"Idempotency-Key": key, **headers} if key is not None else headers)


def kept_headers(answer):
    return {name: answer.get(name) for name in ("ETag", "Location", "Content-Type")}


# --- The same again --------------------------------------------------------------------------------------------------


def test_cc07_same_key_and_body_give_the_first_answer_byte_for_byte(nurse, api_client):
    program, key = api_client(nurse), new_key()

    first = post(program, key=key)
    again = [post(program, key=key) for _ in range(3)]

    assert first.status_code == 201
    assert "Idempotent-Replayed" not in first
    for answer in again:
        assert (answer.status_code, answer.content) == (201, first.content)
        assert kept_headers(answer) == kept_headers(first)
        assert answer["ETag"]
        assert answer["Idempotent-Replayed"] == "true"
        assert answer["X-Request-ID"] != first["X-Request-ID"]
    assert Patient.objects.count() == 1
    assert AuditEntry.objects.filter(action="patient_created").count() == 1


def test_without_a_key_every_post_is_a_new_one(nurse, api_client):
    """Negative control."""
    program = api_client(nurse)

    assert post(program).json()["id"] != post(program).json()["id"]


def test_a_retry_of_what_the_reader_has_changed_gives_the_first_answer_still(nurse, api_client):
    program, key = api_client(nurse), new_key()
    first = post(program, key=key)
    program.patch(f"{PATIENTS}/{first.json()['id']}", {"name": "Ana María Pérez"})

    assert post(program, key=key).content == first.content


def test_a_retry_with_the_slash_at_the_end_is_the_same_request(nurse, api_client):
    program, key = api_client(nurse), new_key()

    assert post(program, key=key).content == post(program, f"{PATIENTS}/", key=key).content


def test_an_answer_without_a_body_comes_again_without_one(admin, api_client):
    program, key = api_client(admin), new_key()
    path = "/api/notifications/mark-all-read"

    first, again = post(program, path, {}, key), post(program, path, {}, key)

    assert again.content == first.content
    assert again.get("Content-Type") == first.get("Content-Type")


# --- At the doors that make something --------------------------------------------------------------------------------


@pytest.fixture
def visit(clinic):
    """What books a visit next Monday at nine."""
    house, dario = make_location(), make_practitioner()
    work(dario, house)
    moment = at(next_day(0), 9).isoformat()
    return {"patientId": str(PatientFactory().pk), "doctorId": str(dario.pk), "date": moment, "reason": "Check"}


CREATING = {
    "/api/patients": ANA,
    "/api/specialties": {"name": "Sleep"},
    "/api/groups": {"name": "Hygiene", "type": "Department"},
    "/api/roles": {"name": "Ward clerk", "permissions": ["patients.view"]},
    "/api/invitations": {"email": "nora@riverside.example", "name": "Nora Arango", "role": "nurse"},
    "/api/appointments": None,
    "/api/appointments/holds": None,
    "/api/v1/appointments": None,
}


@pytest.mark.parametrize("path", CREATING)
def test_what_a_door_makes_it_makes_once(admin, cookie_client, visit, path):
    """With the cookies of a browser, as the clinic's own pages would ask."""
    program, key, body = cookie_client(admin), new_key(), CREATING[path] or visit
    entries = AuditEntry.objects.count()

    first = post(program, path, body, key)
    written = AuditEntry.objects.count() - entries
    again = post(program, path, body, key)

    assert first.status_code == 201, first.json()
    assert (again.status_code, again.content, kept_headers(again)) == (201, first.content, kept_headers(first))
    assert again["Idempotent-Replayed"] == "true"
    assert AuditEntry.objects.count() - entries == written > 0


def test_another_server_makes_a_patient_once(key_client):
    """Whatever short ways there are through /v1: a POST with a key is done once."""
    program, key = key_client("patients:write"), new_key()
    body = {
        "firstName": "María",
        "firstLastName": "García",
        "birthDate": "1990-05-15",
        "genderId": 2,
        "documentTypeId": 1,
        "documentNumber": "1020304050",
        "cellPhone": "3001234567",
    }

    first, again = post(program, "/v1/patients", body, key), post(program, "/v1/patients", body, key)

    assert first.status_code == 201, first.json()
    assert (again.status_code, again.content, kept_headers(again)) == (201, first.content, kept_headers(first))
    assert again["Idempotent-Replayed"] == "true"
    # Negative control: without the key the document is known already.
    assert post(program, "/v1/patients", body).status_code == 409
    assert Patient.objects.count() == 1


def test_without_a_key_the_same_visit_is_refused_as_taken(admin, cookie_client, visit):
    """Negative control: what a retry without a key meets."""
    program = cookie_client(admin)

    assert [post(program, "/api/appointments", visit).status_code for _ in range(2)] == [201, 409]


@pytest.fixture
def operator(db):
    """A program with a key of the platform, which is in no clinic."""
    return server_with(keys.create_platform_key(name="operator")[1])


def test_a_platform_key_opens_a_clinic_once(operator):
    body, key = {"name": f"Once Clinic {uuid.uuid4().hex}"}, new_key()

    first, again = post(operator, "/v1/tenants", body, key), post(operator, "/v1/tenants", body, key)

    assert first.status_code == 201, first.json()
    assert (again.status_code, again.content, again["ETag"]) == (201, first.content, first["ETag"])
    assert post(operator, "/v1/tenants", body | {"name": "Other"}, key).status_code == 422
    # Negative control: without the key the name is taken.
    assert post(operator, "/v1/tenants", body).status_code == 409
    assert (PlatformAnswer.objects.count(), Tenant.objects.filter(name=body["name"]).count()) == (1, 1)


def test_a_platform_key_makes_a_key_in_a_clinic_once(operator, clinic):
    body, key = {"name": "n8n", "scopes": ["patients:read"], "tenant_id": str(clinic.pk)}, new_key()

    first, again = post(operator, "/v1/auth/api-keys", body, key), post(operator, "/v1/auth/api-keys", body, key)

    assert first.status_code == 201, first.json()
    assert again.content == first.content
    assert ApiKey.objects.count() == 1


def test_another_platform_key_is_another_caller(operator):
    other, key = server_with(keys.create_platform_key(name="other")[1]), new_key()

    post(operator, "/v1/tenants", {"name": "One Clinic"}, key)

    assert post(other, "/v1/tenants", {"name": "Two Clinic"}, key).status_code == 201


# --- Another body, another route, another caller ---------------------------------------------------------------------


@pytest.mark.parametrize("body", [ANA | {"name": "Ana Peres"}, ANA | {"phone": "+573001234568"}, {}, []])
def test_cc07_another_body_is_422_and_does_nothing(nurse, api_client, body):
    program, key = api_client(nurse), new_key()
    post(program, key=key)

    answer = post(program, body=body, key=key)

    assert answer.status_code == 422
    assert answer.json()["code"] == "key_reused"
    assert "another request" in answer.json()["detail"]
    assert answer.json()["trace_id"] == answer["X-Request-ID"]
    assert Patient.objects.count() == 1


def test_the_same_key_for_another_thing_of_the_same_kind_is_422(admin, api_client):
    program, key = api_client(admin), new_key()
    one, other = PatientFactory(), PatientFactory()
    body = {"reason": "entered twice"}

    assert post(program, f"{PATIENTS}/{one.pk}/archive", body, key).status_code == 200
    assert post(program, f"{PATIENTS}/{other.pk}/archive", body, key).status_code == 422
    other.refresh_from_db()
    assert not other.is_archived


def test_the_same_key_on_another_route_is_another_key(admin, api_client):
    program, key = api_client(admin), new_key()
    body = {"name": "Cardiology"}

    assert post(program, key=key).status_code == 201
    assert post(program, "/api/specialties", body, key).status_code == 201
    assert post(program, "/api/v1/patients", ANA, key).status_code == 201
    assert Patient.objects.count() == 2


def test_two_keys_are_two_requests(nurse, api_client):
    program = api_client(nurse)

    assert post(program, key="a").json()["id"] != post(program, key="A").json()["id"]


def test_the_same_key_of_another_member_is_another_key(nurse, receptionist, api_client):
    key = new_key()

    mine, theirs = post(api_client(nurse), key=key), post(api_client(receptionist), key=key)

    assert mine.json()["id"] != theirs.json()["id"]
    assert "Idempotent-Replayed" not in theirs


def test_the_same_member_at_another_device_is_the_same_caller(nurse, api_client, cookie_client):
    key = new_key()

    assert post(api_client(nurse), key=key).content == post(cookie_client(nurse), key=key).content


def test_ti_h17_the_same_key_of_another_clinic_is_another_key(nurse, stranger, api_client):
    key = new_key()
    ours = post(api_client(nurse), key=key)

    theirs = post(api_client(stranger), key=key)

    assert theirs.status_code == 201
    assert theirs.json()["id"] != ours.json()["id"]
    assert "Idempotent-Replayed" not in theirs
    with outside_tenant(), tenant_context(stranger.tenant_id):
        assert Patient.objects.count() == 1
        assert Answer.objects.count() == 1
    assert Answer.objects.count() == 1


def test_ti_h17_the_same_key_of_another_api_key_is_another_key(key_client):
    """Making an API key is a POST that creates, too; its answer holds what is shown once."""
    one, other, key = key_client("admin", name="one"), key_client("admin", name="other"), new_key()
    body = {"name": "n8n", "scopes": ["patients:read"]}

    first = post(one, "/v1/auth/api-keys", body, key)

    assert first.status_code == 201
    assert post(one, "/v1/auth/api-keys", body, key).content == first.content
    assert post(other, "/v1/auth/api-keys", body, key).json()["api_key"]["id"] != first.json()["api_key"]["id"]


# --- What is not kept ------------------------------------------------------------------------------------------------


def test_a_refusal_is_not_kept_so_the_key_may_try_again(nurse, api_client):
    program, key = api_client(nurse), new_key()

    assert post(program, body={"name": ""}, key=key).status_code == 400
    assert post(program, key=key).status_code == 201
    assert post(program, body={"name": ""}, key=key).status_code == 422


def test_a_rule_broken_is_not_kept(admin, api_client):
    program, key, body = api_client(admin), new_key(), {"reason": "entered twice"}
    patient = PatientFactory()
    path = f"{PATIENTS}/{patient.pk}/archive"
    assert post(program, path, body).status_code == 200

    assert post(program, path, body, key).status_code == 409
    assert Answer.objects.count() == 0


def test_a_failure_is_not_kept_and_leaves_nothing(nurse, api_client, monkeypatch):
    program, key = api_client(nurse), new_key()
    program.raise_request_exception = False

    def fail(*args, **kwargs):
        raise RuntimeError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr("clinic.patients.api.PatientSerializer.data", property(fail))
        assert post(program, key=key).status_code == 500
    assert (Patient.objects.count(), Answer.objects.count()) == (0, 0)
    answer = post(program, key=key)
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer


@pytest.mark.parametrize("method", ["get", "patch", "put", "delete"])
def test_other_methods_take_no_notice_of_a_key(admin, api_client, method):
    program, patient = api_client(admin), PatientFactory()

    answers = {
        getattr(program, method)(f"{PATIENTS}/{patient.pk}", headers={"Idempotency-Key": key}).status_code
        for key in ("one", "one", "")
    }

    assert len(answers) == 1
    assert Answer.objects.count() == 0


def test_an_unknown_caller_is_asked_who_they_are_whatever_the_key(anonymous_api):
    assert post(anonymous_api, key="").status_code == 401
    assert post(anonymous_api, key="x" * 300).status_code == 401


def test_signing_in_takes_no_notice_of_a_key(nurse, anonymous_api):
    body = {"email": nurse.user.email, "password": PASSWORD, "tenant": nurse.tenant.slug}

    answers = [post(anonymous_api, "/api/auth/login", body, "same") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len({answer.cookies["access_token"].value for answer in answers}) == 2
    assert Answer.objects.count() == 0


# --- A replay asks what the first request was asked ------------------------------------------------------------------


def test_a_replay_is_refused_to_who_may_not_do_this_any_more(clinic, nurse, api_client):
    program, key = api_client(nurse), new_key()
    assert post(program, key=key).status_code == 201
    role = nurse.roles[0]
    role.permissions = [code for code in role.permissions if code != "patients.create"]
    role.save()

    answer = post(program, key=key)

    assert answer.status_code == 403
    assert "Ana" not in answer.content.decode()


def test_a_replay_counts_against_the_rate_limit(nurse, api_client, settings):
    settings.RATE_LIMIT_SCALE = 0.03  # three a minute
    program, key = api_client(nurse), new_key()

    answers = [post(program, key=key).status_code for _ in range(4)]

    assert answers == [201, 201, 201, 429]


def test_a_replay_by_cookie_is_refused_across_sites(nurse, cookie_client):
    program, key = cookie_client(nurse), new_key()
    assert post(program, key=key).status_code == 201

    answer = post(program, key=key, **{"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403
    assert answer.json()["code"] == "csrf_failed"


# --- The key itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["", " ", "a b", "x" * 256, "clé", "\t", "a\x7f", "\x00", "日本", "a\r\nX-Evil: 1", "\x1b[31m", "ÿ" * 10],
)
def test_cc07_a_key_that_is_none_is_400(nurse, api_client, key):
    program = api_client(nurse)

    answer = program.post(PATIENTS, ANA, HTTP_IDEMPOTENCY_KEY=key)

    assert answer.status_code == 400
    assert answer.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]
    assert Patient.objects.count() == 0


@pytest.mark.parametrize("key", ["x", "x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "';DROP--", "%s", "{}"])
def test_cc07_a_key_of_visible_ascii_is_taken(nurse, api_client, key):
    program = api_client(nurse)

    assert post(program, key=key).content == post(program, key=key).content
    assert Patient.objects.count() == 1


# --- Time ------------------------------------------------------------------------------------------------------------


def test_cc07_a_key_is_good_for_a_day_and_then_new(nurse, api_client):
    key, now = new_key(), timezone.now()
    with time_machine.travel(now, tick=False):
        first = post(api_client(nurse), key=key).json()["id"]
    with time_machine.travel(now + timedelta(hours=23, minutes=59), tick=False):
        assert post(api_client(nurse), key=key).json()["id"] == first
    with time_machine.travel(now + timedelta(hours=24, minutes=1), tick=False):
        program = api_client(nurse)
        second = post(program, key=key)
        assert second.json()["id"] != first
        assert post(program, key=key).content == second.content
        # What was forgotten may say something else.
        assert post(program, body=ANA | {"name": "Ana"}, key=key).status_code == 422
    assert Answer.objects.count() == 1


# --- What it costs, and what it leaves -------------------------------------------------------------------------------


def statements_of(program, **options):
    with CaptureQueriesContext(connection) as caught:
        post(program, **options)
    return len(caught)


def test_a_key_costs_two_statements_and_none_costs_nothing(nurse, api_client):
    program = api_client(nurse)
    post(program)
    plain, keyed, replayed = statements_of(program), statements_of(program, key="k"), statements_of(program, key="k")

    assert keyed == plain + 2
    assert replayed < plain
    with CaptureQueriesContext(connection) as caught:
        post(program)
    assert not [query for query in caught if "retries_" in query["sql"] or "advisory" in query["sql"]]


def test_what_is_kept_can_not_be_read_in_the_database(nurse, api_client):
    post(api_client(nurse), key="order-of-ana-perez")

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM retries_answer")
        [row] = cursor.fetchall()

    stored = b"".join(bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in row)
    for secret in (b"Ana", b"1980", b"order-of", str(nurse.pk).encode(), b"patients"):
        assert secret not in stored


def test_bodies_and_keys_stay_out_of_the_log(nurse, api_client, capsys, caplog):
    program = api_client(nurse)
    for body in (ANA, ANA, ANA | {"name": "Other Person"}):
        post(program, body=body, key="order-of-ana-perez")

    out, err = capsys.readouterr()
    logged = out + err + caplog.text
    assert '"status":422' in logged.replace(" ", "") or "422" in logged
    for secret in ("Ana", "Pérez", "1980-02-29", "order-of-ana", "Other Person"):
        assert secret not in logged


# --- Every POST of the API -------------------------------------------------------------------------------------------


def posts():
    """Every (route, view class, action) that answers POST at /api and /v1."""
    for address, callback in routes(get_resolver().url_patterns):
        if address.startswith(("api/", "v1/")) and hasattr(callback, "cls"):
            action = getattr(callback, "actions", {"post": "post"} if hasattr(callback.cls, "post") else {}).get("post")
            if action:
                yield address, callback.cls, action


KEYLESS = {
    ("AuthViewSet", "login"),
    ("AuthViewSet", "token"),
    ("AuthViewSet", "refresh"),
    ("AuthViewSet", "logout"),
    ("TokenAuthViewSet", "login"),
    ("TokenAuthViewSet", "refresh"),
    ("TokenAuthViewSet", "logout"),
    ("RegistrationViewSet", "confirm_email"),
    ("PasswordViewSet", "reset"),
    ("PasswordViewSet", "confirm_reset"),
    ("PasswordViewSet", "change"),
    ("TotpViewSet", "setup"),
    ("TotpViewSet", "verify"),
    ("TotpViewSet", "disable"),
    ("TotpViewSet", "renew_recovery_codes"),
    ("PatientViewSet", "search"),
    ("AppointmentViewSet", "search"),
}
"""What takes no key. Everything else does, what later rooms bring too; a POST that only reads belongs in here."""


def test_every_post_takes_a_key_or_is_on_the_list():
    found = {(view.__name__, action): why_keyless(view, action) for _address, view, action in posts()}

    assert len(found) > 30
    assert {name for name, reason in found.items() if reason} == KEYLESS


def test_keyless_names_no_action_that_is_not_there():
    for _address, view, _action in posts():
        for name in getattr(view, "keyless", {}):
            assert hasattr(view, name)


def test_every_creating_post_documents_the_header():
    for path, methods in openapi.schema()["paths"].items():
        if "post" not in methods:
            continue
        names = {parameter["name"] for parameter in methods["post"].get("parameters", [])}
        operation = json.dumps(methods["post"]["responses"])
        assert ("Idempotency-Key" in names) == ("KeyReused" in operation) == ("Idempotent-Replayed" in operation), path
    assert "Idempotency-Key" in {p["name"] for p in openapi.schema()["paths"]["/api/patients"]["post"]["parameters"]}
    assert "parameters" not in openapi.schema()["paths"]["/api/auth/login"]["post"]
