"""The JSON door of the book: MediSecure's doctors and appointments (M11–M15), roles, strangers, hostile input."""

import uuid
from datetime import date, datetime, time, timedelta

import pytest
from django.utils import timezone

from accounts.qualifications import services as qualifications
from accounts.users.tests.factories import MembershipFactory
from clinic.patients import restricting
from clinic.patients import services as patients
from clinic.patients.tests.factories import PatientFactory
from clinic.practitioners import services as practitioners
from clinic.scheduling import offering, services
from clinic.scheduling.models import Appointment, AppointmentType
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from tenancy.audit.models import AuditRead
from tenancy.audit.tests.trails import actions_about
from tenancy.rules import RuleBroken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0)
MEDISECURE_KEYS = ["id", "patientId", "patientName", "doctorId", "doctorName", "date", "status", "reason", "notes"]


@pytest.fixture
def house(clinic):
    return make_location()


@pytest.fixture
def dario(house):
    """A practitioner who works on weekdays from nine to twelve."""
    found = make_practitioner(phone="601 555 0101", email="dario@example.org")
    work(found, house)
    return found


@pytest.fixture
def patient(clinic):
    return PatientFactory()


@pytest.fixture
def own_chart(patient_user):
    """The chart of the patient who signs in."""
    return PatientFactory(first_name="Pia", user=patient_user.user)


@pytest.fixture
def program(nurse, api_client):
    return api_client(nurse)


@pytest.fixture
def asked(dario, patient):
    """`asked(10, reason="…")`: the body that books a visit next Monday at ten; None leaves a key out."""

    def build(hour=9, minute=0, **changes):
        body = {"patientId": str(patient.pk), "doctorId": str(dario.pk), "reason": "Check"}
        body |= {"date": at(MONDAY, hour, minute).isoformat()} | changes
        return {key: value for key, value in body.items() if value is not None}

    return build


@pytest.fixture
def visit(dario, house, patient, nurse):
    wanted = Wanted(patient=patient, practitioner=dario, location=house, starts_at=at(MONDAY, 9), reason="Check")
    return services.book(wanted, by=nurse)


def one(appointment, tail=""):
    return f"/api/appointments/{getattr(appointment, 'pk', appointment)}{tail}"


def refusal(answer):
    body = answer.json()
    assert {"detail", "code", "trace_id"} <= set(body)
    assert body["detail"]
    return answer.status_code, body["code"]


def problems(answer):
    """`{place: type}` of a 400 that names fields."""
    assert refusal(answer) == (400, "validation_error"), answer.json()
    return {".".join(map(str, entry["loc"])): entry["type"] for entry in answer.json()["detail"]}


# --- Doctors (M11, M12) ----------------------------------------------------------------------------------------------


def test_m11_doctors_have_the_shape_of_medisecure(dario, program):
    heart, skin = (practitioners.create_specialty(by=None, name=name) for name in ("Cardiology", "Dermatology"))
    practitioners.set_specialties(dario, by=None, specialties=[skin, heart])

    body = program.get("/api/doctors").json()

    assert set(body) == {"doctors", "total", "page", "limit", "pages"}
    assert (body["total"], body["page"], body["limit"]) == (1, 1, 10)
    assert body["doctors"] == [
        {
            "id": str(dario.pk),
            "name": "Dario Quintero",
            "email": "dario@example.org",
            "specialization": "Dermatology",
            "phone": "601 555 0101",
        }
    ]


def test_m11_doctors_are_those_with_the_role_and_those_without_an_account(clinic, admin, nurse, doctor, program):
    make_practitioner("Nora", "Nightingale", member=nurse)
    make_practitioner("Referring", "Doctor")
    retired = make_practitioner("Rita", "Retired")
    practitioners.update_practitioner(retired, by=admin, changes={"is_active": False})

    names = {row["name"] for row in program.get("/api/doctors").json()["doctors"]}

    assert names == {"Dario Doctor", "Referring Doctor"}


def test_m11_a_member_with_the_role_doctor_becomes_a_practitioner_once(clinic, program):
    MembershipFactory(role="doctor", user__name="Luz Marina Peña", specialization="Cardiology")

    first, again = program.get("/api/doctors").json(), program.get("/api/doctors").json()

    assert first == again
    assert [(row["name"], row["specialization"]) for row in first["doctors"]] == [("Luz Marina Peña", "Cardiology")]


def test_m11_doctors_page_and_filter_by_specialty(clinic, program):
    heart = practitioners.create_specialty(by=None, name="Cardiology")
    for number in range(12):
        made = make_practitioner(f"N{number:02}", f"L{number:02}")
        if number % 2:
            practitioners.set_specialties(made, by=None, specialties=[heart])

    first, second = program.get("/api/doctors").json(), program.get("/api/doctors?page=2").json()

    assert [len(first["doctors"]), len(second["doctors"]), first["total"]] == [10, 2, 12]
    assert program.get(f"/api/doctors?specialty={heart.pk}").json()["total"] == 6


def test_m12_a_doctor_has_the_number_of_patients_with_an_appointment(dario, house, nurse, program):
    one_patient, other = PatientFactory(), PatientFactory()
    for hour, who in ((9, one_patient), (10, one_patient), (11, other)):
        services.book(Wanted(patient=who, practitioner=dario, location=house, starts_at=at(MONDAY, hour)), by=nurse)
    gone = services.book(
        Wanted(patient=PatientFactory(), practitioner=dario, location=house, starts_at=at(MONDAY, 9, 30)), by=nurse
    )
    services.move(gone, State.CANCELLED, by=nurse, reason="ill")

    body = program.get(f"/api/doctors/{dario.pk}").json()

    assert set(body) == {"id", "name", "email", "specialization", "phone", "assignedPatients"}
    assert body["assignedPatients"] == 2
    assert refusal(program.get(f"/api/doctors/{uuid.uuid4()}")) == (404, "not_found")


def test_m12_a_doctor_of_another_clinic_is_not_there(dario, stranger, api_client):
    program = api_client(stranger)

    assert program.get(f"/api/doctors/{dario.pk}").status_code == 404
    assert program.get(f"/api/doctors/{dario.pk}/slots").status_code == 404
    assert program.get("/api/doctors").json()["doctors"] == []


# --- The list (M13) --------------------------------------------------------------------------------------------------


def test_m13_appointments_have_the_shape_of_medisecure(visit, dario, patient, program):
    body = program.get("/api/appointments").json()

    assert set(body) == {"appointments", "total", "page", "limit", "pages"}
    (row,) = body["appointments"]
    assert {key: row[key] for key in MEDISECURE_KEYS} == {
        "id": str(visit.pk),
        "patientId": str(patient.pk),
        "patientName": "Aurelia de la Hoz",
        "doctorId": str(dario.pk),
        "doctorName": "Dario Quintero",
        "date": f"{at(MONDAY, 9):%Y-%m-%dT%H:%M:%SZ}",
        "status": "scheduled",
        "reason": "Check",
        "notes": "",
    }
    assert (row["state"], row["number"], row["timeZone"]) == ("booked", 1, "America/Bogota")
    assert (row["localStart"], row["start"]) == (f"{MONDAY}T09:00", row["date"])


def test_m13_filters(visit, dario, house, patient, nurse, program):
    other = make_practitioner("Otto", "Orejuela")
    second = services.book(
        Wanted(
            patient=PatientFactory(), practitioner=other, location=house, modality="video",
            starts_at=at(MONDAY + timedelta(days=1), 23, 30),
        ),
        by=nurse,
    )  # fmt: skip
    services.move(second, State.CANCELLED, by=nurse, reason="ill")

    def found(query):
        rows = program.get(f"/api/appointments?{query}").json()["appointments"]
        return [{visit.pk: 1, second.pk: 2}[uuid.UUID(row["id"])] for row in rows]

    assert found("") == [2, 1]
    assert found("sort=date") == [1, 2]
    assert found(f"date={MONDAY}") == [1]
    # By the location's clock: in UTC this visit lies on Wednesday.
    assert found(f"date={MONDAY + timedelta(days=1)}") == [2]
    assert found(f"date={MONDAY + timedelta(days=2)}") == []
    assert found(f"from={MONDAY}&to={MONDAY + timedelta(days=1)}") == [2, 1]
    assert found(f"from={MONDAY + timedelta(days=1)}") == [2]
    assert found("status=cancelled") == [2]
    assert found("status=scheduled") == found("status=active") == found("state=booked") == [1]
    assert found("status=finished") == []
    assert found(f"doctor={other.pk}") == found(f"doctor_id={other.pk}") == [2]
    assert found(f"patient={patient.pk}") == [1]
    assert found("modality=video") == [2]
    assert found(f"doctor={uuid.uuid4()}") == []


@pytest.mark.parametrize(
    "query",
    ["date=2026-13-01", "status=gone", "state=x", "doctor=1", "from=2026-02-02&to=2026-02-01", "no_such=1",
     "date=2026-02-02&from=2026-02-02", "modality=fax"],
)  # fmt: skip
def test_m13_a_bad_filter_is_refused(clinic, program, query):
    assert problems(program.get(f"/api/appointments?{query}"))


def test_m13_patients_see_their_own(visit, own_chart, patient_user, house, nurse, api_client):
    mine = services.book(
        Wanted(patient=own_chart, practitioner=visit.practitioner, location=house, starts_at=at(MONDAY, 11)), by=nurse
    )
    program = api_client(patient_user)

    assert [row["id"] for row in program.get("/api/appointments").json()["appointments"]] == [str(mine.pk)]
    assert program.get(one(mine)).json()["patientName"] == "Pia de la Hoz"
    assert program.get(one(visit)).status_code == 404
    assert program.patch(one(visit), {"status": "cancelled"}).status_code == 404
    assert program.post(one(visit, "/status"), {"state": "cancelled"}).status_code == 404


def test_m13_appointments_of_another_clinic_are_not_there(visit, stranger, strange_admin, api_client):
    for member in (stranger, strange_admin):
        program = api_client(member)
        assert program.get("/api/appointments").json()["appointments"] == []
        assert program.get(one(visit)).status_code == 404
        assert program.get(one(visit, "/history")).status_code == 404
        assert program.patch(one(visit), {"notes": "x"}).status_code == 404
        assert program.post(one(visit, "/status"), {"state": "arrived"}).status_code == 404
        assert program.post(one(visit, "/undo")).status_code == 404
    visit.refresh_from_db()
    assert (visit.state, visit.notes) == (State.BOOKED, "")


def test_appointment_has_an_etag_and_a_look_at_it_is_kept(visit, program):
    answer = program.get(one(visit))

    assert answer["ETag"] == '"1"'
    assert program.get(one(visit), headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert AuditRead.objects.filter(object_id=str(visit.pk)).count() == 2


def test_appointment_of_a_restricted_chart_keeps_its_reason_to_itself(visit, patient, nurse, admin, api_client):
    restricting.restrict_chart(patient, by=admin, reason="Works here")
    program = api_client(nurse)

    row = program.get(one(visit)).json()

    assert (row["patientName"], row["reason"]) == ("Aurelia de la Hoz", "")
    assert refusal(program.patch(one(visit), {"notes": "x"})) == (403, "permission_denied")
    assert program.get("/api/appointments").json()["appointments"][0]["reason"] == ""


# --- Booking (M14) ---------------------------------------------------------------------------------------------------


def test_m14_post_books_a_visit(asked, program, dario, patient):
    answer = program.post("/api/appointments", asked(9, notes=" Brings readings "))

    assert answer.status_code == 201, answer.json()
    row = answer.json()
    assert list(row)[:9] == MEDISECURE_KEYS
    assert (row["status"], row["state"], row["reason"], row["notes"]) == (
        "scheduled",
        "booked",
        "Check",
        "Brings readings",
    )
    assert answer["ETag"] == '"1"'
    assert actions_about(Appointment.objects.get()) == ["appointment_booked"]


def test_m14_an_unqualified_practitioner_is_refused_by_item_and_day(asked, dario, doctor, admin, api_client):
    """Issue 4 part 7: 409 names what is missing and when it lapsed; an emergency takes a permission and a reason."""
    kind = qualifications.create_kind(by=admin, name="Ultrasound privilege", group="privilege")
    practitioners.update_practitioner(dario, by=admin, changes={"member": doctor})
    body = {"name": "Scan", "minutes": 30, "qualifications": ["ultrasound-privilege"]}
    scan = api_client(admin).post("/api/appointment-types", body).json()
    lapsed = MONDAY - timedelta(days=1)
    qualifications.record_qualification(
        doctor, by=admin, kind=kind, valid_from=lapsed - timedelta(days=9), valid_until=lapsed
    )
    program = api_client(MembershipFactory(role="nurse"))

    answer = program.post("/api/appointments", asked(typeId=scan["id"]))

    assert refusal(answer) == (409, "not_qualified")
    assert "Ultrasound privilege" in answer.json()["detail"]
    assert answer.json()["missing"] == [
        {"kind": "ultrasound-privilege", "name": "Ultrasound privilege", "lapsedOn": str(lapsed)}
    ]
    emergency = asked(typeId=scan["id"], overrideReason="Nobody else is here")
    assert refusal(program.post("/api/appointments", emergency)) == (403, "permission_denied")
    assert api_client(doctor).post("/api/appointments", emergency).status_code == 201
    assert Appointment.objects.get().override_reason == "Nobody else is here"


@pytest.mark.parametrize("role", ["admin", "doctor", "nurse", "staff"])
def test_m14_staff_books(asked, role, api_client):
    assert api_client(MembershipFactory(role=role)).post("/api/appointments", asked()).status_code == 201


@pytest.mark.parametrize("role", ["auditor", "qa", "quality_manager", "user"])
def test_m14_others_do_not_book_or_look(asked, visit, role, api_client):
    program = api_client(MembershipFactory(role=role))

    assert program.post("/api/appointments", asked(10)).status_code == 403
    assert program.get("/api/appointments").status_code == 403
    assert program.get(one(visit)).status_code == 403
    assert program.patch(one(visit), {"status": "cancelled"}).status_code == 403


def test_m14_nobody_books_without_signing_in(asked, anonymous_api):
    assert anonymous_api.post("/api/appointments", asked()).status_code == 401


def test_m14_a_patient_asks_for_a_time_in_their_own_chart_only(asked, own_chart, patient_user, api_client):
    program = api_client(patient_user)

    assert refusal(program.post("/api/appointments", asked(9))) == (404, "not_found")
    answer = program.post("/api/appointments", asked(9, patientId=None))
    assert (answer.status_code, answer.json()["patientId"]) == (201, str(own_chart.pk))
    assert (answer.json()["status"], answer.json()["state"]) == ("scheduled", "requested")
    assert program.post("/api/appointments", asked(10, patientId=str(own_chart.pk))).status_code == 201
    assert Appointment.objects.exclude(patient=own_chart).count() == 0


def test_m14_a_patient_without_a_chart_is_told(asked, patient_user, api_client):
    answer = api_client(patient_user).post("/api/appointments", asked(patientId=None))

    assert refusal(answer) == (409, "no_chart")


def test_m14_a_patient_books_what_the_clinic_lets_patients_book(asked, own_chart, patient_user, api_client):
    program = api_client(patient_user)
    Kind = AppointmentType.SelfService
    free, ask, closed = (make_type(kind, self_service=kind) for kind in (Kind.BOOK, Kind.REQUEST, Kind.NONE))

    def post(hour, type, **changes):
        return program.post("/api/appointments", asked(hour, patientId=None, typeId=str(type.pk), **changes))

    assert post(9, free).json()["state"] == "booked"
    assert post(10, ask).json()["state"] == "requested"
    assert refusal(post(11, closed)) == (404, "not_found")
    assert refusal(post(11, free, minutes=120)) == (409, "length_fixed")
    assert refusal(post(11, free, overbookReason="please")) == (403, "permission_denied")


def test_m14_a_patient_keeps_to_lead_time_and_horizon(asked, own_chart, patient_user, nurse, api_client):
    late = make_type("late", self_service="book", lead_hours=24 * 60)
    near = make_type("near", self_service="book", horizon_days=1)

    for type in (late, near):
        body = asked(9, patientId=None, typeId=str(type.pk))
        assert refusal(api_client(patient_user).post("/api/appointments", body)) == (409, "time_not_offered")
        assert (
            api_client(nurse)
            .post("/api/appointments", asked(9 if type is late else 10, typeId=str(type.pk)))
            .status_code
            == 201
        )


def test_m14_a_conflict_names_the_three_nearest_times(asked, visit, dario, house, program):
    answer = program.post("/api/appointments", asked(9, 0, patientId=str(PatientFactory().pk)))

    assert refusal(answer) == (409, "time_taken")
    nearest = answer.json()["nearest"]
    assert nearest[0] == {
        "start": f"{at(MONDAY, 9, 30):%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{at(MONDAY, 10):%Y-%m-%dT%H:%M:%SZ}",
        "doctorId": str(dario.pk),
        "locationId": str(house.pk),
    }
    assert len(nearest) == 3
    again = asked(9, 0, patientId=str(PatientFactory().pk), date=nearest[0]["start"])
    assert program.post("/api/appointments", again).status_code == 201


def test_m14_a_time_outside_of_the_hours_is_refused_with_free_ones(asked, program):
    answer = program.post("/api/appointments", asked(18))

    assert refusal(answer) == (409, "time_not_offered")
    assert len(answer.json()["nearest"]) == 3


def test_m14_overbooking_is_for_those_who_may(asked, visit, admin, nurse, api_client):
    body = asked(9, patientId=str(PatientFactory().pk), overbookReason="Chest pain")

    assert refusal(api_client(nurse).post("/api/appointments", body)) == (403, "permission_denied")
    assert api_client(admin).post("/api/appointments", body).json()["overbooked"] is True


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"endDate": "before"}, {"body.endDate": "end_before_start"}),
        ({"endDate": "same"}, {"body.endDate": "end_before_start"}),
        ({"endDate": "next day"}, {"body.endDate": "too_long"}),
        ({"minutes": 0}, {"body.minutes": "min_value"}),
        ({"minutes": 481}, {"body.minutes": "max_value"}),
        ({"date": "2020-01-01T09:00:00Z"}, {"body.date": "in_the_past"}),
        ({"date": "0001-01-01T00:00:00Z"}, {"body.date": "datetime"}),
        ({"date": "2199-12-31T23:59:00-14:00"}, None),
        ({"date": "9999-12-31T23:59:59-14:00"}, {"body.date": "datetime"}),
        ({"date": "2030-02-30T09:00:00Z"}, {"body.date": "datetime"}),
        ({"date": "2030-02-20T09:00:30Z"}, {"body.date": "datetime"}),
        ({"date": "2030-02-20"}, {"body.date": "datetime"}),
        ({"date": 1700000000}, {"body.date": "datetime"}),
        ({"date": None}, {"body.date": "required"}),
        ({"doctorId": "1"}, {"body.doctorId": "invalid"}),
        ({"doctorId": None}, {"body.doctorId": "required"}),
        ({"patientId": None}, {"body.patientId": "required"}),
        ({"reason": "x" * 501}, {"body.reason": "max_length"}),
        ({"modality": "fax"}, {"body.modality": "invalid_choice"}),
        ({"state": "booked"}, {"body.state": "invalid"}),
        ({"minutes": 30, "endDate": "later"}, {"body.minutes": "conflict"}),
    ],
)
def test_m14_bad_input_is_refused_by_field(asked, program, changes, expected):
    ends = {
        "before": at(MONDAY, 8),
        "same": at(MONDAY, 9),
        "next day": at(MONDAY + timedelta(days=1), 9),
        "later": at(MONDAY, 10),
    }
    if changes.get("endDate") in ends:
        changes = changes | {"endDate": ends[changes["endDate"]].isoformat()}
    answer = program.post("/api/appointments", asked(9, **changes))

    assert 400 <= answer.status_code < 500
    assert expected is None or problems(answer) == expected
    assert Appointment.objects.count() == 0


def test_m14_unknown_and_archived_are_refused(asked, patient, admin, program, other_clinic):
    with outside_tenant(), tenant_context(other_clinic.id):
        foreign, theirs = PatientFactory(), make_practitioner()
        room = make_location("Theirs")
    for changes in (
        {"patientId": str(uuid.uuid4())},
        {"patientId": str(foreign.pk)},
        {"doctorId": str(uuid.uuid4())},
        {"doctorId": str(theirs.pk)},
        {"locationId": str(room.pk)},
        {"typeId": str(uuid.uuid4())},
    ):
        assert refusal(program.post("/api/appointments", asked(**changes))) == (404, "not_found"), changes
    patients.archive_patient(patient, by=admin, reason="moved away")
    assert refusal(program.post("/api/appointments", asked())) == (409, "archived_patient")
    assert Appointment.objects.count() == 0


def test_m14_a_double_submit_books_once(asked, program):
    body = asked(submitKey=str(uuid.uuid4()))

    first, again = program.post("/api/appointments", body), program.post("/api/appointments", body)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert Appointment.objects.count() == 1


def test_m14_without_a_key_the_second_press_meets_the_first(asked, program):
    assert program.post("/api/appointments", asked()).status_code == 201
    assert refusal(program.post("/api/appointments", asked())) == (409, "time_taken")


def test_m14_somebody_elses_submit_key_shows_nothing(asked, program, own_chart, patient_user, api_client):
    key = str(uuid.uuid4())
    assert program.post("/api/appointments", asked(9, submitKey=key)).status_code == 201

    answer = api_client(patient_user).post("/api/appointments", asked(10, patientId=None, submitKey=key))

    assert refusal(answer) == (404, "not_found")


def test_m14_a_wall_time_is_read_by_the_clock_of_the_location(clinic, patient, program):
    berlin = make_location("Berlin", "Europe/Berlin")
    otto = make_practitioner("Otto", "Orejuela")
    year = date.today().year + 1
    spring = _last_sunday(year, 3)
    autumn = _last_sunday(year, 10)

    def post(wall):
        body = {"patientId": str(patient.pk), "doctorId": str(otto.pk), "reason": "x", "locationId": str(berlin.pk)}
        return program.post("/api/appointments", body | {"date": wall})

    assert post(f"{spring}T01:30").json()["start"] == f"{spring}T00:30:00Z"
    assert problems(post(f"{spring}T02:30")) == {"body.date": "no_such_time"}
    assert problems(post(f"{autumn}T02:30")) == {"body.date": "twice_that_day"}
    assert "the clocks go back" in post(f"{autumn}T02:30").json()["detail"][0]["msg"]
    assert post(f"{autumn}T02:30:00+01:00").json()["localStart"] == f"{autumn}T02:30"


def _last_sunday(year, month):
    day = date(year, month, 31)
    return day - timedelta(days=(day.weekday() + 1) % 7)


def test_m14_a_clinic_without_a_location_gets_its_first(clinic, patient, program):
    otto = make_practitioner("Otto", "Orejuela")
    body = {"patientId": str(patient.pk), "doctorId": str(otto.pk), "reason": "x", "date": f"{MONDAY}T09:00"}

    answer = program.post("/api/appointments", body)

    assert (answer.status_code, answer.json()["locationName"]) == (201, "Riverside Clinic")


# --- Changes (M15) ---------------------------------------------------------------------------------------------------


def test_m15_patch_moves_notes_and_completes(visit, program):
    answer = program.patch(
        one(visit), {"date": at(MONDAY, 10).isoformat(), "notes": "Late train", "status": "completed"}
    )

    assert answer.status_code == 200, answer.json()
    row = answer.json()
    assert (row["id"], row["status"], row["state"], row["notes"]) == (
        str(visit.pk),
        "completed",
        "completed",
        "Late train",
    )
    assert row["localStart"] == f"{MONDAY}T10:00"
    assert answer["ETag"] == f'"{row["version"]}"'
    assert [c.action for c in visit.changes.order_by("at")] == ["booked", "moved", "edited", "moved_on"]


def test_m15_patch_is_all_or_nothing(visit, program, nurse, house, dario):
    services.book(
        Wanted(patient=PatientFactory(), practitioner=dario, location=house, starts_at=at(MONDAY, 10)), by=nurse
    )

    answer = program.patch(one(visit), {"notes": "x", "date": at(MONDAY, 10).isoformat()})

    assert refusal(answer) == (409, "time_taken")
    assert len(answer.json()["nearest"]) == 3
    visit.refresh_from_db()
    assert (visit.notes, visit.version) == ("", 1)


def test_m15_cancelling_needs_no_reason_and_the_history_says_so(visit, program):
    assert program.patch(one(visit), {"status": "cancelled"}).json()["status"] == "cancelled"

    assert visit.changes.latest("at").reason == "No reason was given."
    assert refusal(program.patch(one(visit), {"status": "scheduled"})) == (409, "move_refused")
    assert refusal(program.patch(one(visit), {"date": at(MONDAY, 10).isoformat()})) == (409, "move_refused")


def test_m15_what_is_so_already_changes_nothing(visit, program):
    same = {"status": "scheduled", "notes": "", "reason": "Check", "date": at(MONDAY, 9).isoformat()}

    assert program.patch(one(visit), same).json()["version"] == 1
    assert program.patch(one(visit), {}).json()["version"] == 1


def test_m15_a_stale_if_match_changes_nothing(visit, program):
    assert program.patch(one(visit), {"notes": "a"}, headers={"If-Match": '"1"'}).status_code == 200
    assert refusal(program.patch(one(visit), {"notes": "b"}, headers={"If-Match": '"1"'})) == (412, "stale_version")
    visit.refresh_from_db()
    assert visit.notes == "a"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "gone"}, {"body.status": "invalid_choice"}),
        ({"date": "2020-01-01T09:00:00Z"}, {"body.date": "in_the_past"}),
        ({"date": "yesterday"}, {"body.date": "datetime"}),
        ({"endDate": "2020-01-01T09:00:00Z"}, {"body.endDate": "end_before_start"}),
        ({"notes": "x" * 5001}, {"body.notes": "max_length"}),
        ({"patientId": str(uuid.uuid4())}, {"body.patientId": "invalid"}),
    ],
)
def test_m15_bad_input_is_refused_by_field(visit, program, body, expected):
    assert problems(program.patch(one(visit), body)) == expected


def test_m15_patch_moves_to_another_doctor_and_house(visit, program, house):
    berlin, otto = make_location("Berlin", "Europe/Berlin"), make_practitioner("Otto", "Orejuela")
    work(otto, berlin, weekdays=range(5), starts=time(8), ends=time(18))

    row = program.patch(one(visit), {"doctorId": str(otto.pk), "date": f"{MONDAY}T14:30"}).json()
    assert (row["id"], row["doctorId"], row["locationId"]) == (str(visit.pk), str(otto.pk), str(berlin.pk))
    assert (row["localStart"], row["timeZone"]) == (f"{MONDAY}T14:30", "Europe/Berlin")
    taken = program.patch(one(visit), {"locationId": str(house.pk)})
    assert refusal(taken) == (409, "time_not_offered")  # Otto does not work there
    same = program.patch(one(visit), {"doctorId": str(otto.pk), "locationId": str(berlin.pk)}).json()
    assert same["version"] == row["version"]


def test_m15_patch_finds_no_doctor_or_house_of_others(
    visit, program, other_clinic, own_chart, patient_user, api_client
):
    with outside_tenant(), tenant_context(other_clinic.id):
        theirs, place = make_practitioner(), make_location("Theirs")

    for body in ({"doctorId": str(theirs.pk)}, {"locationId": str(place.pk)}, {"doctorId": str(uuid.uuid4())}):
        assert refusal(program.patch(one(visit), body)) == (404, "not_found")
    mine = services.book(
        Wanted(patient=own_chart, practitioner=visit.practitioner, location=visit.location, starts_at=at(MONDAY, 11)),
        by=None,
    )
    body = {"doctorId": str(make_practitioner("Otto", "Orejuela").pk)}
    assert refusal(api_client(patient_user).patch(one(mine), body)) == (403, "permission_denied")


def test_m15_patch_overbooks_for_those_who_may(visit, program, admin, dario, house, nurse, api_client):
    services.book(
        Wanted(patient=PatientFactory(), practitioner=dario, location=house, starts_at=at(MONDAY, 10)), by=nurse
    )
    body = {"date": at(MONDAY, 10).isoformat(), "overbookReason": "Chest pain"}

    assert refusal(program.patch(one(visit), body)) == (403, "permission_denied")
    assert api_client(admin).patch(one(visit), body).json()["overbooked"] is True


def test_m15_a_patient_cancels_and_moves_only_what_may_be_booked(
    own_chart, patient_user, dario, house, nurse, api_client
):
    program = api_client(patient_user)
    free = make_type("free", self_service="book")

    def booked(hour, type=None):
        wanted = Wanted(patient=own_chart, practitioner=dario, location=house, type=type, starts_at=at(MONDAY, hour))
        return services.book(wanted, by=nurse)

    fixed, movable = booked(9), booked(10, free)
    assert program.patch(one(movable), {"date": at(MONDAY, 11).isoformat()}).status_code == 200
    assert refusal(program.patch(one(fixed), {"date": at(MONDAY, 10).isoformat()})) == (403, "permission_denied")
    assert refusal(program.patch(one(fixed), {"notes": "x"})) == (403, "permission_denied")
    assert refusal(program.patch(one(fixed), {"status": "completed"})) == (403, "permission_denied")
    assert program.patch(one(fixed), {"status": "cancelled"}).json()["state"] == "cancelled"
    assert refusal(program.post(one(movable, "/undo"))) == (403, "permission_denied")
    assert refusal(program.get(one(movable, "/history"))) == (403, "permission_denied")


# --- Status, undo, history, holds (Doctolib D18) ---------------------------------------------------------------------


def test_d18_status_takes_both_vocabularies_in_body_and_address(visit, program):
    def post(tail="", **body):
        return program.post(one(visit, f"/status{tail}"), body)

    assert post(state="confirmed").json()["state"] == "confirmed"
    assert post("?new_status=arrived&note=early").json()["state"] == "arrived"
    assert post(new_status="finished", note="seen").json()["status"] == "completed"
    assert refusal(post(state="arrived")) == (409, "move_refused")
    assert problems(post()) == {"body.new_status": "required"}
    assert problems(post("?new_status=arrived", state="booked")) == {"body.new_status": "required"}
    assert problems(post(state="gone")) == {"body.state": "invalid_choice"}
    assert problems(post("?new_status=gone")) == {"query.new_status": "choice"}


def test_d18_status_honours_if_match_and_says_so(visit, program, settings):
    body = {"state": "arrived"}

    assert refusal(program.post(one(visit, "/status"), body, headers={"If-Match": '"7"'})) == (412, "stale_version")
    assert program.post(one(visit, "/status"), body, headers={"If-Match": '"1"'}).json()["version"] == 2
    settings.API_DOCS = "public"
    paths = program.get("/api/openapi.json").json()["paths"]
    for path in ("/api/appointments/{id}/status", "/api/appointments/{id}/undo"):
        assert "If-Match" in {parameter["name"] for parameter in paths[path]["post"]["parameters"]}
        assert "412" in paths[path]["post"]["responses"]


def test_d18_a_request_is_confirmed_once(own_chart, patient_user, asked, program, api_client):
    made = api_client(patient_user).post("/api/appointments", asked(patientId=None)).json()

    assert program.post(one(made["id"], "/status"), {"new_status": "active"}).json()["state"] == "booked"
    assert refusal(program.post(one(made["id"], "/status"), {"new_status": "active"})) == (409, "move_refused")
    assert refusal(program.post(one(made["id"], "/status"), {"new_status": "pending"})) == (409, "move_refused")


def test_d18_undo_takes_the_last_change_back(visit, program):
    program.post(one(visit, "/status"), {"state": "arrived"})

    assert program.post(one(visit, "/undo")).json()["state"] == "booked"
    program.post(one(visit, "/status"), {"state": "cancelled", "reason": "ill"})
    assert program.post(one(visit, "/undo")).json()["state"] == "booked"


def test_d18_undo_honours_if_match_and_is_not_undone(visit, program):
    program.post(one(visit, "/status"), {"state": "arrived"})

    assert refusal(program.post(one(visit, "/undo"), headers={"If-Match": '"1"'})) == (412, "stale_version")
    assert program.post(one(visit, "/undo"), headers={"If-Match": '"2"'}).json()["state"] == "booked"
    assert refusal(program.post(one(visit, "/undo"))) == (409, "move_refused")


def test_d18_undo_is_refused_when_the_time_is_gone(visit, asked, program):
    program.post(one(visit, "/status"), {"state": "cancelled", "reason": "ill"})
    assert program.post("/api/appointments", asked(patientId=str(PatientFactory().pk))).status_code == 201

    assert refusal(program.post(one(visit, "/undo"))) == (409, "time_taken")


def test_d18_history_says_who_when_and_why(visit, nurse, program):
    program.post(one(visit, "/status"), {"new_status": "cancelled", "note": "ill"})

    lines = program.get(one(visit, "/history")).json()["history"]

    assert [(line["action"], line["old"], line["new"], line["newState"], line["note"]) for line in lines] == [
        ("booked", "", "active", "booked", ""),
        ("moved_on", "active", "cancelled", "cancelled", "ill"),
    ]
    assert lines[1]["changed_by"] == "Nora Nurse"
    assert lines[1]["changed_at"].endswith("Z")


def test_d18_a_hold_keeps_the_time_until_it_is_booked(asked, program):
    made = program.post("/api/appointments/holds", asked(reason=None))

    assert (made.status_code, made.json()["state"]) == (201, "held")
    expires = datetime.fromisoformat(made.json()["holdExpiresAt"])
    assert timedelta(minutes=9) < expires - timezone.now() <= timedelta(minutes=10)
    assert refusal(program.post("/api/appointments", asked(patientId=str(PatientFactory().pk)))) == (409, "time_taken")
    assert program.post(one(made.json()["id"], "/status"), {"state": "booked"}).json()["holdExpiresAt"] is None


def test_d18_a_patient_holds_what_may_be_booked(asked, own_chart, patient_user, api_client):
    program = api_client(patient_user)
    free = make_type("free", self_service="book")

    assert refusal(program.post("/api/appointments/holds", asked(patientId=None))) == (409, "not_bookable")
    held = program.post("/api/appointments/holds", asked(patientId=None, typeId=str(free.pk))).json()
    assert program.post(one(held["id"], "/status"), {"state": "booked"}).json()["state"] == "booked"
    assert refusal(program.post(one(held["id"], "/status"), {"state": "arrived"})) == (403, "permission_denied")


# --- What is offered (Doctolib) --------------------------------------------------------------------------------------


def test_d19_schedules(dario, house, admin, api_client, nurse):
    program = api_client(admin)
    body = {"doctor_id": str(dario.pk), "weekday": "Sat", "start_time": "09:00", "end_time": "12:00"}

    made = program.post("/api/schedules", body)

    assert made.status_code == 201, made.json()
    assert {key: made.json()[key] for key in body} == body
    assert made.json()["location_id"] == str(house.pk)
    where = f"/api/schedules/{made.json()['id']}"
    rows = api_client(nurse).get(f"/api/schedules?doctor_id={dario.pk}&weekday=Sat").json()["schedules"]
    assert [row["id"] for row in rows] == [made.json()["id"]]
    assert refusal(program.post("/api/schedules", body)) == (409, "overlap")
    assert problems(program.post("/api/schedules", body | {"end_time": "09:00"})) == {"body.end_time": "order"}
    assert problems(program.post("/api/schedules", body | {"weekday": "6"})) == {"body.weekday": "invalid_choice"}
    assert refusal(program.post("/api/schedules", body | {"doctor_id": str(uuid.uuid4())})) == (404, "not_found")
    assert program.patch(where, {"end_time": "13:00"}).json()["end_time"] == "13:00"
    assert refusal(program.patch(where, {"step": 30}, headers={"If-Match": '"0"'})) == (412, "stale_version")
    assert program.delete(where).status_code == 204
    assert program.get(where).status_code == 404


def test_d19_overnight_hours_meet_the_next_morning(dario, house, admin):
    night = {"by": admin, "practitioner": dario, "location": house, "starts": time(22), "ends": time(10)}

    with pytest.raises(RuleBroken, match="works at Main house then already"):
        offering.create_hours(weekday=6, **night)  # Sunday night runs into Monday 09:00
    offering.create_hours(weekday=5, **night)


def test_d19_hours_for_one_kind_of_visit_may_lie_over_open_ones(dario, house, admin):
    hours = {"by": admin, "practitioner": dario, "location": house, "weekday": 0, "starts": time(10), "ends": time(11)}

    with pytest.raises(RuleBroken, match="already"):
        offering.create_hours(**hours)
    offering.create_hours(only_type=make_type(), **hours)
    with pytest.raises(RuleBroken, match="already"):
        offering.create_hours(**hours | {"location": make_location("Elsewhere"), "only_type": make_type("other")})


def test_d8_specialties(admin, nurse, api_client):
    program, reader = api_client(admin), api_client(nurse)

    made = program.post("/api/specialties", {"name": " Cardiology ", "description": "Heart"})

    assert (made.status_code, made.json()["name"]) == (201, "Cardiology")
    where = f"/api/specialties/{made.json()['id']}"
    assert refusal(program.post("/api/specialties", {"name": "cardiology"})) == (409, "duplicate")
    assert program.patch(where, {"name": "Heart"}).json()["name"] == "Heart"
    assert reader.get(where)["ETag"] == program.get(where)["ETag"]
    assert refusal(reader.patch(where, {"name": "x"})) == (403, "permission_denied")
    assert refusal(reader.delete(where)) == (403, "permission_denied")
    assert program.delete(where).status_code == 204
    assert reader.get("/api/specialties").json()["specialties"] == []
    assert [row["name"] for row in reader.get("/api/specialties?inactive=true").json()["specialties"]] == ["Heart"]


def test_types(admin, nurse, patient_user, dario, api_client):
    program = api_client(admin)
    body = {"name": "First visit", "minutes": 40, "performers": [str(dario.pk)], "needs": [{"kind": "room"}]}

    made = program.post("/api/appointment-types", body)

    assert made.status_code == 201, made.json()
    row = made.json()
    assert (row["code"], row["minutes"], row["self_service"]) == ("first-visit", 40, "none")
    assert (row["performers"], row["needs"]) == ([str(dario.pk)], [{"kind": "room", "category": ""}])
    where = f"/api/appointment-types/{row['id']}"
    assert program.post("/api/appointment-types", body).json()["code"] == "first-visit-2"
    assert refusal(program.post("/api/appointment-types", body | {"code": "first-visit"})) == (409, "duplicate")
    assert api_client(patient_user).get(where).status_code == 404
    changed = program.patch(where, {"minutes": 45, "self_service": "book", "needs": []}).json()
    assert (changed["minutes"], changed["needs"], changed["performers"]) == (45, [], [str(dario.pk)])
    assert api_client(patient_user).get(where).status_code == 200
    assert refusal(api_client(nurse).patch(where, {"minutes": 5})) == (403, "permission_denied")
    assert problems(program.patch(where, {"minutes": 0})) == {"body.minutes": "min_value"}
    assert problems(program.patch(where, {"needs": [{}]})) == {"body.needs.0.kind": "required"}
    assert problems(program.patch(where, {"qualifications": ["no-such"]})) == {"body.qualifications": "unknown"}
    qualifications.create_kind(by=admin, name="Licence", group="licence")
    assert program.patch(where, {"qualifications": ["licence"]}).json()["qualifications"] == ["licence"]
    assert program.patch(where, {"minutes": 30}).json()["qualifications"] == ["licence"]
    assert program.patch(where, {"qualifications": []}).json()["qualifications"] == []


def test_locations_and_rooms(admin, nurse, house, api_client):
    program, reader = api_client(admin), api_client(nurse)

    place = program.post("/api/locations", {"name": "Berlin", "time_zone": "Europe/Berlin"}).json()
    room = program.post("/api/rooms", {"location_id": place["id"], "name": "Room 1", "category": "Ultrasound"}).json()

    assert (room["kind"], room["category"]) == ("room", "ultrasound")
    assert problems(program.post("/api/locations", {"name": "X", "time_zone": "Mars/Base"})) == {
        "body.time_zone": "invalid"
    }
    assert refusal(program.post("/api/rooms", {"location_id": place["id"], "name": "Room 1"})) == (409, "duplicate")
    assert problems(program.patch(f"/api/rooms/{room['id']}", {"location_id": str(house.pk)})) == {
        "body.location_id": "fixed"
    }
    assert program.patch(f"/api/rooms/{room['id']}", {"is_active": False}).json()["is_active"] is False
    assert reader.get(f"/api/rooms?location={place['id']}").json()["rooms"] == []
    assert len(reader.get(f"/api/rooms?location={place['id']}&inactive=true").json()["rooms"]) == 1
    assert {row["name"] for row in reader.get("/api/locations").json()["locations"]} == {"Main house", "Berlin"}
    assert refusal(reader.post("/api/locations", {"name": "X", "time_zone": "UTC"})) == (403, "permission_denied")


def test_what_is_offered_elsewhere_is_not_there(admin, other_clinic, api_client):
    with outside_tenant(), tenant_context(other_clinic.id):
        place, type, someone = make_location("Theirs"), make_type(), make_practitioner()
        work(someone, place)
        hours = someone.working_hours.first()
        specialty = practitioners.create_specialty(by=None, name="Cardiology")
    program = api_client(admin)
    for path in (
        f"/api/locations/{place.pk}",
        f"/api/appointment-types/{type.pk}",
        f"/api/schedules/{hours.pk}",
        f"/api/specialties/{specialty.pk}",
    ):
        assert program.get(path).status_code == 404, path
        assert program.patch(path, {}).status_code == 404, path


def test_both_flavours_and_both_slashes(visit, dario, program):
    for path in (
        "doctors",
        "appointments",
        f"appointments/{visit.pk}",
        "specialties",
        "schedules",
        "locations",
        "rooms",
    ):
        for form in (f"/api/{path}", f"/api/{path}/", f"/api/v1/{path}", f"/api/v1/{path}/"):
            assert program.get(form).status_code == 200, form
