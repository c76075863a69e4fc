"""Free times over the API: complete, explained, for the reader they are for, in a fixed number of queries."""

from datetime import time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.users.tests.factories import MembershipFactory
from clinic.patients.tests.factories import PatientFactory
from clinic.places.services import add_holiday, create_resource
from clinic.practitioners.services import update_practitioner
from clinic.scheduling import selectors, services
from clinic.scheduling.models import Appointment, Leave, TypeNeed, TypePerformer
from clinic.scheduling.services import Wanted
from clinic.scheduling.wall_time import wall_of
from tenancy.tenants.context import finish_pending

from .factories import at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0)


@pytest.fixture
def house(clinic):
    return make_location()


@pytest.fixture
def dario(house):
    found = make_practitioner()
    work(found, house)
    return found


@pytest.fixture
def program(nurse, api_client):
    return api_client(nurse)


@pytest.fixture
def portal(patient_user, api_client):
    return api_client(patient_user)


def slots_of(program, doctor, **query):
    query = {"from": str(MONDAY), "to": str(MONDAY)} | {name.rstrip("_"): str(value) for name, value in query.items()}
    answer = program.get(f"/api/doctors/{doctor.pk}/slots", query)
    assert answer.status_code == 200, answer.json()
    return answer.json()


def clocks(body):
    return [slot["localStart"][11:] for slot in body["slots"]]


def why(body):
    return {slot["localStart"][11:]: [(r["code"], r["text"]) for r in slot["reasons"]] for slot in body["slots"]}


def book(doctor, house, hour, minute=0, **fields):
    wanted = Wanted(patient=PatientFactory(), practitioner=doctor, location=house, starts_at=at(MONDAY, hour, minute))
    return services.book(wanted, by=None, **fields)


def test_d19_slots_are_the_free_times(dario, house, program):
    book(dario, house, 10)

    body = slots_of(program, dario)

    assert set(body) == {"doctorId", "from", "to", "minutes", "slots"}
    assert clocks(body) == ["09:00", "09:30", "10:30", "11:00", "11:30"]
    assert body["slots"][0] == {
        "start": f"{at(MONDAY, 9):%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{at(MONDAY, 9, 30):%Y-%m-%dT%H:%M:%SZ}",
        "doctorId": str(dario.pk),
        "locationId": str(house.pk),
        "localStart": f"{MONDAY}T09:00",
        "timeZone": "America/Bogota",
        "resources": [],
    }
    assert clocks(slots_of(program, dario, minutes=60)) == ["09:00", "10:30", "11:00"]


def test_d19_a_year_has_no_hidden_cap(dario, program):
    """Wish 11."""
    last = MONDAY + timedelta(days=365)

    body = slots_of(program, dario, to=last)

    assert len(body["slots"]) == 6 * sum((MONDAY + timedelta(days=n)).weekday() < 5 for n in range(366))


def test_d19_a_time_after_midnight_belongs_to_the_day_it_begins_on(house, program):
    """Wish 11: asked for Tuesday, one sees Tuesday's times, whenever the night began."""
    night = make_practitioner("Nadia", "Night")
    work(night, house, weekdays=[0], starts=time(22), ends=time(2), step=60)
    tuesday = MONDAY + timedelta(days=1)

    assert clocks(slots_of(program, night, minutes=60)) == ["22:00", "23:00"]
    assert clocks(slots_of(program, night, minutes=60, from_=tuesday, to=tuesday)) == ["00:00", "01:00"]
    assert clocks(slots_of(program, night, minutes=60, to=tuesday)) == ["22:00", "23:00", "00:00", "01:00"]
    body = program.get("/api/slots", {"date": str(tuesday), "minutes": 60}).json()
    assert clocks(body) == ["00:00", "01:00"]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Santiago",
                                  "Africa/Cairo", "Asia/Kathmandu"])  # fmt: skip
def test_d19_every_day_of_a_year_has_its_nights_once(clinic, nurse, zone):
    """Wishes 7 and 11: day by day or all at once, the same times; none twice, none lost, over both clock changes."""
    place, night = make_location(f"House {zone}", zone), make_practitioner("Nadia", "Night")
    work(night, place, weekdays=range(7), starts=time(23), ends=time(4), step=60)
    days = [MONDAY + timedelta(days=offset) for offset in range(366)]

    whole = selectors.find_slots([night], days[0], days[-1], by=nurse, minutes=60)
    single = [s for day in days for s in selectors.find_slots([night], day, day, by=nurse, minutes=60)]

    assert [slot.starts for slot in whole] == [slot.starts for slot in single]
    assert len({slot.starts for slot in whole}) == len(whole)
    for slot in whole:
        assert wall_of(slot.starts, place.zone).hour in {23, 0, 1, 2, 3}


def test_d19_what_can_not_be_booked_is_not_offered_and_says_so(dario, admin, program):
    gone = make_type("gone", is_active=False)
    first = slots_of(program, dario, type=gone.pk, explain="true")
    update_practitioner(dario, by=admin, changes={"is_active": False})
    second = slots_of(program, dario, explain="true")

    assert (first["slots"], [r["code"] for r in first["reasons"]]) == ([], ["not_offered"])
    assert (second["slots"], [r["code"] for r in second["reasons"]]) == ([], ["not_here"])


@pytest.mark.parametrize("query", [{"to": 366}, {"to": -1}, {"minutes": 0}, {"minutes": 481}, {"type": 1}, {"x": 1}])
def test_d19_a_bad_question_is_refused(dario, program, query):
    if "to" in query:
        query = {"from": str(MONDAY), "to": str(MONDAY + timedelta(days=query["to"]))}

    answer = program.get(f"/api/doctors/{dario.pk}/slots", query)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")


def test_d19_only_one_end_of_the_span_may_be_sent(dario, clinic, program):
    path = f"/api/doctors/{dario.pk}/slots"

    assert program.get(path).status_code == 200
    assert program.get(path, {"to": "2199-12-31"}).status_code == 400
    assert program.get(path, {"from": "2199-12-31"}).status_code == 200
    yesterday = timezone.localdate(timezone=clinic.zone) - timedelta(days=1)
    assert program.get(path, {"to": str(yesterday)}).status_code == 400


def test_explain_names_the_booking_leave_and_room(dario, house, admin, program):
    """Wish 11."""
    visit = book(dario, house, 9)
    Leave.objects.create(practitioner=dario, kind="training", starts_at=at(MONDAY, 11), ends_at=at(MONDAY, 11, 30))
    scan = make_type("scan", minutes=30)
    TypeNeed.objects.create(type=scan, kind="room", category="ultrasound")
    room = create_resource(by=None, location=house, kind="room", name="U1", category="ultrasound")
    other = make_practitioner("Otto", "Orejuela")
    services.book(
        Wanted(patient=PatientFactory(), practitioner=other, location=house, type=scan, starts_at=at(MONDAY, 10)),
        by=None,
    )

    body = slots_of(program, dario, type=scan.pk, explain="true")

    assert why(body) == {
        "09:00": [("booked", f"Taken by appointment {visit.number}.")],
        "09:30": [],
        "10:00": [("resource", "No ultrasound is free then.")],
        "10:30": [],
        "11:00": [("leave", "Away: Training.")],
        "11:30": [],
    }
    assert [slot["free"] for slot in body["slots"]] == [False, True, False, True, False, True]
    assert body["slots"][1]["resources"] == [str(room.pk)]


def test_explain_names_holidays_and_days_without_hours(dario, house, program):
    add_holiday(by=None, day=MONDAY, name="Saint Joseph")

    body = slots_of(program, dario, from_=MONDAY - timedelta(days=1), explain="true")

    assert why(body)["09:00"] == [("holiday", "Public holiday: Saint Joseph.")]
    assert body["daysWithoutHours"] == [str(MONDAY - timedelta(days=1))]
    assert body["reasons"] == []


def test_explain_says_why_there_is_nothing_at_all(dario, program):
    only_otto = make_type()
    TypePerformer.objects.create(type=only_otto, practitioner=make_practitioner("Otto", "Orejuela"))
    idle = make_practitioner("Ida", "Idle")

    first = slots_of(program, dario, type=only_otto.pk, explain="true")
    second = slots_of(program, idle, explain="true")

    assert first["reasons"] == [{"code": "not_performed", "text": "Dario Quintero does not do “Visit”."}]
    assert second["reasons"] == [{"code": "no_hours", "text": "Ida Idle has no hours in these days."}]


def test_explain_tells_patients_nothing_about_others(dario, house, portal):
    book(dario, house, 9)
    Leave.objects.create(
        practitioner=dario, kind="illness", note="Surgery", starts_at=at(MONDAY, 11), ends_at=at(MONDAY, 12)
    )
    open_type = make_type(self_service="book")

    body = slots_of(portal, dario, type=open_type.pk, explain="true")

    assert why(body)["09:00"] == [("taken", "This time is taken.")]
    assert why(body)["11:00"] == [("not_offered", "This time is not offered.")]
    assert "Surgery" not in str(body)


def test_patients_get_lead_time_horizon_and_open_types_only(dario, program, portal):
    days = (MONDAY - timezone.localdate()).days
    late = make_type("late", self_service="book", lead_hours=24 * (days + 2))
    near = make_type("near", self_service="request", horizon_days=1)
    closed = make_type("closed")

    for type in (late, near):
        assert slots_of(portal, dario, type=type.pk)["slots"] == []
        assert len(slots_of(program, dario, type=type.pk)["slots"]) == 6
    assert portal.get(f"/api/doctors/{dario.pk}/slots?type={closed.pk}").status_code == 404
    texts = why(slots_of(portal, dario, type=near.pk, explain="true"))["09:00"]
    assert texts == [("horizon", "The book is open for the next 1 days.")]


def test_slots_of_a_day_are_those_of_all_doctors(dario, house, program):
    otto = make_practitioner("Otto", "Orejuela")
    elsewhere = make_location("Berlin", "Europe/Berlin")
    work(otto, elsewhere, weekdays=[0])
    book(dario, house, 9)

    body = program.get("/api/slots", {"date": str(MONDAY)}).json()
    here = program.get("/api/slots", {"date": str(MONDAY), "location": str(house.pk)}).json()

    assert {slot["doctorName"] for slot in body["slots"]} == {"Dario Quintero", "Otto Orejuela"}
    assert len(body["slots"]) == 11
    assert clocks(here) == ["09:30", "10:00", "10:30", "11:00", "11:30"]
    assert [slot["start"] for slot in body["slots"]] == sorted(slot["start"] for slot in body["slots"])


@pytest.mark.parametrize("role", ["auditor", "qa"])
def test_slots_are_for_those_who_see_or_make_bookings(dario, role, api_client):
    program = api_client(MembershipFactory(role=role))

    assert program.get(f"/api/doctors/{dario.pk}/slots").status_code == 403
    assert program.get("/api/slots").status_code == 403


def test_slots_ask_the_same_number_of_queries_whatever_there_is(house, program):
    """Wish 17: with 1 and 20 doctors, 0 and 200 bookings; `make bench` measures 2,000,000 of them."""
    type = make_type()

    def queries(path, **query):
        with CaptureQueriesContext(connection) as asked:
            assert program.get(path, query).status_code == 200
        return len(asked)

    first = make_practitioner("D0", "L0")
    work(first, house)
    month = {"from": str(MONDAY), "to": str(MONDAY + timedelta(days=30)), "type": str(type.pk)}
    day = {"date": str(MONDAY), "type": str(type.pk)}
    path = f"/api/doctors/{first.pk}/slots"
    program.get("/api/slots", day)  # the first request of a session also notes that it was used
    few = queries(path, **month), queries("/api/slots", **day)
    doctors = [first]
    for number in range(1, 20):
        doctors.append(make_practitioner(f"D{number}", f"L{number}"))
        work(doctors[-1], house)
    for doctor in doctors:
        _fill(doctor, house, 10)
    finish_pending()  # what the services above have left for the end of their transaction

    assert (queries(path, **month), queries("/api/slots", **day)) == few
    assert max(few) < 30


def _fill(doctor, house, count):
    """Bookings straight into the table: this test counts what reading costs."""
    first = Appointment.objects.count()
    rows = []
    for number in range(count):
        starts = at(MONDAY + timedelta(days=number // 5), 9 + number % 5)
        ends = starts + timedelta(minutes=30)
        rows.append(
            Appointment(
                number=first + number + 1, patient=PatientFactory(), practitioner=doctor, location=house,
                starts_at=starts, ends_at=ends, busy_from=starts, busy_until=ends,
                wall_start=f"{starts.astimezone(house.zone):%Y-%m-%dT%H:%M}", time_zone=house.time_zone,
            )
        )  # fmt: skip
    Appointment.objects.bulk_create(rows)
