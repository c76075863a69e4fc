"""What other programs hear about appointments (S25)."""

from datetime import time

import pytest

from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import amending, services
from clinic.scheduling.services import TimeTaken, Wanted
from clinic.scheduling.states import State
from tenancy.events.models import Event
from tenancy.events.tests.factories import open_endpoint

from .factories import at, make_location, make_practitioner, next_day, work

MONDAY = next_day(0)


@pytest.fixture
def wanted(clinic):
    house, practitioner = make_location(), make_practitioner()
    work(practitioner, house, ends=time(18))
    patient = PatientFactory()
    open_endpoint("http://127.0.0.1:9/")
    return lambda hour: Wanted(
        patient=patient, practitioner=practitioner, location=house, starts_at=at(MONDAY, hour), reason="CANARY"
    )


def heard(visit):
    return list(Event.objects.filter(object_id=visit.pk).order_by("sequence").values_list("type", flat=True))


def test_s25_a_visit_from_booking_to_cancelling(nurse, wanted):
    visit = services.book(wanted(9), by=nurse)
    services.reschedule(visit, by=nurse, starts_at=at(MONDAY, 11))
    services.move(visit, State.CONFIRMED, by=nurse)
    amending.edit_texts(visit, by=nurse, texts={"notes": "CANARY notes"})
    services.move(visit, State.CANCELLED, by=nurse, reason="CANARY reason")

    what = ["created", "updated", "status_changed", "updated", "status_changed", "deleted"]
    assert heard(visit) == [f"appointment.{word}" for word in what]
    assert list(Event.objects.order_by("sequence").values_list("sequence", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert not any("CANARY" in body for body in Event.objects.values_list("body", flat=True))


def test_s25_a_time_that_is_only_held_is_told_when_it_is_booked(nurse, wanted):
    kept = services.book(wanted(9), by=nurse, state=State.HELD)
    let_go = services.book(wanted(10), by=nurse, state=State.HELD)
    services.reschedule(kept, by=nurse, starts_at=at(MONDAY, 12))
    services.release(let_go, by=nurse)
    assert heard(kept) == heard(let_go) == []

    services.move(kept, State.BOOKED, by=nurse)

    assert heard(kept) == ["appointment.created"]


def test_s25_a_booking_that_was_refused_tells_nothing(nurse, wanted):
    services.book(wanted(9), by=nurse)
    with pytest.raises(TimeTaken):
        services.book(wanted(9), by=nurse)

    assert Event.objects.count() == 1
