"""`/v1/patients` as chatbots use it: contract.md 5.2, S6, S8, S9, S16 (security.md CL-04, CL-07, CL-08, IN-*)."""

import json
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.api_keys import services as keys
from accounts.api_keys.tests.fixtures import server_with
from clinic.patients import custom_fields, restricting, services
from clinic.patients.api_v1 import EXAMPLE, SNAKE_EXAMPLE
from clinic.patients.models import Consent, Patient
from clinic.patients.selectors import list_versions
from clinic.patients.tests.factories import PatientFactory
from tenancy.audit import selectors as audit_selectors
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

URL = "/v1/patients"
ANSWER = {
    "first_name": "María",
    "second_name": "José",
    "first_last_name": "García",
    "second_last_name": "Márquez",
    "birth_date": "1990-05-15",
    "gender_id": 2,
    "document_type_id": 1,
    "document_number": "1020304050",
    "phone": "+576012345678",
    "cell_phone": "+573001234567",
    "email": "maria.garcia@example.com",
    "eps_id": "EPS001",
    "habeas_data": True,
    "custom_fields": {"preferred_channel": "whatsapp", "allergies": ["penicillin"], "notes": None},
    "restricted": False,
}


@pytest.fixture
def server(key_client):
    """A chatbot that may read and write patients."""
    return key_client("patients:write")


@pytest.fixture
def maria(server):
    return server.post(URL, EXAMPLE).json()


def refused(response, status=400):
    """What was refused: {field: sentence}."""
    assert response.status_code == status, response.content
    return {problem["loc"][-1]: problem["msg"] for problem in response.json()["detail"]}


def changed(**fields):
    return {key: value for key, value in {**EXAMPLE, **fields}.items() if value is not ...}


# --- One patient -----------------------------------------------------------------------------------------------------


def test_s6_s9_the_documented_payload_is_registered_and_answered_in_snake_case(server, clinic):
    made = server.post(URL, EXAMPLE)

    assert (made.status_code, made["ETag"]) == (201, '"1"')
    answer = made.json()
    own = {"id": answer["id"], "tenant_id": str(clinic.id), "created_at": answer["created_at"]}
    assert answer == own | {"updated_at": answer["updated_at"]} | ANSWER
    assert server.get(f"{URL}/{answer['id']}").json() == answer


def test_s9_snake_case_camel_case_and_both_are_one(server):
    snake = server.post(URL, SNAKE_EXAMPLE)
    both = server.post(URL, changed(first_name="María", document_type_id=1, custom_fields=EXAMPLE["customFields"]))

    assert (snake.status_code, snake.json()["first_last_name"]) == (201, "Ruiz")
    assert (both.status_code, both.json()["first_name"]) == (201, "María")


@pytest.mark.parametrize(
    ("more", "field", "sentence"),
    [
        ({"first_name": "Ana"}, "first_name", "firstName and first_name say different things."),
        ({"document_type_id": "1"}, "document_type_id", "documentTypeId and document_type_id say different things."),
        ({"habeas_data": 1}, "habeas_data", "habeasData and habeas_data say different things."),
        ({"custom_fields": {}}, "custom_fields", "customFields and custom_fields say different things."),
        ({"nickname": "Mari"}, "nickname", "There is no such field."),
        ({"firstname": "María"}, "firstname", "There is no such field."),
        ({"tenant_id": "x"}, "tenant_id", "There is no such field."),
        ({"id": 1}, "id", "There is no such field."),
        ({"x" * 10_000: 1}, "x" * 100, "There is no such field."),
        ({"eventType": "APPOINTMENT"}, "eventType", '"APPOINTMENT" is not a valid choice.'),
        ({"actionType": "UPDATE"}, "actionType", '"UPDATE" is not a valid choice.'),
        ({"actionType": "create"}, "actionType", '"create" is not a valid choice.'),
    ],
)
def test_in09_in20_cl07_wrong_casings_fields_and_envelopes_are_refused_by_name(server, more, field, sentence):
    assert refused(server.post(URL, EXAMPLE | more)) == {field: sentence}
    assert not Patient.objects.exists()


def test_cl07_the_envelope_may_be_left_out(server):
    assert server.post(URL, changed(eventType=..., actionType=...)).status_code == 201


@pytest.mark.parametrize(
    "missing", ["firstName", "firstLastName", "birthDate", "genderId", "documentTypeId", "documentNumber"]
)
def test_s6_required_fields_are_asked_for_in_the_callers_own_casing(server, missing):
    assert refused(server.post(URL, changed(**{missing: ...}))) == {missing: "This field is required."}

    snake = {key: value for key, value in SNAKE_EXAMPLE.items() if key != "birth_date"}
    assert refused(server.post(URL, snake)) == {"birth_date": "This field is required."}


WRONG_NUMBER = "Invalid document number format for type %d"
TOMORROW = (date.today() + timedelta(days=2)).isoformat()


@pytest.mark.parametrize(
    ("fields", "name", "sentence"),
    [
        ({"documentTypeId": 99}, "documentTypeId", "Invalid document type ID: 99"),
        ({"documentTypeId": "ZZ"}, "documentTypeId", "Invalid document type ID: ZZ"),
        ({"documentTypeId": True}, "documentTypeId", "Invalid document type ID: True"),
        ({"documentTypeId": 1.0}, "documentTypeId", "Invalid document type ID: ?"),
        ({"documentTypeId": "1 "}, "documentTypeId", "Invalid document type ID: 1 "),
        ({"documentTypeId": "\u0661"}, "documentTypeId", "Invalid document type ID: \u0661"),
        ({"documentTypeId": [1]}, "documentTypeId", "Invalid document type ID: ?"),
        ({"genderId": 0}, "genderId", "Invalid gender ID: 0"),
        ({"genderId": 2**31}, "genderId", f"Invalid gender ID: {2**31}"),
        ({"epsId": "EPS999"}, "epsId", "Invalid EPS ID: EPS999"),
        ({"documentNumber": "12345"}, "documentNumber", WRONG_NUMBER % 1),
        ({"documentNumber": "12345678901"}, "documentNumber", WRONG_NUMBER % 1),
        ({"documentNumber": "AB123456"}, "documentNumber", WRONG_NUMBER % 1),
        ({"documentNumber": "\u0661\u0662\u0663\u0664\u0665\u0666"}, "documentNumber", WRONG_NUMBER % 1),
        ({"documentTypeId": 5, "documentNumber": "1234567"}, "documentNumber", WRONG_NUMBER % 5),
        ({"documentTypeId": "RC", "documentNumber": "A123456"}, "documentNumber", WRONG_NUMBER % 4),
        ({"phone": "12"}, "phone", "Invalid phone number format"),
        ({"cellPhone": "call me"}, "cellPhone", "Invalid phone number format"),
        ({"email": "maria@"}, "email", "Invalid email format"),
        ({"birthDate": TOMORROW}, "birthDate", "Birth date cannot be in the future"),
        ({"birthDate": "1850-01-01"}, "birthDate", "Birth date is too old (more than 150 years)"),
        ({"birthDate": "1990-02-30"}, "birthDate", "Send a date such as 1990-05-15."),
        ({"birthDate": "15/05/1990"}, "birthDate", "Send a date such as 1990-05-15."),
        ({"birthDate": "1990-5-15"}, "birthDate", "Send a date such as 1990-05-15."),
        ({"birthDate": "1990-05-15T00:00:00Z"}, "birthDate", "Send a date such as 1990-05-15."),
        ({"birthDate": None}, "birthDate", "This field may not be null."),
        ({"firstName": " "}, "firstName", "This field may not be blank."),
        ({"customFields": [1]}, "customFields", 'Expected a dictionary of items but got type "list".'),
        ({"customFields": {str(n): n for n in range(51)}}, "customFields", "Too many custom fields (max 50)"),
        (
            {"customFields": {"a": {"b": {"c": {"d": 1}}}}},
            "customFields",
            "Custom fields nested too deeply (max depth 3)",
        ),
        ({"customFields": {"k" * 101: 1}}, "customFields", "A key has between 1 and 100 characters."),
        ({"customFields": {"k": "x" * 1001}}, "customFields", "A text in a custom field has at most 1,000 characters."),
    ],
)  # fmt: skip
def test_s6_s13_rules_of_contract_5_2_speak_its_sentences(server, fields, name, sentence):
    assert refused(server.post(URL, EXAMPLE | fields)) == {name: sentence}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"documentNumber": "1.020.304-050"}, {"document_number": "1020304050"}),
        ({"documentNumber": 1020304050}, {"document_number": "1020304050"}),
        ({"documentTypeId": "CC"}, {"document_type_id": 1}),
        (
            {"documentTypeId": "pa", "documentNumber": "av 123456"},
            {"document_type_id": 5, "document_number": "AV123456"},
        ),
        ({"documentTypeId": 7, "documentNumber": "X-1"}, {"document_type_id": 7, "document_number": "X-1"}),
        ({"genderId": "female"}, {"gender_id": 2}),
        ({"genderId": "F"}, {"gender_id": 2}),
        ({"phone": "+57 (601) 234-5678"}, {"phone": "+576012345678"}),
        ({"cellPhone": "+34 612 345 678"}, {"cell_phone": "+34612345678"}),
        ({"cellPhone": None, "secondName": None, "email": ""}, {"cell_phone": "", "second_name": "", "email": ""}),
        ({"email": "Maria.GARCIA@Example.com"}, {"email": "maria.garcia@example.com"}),
        ({"epsId": None}, {"eps_id": None}),
        ({"habeasData": False}, {"habeas_data": False}),
        ({"customFields": None}, {"custom_fields": {}}),
        ({"customFields": {}}, {"custom_fields": {}}),
        ({"customFields": {"a": None, "b": {"c": {"d": [1.5, True, "ñ"]}}}}, ...),
        ({"customFields": {"a": {"b": {"c": None}}}}, {"custom_fields": {"a": {"b": {"c": None}}}}),
        ({"customFields": {str(n): n for n in range(50)}}, {"custom_fields": {str(n): n for n in range(50)}}),
    ],
)  # fmt: skip
def test_s6_s8_what_is_sent_is_kept_in_one_spelling(server, sent, kept):
    response = server.post(URL, EXAMPLE | sent)

    if kept is ...:  # a list inside of the third level is the fourth
        assert refused(response) == {"customFields": "Custom fields nested too deeply (max depth 3)"}
    else:
        assert response.status_code == 201, response.content
        assert server.get(f"{URL}/{response.json()['id']}").json() == response.json() | kept


def test_s6_a_document_is_there_once(server, maria):
    again = server.post(URL, EXAMPLE)
    other = server.post(URL, SNAKE_EXAMPLE).json()
    moved = server.patch(f"{URL}/{other['id']}", {"documentTypeId": 1, "documentNumber": "1020304050"})

    assert (again.status_code, again.json()["code"]) == (409, "duplicate_document")
    assert again.json()["detail"] == "Patient with document 1020304050 already exists"
    assert (moved.status_code, moved.json()["detail"]) == (409, "Another patient with this document already exists")
    assert Patient.objects.count() == 2


def test_s6_a_patch_changes_what_it_names_and_replaces_custom_fields_whole(server, maria):
    response = server.patch(
        f"{URL}/{maria['id']}",
        {"eventType": "PATIENT", "actionType": "UPDATE", "cellPhone": "3017654321", "custom_fields": {"team": "red"}},
    )

    assert (response.status_code, response["ETag"]) == (200, '"2"')
    expected = maria | {"cell_phone": "+573017654321", "custom_fields": {"team": "red"}}
    assert response.json() == expected | {"updated_at": response.json()["updated_at"]}


@pytest.mark.parametrize(
    "change",
    [
        {"cellPhone": "3017654321"},
        {"cellPhone": None},
        {"epsId": "EPS005", "genderId": "M", "birthDate": "1991-01-02"},
        {"epsId": None, "customFields": {"b": 1}},
        {"customFields": {}, "habeasData": False},
        {},
    ],
)
def test_s6_a_change_is_answered_as_a_get_would_be(server, maria, change):
    body = {"eventType": "PATIENT", "actionType": "UPDATE", **change}

    changed = server.patch(f"/v1/patients/{maria['id']}", body, format="json")

    read = server.get(f"/v1/patients/{maria['id']}")
    assert (changed.status_code, read.status_code) == (200, 200)
    assert changed.json() == read.json()
    assert changed["ETag"] == read["ETag"]


def test_s6_a_patch_with_the_type_alone_checks_the_number_that_is_there(server, maria):
    answer = server.patch(f"{URL}/{maria['id']}", {"document_type_id": 5})

    assert refused(answer) == {"document_number": WRONG_NUMBER % 5}


def test_s6_delete_archives_and_the_chart_leaves_this_door(server, maria):
    address = f"{URL}/{maria['id']}"

    assert (server.delete(address).status_code, server.delete(address).status_code) == (204, 404)
    assert server.get(address).status_code == 404
    assert server.patch(address, {"phone": ""}).status_code == 404
    assert server.get(URL).json()["total"] == 0
    assert server.get(f"{URL}/by-document/1/1020304050").status_code == 404
    again = server.post(URL, EXAMPLE)
    assert again.status_code == 409
    assert again.json()["detail"].startswith("Patient with document 1020304050 already exists, and is archived")
    patient = Patient.objects.get(pk=maria["id"])
    assert patient.archive_reason.startswith("Deleted by n8n (")


def test_s6_put_is_not_offered(server, maria):
    assert server.put(f"{URL}/{maria['id']}", EXAMPLE).status_code == 405


def test_cl08_etags_guard_reading_changing_and_deleting(server, maria):
    address = f"{URL}/{maria['id']}"
    read = server.get(address)

    assert server.get(address, headers={"If-None-Match": read["ETag"]}).status_code == 304
    assert server.patch(address, {"phone": ""}, headers={"If-Match": '"1"'}).status_code == 200
    assert server.patch(address, {"phone": "6017654321"}, headers={"If-Match": '"1"'}).status_code == 412
    assert server.delete(address, headers={"If-Match": '"1"'}).status_code == 412
    assert server.get(address, headers={"If-None-Match": read["ETag"]}).status_code == 200
    assert server.delete(address, headers={"If-Match": '"2"'}).status_code == 204


# --- Who wrote it ----------------------------------------------------------------------------------------------------


def test_s11_the_trail_and_the_history_name_the_key(server, maria, nurse):
    server.patch(f"{URL}/{maria['id']}", {"phone": ""})
    patient = Patient.objects.get(pk=maria["id"])
    services.update_patient(patient, by=nurse, changes={"city": "Bogotá"})

    assert [change.who for change in list_versions(patient)] == ["Nora Nurse", str(server.key), str(server.key)]
    rows = audit_selectors.describe_entries(audit_selectors.list_entries(resource_id=maria["id"]), by=nurse)
    assert [(row["action"], row["user"]["name"]) for row in rows][-1] == ("patient_created", str(server.key))
    assert Consent.objects.get().recorded_by is None


def test_s11_reading_one_is_noted(server, maria):
    patient = Patient.objects.get(pk=maria["id"])
    server.get(f"{URL}/{maria['id']}")
    server.get(f"{URL}/by-document/CC/1020304050")

    assert [read.kind for read in audit_selectors.list_reads(patient)] == ["api", "api"]


# --- Finding ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(server, maria, clinic):
    custom_fields.define_custom_field(by=None, key="team", label="Team", type="text", is_filterable=True)
    jorge = server.post(URL, SNAKE_EXAMPLE | {"custom_fields": {"team": "Red"}, "phone": "3109876543"}).json()
    ana = server.post(
        URL,
        changed(firstName="Ana", documentTypeId=3, cellPhone="3001112222", phone=None, email="ana@example.com"),
    ).json()
    return maria, jorge, ana


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["Ana", "Jorge", "María"]),
        ({"document_number": "1020304050"}, ["Ana", "María"]),
        ({"documentNumber": "1.020.304.050", "documentTypeId": "1"}, ["María"]),
        ({"document_type_id": "TI"}, ["Ana"]),
        ({"document_number": "102030405"}, []),
        ({"document_number": "---"}, []),
        ({"email": "MARIA.garcia@example.com"}, ["María"]),
        ({"email": "maria.garcia"}, []),
        ({"phone": "3001234567"}, ["María"]),
        ({"phone": "+57 300 123 4567"}, ["María"]),
        ({"phone": "573001234567"}, ["María"]),
        ({"phone": "601 234 5678"}, ["María"]),
        ({"phone": "1020304050"}, []),
        ({"phone": "4567"}, []),
        ({"cell_phone": "3001112222"}, ["Ana"]),
        ({"cellPhone": "6012345678"}, []),
        ({"custom[team]": "red"}, ["Jorge"]),
        ({"phone": "3109876543", "custom[team]": "blue"}, []),
    ],
)
def test_s6_filters_in_the_address_and_in_a_body_find_the_same(server, three, filters, found):
    in_address = server.get(URL, filters)
    body = {key: value for key, value in filters.items() if not key.startswith("custom")}
    if "custom[team]" in filters:
        body["customFields"] = {"team": filters["custom[team]"]}
    in_body = server.post(f"{URL}/search", body | {"eventType": "PATIENT", "actionType": "READ"})

    assert sorted(row["first_name"] for row in in_address.json()["items"]) == found
    assert (in_body.status_code, in_body.json()) == (200, in_address.json())


def test_s6_pages_by_number_and_by_cursor_walk_the_same_rows(server, three):
    first = server.get(URL, {"page_size": 2}).json()
    second = server.get(URL, {"size": 2, "cursor": first["next_cursor"]}).json()
    by_number = server.post(f"{URL}/search", {"page": 2, "size": 2}).json()

    assert {key: first[key] for key in ("page", "page_size", "total", "pages")} == {
        "page": 1, "page_size": 2, "total": 3, "pages": 2,
    }  # fmt: skip
    assert [row["first_name"] for row in first["items"] + second["items"]] == ["Ana", "Jorge", "María"]
    assert (second["items"], second["next_cursor"]) == (by_number["items"], None)
    assert server.post(f"{URL}/search", {"sort": "name asc", "pageSize": 1}).json()["items"][0]["first_name"] == "Ana"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("nickname=x", "nickname"),
        ("document_type_id=99", "document_type_id"),
        ("custom[shoe]=42", "custom"),
        ("page=0", "page"),
        ("page=1&cursor=x", "cursor"),
        ("sort=user__password", "sort"),
        ("email=a&email=b", "email"),
        ("documentNumber=1&document_number=2", "document_number"),
    ],
)
def test_in12_in22_bad_filters_are_refused_by_name(server, query, name):
    assert list(refused(server.get(f"{URL}?{query}"))) == [name]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"nickname": "x"}, "nickname"),
        ({"documentTypeId": 99}, "documentTypeId"),
        ({"customFields": {"shoe": "42"}}, "custom"),
        ({"customFields": {"team": ["red"]}}, "customFields"),
        ({"page": 0}, "page"),
        ({"page": 1, "cursor": "x"}, "cursor"),
        ({"sort": "user__password"}, "sort"),
        ({"actionType": "CREATE"}, "actionType"),
    ],
)
def test_in12_bad_filters_in_a_body_are_refused_by_name(server, body, name):
    assert list(refused(server.post(f"{URL}/search", body))) == [name]


def test_s6_by_document_takes_id_or_code(server, maria):
    for type in ("1", "CC", "cc"):
        assert server.get(f"{URL}/by-document/{type}/1.020.304.050").json() == maria
    for address in ("2/1020304050", "ZZ/1020304050", "1/1", "1/---"):
        assert server.get(f"{URL}/by-document/{address}").status_code == 404


# --- Who may, and what they see --------------------------------------------------------------------------------------


def test_s4_scopes_open_what_they_name(key_client, maria):
    reader, booker = key_client("patients:read"), key_client("appointments:write")
    address = f"{URL}/{maria['id']}"

    assert [reader.get(path).status_code for path in (URL, address)] == [200, 200]
    assert reader.post(f"{URL}/search", {}).status_code == 200
    assert [reader.post(URL, EXAMPLE).status_code, reader.patch(address, {}).status_code] == [403, 403]
    assert reader.delete(address).status_code == 403
    assert [booker.get(path).status_code for path in (URL, address, f"{URL}/by-document/1/1020304050")] == [403] * 3


def test_s4_a_member_with_the_permission_comes_in_by_bearer(api_client, nurse, auditor, maria):
    assert api_client(nurse).get(f"{URL}/{maria['id']}").json() == maria
    assert api_client(nurse).post(URL, SNAKE_EXAMPLE).status_code == 201
    assert api_client(auditor).post(URL, SNAKE_EXAMPLE).status_code == 403


def test_s19_the_key_of_another_clinic_finds_nothing(server, maria, other_clinic):
    with outside_tenant(), tenant_context(other_clinic.id):
        _key, text = keys.create_key(by=None, name="n8n", scopes=["admin"])
    theirs, address = server_with(text), f"{URL}/{maria['id']}"

    assert [theirs.get(address).status_code, theirs.delete(address).status_code] == [404, 404]
    assert theirs.patch(address, {"firstName": "X"}).status_code == 404
    assert theirs.get(f"{URL}/by-document/1/1020304050").status_code == 404
    assert theirs.get(URL, {"document_number": "1020304050"}).json()["items"] == []
    assert theirs.post(f"{URL}/search", {"email": EXAMPLE["email"]}).json()["total"] == 0
    assert theirs.post(URL, EXAMPLE).status_code == 201  # the document is free there


def test_a_key_opens_no_restricted_chart(server, maria, nurse, api_client):
    patient = Patient.objects.get(pk=maria["id"])
    restricting.restrict_chart(patient, by=nurse, reason="A colleague's chart")
    address = f"{URL}/{maria['id']}"

    closed = server.get(address)
    assert (closed.status_code, closed.json()["code"]) == (403, "chart_restricted")
    assert server.patch(address, {"phone": ""}).status_code == 403
    assert server.delete(address).status_code == 403
    assert server.get(f"{URL}/by-document/1/1020304050").status_code == 404
    for name in ("document_number", "email", "phone"):
        assert server.get(URL, {name: maria[name]}).json()["items"] == []
    [row] = server.get(URL).json()["items"]
    names = {name: maria[name] for name in ("first_name", "second_name", "first_last_name", "second_last_name")}
    assert row == names | {
        "id": maria["id"], "tenant_id": maria["tenant_id"], "created_at": maria["created_at"], "restricted": True,
        "updated_at": row["updated_at"], "birth_date": None, "gender_id": 4, "document_type_id": None,
        "document_number": "", "phone": "", "cell_phone": "", "email": "", "eps_id": None, "habeas_data": False,
        "custom_fields": {},
    }  # fmt: skip
    assert api_client(nurse).get(address).json()["document_number"] == "1020304050"  # the nurse is on its list


# --- Keys in the body ------------------------------------------------------------------------------------------------


def test_cl01_an_idempotency_key_in_the_body_makes_one_patient(server):
    body = changed(idempotencyKey="run-7:0")
    tries = [server.post(URL, body) for _ in range(3)]

    assert [answer.status_code for answer in tries] == [201, 200, 200]
    assert len({answer.json()["id"] for answer in tries}) == 1
    assert tries[1].json() == tries[0].json()
    assert Patient.objects.count() == 1


def test_cl01_another_body_under_the_same_key_is_422(server):
    server.post(URL, changed(idempotencyKey="run-7:0"))
    other = server.post(URL, SNAKE_EXAMPLE | {"idempotencyKey": "run-7:0"})

    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert Patient.objects.count() == 1


def test_cl01_a_refused_try_leaves_the_key_free(server, maria):
    duplicate = server.post(URL, changed(idempotencyKey="run-7:0"))
    better = server.post(URL, changed(idempotencyKey="run-7:0", documentNumber="99887766"))

    assert (duplicate.status_code, better.status_code) == (409, 201)


def test_cl01_keys_of_two_callers_are_two_and_a_rotated_one_stays_the_same(server, make_api_key):
    first, text = make_api_key("patients:write")
    body = changed(idempotencyKey="run-7:0")
    assert server_with(text).post(URL, body).status_code == 201
    _new, rotated = keys.rotate_key(first, by=None)

    assert server_with(rotated).post(URL, body).status_code == 200
    assert server.post(URL, body).status_code == 409  # another caller: the document is taken


# --- Lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("document-types", {"id": 1, "code": "CC", "name": "Citizenship card", "description": "CO"}),
        ("genders", {"id": 1, "code": "M", "name": "Male", "description": "male"}),
        ("eps", {"id": 1, "code": "EPS001", "name": "ALIANSALUD EPS", "description": "830113831"}),
        ("insurers", {"id": 1, "code": "EPS001", "name": "ALIANSALUD EPS", "description": "830113831"}),
    ],
)
def test_s16_lists_at_both_addresses(key_client, name, first):
    reader = key_client("patients:read")
    answer = reader.get(f"/v1/lookups/{name}").json()

    assert (answer["items"][0], answer["total"]) == (first, len(answer["items"]))
    assert reader.get(f"/v1/lookup/{name}/").json() == answer
    assert reader.get(f"/v1/lookups/{name}?x=1").status_code == 400


def test_s16_lists_need_a_key(anonymous_api):
    assert anonymous_api.get("/v1/lookups/genders").status_code == 401


# --- Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"null", 400),
        (b"[]", 400),
        (b'"x"', 400),
        (b'{"firstName": NaN}', 400),
        (b'{"customFields": {"n": 1e999}}', 400),
        (b'{"customFields": {"n": 99999999999999999999}}', 400),
        (b'{"firstName": "a", "firstName": "b"}', 400),
        (b'{"firstName": "a\\u0000"}', 400),
        (b"{" + b'"a":{' * 40 + b"}" * 41, 400),
        (b'{"firstName": "' + b"x" * 10_000_000 + b'"}', 413),
    ],
)
def test_in01_to_in11_bodies_that_are_wrong(server, body, status):
    answer = server.generic("POST", URL, body, content_type="application/json")

    assert answer.status_code == status
    assert sorted(answer.json()) == ["code", "detail", "trace_id"]
    assert not Patient.objects.exists()


def test_cl04_every_error_is_json_with_a_detail(server, maria, anonymous_api):
    answers = [
        anonymous_api.get(URL),
        server_with("nonsense").get(URL),
        server.get(f"{URL}/nothing"),
        server.post(URL, EXAMPLE),
        server.post(URL, {}),
        server.delete(URL),
        server.generic("POST", URL, b"<x/>", content_type="text/xml"),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 404, 409, 400, 405, 415]
    assert all(json.loads(answer.content)["detail"] for answer in answers)


def test_s6_a_page_of_many_asks_as_often_as_a_page_of_one(server):
    counts = []
    for extra in (1, 4):
        for _ in range(extra):
            PatientFactory()
        server.get(URL)  # what the service leaves for the commit is written before it
        with CaptureQueriesContext(connection) as queries:
            server.get(URL)
        counts.append(len(queries))

    assert counts[0] == counts[1]
