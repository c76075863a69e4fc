"""The JSON door: MediSecure's patients, Quill's demographics, and what is refused."""

import json
from datetime import date
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.users.tests.factories import MembershipFactory
from clinic.patients import services
from clinic.patients.models import DocumentType, Patient
from tenancy.audit.tests.trails import actions_about
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import CITIZENSHIP_CARD, PatientFactory
from .trails import reads_of, version_numbers

ROW_KEYS = {"id", "name", "email", "phone", "dateOfBirth", "gender", "address", "created_at", "repo"}
WHOLE_KEYS = ROW_KEYS | {"bloodType", "allergies", "medicalHistory"}
NEW = {
    "name": "María José García Márquez",
    "email": "mj.garcia@example.com",
    "phone": "+57 300 123 4567",
    "dateOfBirth": "1978-03-14",
    "gender": "female",
    "address": "Calle 26 #69-76, Bogotá",
    "bloodType": "O+",
    "allergies": "Penicillin",
}


@pytest.fixture
def patient(nurse):
    return PatientFactory(by=nurse, birth_date=date(1978, 3, 14), phone="601 555 0101")


@pytest.fixture
def program(nurse, api_client):
    return api_client(nurse)


def one(patient, tail=""):
    return f"/api/patients/{patient.pk}{tail}"


def refusal(answer):
    """Status and code of an error, once its body is whole: a sentence, a code and the id of the request."""
    body = answer.json()
    assert set(body) == {"detail", "code", "trace_id"}
    assert body["trace_id"] == answer["X-Request-ID"]
    assert body["detail"]
    return answer.status_code, body["code"]


def problems(answer):
    """`{place: type}` of a 400 that names fields."""
    assert refusal(answer) == (400, "validation_error")
    for problem in answer.json()["detail"]:
        assert set(problem) == {"loc", "msg", "type"}
    return {".".join(map(str, problem["loc"])): problem["type"] for problem in answer.json()["detail"]}


# --- The list --------------------------------------------------------------------------------------------------------


def test_list_has_the_shape_of_medisecure(patient, program):
    answer = program.get("/api/patients")

    body = answer.json()
    assert set(body) == {"patients", "total", "page", "limit", "pages"}
    assert (body["total"], body["page"], body["limit"], body["pages"]) == (1, 1, 10, 1)
    (row,) = body["patients"]
    created = row.pop("created_at")
    assert row == {
        "id": str(patient.pk),
        "name": "Aurelia de la Hoz",
        "email": "",
        "phone": "601 555 0101",
        "dateOfBirth": "1978-03-14",
        "gender": "female",
        "address": "",
        "repo": f"patient-{patient.pk}",
    }
    assert created.endswith("Z")
    assert answer["Cache-Control"] == "no-store"


def test_list_is_newest_first_and_pages(nurse, program):
    made = [str(PatientFactory(by=nurse, first_name=f"N{number}").pk) for number in range(12)]

    first, second = program.get("/api/patients").json(), program.get("/api/patients?page=2").json()

    assert [row["id"] for row in first["patients"] + second["patients"]] == made[::-1]
    assert [(body["total"], body["page"], body["limit"], body["pages"]) for body in (first, second)] == [
        (12, 1, 10, 2),
        (12, 2, 10, 2),
    ]
    assert program.get("/api/patients?page=3").json()["patients"] == []
    names = program.get("/api/patients?sort=name&limit=2").json()["patients"]
    assert [row["name"] for row in names] == ["N0 de la Hoz", "N1 de la Hoz"]


@pytest.mark.parametrize("query", ["limit=101", "page_size=1000", "size=1000000"])
def test_list_cuts_a_limit_to_a_hundred(patient, program, query):
    assert program.get(f"/api/patients?{query}").json()["limit"] == 100


def test_list_searches(patient, nurse, program):
    PatientFactory(by=nurse, first_name="Bruno", first_last_name="Paz")

    def found(search):
        return [row["name"] for row in program.get("/api/patients", {"search": search}).json()["patients"]]

    assert found("hoz aur") == ["Aurelia de la Hoz"]
    assert found("0101") == ["Aurelia de la Hoz"]
    assert found("nobody") == []
    assert found("%") == []


def test_list_shows_archived_ones_only_when_asked(patient, admin, program):
    services.archive_patient(patient, by=admin, reason="Moved away")

    assert program.get("/api/patients").json()["total"] == 0
    assert program.get("/api/patients?archived=true").json()["total"] == 1


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("page=0", {"query.page": "minimum"}),
        ("page=x", {"query.page": "integer"}),
        ("limit=-1", {"query.limit": "minimum"}),
        ("sort=password", {"query.sort": "sort"}),
        ("search=" + "a" * 201, {"query.search": "max_length"}),
        ("search=%00", {"query.search": "forbidden_character"}),
        ("archived=1", {"query.archived": "boolean"}),
        ("nmae=x", {"query.nmae": "unknown"}),
        ("page=1&page=2", {"query.page": "repeated"}),
    ],
)
def test_list_refuses_a_query_it_can_not_read(program, query, wrong):
    assert problems(program.get(f"/api/patients?{query}")) == wrong


def test_list_takes_the_same_statements_for_one_and_three(nurse, program):
    def more():
        number = str(1000 + Patient.objects.count())
        card = DocumentType.objects.get(pk=CITIZENSHIP_CARD)
        PatientFactory(by=nurse, document_type=card, document_number=number)

    def queries(path):
        program.get(path)
        with CaptureQueriesContext(connection) as captured:
            assert program.get(path).status_code == 200
        return len(captured)

    paths = ["/api/patients", "/api/patients?search=aurelia", "/api/patients/repositories"]
    more()
    one_row = [queries(path) for path in paths]
    more()
    more()
    assert [queries(path) for path in paths] == one_row
    assert max(one_row) <= 10


# --- One patient -----------------------------------------------------------------------------------------------------


def test_retrieve_has_the_shape_of_medisecure_and_notes_the_look(nurse, program):
    patient = PatientFactory(
        by=nurse, birth_date=date(1978, 3, 14), cell_phone="300 123 4567", address="Calle 26", city="Bogotá",
        country="CO", blood_type="O+", allergies="Penicillin", medical_history="Asthma", email="A@b.example",
    )  # fmt: skip

    answer = program.get(one(patient))

    body = answer.json()
    assert set(body) == WHOLE_KEYS
    body.pop("created_at")
    assert body == {
        "id": str(patient.pk),
        "name": "Aurelia de la Hoz",
        "email": "a@b.example",
        "phone": "300 123 4567",
        "dateOfBirth": "1978-03-14",
        "gender": "female",
        "address": "Calle 26, Bogotá, CO",
        "bloodType": "O+",
        "allergies": "Penicillin",
        "medicalHistory": "Asthma",
        "repo": f"patient-{patient.pk}",
    }
    assert answer["ETag"] == '"1"'
    assert reads_of(patient) == ["api"]


def test_retrieve_answers_304_to_who_has_this_version(patient, program):
    assert program.get(one(patient), headers={"If-None-Match": '"1"'}).status_code == 304
    assert program.get(one(patient), headers={"If-None-Match": 'W/"1"'}).status_code == 304
    assert program.get(one(patient), headers={"If-None-Match": '"2"'}).status_code == 200


# --- Registering -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["admin", "staff", "nurse"])
def test_create_registers_a_patient(clinic, api_client, role):
    member = MembershipFactory(role=role)

    answer = api_client(member).post("/api/patients", NEW)

    patient = Patient.objects.get()
    body = answer.json()
    assert answer.status_code == 201
    assert set(body) == WHOLE_KEYS
    assert {key: body[key] for key in NEW} == NEW
    assert (answer["ETag"], body["medicalHistory"], body["id"]) == ('"1"', "", str(patient.pk))
    assert vars(patient.name_parts) == {
        "first_name": "María",
        "second_name": "José",
        "first_last_name": "García",
        "second_last_name": "Márquez",
    }
    assert (patient.updated_by, patient.birth_date) == (member, date(1978, 3, 14))
    assert actions_about(patient) == ["patient_created"]


@pytest.mark.parametrize("role", ["doctor", "auditor", "patient", "quality_manager", "user"])
def test_create_is_not_for_everybody(clinic, api_client, role):
    answer = api_client(MembershipFactory(role=role)).post("/api/patients", NEW)

    assert refusal(answer) == (403, "permission_denied")
    assert Patient.objects.count() == 0


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        (
            {},
            {f"body.{name}": "required" for name in ("name", "email", "phone", "dateOfBirth", "gender", "address")},
        ),
        (NEW | {"name": ""}, {"body.name": "blank"}),
        (NEW | {"name": None}, {"body.name": "null"}),
        (NEW | {"name": "x" * 481}, {"body.name": "max_length"}),
        (NEW | {"email": "no address"}, {"body.email": "invalid"}),
        (NEW | {"dateOfBirth": "14/03/1978"}, {"body.dateOfBirth": "invalid"}),
        (NEW | {"gender": "F"}, {"body.gender": "invalid_choice"}),
        (NEW | {"bloodType": "Z"}, {"body.bloodType": "invalid_choice"}),
        (NEW | {"patient_id": "7", "role": "admin"}, {"body.patient_id": "invalid", "body.role": "invalid"}),
        (NEW | {"tenant": str(uuid4())}, {"body.tenant": "invalid"}),
        (NEW | {"phone": "1" * 31}, {"body.phone": "max_length"}),
    ],
)
def test_create_refuses_by_field(program, sent, wrong):
    assert problems(program.post("/api/patients", sent)) == wrong
    assert Patient.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "value"), [("dateOfBirth", "2999-01-01"), ("dateOfBirth", "1700-01-01"), ("name", "x" * 200)]
)
def test_create_names_what_the_service_refuses_as_it_was_sent(program, name, value):
    assert list(problems(program.post("/api/patients", NEW | {name: value}))) == [f"body.{name}"]


@pytest.mark.parametrize("body", ["[]", '"text"', "7", "null"])
def test_create_wants_an_object(program, body):
    answer = program.post("/api/patients", body, content_type="application/json")

    assert refusal(answer)[0] == 400


@pytest.mark.parametrize("body", ["{", '{"name": "a\\u0000"}', '{"name": NaN}', '{"name": "a", "name": "b"}'])
def test_create_refuses_what_is_not_clean_json(program, body):
    assert refusal(program.post("/api/patients", body, content_type="application/json"))[0] == 400
    assert Patient.objects.count() == 0


def test_create_may_leave_out_what_is_not_known(program):
    sent = NEW | {"email": "", "phone": "", "dateOfBirth": None, "address": "", "gender": "unknown", "allergies": ""}
    del sent["bloodType"]

    answer = program.post("/api/patients", sent)

    assert answer.status_code == 201
    assert {key: answer.json()[key] for key in sent} == sent


# --- Changing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"If-Match": '"1"'}, {"If-Match": 'W/"1"'}, {"If-Match": "*"}])
def test_partial_update_changes_what_was_sent(patient, program, headers):
    answer = program.patch(one(patient), {"phone": "601 555 0202"}, headers=headers)

    assert (answer.status_code, answer["ETag"]) == (200, '"2"')
    assert answer.json()["phone"] == "601 555 0202"
    assert answer.json()["dateOfBirth"] == "1978-03-14"
    assert version_numbers(patient) == [1, 2]


def test_partial_update_refuses_a_stale_version_and_writes_nothing(patient, nurse, program):
    services.update_patient(patient, by=nurse, changes={"city": "Cali"})

    answer = program.patch(one(patient), {"phone": "601 555 0202"}, headers={"If-Match": '"1"'})

    assert refusal(answer) == (412, "stale_version")
    patient.refresh_from_db()
    assert (patient.phone, version_numbers(patient)) == ("601 555 0101", [1, 2])


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        ({"gender": None}, {"body.gender": "null"}),
        ({"name": " "}, {"body.name": "blank"}),
        ({"id": "7"}, {"body.id": "invalid"}),
        ({"email": "a@"}, {"body.email": "invalid"}),
    ],
)
def test_partial_update_refuses_by_field(patient, program, sent, wrong):
    assert problems(program.patch(one(patient), sent)) == wrong
    assert version_numbers(patient) == [1]


def test_partial_update_refuses_a_header_it_can_not_read(patient, program):
    assert problems(program.patch(one(patient), {"phone": "1"}, headers={"If-Match": "1"})) == {
        "header.If-Match": "etag"
    }


def test_partial_update_that_changes_nothing_keeps_the_version(patient, program):
    assert program.patch(one(patient), {"phone": "601 555 0101"})["ETag"] == '"1"'
    assert program.patch(one(patient), {})["ETag"] == '"1"'


def test_partial_update_refuses_an_archived_one(patient, admin, program):
    services.archive_patient(patient, by=admin, reason="Moved away")

    assert refusal(program.patch(one(patient), {"phone": "1"})) == (409, "rule_broken")


def test_put_and_delete_are_not_there(patient, program):
    assert refusal(program.put(one(patient), NEW)) == (405, "method_not_allowed")
    assert refusal(program.delete(one(patient))) == (405, "method_not_allowed")


# --- Archive and restore ---------------------------------------------------------------------------------------------


def test_archive_and_restore(patient, doctor, api_client):
    program = api_client(doctor)

    archived = program.post(one(patient, "/archive"), {"reason": "Moved away"})
    assert (archived.status_code, archived["ETag"], set(archived.json())) == (200, '"2"', WHOLE_KEYS)
    assert refusal(program.post(one(patient, "/archive"), {"reason": "Again"})) == (409, "rule_broken")

    restored = program.post(one(patient, "/restore"))
    assert (restored.status_code, restored["ETag"]) == (200, '"3"')
    assert refusal(program.post(one(patient, "/restore"))) == (409, "rule_broken")


@pytest.mark.parametrize("sent", [{}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 301}, {"reason": None}])
def test_archive_needs_a_reason(patient, doctor, api_client, sent):
    assert list(problems(api_client(doctor).post(one(patient, "/archive"), sent))) == ["body.reason"]
    assert version_numbers(patient) == [1]


def test_archive_and_restore_refuse_a_stale_version(patient, nurse, doctor, api_client):
    program = api_client(doctor)
    services.update_patient(patient, by=nurse, changes={"city": "Cali"})

    archive = program.post(one(patient, "/archive"), {"reason": "Moved"}, headers={"If-Match": '"1"'})
    services.archive_patient(patient, by=doctor, reason="Moved")
    restore = program.post(one(patient, "/restore"), headers={"If-Match": '"2"'})

    assert refusal(archive) == refusal(restore) == (412, "stale_version")


# --- Quill: demographics and repositories ----------------------------------------------------------------------------

DEMOGRAPHICS = {
    "given_name": "Ana Lucía",
    "family_name": "de la Cruz",
    "date_of_birth": "1979-01-02",
    "sex": "F",
    "address": {"city": "Cali"},
    "contact": {"phone": "601 555 0303"},
    "meta": {"source": "Quill"},
}


def test_put_demographics_and_read_them_again(patient, program):
    stored = program.put(one(patient, "/demographics"), DEMOGRAPHICS)
    assert stored.json() == {"repo": f"patient-{patient.pk}", "path": "demographics/profile.json"}
    assert (stored.status_code, stored["ETag"]) == (200, '"2"')

    read = program.get(one(patient, "/demographics"))
    assert set(read.json()) == {"repo", "content"}
    content = json.loads(read.json()["content"])
    assert content.pop("updated_at_utc")
    assert content == DEMOGRAPHICS | {"sex": "female"}
    assert read.json()["content"].startswith('{\n  "updated_at_utc": "')
    assert reads_of(patient) == ["api"]


def test_put_demographics_replaces_the_whole(patient, program):
    program.put(one(patient, "/demographics"), DEMOGRAPHICS)
    program.put(one(patient, "/demographics"), {"meta": {}})

    content = json.loads(program.get(one(patient, "/demographics")).json()["content"])
    assert (content["given_name"], content["sex"]) == ("Ana Lucía", "female")
    assert (content["date_of_birth"], content["address"], content["meta"]) == (None, None, {})


def test_put_demographics_twice_alike_writes_once(patient, program):
    for _ in range(2):
        program.put(one(patient, "/demographics"), DEMOGRAPHICS)

    assert version_numbers(patient) == [1, 2]


def test_put_demographics_refuses_a_stale_version(patient, nurse, program):
    services.update_patient(patient, by=nurse, changes={"city": "Cali"})

    answer = program.put(one(patient, "/demographics"), DEMOGRAPHICS, headers={"If-Match": '"1"'})

    assert refusal(answer) == (412, "stale_version")


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        ({"date_of_birth": "yesterday"}, ["body.date_of_birth"]),
        ({"sex": "x"}, ["body.sex"]),
        ({"address": "Cali"}, ["body.address"]),
        ({"given_name": 7.5, "meta": []}, ["body.meta"]),
        ({"contact": {"email": "no address", "phone": "1" * 31}}, ["body.contact"]),
        ({"given_name": "x" * 200}, ["body.given_name"]),
        ({"givenName": "Ana", "sex": "F", "dob": "1979-01-02"}, ["body.dob", "body.givenName"]),
        ({"address": {"a": {"b": {"c": {"d": {"e": {}}}}}}}, ["body.address"]),
        ({"contact": {"a": [[[[[]]]]]}}, ["body.contact"]),
        ({"meta": {"text": "x" * 19_990}}, ["body.meta"]),
        ({"meta": {"text": "ñ" * 10_000}}, ["body.meta"]),
    ],
)
def test_put_demographics_refuses_by_field(patient, program, sent, wrong):
    assert list(problems(program.put(one(patient, "/demographics"), sent))) == wrong
    assert version_numbers(patient) == [1]


@pytest.mark.parametrize("meta", [{"a": {"b": {"c": {"d": {"e": 1}}}}}, {"text": "x" * 19_989}])
def test_put_demographics_keeps_objects_up_to_the_limit(patient, program, meta):
    assert program.put(one(patient, "/demographics"), {"meta": meta}).status_code == 200

    patient.refresh_from_db()
    assert patient.demographics == {"meta": meta}


def test_repositories_lists_demographics(patient, program):
    body = program.get("/api/patients/repositories").json()

    (row,) = body["patients"]
    assert set(row) == {"repo", "demographics"}
    assert row["repo"] == f"patient-{patient.pk}"
    assert row["demographics"]["family_name"] == "de la Hoz"
    assert body["total"] == 1


def test_repositories_notes_a_look_at_each_patient_shown_and_at_no_other(patient, nurse, program):
    second, third = PatientFactory(by=nurse), PatientFactory(by=nurse)

    shown = program.get("/api/patients/repositories?limit=2").json()["patients"]

    assert {row["repo"] for row in shown} == {second.repo, third.repo}
    assert [reads_of(each) for each in (patient, second, third)] == [[], ["api"], ["api"]]


def test_list_of_patients_notes_no_look(patient, program):
    program.get("/api/patients")

    assert reads_of(patient) == []


# --- Who looked ------------------------------------------------------------------------------------------------------


def test_looks_names_who_opened_the_chart(patient, nurse, doctor, program, api_client):
    program.get(one(patient))

    answer = api_client(doctor).get(one(patient, "/looks"))

    (look,) = [row for row in answer.json() if row["kind"] == "api"]
    assert (set(look), look["name"], look["reason"]) == ({"name", "at", "kind", "reason"}, "Nora Nurse", "")
    assert reads_of(patient) == ["api", "looks"]


# --- Who may what ----------------------------------------------------------------------------------------------------

ROUTES = {
    "list": ("get", "/api/patients", None),
    "repositories": ("get", "/api/patients/repositories", None),
    "create": ("post", "/api/patients", {}),
    "retrieve": ("get", "/api/patients/{id}", None),
    "update": ("patch", "/api/patients/{id}", {}),
    "archive": ("post", "/api/patients/{id}/archive", {}),
    "restore": ("post", "/api/patients/{id}/restore", {}),
    "demographics": ("get", "/api/patients/{id}/demographics", None),
    "put_demographics": ("put", "/api/patients/{id}/demographics", {}),
    "looks": ("get", "/api/patients/{id}/looks", None),
}
READING = {"list", "retrieve", "demographics"}
ALLOWED = {
    "admin": set(ROUTES),
    "doctor": set(ROUTES) - {"create"},
    "nurse": set(ROUTES) - {"archive", "restore", "looks"},
    "staff": set(ROUTES) - {"archive", "restore", "looks"},
    "patient": READING,
    "auditor": {"looks"},
    "quality_manager": {"looks"},
    "training_manager": set(),
    "user": set(),
}


def ask(program, route, pk, *, slash="", prefix="/api"):
    method, path, body = ROUTES[route]
    path = path.replace("/api", prefix, 1).replace("{id}", str(pk)) + slash
    return getattr(program, method)(path, body) if body is not None else getattr(program, method)(path)


@pytest.mark.parametrize("role", ALLOWED)
def test_roles_reach_their_routes_and_no_others(patient, api_client, role):
    program = api_client(MembershipFactory(role=role))

    answers = {route: ask(program, route, patient.pk) for route in ROUTES}

    assert {route for route, answer in answers.items() if answer.status_code != 403} == ALLOWED[role]
    for route in set(ROUTES) - ALLOWED[role]:
        assert refusal(answers[route]) == (403, "permission_denied")


@pytest.mark.parametrize("route", ROUTES)
def test_anonymous_programs_are_asked_who_they_are(patient, anonymous_api, route):
    assert refusal(ask(anonymous_api, route, patient.pk)) == (401, "not_authenticated")


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
@pytest.mark.parametrize("route", ROUTES)
def test_both_slash_forms_answer_alike(patient, admin, api_client, route, prefix):
    program = api_client(admin)

    answers = [ask(program, route, patient.pk, slash=slash, prefix=prefix) for slash in ("", "/")]

    assert answers[0].status_code == answers[1].status_code != 404
    assert not 300 <= answers[0].status_code < 400


@pytest.mark.parametrize("route", sorted(set(ROUTES) - {"list", "repositories", "create"}))
def test_a_foreign_id_is_an_id_that_is_not_there(patient, other_clinic, api_client, route):
    with outside_tenant(), tenant_context(other_clinic.id):
        member = MembershipFactory(roles=["admin", "doctor"])
        member.permissions
    program = api_client(member)

    foreign, random = (ask(program, route, pk) for pk in (patient.pk, uuid4()))

    assert refusal(foreign) == refusal(random) == (404, "not_found")
    assert foreign.json()["detail"] == random.json()["detail"] == "Not found"
    assert "aurelia" not in foreign.content.decode().lower()
    assert program.get("/api/patients", {"search": "aurelia"}).json()["patients"] == []
    assert reads_of(patient) == []
    assert version_numbers(patient) == [1]


@pytest.mark.parametrize("pk", ["7", "x" * 36, "00000000-0000-0000-0000-000000000000", "..%2f", "%00"])
def test_an_id_that_is_none_is_not_found(program, pk):
    assert refusal(program.get(f"/api/patients/{pk}")) == (404, "not_found")


def test_patients_see_their_own_chart_and_nobody_else(patient, nurse, patient_user, api_client):
    mine = PatientFactory(by=nurse, first_name="Pia", user=patient_user.user)
    program = api_client(patient_user)

    assert [row["id"] for row in program.get("/api/patients").json()["patients"]] == [str(mine.pk)]
    assert program.get("/api/patients", {"search": "aurelia"}).json()["total"] == 0
    assert program.get(one(mine)).status_code == 200
    assert program.get(one(mine, "/demographics")).status_code == 200
    assert refusal(program.get(one(patient))) == (404, "not_found")
    assert refusal(program.patch(one(mine), {"phone": "1"})) == (403, "permission_denied")


def test_cookies_work_and_another_site_is_refused(patient, nurse, cookie_client):
    program = cookie_client(nurse)

    assert program.patch(one(patient), {"phone": "1"}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = program.patch(one(patient), {"phone": "2"}, headers=headers)
        assert refusal(answer)[0] == 403
        assert answer.json()["detail"] == "CSRF failed"
    patient.refresh_from_db()
    assert patient.phone == "1"
