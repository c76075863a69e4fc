"""Sessions with places for several people: join, fill up, leave, move, cancel, take back."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from clinic.patients.restricting import restrict_chart
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import disturbances, selectors, series, services
from clinic.scheduling.disturbances import Decision
from clinic.scheduling.models import Appointment
from clinic.scheduling.services import GroupFull, TimeTaken, Wanted
from clinic.scheduling.states import State
from tenancy.rules import NotAllowed

from .factories import at, make_location, make_practitioner, make_type, next_day, work
from .test_pages import sent, text_of


@pytest.fixture
def place(clinic):
    return make_location()


@pytest.fixture
def quintero(place):
    practitioner = make_practitioner()
    work(practitioner, place)
    return practitioner


@pytest.fixture
def monday():
    return next_day(0)


@pytest.fixture
def yoga(clinic):
    return make_type("yoga", name="Back school", minutes=30, capacity=3)


@pytest.fixture
def join(nurse, quintero, monday, yoga):
    def book(hour=9, **fields):
        by = fields.pop("by", nurse)
        state = fields.pop("state", State.BOOKED)
        patient = fields.pop("patient", None) or PatientFactory(by=nurse)
        wanted = Wanted(patient=patient, practitioner=quintero, starts_at=at(monday, hour), type=yoga, **fields)
        return services.book(wanted, by=by, state=state)

    return book


def nine(practitioner, monday, yoga, by, **options):
    found = selectors.find_slots([practitioner], monday, monday, by=by, type=yoga, **options)
    return next((slot for slot in found if slot.starts == at(monday, 9)), None)


def test_book_joins_the_session_that_stands(join, quintero, monday, yoga, nurse):
    assert nine(quintero, monday, yoga, nurse).places == 3

    places = [join() for _person in range(2)]

    (session,) = Appointment.objects.filter(patient=None)
    assert [(visit.session_id, visit.place) for visit in places] == [(session.pk, 1), (session.pk, 2)]
    assert (session.capacity, session.practitioner_id) == (3, quintero.pk)
    slot = nine(quintero, monday, yoga, nurse)
    assert (slot.places, slot.group, slot.is_free) == (1, session.pk, True)


def test_a_full_session_offers_the_next_ones_and_says_why(join, quintero, monday, yoga, nurse):
    for _person in range(3):
        join()

    with pytest.raises(GroupFull, match="All 3 places are taken") as full:
        join()

    assert [slot.starts for slot in full.value.nearest] == [at(monday, 9, 30), at(monday, 10), at(monday, 10, 30)]
    assert nine(quintero, monday, yoga, nurse) is None
    explained = nine(quintero, monday, yoga, nurse, explain=True)
    assert [(reason.kind, reason.words) for reason in explained.reasons] == [("full", "3")]
    assert join(hour=10).session.starts_at == at(monday, 10)


def test_a_session_takes_its_practitioner_from_other_visits(join, quintero, monday, nurse):
    join()

    with pytest.raises(TimeTaken):
        services.book(
            Wanted(patient=PatientFactory(by=nurse), practitioner=quintero, starts_at=at(monday, 9)), by=nurse
        )


def test_nobody_is_in_two_places_at_once(join):
    patient = join().patient

    with pytest.raises(TimeTaken, match="The patient has another visit then"):
        join(patient=patient)


def test_a_full_session_may_be_overbooked_by_who_may(join, doctor, nurse):
    for _person in range(3):
        join()

    with pytest.raises(NotAllowed):
        join(overbook_reason="Came from far away")
    extra = join(overbook_reason="Came from far away", by=doctor)

    assert (extra.place, extra.is_overbooked, extra.overbook_reason) == (4, True, "Came from far away")


def test_the_last_to_leave_gives_the_time_back_and_undo_brings_it_again(join, quintero, monday, nurse):
    first, second = join(), join()

    services.move(first, State.CANCELLED, by=nurse, reason="Fever")
    assert Appointment.objects.live().filter(patient=None).count() == 1
    services.move(second, State.CANCELLED, by=nurse, reason="Fever")
    assert not Appointment.objects.live().exists()

    services.undo_move(second, by=nurse)

    second.refresh_from_db()
    assert (second.state, second.session.is_live, second.place) == (State.BOOKED, True, 1)


def test_a_session_is_cancelled_with_everybody_in_it_and_comes_back_whole(join, nurse):
    places = [join(), join()]
    session = places[0].session

    batch, _gone = series.cancel_visits(session, "this", by=nurse, reason="The room is flooded")
    assert not Appointment.objects.live().exists()
    series.undo_batch(batch, by=nurse)

    live = Appointment.objects.live()
    assert set(live.filter(patient=None)) == {session}
    assert {(visit.pk, visit.session_id) for visit in live.exclude(patient=None)} == {
        (visit.pk, session.pk) for visit in places
    }


def test_a_session_moves_with_everybody_in_it(join, monday, nurse):
    visit = join()

    services.reschedule(visit.session, by=nurse, starts_at=at(monday, 11))

    visit.refresh_from_db()
    assert (visit.starts_at, visit.wall_start[-5:], visit.session.starts_at) == (
        at(monday, 11),
        "11:00",
        at(monday, 11),
    )


def test_the_move_of_a_session_stands_in_the_story_of_each_and_goes_back_in_one(join, monday, nurse):
    visits = [join(), join()]
    batch = uuid.uuid4()
    services.reschedule(visits[0].session, by=nurse, starts_at=at(monday, 11), reason="Flooded", batch=batch)
    for visit in visits:
        last = visit.changes.order_by("-at", "-id").first()
        assert (last.action, last.reason, last.after["starts_at"]) == ("moved", "Flooded", at(monday, 11).isoformat())

    assert series.undo_batch(batch, by=nurse) == 1

    for visit in visits:
        visit.refresh_from_db()
        assert visit.starts_at == at(monday, 9)


def test_ill_today_moves_a_group_as_a_whole_and_never_into_another(join, quintero, place, yoga, monday, nurse):
    visit, other = join(), make_practitioner("Berta", "Zapata")
    work(other, place)
    services.book(
        Wanted(patient=PatientFactory(by=nurse), practitioner=other, starts_at=at(monday, 9), type=yoga), by=nurse
    )

    (proposal,) = disturbances.propose(quintero, at(monday, 0), at(monday, 23))

    assert proposal.appointment == visit.session
    assert (proposal.slot.practitioner_id, proposal.slot.starts) == (other.pk, at(monday, 9, 30))
    decision = Decision(visit.session_id, "move", proposal.slot.starts, other)
    disturbances.take_leave(
        quintero, by=nurse, kind="illness", starts_at=at(monday, 0), ends_at=at(monday, 23), decisions=[decision]
    )
    visit.refresh_from_db()
    assert (visit.practitioner_id, visit.starts_at) == (other.pk, at(monday, 9, 30))


def test_a_session_does_not_move_to_where_one_of_them_is_elsewhere(join, place, monday, nurse):
    visit, other = join(), make_practitioner("Berta", "Zapata")
    services.book(Wanted(patient=visit.patient, practitioner=other, starts_at=at(monday, 11), location=place), by=nurse)

    with pytest.raises(TimeTaken, match="The patient has another visit then"):
        services.reschedule(visit.session, by=nurse, starts_at=at(monday, 11))

    visit.refresh_from_db()
    assert visit.starts_at == at(monday, 9)


def test_one_of_them_moves_to_another_session(join, monday, nurse):
    visit, other = join(), join(hour=10)
    left = visit.session

    moved = services.reschedule(visit, by=nurse, starts_at=at(monday, 10))

    assert (moved.session_id, moved.place) == (other.session_id, 2)
    left.refresh_from_db()
    assert not left.is_live  # nobody is in it any more


def test_a_hold_takes_a_place_and_gives_it_back(join, nurse):
    held = join(state=State.HELD)
    Appointment.objects.filter(pk=held.pk).update(hold_expires_at=timezone.now() - timedelta(seconds=1))

    assert services.expire_holds() == 1

    assert not Appointment.objects.live().exists()


def test_the_page_of_a_session_says_who_is_in_it_and_leads_to_joining(join, nurse, doctor, page_client):
    visit = join(patient=PatientFactory(by=nurse, first_name="Olga", first_last_name="Open"))
    secret = PatientFactory(by=nurse, first_name="Rosa", first_last_name="Reserved")
    join(patient=secret)
    restrict_chart(secret, by=doctor, reason="A colleague")
    browser = page_client(nurse)

    said = text_of(browser.get(f"/appointments/{visit.session_id}/"))

    assert "1 of 3 places left" in said
    assert "OPEN, Olga" in said
    assert "RESERVED, Rosa Restricted" in said  # as everywhere in the book (decision 0009)
    assert "Put somebody in" in said
    assert "In a group" in text_of(browser.get(f"/appointments/{visit.pk}/"))
    assert "Put somebody in" not in text_of(browser.get(f"/appointments/{visit.pk}/"))


def test_the_booking_page_and_the_agenda_say_how_many_places_are_left(
    join, nurse, quintero, yoga, place, monday, page_client
):
    join()
    browser = page_client(nurse)

    book = text_of(browser.get(f"/appointments/new/?practitioner={quintero.pk}&type={yoga.pk}&day={monday}"))
    assert "09:00 2 places left 09:30 3 places left" in book
    assert "Group of 3" in text_of(browser.get(f"/agenda/?day={monday}&view=day"))
    for view in ("day", "week", "list"):
        assert "2 of 3 places left" in text_of(browser.get(f"/agenda/?day={monday}&view={view}"))


def test_a_full_group_is_said_and_leads_to_the_waiting_list(join, nurse, quintero, yoga, place, monday, page_client):
    for _person in range(3):
        join()
    patient = PatientFactory(by=nurse)
    form = sent(quintero, monday, place, patient, type=str(yoga.pk))

    page = page_client(nurse).post("/appointments/new/", form)

    assert page.status_code == 422
    assert "All 3 places are taken." in text_of(page)
    assert f'href="/waiting-list/new/{patient.pk}/"' in page.content.decode()


def test_free_times_of_a_group_say_how_many_places_are_left(join, quintero, monday, yoga, nurse, api_client):
    join()

    question = {"from": str(monday), "to": str(monday), "type": str(yoga.pk)}
    slots = api_client(nurse).get(f"/api/doctors/{quintero.pk}/slots", question).json()["slots"]

    left = {slot["localStart"][11:]: slot["places"] for slot in slots}
    assert left["09:00"] == 2
    assert left["10:00"] == 3
