"""What the pages of the book's rules lean on: extra days, leave that is taken back, previews, reminders, holidays."""

from datetime import datetime, time, timedelta

import pytest

from accounts.qualifications.services import create_kind
from clinic.patients.tests.factories import PatientFactory
from clinic.places import services as places
from clinic.scheduling import disturbances, offering, previews, reminders, services
from clinic.scheduling.disturbances import Decision
from clinic.scheduling.models import Appointment, ExtraHours, Leave
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from tenancy.audit.models import AuditEntry
from tenancy.rules import RuleBroken
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


def last_action():
    finish_pending()
    return AuditEntry.objects.order_by("-seq").values_list("action", flat=True).first()


def add_extra(dario, house, admin, starts=time(14), ends=time(16), day=MONDAY):
    return offering.add_extra_hours(by=admin, practitioner=dario, location=house, day=day, starts=starts, ends=ends)


def test_add_extra_hours_offers_them_and_leaves_a_line(dario, house, admin):
    extra = add_extra(dario, house, admin)

    assert last_action() == "extra_hours_added"
    assert "14:00" in [t.clock for t in previews.preview_week(dario, MONDAY)[0].free]
    offering.remove_extra_hours(extra, by=admin)
    assert last_action() == "extra_hours_removed"
    assert not ExtraHours.objects.exists()


@pytest.mark.parametrize(
    ("starts", "ends", "code"), [(time(9), time(9), "end_before_start"), (time(15), time(17), "overlap")]
)
def test_add_extra_hours_refuses_empty_ones_and_those_that_overlap(dario, house, admin, starts, ends, code):
    add_extra(dario, house, admin)

    with pytest.raises(RuleBroken) as refused:
        add_extra(dario, house, admin, starts, ends)

    assert refused.value.code == code
    assert ExtraHours.objects.count() == 1


def test_add_extra_hours_sees_the_night_before(dario, house, admin):
    add_extra(dario, house, admin, time(22), time(2), MONDAY - timedelta(days=1))

    with pytest.raises(RuleBroken):
        add_extra(dario, house, admin, time(1), time(3))
    assert add_extra(dario, house, admin, time(2), time(3))  # where the night is over


def test_add_extra_hours_refuses_a_day_that_is_over(dario, house, admin):
    with pytest.raises(RuleBroken):
        add_extra(dario, house, admin, day=MONDAY - timedelta(days=60))


@pytest.fixture
def broken(dario, house, admin):
    """A leave whose one visit was moved to Tuesday."""
    visit = services.book(
        Wanted(patient=PatientFactory(), practitioner=dario, location=house, starts_at=at(MONDAY, 9)), by=admin
    )
    span = {"starts_at": at(MONDAY, 0), "ends_at": at(MONDAY, 23)}
    tuesday = Decision(visit.pk, "move", at(MONDAY + timedelta(days=1), 9), dario)
    leave, batch = disturbances.take_leave(dario, by=admin, kind="illness", decisions=[tuesday], **span)
    return leave, batch, visit


def test_take_leave_remembers_what_it_changed(broken):
    leave, batch, _visit = broken

    assert Leave.objects.get(pk=leave.pk).batch == batch


def test_end_leave_leaves_the_visits_where_they_are(broken, admin):
    leave, _batch, visit = broken

    disturbances.end_leave(leave, by=admin)

    assert Leave.objects.get(pk=leave.pk).cancelled_at
    assert Appointment.objects.get(pk=visit.pk).starts_at == at(MONDAY + timedelta(days=1), 9)
    with pytest.raises(RuleBroken):
        disturbances.end_leave(leave, by=admin)


def test_propose_names_other_times_but_none_at_which_the_patient_is_elsewhere(dario, house, admin):
    patient = PatientFactory()
    other = make_practitioner("Otto", "Orejuela")
    for hour, who in ((9, dario), (11, other)):
        wanted = Wanted(
            patient=patient, practitioner=who, location=house, starts_at=at(MONDAY, hour), overbook_reason="x"
        )
        services.book(wanted, by=admin)
    work(other, house)

    (proposal,) = disturbances.propose(dario, at(MONDAY, 0), at(MONDAY, 23))

    assert (proposal.slot.practitioner_id, proposal.slot.starts) == (other.pk, at(MONDAY, 9))
    times = [slot.starts for slot in proposal.others]
    assert at(MONDAY, 9, 30) in times
    assert at(MONDAY, 11) not in times
    assert Appointment.objects.filter(state=State.BOOKED).count() == 2


@pytest.mark.parametrize(
    ("hour", "minute", "said"),
    [
        (9, 0, "Taken by appointment 1."),
        (9, 30, ""),
        (9, 10, "Times begin every 30 minutes from 09:00 on: Monday 09:00–12:00."),
        (11, 45, "A visit of 30 minutes would last beyond these hours: Monday 09:00–12:00."),
        (15, 0, "Outside of the hours of that day: Monday 09:00–12:00."),
    ],
)
def test_why_not_says_it_in_a_sentence(dario, house, admin, hour, minute, said):
    services.book(
        Wanted(patient=PatientFactory(), practitioner=dario, location=house, starts_at=at(MONDAY, 9)), by=admin
    )
    wall = datetime.combine(MONDAY, time(hour, minute))

    assert previews.why_not(dario, wall, location=house) == ([said] if said else [])


def test_why_not_on_a_day_without_hours_and_for_another_kind_of_visit(dario, house):
    sunday = datetime.combine(MONDAY - timedelta(days=1), time(10))
    only = make_type("vaccine")
    nadia = make_practitioner("Nadia", "Noriega")
    work(nadia, house, only_type=only)

    assert previews.why_not(dario, sunday, location=house) == ["There are no hours at Main house on that day."]
    said = previews.why_not(nadia, datetime.combine(MONDAY, time(10)), location=house)
    assert said == ["These hours are kept for another kind of visit: Monday 09:00–12:00."]


def test_save_rule_makes_and_changes_a_reminder(clinic, admin):
    rule = reminders.save_rule(None, by=admin, hours_before=24)
    reminders.save_rule(rule, by=admin, hours_before=48, subject=" Come ")

    assert (rule.hours_before, rule.subject) == (48, "Come")
    assert last_action() == "reminder_rule_updated"
    with pytest.raises(RuleBroken):
        reminders.save_rule(None, by=admin, hours_before=48)


def test_type_keeps_the_qualifications_it_needs(clinic, admin):
    kind = create_kind(by=admin, name="Ultrasound", group="privilege")
    made = offering.create_type(by=admin, data={"name": "Scan", "minutes": 20}, qualifications=[kind])

    assert list(made.qualifications.values_list("kind__code", flat=True)) == ["ultrasound"]
    offering.update_type(made, by=admin, changes={"minutes": 30})
    assert made.qualifications.exists()  # not named, not touched
    offering.update_type(made, by=admin, changes={}, qualifications=[])
    assert not made.qualifications.exists()


def test_remove_holiday_leaves_a_line(house, admin):
    holiday = places.add_holiday(by=admin, day=MONDAY, name="Day off")
    places.remove_holiday(holiday, by=admin)

    assert last_action() == "holiday_removed"


def test_opening_hours_that_are_empty_or_twice_are_refused(house, admin):
    for hours in ([(0, time(8), time(8))], [(0, time(8), time(9)), (0, time(8), time(10))]):
        with pytest.raises(RuleBroken):
            places.set_opening_hours(house, by=admin, hours=hours)
    places.set_opening_hours(house, by=admin, hours=[(0, time(22), time(6))])  # over midnight
    assert house.opening_hours.count() == 1
