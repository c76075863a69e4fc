"""The waiting list: in order, with an expiry, never to two."""

from datetime import timedelta

import pytest
from django.utils import timezone

from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import services, waiting
from clinic.scheduling.models import Appointment, Offer, WaitingEntry
from clinic.scheduling.services import TimeTaken, Wanted
from clinic.scheduling.states import State
from tenancy.rules import RuleBroken

from .factories import at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0)


@pytest.fixture
def house(clinic):
    return make_location()


@pytest.fixture
def practitioner(house):
    found = make_practitioner()
    work(found, house)
    return found


@pytest.fixture
def kind(clinic):
    return make_type()


@pytest.fixture
def book(house, practitioner, kind, nurse):
    def book(hour, patient=None, day=MONDAY, **fields):
        wanted = Wanted(
            patient=patient or PatientFactory(), practitioner=practitioner, location=house, type=kind,
            starts_at=at(day, hour),
        )  # fmt: skip
        return services.book(wanted, by=nurse, **fields)

    return book


@pytest.fixture
def wait(kind, nurse):
    def wait(**fields):
        fields = {"patient": PatientFactory(), "type": kind, "earliest": MONDAY, "latest": MONDAY} | fields
        return waiting.join_waiting_list(by=nurse, **fields)

    return wait


def offers():
    return list(Offer.objects.order_by("created_at").values_list("entry_id", "state"))


def cancel(visit, nurse):
    services.move(visit, State.CANCELLED, by=nurse, reason="Ill")


def test_a_cancelled_time_is_offered_to_who_waits_longest(book, wait, nurse):
    """Wish 13."""
    visit, first, _second = book(9), wait(), wait()

    cancel(visit, nurse)

    assert offers() == [(first.pk, "open")]
    held = Offer.objects.get().appointment
    assert (held.state, held.starts_at, held.patient_id) == (State.HELD, visit.starts_at, first.patient_id)
    with pytest.raises(TimeTaken):
        book(9)


def test_a_time_somebody_moves_away_from_is_offered_too(book, wait, nurse):
    visit, entry = book(9), wait()

    services.reschedule(visit, by=nurse, starts_at=at(MONDAY, 11))

    assert offers() == [(entry.pk, "open")]
    assert Offer.objects.get().appointment.starts_at == at(MONDAY, 9)


def test_urgent_ones_come_first(book, wait, nurse):
    visit, _first, urgent = book(9), wait(), wait(is_urgent=True)
    cancel(visit, nurse)

    assert offers() == [(urgent.pk, "open")]


def test_accepting_books_and_lets_the_later_visit_go(book, wait, nurse):
    later_day = MONDAY + timedelta(days=1)
    patient = PatientFactory()
    later = book(9, patient=patient, day=later_day)
    visit, entry = book(9), wait(patient=patient, instead_of=later)
    cancel(visit, nurse)

    booked = waiting.accept_offer(Offer.objects.get(), by=nurse)

    later.refresh_from_db()
    entry.refresh_from_db()
    assert (booked.state, later.state, entry.state) == (State.BOOKED, State.CANCELLED, "booked")
    with pytest.raises(RuleBroken, match="over"):
        waiting.accept_offer(Offer.objects.get(), by=nurse)


def test_declining_passes_it_on_and_never_back(book, wait, nurse):
    visit, first, second = book(9), wait(), wait()
    cancel(visit, nurse)

    passed = waiting.decline_offer(Offer.objects.get(), by=nurse)
    assert offers() == [(first.pk, "declined"), (second.pk, "open")]

    assert waiting.decline_offer(passed, by=nurse) is None
    assert not Appointment.objects.live().exists()
    assert {entry.state for entry in WaitingEntry.objects.all()} == {"waiting"}


def test_an_offer_nobody_answers_goes_to_the_next(book, wait, nurse):
    visit, first, second = book(9), wait(), wait()
    cancel(visit, nurse)
    Offer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    Appointment.objects.filter(state=State.HELD).update(hold_expires_at=timezone.now() - timedelta(seconds=1))

    # In either order of the two sweepers.
    services.expire_holds()
    assert waiting.expire_offers() == 1
    assert offers() == [(first.pk, "expired"), (second.pk, "open")]
    assert waiting.expire_offers() == 0


@pytest.mark.parametrize("unfit", ["type", "days", "practitioner", "busy", "archived"])
def test_a_time_that_suits_nobody_stays_free(book, wait, nurse, unfit):
    visit = book(9)
    entry = wait()
    if unfit == "type":
        WaitingEntry.objects.update(type=make_type("other"))
    elif unfit == "days":
        WaitingEntry.objects.update(earliest=MONDAY + timedelta(days=1), latest=MONDAY + timedelta(days=2))
    elif unfit == "practitioner":
        WaitingEntry.objects.update(practitioner=make_practitioner("Otto", "Orejuela"))
    elif unfit == "archived":
        type(entry.patient).objects.filter(pk=entry.patient_id).update(archived_at=timezone.now())
    else:
        other = make_practitioner("Otto", "Orejuela")
        services.book(
            Wanted(patient=entry.patient, practitioner=other, location=visit.location, starts_at=at(MONDAY, 9)),
            by=nurse,
        )
    cancel(visit, nurse)

    assert offers() == []
    assert book(9).state == State.BOOKED


def test_leaving_the_list_lets_an_open_offer_go(book, wait, nurse):
    visit, first, second = book(9), wait(), wait()
    cancel(visit, nurse)

    waiting.leave_waiting_list(first, by=nurse)

    assert offers()[0] == (first.pk, "declined")
    del second


def test_joining_twice_or_backwards_is_refused(wait):
    entry = wait()

    with pytest.raises(RuleBroken, match="waiting for this already"):
        wait(patient=entry.patient)
    with pytest.raises(RuleBroken, match="before the first"):
        wait(latest=MONDAY - timedelta(days=1))
