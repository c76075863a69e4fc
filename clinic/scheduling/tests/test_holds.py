"""A time kept while somebody types: seen by others, renewed, let go, and turned into the very visit."""

import uuid
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.users.tests.factories import MembershipFactory
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import holding, selectors, services
from clinic.scheduling.models import Appointment
from clinic.scheduling.services import TimeTaken, Wanted
from clinic.scheduling.states import State

from .factories import at, make_location, make_practitioner, next_day, work
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
def patient(nurse):
    return PatientFactory(by=nurse, first_name="Ana")


@pytest.fixture
def form(quintero, monday, place, patient):
    return sent(quintero, monday, place, patient)


HOLD, BOOK, RELEASE = "/appointments/new/hold/", "/appointments/new/", "/appointments/new/release/"


def test_choosing_a_time_keeps_it_and_others_see_by_whom_until_when(nurse, doctor, form, place, monday, page_client):
    answer = page_client(nurse).post(HOLD, form).json()

    hold = Appointment.objects.get()
    until = f"{hold.hold_expires_at.astimezone(place.zone):%H:%M}"
    assert (hold.state, answer["hold"]) == (State.HELD, str(hold.pk))
    assert 590 <= answer["seconds"] <= 600
    assert answer["sentence"] == f"09:00 is kept for you until {until}."
    page = page_client(doctor).post(BOOK, form | {"show": "times"})
    assert f"09:00 Kept by Nora Nurse until {until}." in text_of(page)
    with pytest.raises(TimeTaken, match=f"This time is kept by Nora Nurse until {until}"):
        services.book(
            Wanted(patient=PatientFactory(by=nurse), practitioner=hold.practitioner, starts_at=at(monday, 9)), by=doctor
        )
    # On the page of who keeps it, it is free.
    mine = page_client(nurse).post(BOOK, form | {"show": "times", "hold": answer["hold"]})
    assert "Kept by" not in text_of(mine)


def test_saving_turns_the_very_row_into_the_visit_once(nurse, form, page_client):
    browser = page_client(nurse)
    hold = browser.post(HOLD, form).json()["hold"]

    first, second = (browser.post(BOOK, form | {"hold": hold, "reason": "Cough"}) for _press in range(2))

    visit = Appointment.objects.get()
    assert (str(visit.pk), visit.state, visit.reason, visit.hold_expires_at) == (hold, State.BOOKED, "Cough", None)
    assert first.url == second.url == f"/appointments/{hold}/"
    assert [change.action for change in visit.changes.order_by("at", "id")] == ["held", "moved_on"]


def test_another_choice_lets_the_first_go_and_neither_was_a_visit(nurse, quintero, place, monday, patient, page_client):
    browser = page_client(nurse)
    first = browser.post(HOLD, sent(quintero, monday, place, patient, 9)).json()["hold"]

    second = browser.post(HOLD, sent(quintero, monday, place, patient, 10) | {"hold": first}).json()["hold"]
    assert Appointment.objects.live().get().pk == uuid.UUID(second)
    browser.post(RELEASE, {"hold": second})

    assert not Appointment.objects.live().exists()
    assert not selectors.list_appointments(by=nurse).exists()
    assert Appointment.objects.count() == 2  # the story is kept


def test_keeping_on_gives_more_time_to_the_same_row(nurse, form, page_client):
    browser = page_client(nurse)
    hold = browser.post(HOLD, form).json()["hold"]
    Appointment.objects.update(hold_expires_at=timezone.now() + timedelta(seconds=20))

    again = browser.post(HOLD, form | {"hold": hold}).json()

    assert (again["hold"], again["seconds"] > 590) == (hold, True)


def test_a_lapsed_time_is_kept_again_or_somebody_else_has_it(nurse, doctor, form, patient, monday, page_client):
    browser = page_client(nurse)
    hold = browser.post(HOLD, form).json()["hold"]
    over = timezone.now() - timedelta(seconds=1)
    Appointment.objects.update(hold_expires_at=over)

    again = browser.post(HOLD, form | {"hold": hold}).json()["hold"]
    assert again
    assert again != hold
    Appointment.objects.filter(pk=again).update(hold_expires_at=over)
    theirs = page_client(doctor).post(HOLD, form | {"patient": str(PatientFactory(by=nurse).pk)}).json()["hold"]
    refused = browser.post(HOLD, form | {"hold": again}).json()

    assert theirs
    assert (refused["hold"], refused["refused"]) == ("", True)
    assert "This time is kept by" in refused["sentence"]


def test_a_lapsed_hold_is_booked_all_the_same_where_the_time_is_free(nurse, form, page_client):
    browser = page_client(nurse)
    hold = browser.post(HOLD, form).json()["hold"]
    Appointment.objects.update(hold_expires_at=timezone.now() - timedelta(seconds=1))

    assert browser.post(BOOK, form | {"hold": hold}).status_code == 302
    assert Appointment.objects.live().get().state == State.BOOKED


def test_a_hold_of_somebody_else_is_nobody_elses_to_use_or_let_go(nurse, doctor, form, page_client):
    hold = page_client(nurse).post(HOLD, form).json()["hold"]
    browser = page_client(doctor)

    browser.post(RELEASE, {"hold": hold})
    refused = browser.post(BOOK, form | {"hold": hold})

    assert Appointment.objects.live().get().state == State.HELD
    assert refused.status_code == 422
    assert "This time is kept by Nora Nurse" in text_of(refused)


def test_without_a_patient_or_a_time_nothing_is_kept(nurse, form, page_client):
    browser = page_client(nurse)
    nobody = {name: value for name, value in form.items() if name != "patient"}

    assert browser.post(HOLD, nobody).json() == {"hold": "", "sentence": ""}
    assert browser.post(HOLD, form | {"slot": ""}).json() == {"hold": "", "sentence": ""}
    assert browser.post(HOLD, form | {"hold": "no-id"}).status_code == 404
    assert not Appointment.objects.exists()


@pytest.mark.parametrize("role", ["patient", "auditor", "user"])
@pytest.mark.parametrize("address", [HOLD, RELEASE])
def test_keeping_times_is_for_who_books(role, address, form, page_client):
    assert page_client(MembershipFactory(role=role)).post(address, form).status_code == 403


def test_a_series_begins_with_the_time_that_was_kept(nurse, form, page_client):
    browser = page_client(nurse)
    hold = browser.post(HOLD, form).json()["hold"]

    assert browser.post(BOOK, form | {"hold": hold, "repeat": "1", "times": "3"}).status_code == 302

    first = Appointment.objects.order_by("starts_at").first()
    assert (str(first.pk), first.state, Appointment.objects.live().count()) == (hold, State.BOOKED, 3)


def test_find_hold_is_one_of_ones_own_that_stands(nurse, doctor, form, page_client):
    hold = page_client(nurse).post(HOLD, form).json()["hold"]

    assert holding.find_hold(hold, by=nurse).pk == uuid.UUID(hold)
    assert holding.find_hold(hold, by=doctor) is None
    assert holding.find_hold(None, by=nurse) is None


def test_what_was_typed_for_a_patient_stands_there_again_and_no_time_with_it(nurse, form, patient, page_client):
    browser = page_client(nurse)
    hold = browser.post(HOLD, form).json()["hold"]
    words = form | {"hold": hold, "reason": "Cough since Friday", "draft": BOOK}
    assert browser.post(reverse("drafts:save"), words).status_code == 200

    again = browser.get(f"{BOOK}?patient={patient.pk}").content.decode()
    another = browser.get(f"{BOOK}?patient={PatientFactory(by=nurse).pk}").content.decode()

    assert "Cough since Friday" in again
    assert "stands here again" in again
    assert hold not in again
    assert form["submit_key"] not in again
    assert "Cough since Friday" not in another
    # Booked, the draft is gone.
    assert browser.post(BOOK, words).status_code == 302
    assert "Cough since Friday" not in browser.get(f"{BOOK}?patient={patient.pk}").content.decode()
