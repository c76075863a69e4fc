"""Ill today: affected visits, proposals, a dry run that writes nothing, one undo."""

from datetime import time

import pytest

from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import disturbances, services
from clinic.scheduling.disturbances import Decision
from clinic.scheduling.models import Appointment, Leave
from clinic.scheduling.services import TimeNotOffered, Wanted
from clinic.scheduling.states import State
from tenancy.rules import RuleBroken

from .factories import at, make_location, make_practitioner, next_day, work

MONDAY = next_day(0)
SPAN = (at(MONDAY, 8), at(MONDAY, 18))


@pytest.fixture
def house(clinic):
    return make_location()


@pytest.fixture
def ill(house):
    found = make_practitioner()
    work(found, house)
    return found


@pytest.fixture
def colleague(house):
    found = make_practitioner("Otto", "Orejuela")
    work(found, house, starts=time(10))
    return found


@pytest.fixture
def visits(clinic, nurse, house, ill):
    return [
        services.book(
            Wanted(patient=PatientFactory(), practitioner=ill, location=house, starts_at=at(MONDAY, hour)), by=nurse
        )
        for hour in (9, 10, 11)
    ]


def decide(proposals):
    people = {p.appointment.pk: p for p in proposals}
    return [
        Decision(pk, "move", p.slot.starts, disturbances.Practitioner.objects.get(pk=p.slot.practitioner_id))
        for pk, p in people.items()
    ]


def where():
    return list(Appointment.objects.order_by("number").values_list("practitioner_id", "wall_start", "state"))


def test_propose_prefers_a_colleague_at_the_same_time_and_never_the_same_time_twice(visits, ill, colleague):
    before = where()

    found = disturbances.propose(ill, *SPAN)

    assert [p.appointment.pk for p in found] == [v.pk for v in visits]
    assert [p.slot.starts for p in found[1:]] == [at(MONDAY, 10, 30), at(MONDAY, 11)]
    assert {p.slot.practitioner_id for p in found} == {colleague.pk}
    assert len({(p.slot.starts, p.slot.practitioner_id) for p in found}) == 3
    assert where() == before
    assert not Leave.objects.exists()


def test_propose_falls_back_to_a_later_day_of_the_same_practitioner(visits, ill):
    found = disturbances.propose(ill, *SPAN)

    assert {p.slot.practitioner_id for p in found} == {ill.pk}
    assert all(p.slot.starts > SPAN[1] for p in found)


def test_take_leave_moves_everybody_and_one_undo_puts_them_back(visits, nurse, ill, colleague):
    """Wish 12."""
    before = where()
    leave, batch = disturbances.take_leave(
        ill,
        by=nurse,
        kind="illness",
        starts_at=SPAN[0],
        ends_at=SPAN[1],
        decisions=decide(disturbances.propose(ill, *SPAN)),
    )
    assert {who for who, _wall, _state in where()} == {colleague.pk}
    with pytest.raises(TimeNotOffered):
        services.book(
            Wanted(patient=PatientFactory(), practitioner=ill, location=visits[0].location, starts_at=at(MONDAY, 9)),
            by=nurse,
        )

    assert disturbances.undo_leave(leave, batch, by=nurse) == 3
    assert where() == before
    with pytest.raises(RuleBroken):
        disturbances.undo_leave(leave, batch, by=nurse)


def test_take_leave_is_all_or_nothing(visits, nurse, ill, colleague):
    before = where()
    decisions = [Decision(v.pk, "move", at(MONDAY, 10), colleague) for v in visits]

    with pytest.raises(services.TimeTaken):
        disturbances.take_leave(ill, by=nurse, kind="illness", starts_at=SPAN[0], ends_at=SPAN[1], decisions=decisions)
    with pytest.raises(RuleBroken, match="about 2 visits"):
        disturbances.take_leave(
            ill, by=nurse, kind="illness", starts_at=SPAN[0], ends_at=SPAN[1], decisions=decisions[:1]
        )

    assert where() == before
    assert not Leave.objects.exists()


def test_take_leave_cancels_and_leaves_as_decided(visits, nurse, ill):
    decisions = [Decision(visits[0].pk, "cancel"), *[Decision(v.pk, "leave") for v in visits[1:]]]
    disturbances.take_leave(
        ill, by=nurse, kind="illness", starts_at=SPAN[0], ends_at=SPAN[1], note="Flu", decisions=decisions
    )

    assert [state for _who, _wall, state in where()] == [State.CANCELLED, State.BOOKED, State.BOOKED]
