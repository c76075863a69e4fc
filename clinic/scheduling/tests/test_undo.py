"""Taking back: once, into the very place, and never into a time that was only kept for somebody."""

import uuid
from datetime import time, timedelta

import pytest
from django.core import mail
from django.utils import timezone

from accounts.notifications import sending
from clinic.patients.tests.factories import PatientFactory
from clinic.places.services import create_resource
from clinic.scheduling import agenda, disturbances, series, services
from clinic.scheduling.disturbances import Decision
from clinic.scheduling.models import Appointment, TypeNeed, WorkingHours
from clinic.scheduling.services import MoveRefused, TimeTaken, Wanted
from clinic.scheduling.states import State
from tenancy.rules import StaleVersion
from tenancy.tenants.context import get_current_tenant_id

from .factories import at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0)


@pytest.fixture
def house(clinic):
    return make_location()


@pytest.fixture
def dario(house):
    found = make_practitioner()
    work(found, house, ends=time(18))
    return found


@pytest.fixture
def wanted(house, dario):
    def build(hour=9, **fields):
        fields = {"patient": PatientFactory(), "practitioner": dario, "location": house} | fields
        return Wanted(starts_at=at(MONDAY, hour), **fields)

    return build


def tell(visit):
    visit.refresh_from_db()
    return visit.wall_start[11:], visit.lane, visit.state


def test_undo_of_an_undo_is_refused(nurse, wanted):
    visit = services.book(wanted(), by=nurse)
    services.move(visit, State.ARRIVED, by=nurse)
    services.undo_move(visit, by=nurse)

    with pytest.raises(MoveRefused, match="nothing to undo"):
        services.undo_move(visit, by=nurse)
    assert tell(visit) == ("09:00", 0, State.BOOKED)


def test_undo_never_keeps_a_time_for_somebody_a_second_time(nurse, wanted):
    expired, booked = (services.book(wanted(hour), by=nurse, state=State.HELD) for hour in (9, 10))
    Appointment.objects.filter(pk=expired.pk).update(hold_expires_at=timezone.now() - timedelta(minutes=1))
    services.expire_holds()
    services.move(booked, State.BOOKED, by=nurse)

    for visit in (expired, booked):
        visit.refresh_from_db()
        with pytest.raises(MoveRefused, match="nothing to undo"):
            services.undo_move(visit, by=nurse)
    assert agenda.list_undoable([expired, booked]) == set()
    assert not Appointment.objects.filter(state=State.HELD).exists()


def test_undo_refuses_what_is_stale(nurse, wanted):
    visit = services.book(wanted(), by=nurse)
    moved = services.move(visit, State.ARRIVED, by=nurse)

    with pytest.raises(StaleVersion):
        services.undo_move(visit, by=nurse, expected_version=moved.version - 1)
    assert services.undo_move(visit, by=nurse, expected_version=moved.version).state == State.BOOKED


def test_undo_of_a_cancellation_beside_an_overbooked_visit(nurse, doctor, wanted):
    first = services.book(wanted(), by=nurse)
    services.book(wanted(overbook_reason="Pain"), by=doctor)
    services.move(first, State.CANCELLED, by=nurse, reason="Mistake")

    services.undo_move(first, by=nurse)

    assert tell(first) == ("09:00", 0, State.BOOKED)


def test_undo_of_a_cancellation_that_was_told_is_told_and_counts_up_for_calendars(nurse, wanted):
    visit = services.book(wanted(patient=PatientFactory(email="ana@example.org")), by=nurse)
    services.move(visit, State.CANCELLED, by=nurse, reason="Mistake")
    sending.deliver_due(get_current_tenant_id())
    mail.outbox.clear()

    back = services.undo_move(visit, by=nurse)
    sending.deliver_due(get_current_tenant_id())

    assert back.sequence == 2
    assert [message.to for message in mail.outbox] == [["ana@example.org"]]
    assert "is booked" in mail.outbox[0].body


def ill_today(dario, nurse, colleague, *visits):
    decisions = [Decision(visit.pk, "move", visit.starts_at + timedelta(hours=n), colleague) for n, visit in
                 enumerate(visits, start=1)]  # fmt: skip
    return disturbances.take_leave(
        dario, by=nurse, kind="illness", starts_at=at(MONDAY, 8), ends_at=at(MONDAY, 18), decisions=decisions
    )


def test_undo_of_a_leave_puts_overbooked_visits_back_into_their_lanes(nurse, doctor, house, dario, wanted):
    colleague = make_practitioner("Otto", "Orejuela")
    work(colleague, house, ends=time(18))
    plain = services.book(wanted(), by=nurse)
    over = services.book(wanted(overbook_reason="Pain"), by=doctor)
    leave, batch = ill_today(dario, nurse, colleague, plain, over)
    assert (tell(plain)[:2], tell(over)[:2]) == (("10:00", 0), ("11:00", 0))

    assert disturbances.undo_leave(leave, batch, by=nurse) == 2

    assert (tell(plain)[:2], tell(over)[:2]) == (("09:00", 0), ("09:00", 1))
    assert over.overbook_reason == "Pain"


def test_undo_of_a_leave_also_where_the_hours_have_changed_or_the_time_has_begun(nurse, house, dario, wanted):
    colleague = make_practitioner("Otto", "Orejuela")
    work(colleague, house, ends=time(18))
    visit = services.book(wanted(), by=nurse)
    begun = timezone.now().replace(second=0, microsecond=0) - timedelta(hours=3)
    over = begun + timedelta(minutes=30)
    Appointment.objects.filter(pk=visit.pk).update(starts_at=begun, busy_from=begun, ends_at=over, busy_until=over)
    leave, batch = disturbances.take_leave(
        dario, by=nurse, kind="illness", starts_at=begun, ends_at=over,
        decisions=[Decision(visit.pk, "move", at(MONDAY, 9), colleague)],
    )  # fmt: skip
    WorkingHours.objects.filter(practitioner=dario).delete()

    disturbances.undo_leave(leave, batch, by=nurse)

    visit.refresh_from_db()
    assert (visit.starts_at, visit.practitioner_id) == (begun, dario.pk)


def test_undo_of_a_leave_is_refused_whole_when_somebody_has_the_time(nurse, house, dario, wanted):
    colleague = make_practitioner("Otto", "Orejuela")
    work(colleague, house, ends=time(18))
    visit = services.book(wanted(), by=nurse)
    leave, batch = ill_today(dario, nurse, colleague, visit)
    # Straight into the table: the leave itself would keep everybody else away.
    taken = Appointment.objects.get(pk=visit.pk)
    taken.pk, taken.number, taken.patient, taken.practitioner = uuid.uuid4(), 99, PatientFactory(), dario
    taken.starts_at = taken.busy_from = at(MONDAY, 9)
    taken.ends_at = taken.busy_until = at(MONDAY, 10)
    taken.save(force_insert=True)

    with pytest.raises(TimeTaken, match="another visit"):
        disturbances.undo_leave(leave, batch, by=nurse)
    assert tell(visit)[0] == "10:00"


def test_undo_of_one_moved_visit_of_a_series_is_no_exception_any_more(nurse, wanted):
    first, *_rest = series.book_series(wanted(), "FREQ=WEEKLY;COUNT=3", by=nurse)
    batch, _moved = series.change_visits(first, "this", series.Shift(clock="10:00"), by=nurse)
    first.refresh_from_db()
    assert first.is_exception

    series.undo_batch(batch, by=nurse)

    first.refresh_from_db()
    assert (first.wall_start[11:], first.is_exception) == ("09:00", False)


def test_undo_claims_the_room_again(nurse, house, dario, wanted):
    scan = make_type("scan")
    TypeNeed.objects.create(type=scan, kind="room")
    room = create_resource(by=None, location=house, kind="room", name="Room 1")
    visit, *_rest = series.book_series(wanted(type=scan), "FREQ=WEEKLY;COUNT=2", by=nurse)
    batch, _moved = series.change_visits(visit, "this", series.Shift(clock="10:00"), by=nurse)

    series.undo_batch(batch, by=nurse)

    claim = visit.resources.get()
    assert (claim.resource, claim.busy_from) == (room, at(MONDAY, 9))
