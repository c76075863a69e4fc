"""`/v1/appointments` as chatbots use it: contract.md 5.2, S7 to S10, S16 (security.md CL-*, IN-06 to IN-09)."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.api_keys import services as keys
from accounts.api_keys.tests.fixtures import server_with
from clinic.patients import restricting
from clinic.patients import services as patients
from clinic.patients.models import DocumentType, Patient
from clinic.patients.tests.factories import PatientFactory
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from clinic.scheduling import services
from clinic.scheduling.api_v1 import EXAMPLE, SNAKE_EXAMPLE
from clinic.scheduling.models import Appointment, AppointmentType
from clinic.scheduling.secre import STATES
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from tenancy.audit import selectors as audit_selectors
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import at, make_location, make_practitioner, make_type, next_day, work

URL = "/v1/appointments"
MONDAY = next_day(0)


@pytest.fixture
def house(clinic):
    return make_location()


@pytest.fixture
def doctor_row(house):
    card = DocumentType.objects.get(code="CC")
    found = make_practitioner(document_type=card, document_number="80123456")
    work(found, house, ends=datetime.strptime("17:00", "%H:%M").time())
    return found


@pytest.fixture
def patient(clinic):
    return PatientFactory(document_type=DocumentType.objects.get(code="CC"), document_number="1020304050")


@pytest.fixture
def server(key_client, patient, doctor_row):
    """A chatbot that may read and book appointments, in a clinic with a doctor who works from nine to five."""
    return key_client("appointments:write")


def moment(hour, minute=0, day=MONDAY):
    return at(day, hour, minute).isoformat()


def visit(hour=9, minute=0, **fields):
    """The documented payload, next Monday."""
    times = {
        "startAppointment": moment(hour, minute),
        "endAppointment": moment(hour, minute + 30 if minute < 30 else 59),
    }
    return {key: value for key, value in (EXAMPLE | times | fields).items() if value is not ...}


def refused(response, status=400):
    assert response.status_code == status, response.content
    return {problem["loc"][-1]: problem["msg"] for problem in response.json()["detail"]}


@pytest.fixture
def booked(server):
    response = server.post(URL, visit())
    assert response.status_code == 201, response.content
    return response.json()


# --- One appointment -------------------------------------------------------------------------------------------------


def test_s7_s9_s10_the_documented_payload_is_booked_and_answered_in_utc(server, clinic, patient, doctor_row, house):
    made = server.post(URL, visit())

    assert (made.status_code, made["ETag"]) == (201, '"1"'), made.content
    answer = made.json()
    assert answer == {
        "id": answer["id"],
        "tenant_id": str(clinic.id),
        "start_utc": f"{MONDAY}T14:00:00Z",
        "end_utc": f"{MONDAY}T14:30:00Z",
        "patient_id": str(patient.pk),
        "patient_document_type_id": 1,
        "patient_document_number": "1020304050",
        "doctor_id": str(doctor_row.pk),
        "doctor_document_type_id": 1,
        "doctor_document_number": "80123456",
        "modality": "IN_PERSON",
        "state": "SCHEDULED",
        "notification_state": "PENDING",
        "appointment_type": None,
        "appointment_type_id": None,
        "clinic_id": str(house.pk),
        "comment": "Control de tensión; trae sus lecturas",
        "custom_fields": {"channel": "whatsapp", "priority": 2, "referred_by": None},
        "created_at": answer["created_at"],
        "updated_at": answer["updated_at"],
    }
    assert server.get(f"{URL}/{answer['id']}").json() == answer
    row = Appointment.objects.get()
    assert (row.source, row.created_by, row.wall_start) == ("api", None, f"{MONDAY}T09:00")


@pytest.mark.parametrize(
    "fields", [{}, {"idempotencyKey": "n8n-1"}, {"customFields": {"a": [1, None]}, "comment": " x "}]
)
def test_s7_a_booking_is_answered_as_a_get_would_be(server, fields):
    made = server.post(URL, visit(9, **fields), format="json")

    read = server.get(f"{URL}/{made.json()['id']}")

    assert (made.status_code, read.status_code) == (201, 200)
    assert made.json() == read.json()
    assert made["ETag"] == read["ETag"]


def test_s9_snake_case_ids_of_lists_and_the_answers_own_names(server, booked):
    times = {"start_utc": moment(11), "end_utc": moment(11, 30), "startAppointment": ..., "endAppointment": ...}
    sent = {key: value for key, value in (SNAKE_EXAMPLE | times).items() if value is not ...}
    answer = server.post(URL, sent)

    assert (answer.status_code, answer.json()["modality"], answer.json()["state"]) == (201, "VIRTUAL", "SCHEDULED")


def test_s7_patient_and_doctor_by_id(server, patient, doctor_row):
    by_id = visit(
        patientDocumentTypeId=..., patientDocumentNumber=..., doctorDocumentTypeId=..., doctorDocumentNumber=...,
        patientId=str(patient.pk), doctor_id=str(doctor_row.pk),
    )  # fmt: skip
    other = PatientFactory()

    assert server.post(URL, by_id).status_code == 201
    both = server.post(URL, visit(11, patientId=str(other.pk)))
    assert (both.status_code, both.json()["code"]) == (404, "unknown_patient")  # id and document mean two people


@pytest.mark.parametrize(
    ("sent", "utc"),
    [
        ("{day}T09:00:00-05:00", "14:00"),
        ("{day}T14:00:00Z", "14:00"),
        ("{day}t14:00z", "14:00"),
        ("{day}T14:00:00.000+00:00", "14:00"),
        ("{day}T19:30:00+05:30", "14:00"),
        ("{next}T04:00:00+14:00", "14:00"),
        ("{day}T00:00:00-14:00", "14:00"),
    ],
)
def test_s10_in06_any_offset_is_the_same_moment(server, sent, utc):
    start = sent.format(day=MONDAY, next=MONDAY + timedelta(days=1))
    answer = server.post(URL, visit(startAppointment=start))

    assert (answer.status_code, answer.json().get("start_utc")) == (201, f"{MONDAY}T{utc}:00Z"), answer.content


NOT_A_TIME = "Send a time with its offset, such as 2030-03-14T09:00:00-05:00 or 2030-03-14T14:00:00Z."


@pytest.mark.parametrize(
    "sent",
    [
        "2030-03-14T09:00:00", "2030-03-14", "2030-02-30T09:00:00Z", "2030-03-14T24:00:00Z", "2030-06-30T23:59:60Z",
        "2030-03-14T09:00:00.123456789Z", "1700000000", 1700000000, None, True, ["2030-03-14T09:00:00Z"],
        "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "2030-03-14T09:00:00-0500", "2030-03-14 09:00:00Z",
        "\u0662\u0660\u0663\u0660-03-14T09:00:00Z", "2030-03-14T09:00:00+25:00",
    ],
)  # fmt: skip
def test_s10_in06_what_is_no_moment_is_refused(server, sent):
    assert refused(server.post(URL, visit(startAppointment=sent))) == {
        "startAppointment": NOT_A_TIME if sent is not None else "This field may not be null."
    }


@pytest.mark.parametrize(
    ("fields", "name", "sentence"),
    [
        ({"endAppointment": moment(9)}, "endAppointment", "End time must be after start time"),
        ({"endAppointment": moment(8)}, "endAppointment", "End time must be after start time"),
        ({"endAppointment": moment(17, 1)}, "endAppointment", "Appointment cannot be longer than 8 hours"),
        ({"startAppointment": "2020-01-01T09:00:00Z", "endAppointment": "2020-01-01T10:00:00Z"},
         "startAppointment", "Appointment start time cannot be in the past"),
        ({"startAppointment": "9999-01-01T09:00Z"}, "startAppointment", "The year has to lie between 1800 and 2199."),
        ({"startAppointment": f"{MONDAY}T14:00:01Z"}, "startAppointment", "Visits begin and end on a whole minute."),
        ({"startAppointment": ...}, "startAppointment", "This field is required."),
        ({"endAppointment": ...}, "endAppointment", "This field is required."),
        ({"patientDocumentNumber": ...}, "patientDocumentNumber", "This field is required."),
        ({"patientDocumentTypeId": ...}, "patientDocumentTypeId", "This field is required."),
        ({"doctorDocumentTypeId": ..., "doctorDocumentNumber": ...}, "doctorDocumentNumber", "This field is required."),
        ({"patientDocumentTypeId": 99}, "patientDocumentTypeId", "Invalid document type ID: 99"),
        ({"modality": "IN PERSON"}, "modality", "Invalid modality: IN PERSON"),
        ({"modality": "In_Person"}, "modality", "Invalid modality: In_Person"),
        ({"modality": ["IN_PERSON"]}, "modality", "Invalid modality: ?"),
        ({"modality": 5}, "modality", "Invalid modality: 5"),
        ({"state": "booked"}, "state", "Invalid state: booked"),
        ({"state": "COMPLETED"}, "state", "A new visit is SCHEDULED, CONFIRMED or REQUESTED."),
        ({"notificationState": "READ"}, "notificationState", "Invalid notification state: READ"),
        ({"eventType": "PATIENT"}, "eventType", '"PATIENT" is not a valid choice.'),
        ({"actionType": "DELETE"}, "actionType", '"DELETE" is not a valid choice.'),
        ({"start_utc": moment(10)}, "start_utc", "startAppointment and start_utc say different things."),
        ({"room": 7}, "room", "There is no such field."),
        ({"customFields": {str(n): n for n in range(51)}}, "customFields", "Too many custom fields (max 50)"),
        ({"customFields": {"a": {"b": {"c": [1]}}}}, "customFields", "Custom fields nested too deeply (max depth 3)"),
    ],
)  # fmt: skip
def test_s7_s13_in07_in08_rules_of_contract_5_2_speak_its_sentences(server, fields, name, sentence):
    assert refused(server.post(URL, visit(**fields))) == {name: sentence}
    assert not Appointment.objects.exists()


def test_in07_an_hour_of_grace_for_the_past(key_client, patient, clinic):
    server = key_client("appointments:write")
    start = (timezone.now() - timedelta(minutes=55)).replace(second=0, microsecond=0)
    times = {"startAppointment": start.isoformat(), "endAppointment": (start + timedelta(hours=1)).isoformat()}

    assert server.post(URL, visit(**times)).status_code == 201


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"modality": "presencial"}, {"modality": "IN_PERSON"}),
        ({"modality": "telemedicina"}, {"modality": "VIRTUAL"}),
        ({"modality": "virtual"}, {"modality": "VIRTUAL"}),
        ({"modality": "domicilio"}, {"modality": "HOME"}),
        ({"modalityId": "3", "modality": ...}, {"modality": "PHONE"}),
        ({"state": "confirmed"}, {"state": "CONFIRMED"}),
        ({"state": 7}, {"state": "SCHEDULED"}),
        ({"state": "REQUESTED"}, {"state": "REQUESTED"}),
        ({"state": ..., "modality": ...}, {"state": "SCHEDULED", "modality": "IN_PERSON"}),
        ({"notificationState": "sent"}, {"notification_state": "SENT"}),
        ({"notificationState": None}, {"notification_state": None}),
        ({"comment": None}, {"comment": ""}),
        ({"customFields": None}, {"custom_fields": {}}),
        ({"customFields": {"a": {"b": {"c": None}}}}, {"custom_fields": {"a": {"b": {"c": None}}}}),
    ],
)
def test_s7_s8_s16_what_is_sent_is_kept_in_one_spelling(server, sent, kept):
    made = server.post(URL, visit(**sent))

    assert made.status_code == 201, made.content
    assert server.get(f"{URL}/{made.json()['id']}").json() == made.json() | kept


def test_s7_time_that_is_taken_is_409_with_the_three_nearest_free_times(server, booked, doctor_row, house):
    answer = server.post(URL, visit())

    assert (answer.status_code, answer.json()["code"]) == (409, "time_taken")
    nearest = answer.json()["nearest"]
    assert [near["start_utc"][11:16] for near in nearest] == ["14:30", "15:00", "15:30"]
    assert nearest[0] == {
        "start_utc": f"{MONDAY}T14:30:00Z",
        "end_utc": f"{MONDAY}T15:00:00Z",
        "doctor_id": str(doctor_row.pk),
        "clinic_id": str(house.pk),
    }
    outside = server.post(URL, visit(20))
    assert (outside.status_code, outside.json()["code"]) == (409, "time_not_offered")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"patientDocumentNumber": "999999"}, "unknown_patient"),
        ({"patientDocumentTypeId": 2}, "unknown_patient"),
        ({"patientDocumentNumber": "---"}, "unknown_patient"),
        ({"doctorDocumentNumber": "999999"}, "unknown_doctor"),
        ({"appointmentType": "surgery"}, "unknown_appointment_type"),
        ({"clinicId": "Moon base"}, "unknown_clinic"),
        ({"clinicId": "01890a5d-ac96-774b-bcce-b302099a8057"}, "unknown_clinic"),
    ],
)
def test_s7_names_that_mean_nobody_are_404_and_say_so(server, fields, code):
    answer = server.post(URL, visit(**fields))

    assert (answer.status_code, answer.json()["code"]) == (404, code), answer.content
    assert not Appointment.objects.exists()
    assert Practitioner.objects.count() == 1


def test_s7_archived_and_restricted_patients_are_not_found_by_document(server, patient, nurse):
    restricting.restrict_chart(patient, by=nurse, reason="A colleague's chart")
    by_document = server.post(URL, visit())
    by_id = server.post(URL, visit(patientId=str(patient.pk), patientDocumentTypeId=..., patientDocumentNumber=...))

    assert (by_document.status_code, by_document.json()["code"]) == (404, "unknown_patient")
    assert (by_id.status_code, by_id.json()["code"]) == (403, "chart_restricted")


def test_s16_kinds_of_visits_and_houses_by_id_code_or_name(server, house):
    kind = make_type("control", 30, name="Control médico")
    for hour, type, place in (
        (9, str(kind.pk), str(house.pk)),
        (10, "control", "main house"),
        (11, "control medico", ...),
    ):
        answer = server.post(URL, visit(hour, appointmentType=type, clinicId=place))

        assert answer.status_code == 201, answer.content
        assert answer.json()["appointment_type"] == "Control médico"
        assert (answer.json()["appointment_type_id"], answer.json()["clinic_id"]) == (str(kind.pk), str(house.pk))


def test_s7_a_clinic_without_hours_writes_down_whom_other_systems_name(key_client, patient):
    server = key_client("appointments:write")
    sent = visit(appointmentType="Consulta externa", clinicId="clinic_001", doctorDocumentNumber="79.555.111")
    first = server.post(URL, sent)
    second = server.post(URL, sent | {"startAppointment": moment(11), "endAppointment": moment(12)})

    assert (first.status_code, second.status_code) == (201, 201), (first.content, second.content)
    assert second.json()["doctor_id"] == first.json()["doctor_id"]
    assert (first.json()["appointment_type"], first.json()["doctor_document_number"]) == (
        "Consulta externa",
        "79.555.111",
    )
    assert [Practitioner.objects.get().name, AppointmentType.objects.get().minutes] == ["CC 79.555.111", 30]
    assert Location.objects.get().name == "clinic_001"
    actions = [entry.action for entry in audit_selectors.list_entries()]
    assert {"practitioner_created", "appointment_type_created", "location_created"} <= set(actions)


# --- Changing and cancelling -----------------------------------------------------------------------------------------


def test_s7_a_patch_moves_notes_and_confirms_at_once(server, booked):
    answer = server.patch(
        f"{URL}/{booked['id']}",
        {
            "eventType": "APPOINTMENT",
            "actionType": "UPDATE",
            "startAppointment": moment(15),
            "endAppointment": moment(16),
            "state": "CONFIRMED",
            "modality": "VIRTUAL",
            "notification_state": "DELIVERED",
            "comment": "Llega en taxi",
            "custom_fields": {"a": 1},
        },
    )

    assert answer.status_code == 200, answer.content
    assert answer.json() == booked | {
        "start_utc": f"{MONDAY}T20:00:00Z", "end_utc": f"{MONDAY}T21:00:00Z", "state": "CONFIRMED",
        "modality": "VIRTUAL", "notification_state": "DELIVERED", "comment": "Llega en taxi",
        "custom_fields": {"a": 1}, "updated_at": answer.json()["updated_at"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "name", "sentence"),
    [
        ({"startAppointment": moment(9, 30)}, "startAppointment", "Start time must be before existing end time"),
        ({"end_utc": moment(9)}, "end_utc", "End time must be after existing start time"),
        ({"startAppointment": moment(12), "endAppointment": moment(11)},
         "endAppointment", "End time must be after start time"),
        ({"endAppointment": moment(17, 30)}, "endAppointment", "Appointment cannot be longer than 8 hours"),
        ({"startAppointment": "2020-01-01T09:00:00Z", "endAppointment": "2020-01-01T10:00:00Z"},
         "startAppointment", "Appointment start time cannot be in the past"),
        ({"actionType": "CREATE"}, "actionType", '"CREATE" is not a valid choice.'),
        ({"idempotencyKey": "x"}, "idempotencyKey", "There is no such field."),
        ({"created_at": "x"}, "created_at", "There is no such field."),
    ],
)  # fmt: skip
def test_s7_changes_that_make_no_sense_are_refused_by_name(server, booked, change, name, sentence):
    assert refused(server.patch(f"{URL}/{booked['id']}", change)) == {name: sentence}
    assert server.get(f"{URL}/{booked['id']}").json() == booked


def test_s7_one_end_alone_moves_alone(server, booked):
    later = server.patch(f"{URL}/{booked['id']}", {"endAppointment": moment(10)}).json()
    shorter = server.patch(f"{URL}/{booked['id']}", {"startAppointment": moment(9, 45)}).json()

    assert (later["start_utc"][11:16], later["end_utc"][11:16]) == ("14:00", "15:00")
    assert (shorter["start_utc"][11:16], shorter["end_utc"][11:16]) == ("14:45", "15:00")


def test_s7_a_visit_stays_with_its_patient_and_may_change_its_doctor(server, booked, house):
    card = DocumentType.objects.get(code="CC")
    PatientFactory(document_type=card, document_number="777777")
    other = make_practitioner("Olga", "Otero", document_type=card, document_number="88888888")
    work(other, house)
    address = f"{URL}/{booked['id']}"
    patient = server.patch(address, {"patientDocumentTypeId": 1, "patientDocumentNumber": "777777"})
    same = server.patch(address, {"patientDocumentTypeId": 1, "patientDocumentNumber": "1020304050"})
    doctor = server.patch(address, {"doctorDocumentTypeId": "CC", "doctorDocumentNumber": "88888888"})

    assert (patient.status_code, patient.json()["code"]) == (409, "other_patient")
    assert (same.status_code, same.json()) == (200, booked)
    assert (doctor.status_code, doctor.json()["doctor_id"]) == (200, str(other.pk)), doctor.content


def test_s7_states_follow_the_table_of_moves(server, booked):
    address = f"{URL}/{booked['id']}"
    progress = server.patch(address, {"state": "IN_PROGRESS"})
    done = server.patch(address, {"stateId": 4})
    back = server.patch(address, {"state": "SCHEDULED"})

    assert (progress.json()["state"], done.json()["state"]) == ("IN_PROGRESS", "COMPLETED")
    assert (back.status_code, back.json()["code"]) == (409, "move_refused")


def test_s7_rescheduled_is_accepted_and_keeps_the_state(server, booked):
    change = {"state": "RESCHEDULED", "startAppointment": moment(13), "endAppointment": moment(14)}
    moved = server.patch(f"{URL}/{booked['id']}", change)

    assert (moved.status_code, moved.json()["state"]) == (200, "SCHEDULED")
    assert server.get(URL, {"state": "RESCHEDULED"}).json()["total"] == 1


def test_s7_delete_cancels_gives_the_time_back_and_may_be_repeated(server, booked):
    address = f"{URL}/{booked['id']}"

    assert [server.delete(address).status_code, server.delete(address).status_code] == [204, 204]
    assert server.get(address).json()["state"] == "CANCELLED"
    assert server.post(URL, visit()).status_code == 201
    assert Appointment.objects.filter(state=State.CANCELLED).count() == 1
    assert server.put(address, visit()).status_code == 405


def test_s7_a_visit_that_is_over_is_not_cancelled(server, booked):
    address = f"{URL}/{booked['id']}"
    server.patch(address, {"state": "COMPLETED"})

    assert (server.delete(address).status_code, server.get(address).json()["state"]) == (409, "COMPLETED")


def test_cl08_etags_guard_reading_changing_and_cancelling(server, booked):
    address = f"{URL}/{booked['id']}"

    assert server.get(address, headers={"If-None-Match": '"1"'}).status_code == 304
    assert server.patch(address, {"comment": "a"}, headers={"If-Match": '"1"'}).status_code == 200
    assert server.patch(address, {"comment": "b"}, headers={"If-Match": '"1"'}).status_code == 412
    assert server.delete(address, headers={"If-Match": '"1"'}).status_code == 412
    assert server.delete(address, headers={"If-Match": '"2"'}).status_code == 204


def test_s11_history_and_trail_name_the_key(server, booked, nurse):
    address = f"{URL}/{booked['id']}"
    server.patch(
        address, {"comment": "a", "state": "CONFIRMED", "startAppointment": moment(9), "endAppointment": moment(10)}
    )
    row = Appointment.objects.get()
    services.move(row, State.ARRIVED, by=nurse)
    name = str(server.key)

    assert [(c.action, c.who) for c in row.changes.order_by("at")] == [
        ("booked", name), ("moved", name), ("edited", name), ("moved_on", name), ("moved_on", "Nora Nurse"),
    ]  # fmt: skip
    rows = audit_selectors.describe_entries(audit_selectors.list_entries(resource_id=booked["id"]), by=nurse)
    assert [row["user"]["kind"] for row in rows] == ["api_key"] * 4


# --- Finding ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(server, booked, house):
    """Monday at nine, Monday at eleven by video with another doctor, Tuesday at nine for another patient."""
    card = DocumentType.objects.get(code="CC")
    other = make_practitioner("Olga", "Otero", document_type=card, document_number="88888888")
    work(other, house)
    PatientFactory(document_type=card, document_number="777777")
    tuesday = MONDAY + timedelta(days=1)
    second = visit(11, doctorDocumentNumber="88888888", modality="VIRTUAL", state="CONFIRMED")
    third = visit(
        patientDocumentNumber="777777", startAppointment=moment(9, day=tuesday), endAppointment=moment(10, day=tuesday)
    )
    return [booked["id"], *(server.post(URL, body).json()["id"] for body in (second, third))]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [2, 1, 0]),
        ({"start_date": f"{MONDAY}", "end_date": f"{MONDAY}"}, [1, 0]),
        ({"startDate": f"{MONDAY}T16:00:00Z"}, [2, 1]),
        ({"start_date": f"{MONDAY}T16:00:01Z"}, [2]),
        ({"endDate": f"{MONDAY}T14:30:00Z"}, [0]),
        ({"end_date": f"{MONDAY}T14:29:59Z"}, []),
        ({"start_date": f"{MONDAY}T09:00:00-05:00", "end_date": f"{MONDAY}T12:00:00-05:00"}, [1, 0]),
        ({"modality": "VIRTUAL"}, [1]),
        ({"modality": "1"}, [2, 0]),
        ({"state": "CONFIRMED"}, [1]),
        ({"state": "2"}, [1]),
        ({"state": "CANCELLED"}, []),
        ({"patient_document_number": "1.020.304.050"}, [1, 0]),
        ({"patientDocumentNumber": "777777"}, [2]),
        ({"patient_document_number": "77777"}, []),
        ({"doctor_document_number": "88888888"}, [1]),
        ({"doctorDocumentNumber": "80123456", "patientDocumentNumber": "777777"}, [2]),
        ({"doctor_document_number": "---"}, []),
    ],
)
def test_s7_filters_in_the_address_and_in_a_body_find_the_same(server, three, filters, found):
    in_address = server.get(URL, filters)
    in_body = server.post(f"{URL}/search", filters | {"eventType": "APPOINTMENT", "action_type": "READ"})

    assert [three.index(row["id"]) for row in in_address.json()["items"]] == found
    assert (in_body.status_code, in_body.json()) == (200, in_address.json())


def test_s7_pages_by_number_and_by_cursor_walk_the_same_rows(server, three):
    first = server.get(URL, {"page_size": 2}).json()
    second = server.post(f"{URL}/search", {"pageSize": 2, "cursor": first["next_cursor"]}).json()

    assert [row["id"] for row in first["items"] + second["items"]] == three[::-1]
    assert (first["total"], first["pages"], second["next_cursor"]) == (3, 2, None)


def test_s7_by_date_range_is_oldest_first_and_wants_both_ends(server, three):
    span = {"start_date": f"{MONDAY}", "end_date": f"{MONDAY + timedelta(days=1)}"}

    assert [row["id"] for row in server.get(f"{URL}/by-date-range", span).json()["items"]] == three
    assert refused(server.get(f"{URL}/by-date-range", {"start_date": f"{MONDAY}"})) == {
        "end_date": "This parameter is required."
    }
    wrong = {"start_date": f"{MONDAY}", "end_date": f"{MONDAY - timedelta(days=1)}"}
    assert refused(server.get(f"{URL}/by-date-range", wrong)) == {"end_date": "End date must be after start date"}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("state=booked", "state"),
        ("modality=9", "modality"),
        ("start_date=yesterday", "start_date"),
        ("start_date=2030-03-14T09:00:00", "start_date"),
        ("patient=x", "patient"),
        ("sort=notes", "sort"),
        ("state=CONFIRMED&stateId=2", "stateId"),
    ],
)
def test_in12_in22_bad_filters_are_refused_by_name(server, query, name):
    assert list(refused(server.get(f"{URL}?{query}"))) == [name]


def test_s7_a_page_of_many_asks_as_often_as_a_page_of_one(server, booked):
    server.get(URL)
    counts = []
    for hour in (10, 11, 12):
        with CaptureQueriesContext(connection) as queries:
            server.get(URL)
        counts.append(len(queries))
        server.post(URL, visit(hour))

    assert len(set(counts)) == 1


# --- Who may, and what they see --------------------------------------------------------------------------------------


def test_s4_scopes_open_what_they_name(key_client, booked):
    reader, other = key_client("appointments:read"), key_client("patients:write")
    address = f"{URL}/{booked['id']}"

    assert [reader.get(path).status_code for path in (URL, address)] == [200, 200]
    assert reader.get(address).json() == booked
    assert [reader.post(URL, visit(11)).status_code, reader.patch(address, {}).status_code] == [403, 403]
    assert reader.delete(address).status_code == 403
    assert [other.get(path).status_code for path in (URL, address, f"{URL}/by-date-range")] == [403] * 3
    assert other.post(f"{URL}/search", {}).status_code == 403


def test_s19_the_key_of_another_clinic_finds_nothing(server, booked, other_clinic):
    with outside_tenant(), tenant_context(other_clinic.id):
        _key, text = keys.create_key(by=None, name="n8n", scopes=["admin"])
    theirs, address = server_with(text), f"{URL}/{booked['id']}"

    assert [theirs.get(address).status_code, theirs.delete(address).status_code] == [404, 404]
    assert theirs.patch(address, {"comment": "x"}).status_code == 404
    assert theirs.get(URL).json()["items"] == []
    assert theirs.post(f"{URL}/search", {"patientDocumentNumber": "1020304050"}).json()["total"] == 0
    named = theirs.post(URL, visit())
    assert (named.status_code, named.json()["code"]) == (404, "unknown_patient")
    by_id = visit(patientDocumentTypeId=..., patientDocumentNumber=..., patientId=booked["patient_id"])
    assert theirs.post(URL, by_id).status_code == 404


def test_of_a_restricted_chart_the_visit_tells_no_document_and_no_text(server, booked, nurse, patient):
    restricting.restrict_chart(Patient.objects.get(pk=patient.pk), by=nurse, reason="A colleague's chart")
    address = f"{URL}/{booked['id']}"
    hidden = booked | {
        "patient_document_type_id": None, "patient_document_number": "", "comment": "", "custom_fields": {},
    }  # fmt: skip

    assert server.get(address).json() == hidden
    assert server.get(URL).json()["items"] == [hidden]
    assert server.get(URL, {"patient_document_number": "1020304050"}).json()["items"] == []
    assert server.patch(address, {"comment": "x"}).status_code == 403
    assert server.patch(address, {"startAppointment": moment(9), "endAppointment": moment(10)}).status_code == 200
    assert Appointment.objects.get().notes == booked["comment"]
    assert server.delete(address).status_code == 204


def test_s7_group_sessions_have_no_patient(server, doctor_row, house):
    group = make_type("group", 60, capacity=8)
    patient = PatientFactory()
    place = services.book(
        Wanted(patient=patient, practitioner=doctor_row, starts_at=at(MONDAY, 12), type=group, location=house),
        by=None,
    )
    names = ("patient_id", "patient_document_type_id", "patient_document_number")
    session, own = (server.get(f"{URL}/{pk}").json() for pk in (place.session_id, place.pk))

    assert tuple(session[name] for name in names) == (None,) * 3
    assert tuple(own[name] for name in names) == (str(patient.pk), patient.document_type_id, patient.document_number)


# --- Keys in the body ------------------------------------------------------------------------------------------------


def test_cl01_an_idempotency_key_in_the_body_books_once(server):
    tries = [server.post(URL, visit(idempotencyKey="run-7:0")) for _ in range(3)]
    other = server.post(URL, visit(12, idempotencyKey="run-7:0"))

    assert [answer.status_code for answer in tries] == [201, 200, 200]
    assert (tries[1].json(), tries[2].json()) == (tries[0].json(), tries[0].json())
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert Appointment.objects.count() == 1


def test_cl01_a_refused_booking_leaves_the_key_free(server, booked):
    taken = server.post(URL, visit(idempotencyKey="run-8:0"))
    free = server.post(URL, visit(12, idempotencyKey="run-8:0"))

    assert (taken.status_code, free.status_code) == (409, 201)


# --- Lists -----------------------------------------------------------------------------------------------------------


def test_s16_lists_with_the_clinics_own_entries(key_client, house):
    reader = key_client("appointments:read")
    make_type("control", 20, name="Control médico")

    def codes(name):
        answer = reader.get(f"/v1/lookups/{name}").json()
        assert answer == reader.get(f"/v1/lookup/{name}/").json()
        return [(row["id"], row["code"]) for row in answer["items"]]

    assert codes("appointment-modalities") == [(1, "IN_PERSON"), (2, "VIRTUAL"), (3, "PHONE"), (4, "HOME")]
    assert codes("appointment-states")[:7] == [
        (1, "SCHEDULED"), (2, "CONFIRMED"), (3, "IN_PROGRESS"), (4, "COMPLETED"), (5, "CANCELLED"), (6, "NO_SHOW"),
        (7, "RESCHEDULED"),
    ]  # fmt: skip
    words = [word for _id, word in codes("notification-states")]
    assert words == ["PENDING", "SENT", "DELIVERED", "FAILED", "BOUNCED"]
    assert [code for _id, code in codes("appointment-types")] == ["control"]
    assert codes("clinics") == codes("locations") == [(str(house.pk), "Main house")]


def test_s16_every_state_of_the_book_has_a_word():
    assert {ours for _id, _word, ours in STATES} == set(State)


def test_s16_the_other_clinics_own_entries_are_not_there(key_client, clinic, other_clinic):
    with outside_tenant(), tenant_context(other_clinic.id):
        make_type("theirs", 20)
        make_location("Their house")

    assert key_client("appointments:read").get("/v1/lookups/appointment-types").json()["items"] == []
    assert key_client("appointments:read").get("/v1/lookups/clinics").json()["items"] == []


def test_an_archived_patient_is_not_found(server, patient, nurse):
    patients.archive_patient(patient, by=nurse, reason="Moved away")

    assert server.post(URL, visit()).json()["code"] == "unknown_patient"
