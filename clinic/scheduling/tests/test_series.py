"""Series: wall time over a change of the clocks, three scopes, exceptions that survive, one undo."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import series, services
from clinic.scheduling.models import Appointment
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from clinic.scheduling.wall_time import wall_of
from tenancy.rules import RuleBroken

from .factories import at, make_location, make_practitioner, next_day, work

MONDAY = next_day(0)
WEEKLY = "FREQ=WEEKLY;COUNT=4"


@pytest.fixture
def house(clinic):
    return make_location()


@pytest.fixture
def practitioner(house):
    found = make_practitioner()
    work(found, house, ends=time(18))
    return found


@pytest.fixture
def visits(clinic, nurse, house, practitioner):
    wanted = Wanted(patient=PatientFactory(), practitioner=practitioner, location=house, starts_at=at(MONDAY, 9))
    return series.book_series(wanted, WEEKLY, by=nurse)


def walls(rows=None):
    rows = rows if rows is not None else Appointment.objects.live().order_by("starts_at")
    return [visit.wall_start for visit in rows]


def weeks(*clocks):
    return [f"{MONDAY + timedelta(weeks=n)}T{clock}" for n, clock in enumerate(clocks)]


def test_book_series_books_every_week(visits):
    assert walls() == weeks("09:00", "09:00", "09:00", "09:00")
    assert len({visit.series_id for visit in visits}) == 1


@pytest.mark.parametrize(
    "zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "America/Bogota"]
)
def test_book_series_keeps_the_clock_over_both_changes(clinic, nurse, zone):
    """Wish 7: 09:00 stays 09:00 in five zones."""
    house, practitioner = make_location(f"House {zone}", zone), make_practitioner()
    first = next_day(0)
    wanted = Wanted(
        patient=PatientFactory(), practitioner=practitioner, location=house, starts_at=at(first, 9, zone=zone)
    )
    found = series.book_series(wanted, "FREQ=WEEKLY;COUNT=60", by=nurse)

    assert {wall_of(visit.starts_at, ZoneInfo(zone)).time() for visit in found} == {time(9)}
    assert {visit.minutes for visit in found} == {30}
    offsets = {visit.starts_at.astimezone(ZoneInfo(zone)).utcoffset() for visit in found}
    assert len(offsets) == (1 if zone == "America/Bogota" else 2)


def test_book_series_is_all_or_nothing_and_names_the_days(clinic, nurse, house, practitioner):
    third = MONDAY + timedelta(weeks=2)
    services.book(
        Wanted(patient=PatientFactory(), practitioner=practitioner, location=house, starts_at=at(third, 9)), by=nurse
    )
    wanted = Wanted(patient=PatientFactory(), practitioner=practitioner, location=house, starts_at=at(MONDAY, 9))

    with pytest.raises(series.SeriesClash, match="1 of these days is not free") as clash:
        series.book_series(wanted, WEEKLY, by=nurse)
    assert list(clash.value.days) == [third]
    assert len(series.book_series(wanted, WEEKLY, by=nurse, skip=[third])) == 3


@pytest.mark.parametrize("rule", ["", "FREQ=SOMETIMES", "FREQ=WEEKLY", "FREQ=DAILY;COUNT=201", "x" * 100])
def test_book_series_refuses_rules_without_sense_or_end(clinic, nurse, house, practitioner, rule):
    wanted = Wanted(patient=PatientFactory(), practitioner=practitioner, location=house, starts_at=at(MONDAY, 9))

    with pytest.raises(RuleBroken):
        series.book_series(wanted, rule, by=nurse)


def test_change_this_leaves_the_others_and_is_an_exception(visits, nurse):
    """Wish 10: this one."""
    series.change_visits(visits[1], "this", series.Shift(clock="11:00"), by=nurse)

    assert walls() == weeks("09:00", "11:00", "09:00", "09:00")
    assert Appointment.objects.get(pk=visits[1].pk).is_exception


def test_change_following_splits_and_leaves_what_came_before(visits, nurse):
    """Wish 10: this one and those after it."""
    _batch, moved = series.change_visits(visits[2], "following", series.Shift(clock="10:30"), by=nurse)

    assert walls() == weeks("09:00", "09:00", "10:30", "10:30")
    assert {visit.series_id for visit in moved} != {visits[0].series_id}


def test_change_all_lets_exceptions_survive_and_undoes_as_one(visits, nurse):
    """Wish 10: all, exceptions survive, one undo."""
    series.change_visits(visits[1], "this", series.Shift(clock="11:00"), by=nurse)
    visit = Appointment.objects.get(pk=visits[0].pk)

    batch, _moved = series.change_visits(visit, "all", series.Shift(clock="15:00"), by=nurse)
    assert walls() == weeks("15:00", "11:00", "15:00", "15:00")

    assert series.undo_batch(batch, by=nurse) == 3
    assert walls() == weeks("09:00", "11:00", "09:00", "09:00")


@pytest.mark.parametrize("days", [7, -7, 1])
def test_change_all_may_move_visits_onto_each_other(visits, nurse, days):
    if days < 0:
        services.move(visits[0], State.CANCELLED, by=nurse, reason="Away")
    visit = Appointment.objects.get(pk=visits[1].pk)

    _batch, moved = series.change_visits(visit, "all", series.Shift(days=days), by=nurse)

    assert len(moved) == (3 if days < 0 else 4)


def test_cancel_following_and_undo(visits, nurse):
    batch, gone = series.cancel_visits(visits[2], "following", by=nurse, reason="Moved away")
    assert (len(gone), walls()) == (2, weeks("09:00", "09:00"))

    series.undo_batch(batch, by=nurse)
    assert walls() == weeks("09:00", "09:00", "09:00", "09:00")


def test_undo_is_refused_when_something_came_after(visits, nurse):
    batch, gone = series.cancel_visits(visits[3], "this", by=nurse, reason="Moved away")
    services.undo_move(gone[0], by=nurse)

    with pytest.raises(RuleBroken, match="changed again"):
        series.undo_batch(batch, by=nurse)


def test_the_past_of_a_series_stays(visits, nurse):
    long_ago = timezone.now() - timedelta(days=2)
    Appointment.objects.filter(pk=visits[0].pk).update(
        starts_at=long_ago, busy_from=long_ago,
        ends_at=long_ago + timedelta(hours=1), busy_until=long_ago + timedelta(hours=1),
    )  # fmt: skip
    _batch, gone = series.cancel_visits(visits[1], "all", by=nurse, reason="Moved away")

    assert len(gone) == 3


def test_expand_reads_rules_as_a_calendar_does():
    first = datetime(2026, 11, 30, 9)

    assert [d.date() for d in series.expand("FREQ=MONTHLY;BYDAY=-1MO;COUNT=3", first)] == [
        date(2026, 11, 30), date(2026, 12, 28), date(2027, 1, 25),
    ]  # fmt: skip
