"""A patient's own pages and what stands behind them (wish 15): their own visits and nobody else's, each step as the
clinic's policy has it, every refusal a sentence with times to take and a number to call."""

import html
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from icalendar import Calendar

from accounts.permissions import Permission
from accounts.qualifications.services import create_kind
from accounts.team.services import rights
from accounts.users.tests.factories import MembershipFactory, open_clinic
from clinic.patients import own_account, restricting
from clinic.patients import services as patients
from clinic.patients.tests.factories import PatientFactory
from clinic.places import services as places
from clinic.scheduling import disturbances, feeds, offering, own_times, policy, self_service, services, tiles, waiting
from clinic.scheduling.models import Appointment, CalendarFeed, Offer, SelfServicePolicy
from clinic.scheduling.services import TimeTaken, Wanted
from clinic.scheduling.states import State
from tenancy.audit.tests.trails import actions_about
from tenancy.rules import NotAllowed, RuleBroken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0)


def text_of(page):
    main = page.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


@pytest.fixture
def house(clinic):
    place = make_location("Riverside Norte")
    return places.update_location(place, by=None, changes={"phone": "601 555 0101", "address": "Calle 127"})


@pytest.fixture
def dario(house):
    """Somebody with hours on weekdays from 9 to 12, a time every half hour."""
    person = make_practitioner()
    work(person, house)
    return person


@pytest.fixture
def visit_type(clinic):
    return make_type("visit", name="General consultation", self_service="book")


@pytest.fixture
def asked_type(clinic):
    return make_type("child", name="Child check-up", self_service="request")


@pytest.fixture
def chart(patient_user):
    return PatientFactory(first_name="Pia", user=patient_user.user)


@pytest.fixture
def portal(chart, patient_user, page_client):
    return page_client(patient_user)


@pytest.fixture
def booked(chart, dario, house, visit_type, nurse):
    """`booked(hour)`: a visit of the signed-in patient on the coming Monday."""

    def book(hour=9, patient=None, starts_at=None, type=visit_type, **more):
        wanted = Wanted(
            patient=patient or chart, practitioner=dario, location=house, type=type,
            starts_at=starts_at or at(MONDAY, hour), **more,
        )  # fmt: skip
        return services.book(wanted, by=nurse)

    return book


def soon(visit, hours):
    """The visit as if it began in so many hours; its working hours do not matter any more."""
    starts = timezone.now() + timedelta(hours=hours)
    Appointment.objects.filter(pk=visit.pk).update(
        starts_at=starts,
        ends_at=starts + timedelta(minutes=30),
        busy_from=starts,
        busy_until=starts + timedelta(minutes=30),
    )
    visit.refresh_from_db()
    return visit


def decide(admin, **changes):
    return policy.save_policy(by=admin, changes=changes)


def url(name, *args):
    return reverse(f"own_visits:{name}", args=[getattr(arg, "pk", arg) for arg in args])


def slot(person, house, hour, minute=0, day=MONDAY):
    return tiles.value_of(at(day, hour, minute), person.pk, house.pk)


# --- Seeing ----------------------------------------------------------------------------------------------------------


def test_list_shows_what_is_to_come_and_what_was(portal, booked):
    booked(9)
    gone = soon(booked(10), -48)

    words = text_of(portal.get(url("list")))

    assert "09:00–09:30" in words
    assert "America/Bogota (UTC−5)" in words
    assert "General consultation · Dario Quintero" in words
    assert "Riverside Norte" in words
    assert words.index("To come") < words.index("09:00–09:30") < words.index("Past and cancelled")
    assert text_of(portal.get(url("visit", gone))).count("Cancel") == 0


def test_list_is_empty_and_leads_to_booking(portal, dario, visit_type):
    page = portal.get(url("list"))

    assert "No appointment is to come." in text_of(page)
    assert url("kinds") in page.content.decode()


def test_visits_of_others_are_not_there(portal, booked, nurse, stranger):
    theirs = booked(9, patient=PatientFactory())
    feed, _token = feeds.open_feed(by=nurse, patient=theirs.patient)
    with outside_tenant(), tenant_context(stranger.tenant_id):
        place = make_location()
        foreign = services.book(
            Wanted(patient=PatientFactory(by=stranger), practitioner=make_practitioner(), location=place,
                   starts_at=at(MONDAY, 9)),
            by=stranger,
        )  # fmt: skip

    for other in (theirs, foreign, uuid.uuid4()):
        pages = [url(name, other) for name in ("visit", "file", "keep", "cancel", "move")]
        buttons = [url(name, other) for name in ("keep", "let_go", "answer_offer", "cancel", "move")]
        assert {portal.get(page).status_code for page in pages} == {404}
        assert {portal.post(button).status_code for button in buttons} == {404}
    assert {portal.post(url(name, feed)).status_code for name in ("revoke_feed", "replace_feed")} == {404}
    theirs.refresh_from_db()
    assert theirs.state == State.BOOKED
    assert "Quintero" not in text_of(portal.get(url("list")))


def test_a_clinician_who_is_a_patient_finds_only_their_own(booked, house, dario, visit_type, page_client):
    both = MembershipFactory(roles=["doctor", "patient"])
    mine = booked(9, patient=PatientFactory(first_name="Bea", user=both.user))
    theirs = booked(10)
    portal = page_client(both)

    assert "10:00" not in text_of(portal.get(url("list")))
    assert portal.get(url("visit", mine)).status_code == 200
    assert portal.get(url("visit", theirs)).status_code == 404


def test_own_pages_are_for_patients(nurse, page_client, client):
    assert page_client(nurse).get(url("list")).status_code == 403
    assert client.get(url("list")).url == "/sign-in/?next=/my/visits/"


def test_an_account_without_a_chart_is_told_what_to_do(house, patient_user, page_client, visit_type, dario):
    portal = page_client(patient_user)

    for page in (url("list"), url("kinds"), url("calendar")):
        words = text_of(portal.get(page))
        assert "Your account is not linked to a chart yet" in words
        assert "601 555 0101" in words
    assert portal.get(url("times", visit_type)).url == url("kinds")
    assert portal.post(url("calendar")).status_code == 200
    assert not CalendarFeed.objects.exists()


def test_an_archived_chart_shows_its_visits_and_books_none(portal, booked, chart, admin, visit_type, dario, house):
    visit = booked(9)
    patients.archive_patient(chart, by=admin, reason="Moved away")

    words = text_of(portal.get(url("list")))

    assert "Your chart is closed" in words
    assert "09:00–09:30" in words
    assert "Book an appointment" not in words
    assert portal.post(url("times", visit_type), {"slot": slot(dario, house, 10)}).url == url("kinds")
    # Unrelated to the cancellation, which is in time.
    assert portal.post(url("cancel", visit)).status_code == 302


def test_a_restricted_chart_is_open_to_its_own_patient(portal, booked, chart, doctor):
    visit = booked(9, reason="Lump")
    restricting.restrict_chart(chart, by=doctor, reason="Known in town")

    assert "09:00–09:30" in text_of(portal.get(url("list")))
    assert "Lump" in text_of(portal.get(url("visit", visit)))


def test_a_visit_says_nothing_the_desk_says_to_itself(portal, booked, doctor):
    booked(9)
    over = services.book(
        Wanted(patient=PatientFactory(), practitioner=make_practitioner("Eva"), starts_at=at(MONDAY, 9)), by=doctor
    )
    assert over.pk
    visit = booked(11, notes="Difficult person")

    words = text_of(portal.get(url("visit", visit)))

    assert "Difficult" not in words
    assert "Riverside Norte, Calle 127" in words
    assert "Add to my calendar" in words


def test_a_visit_as_a_file_for_the_calendar(portal, booked):
    visit = booked(9, reason="Lump")

    answer = portal.get(url("file", visit))

    assert answer["Content-Disposition"] == 'attachment; filename="appointment.ics"'
    (event,) = Calendar.from_ical(answer.content).walk("VEVENT")
    assert (event["UID"], event.start) == (f"{visit.pk}@carewright", visit.starts_at)
    assert b"Lump" not in answer.content


# --- Booking ---------------------------------------------------------------------------------------------------------


def test_kinds_are_those_the_clinic_opens(portal, visit_type, asked_type, admin, dario):
    make_type("closed", name="Cardiology")

    words = text_of(portal.get(url("kinds")))

    assert "General consultation 30 minutes You book it yourself" in words
    assert "Child check-up 30 minutes You ask, we confirm" in words
    assert "Cardiology" not in words
    decide(admin, level="request")
    assert "You book it yourself" not in text_of(portal.get(url("kinds")))


def test_times_are_by_day_and_by_person(portal, visit_type, dario, house):
    eva = make_practitioner("Eva", "Roa")
    work(
        eva,
        house,
        weekdays=[0],
        starts=time(14),
        ends=time(15),
    )

    anybody = text_of(portal.get(url("times", visit_type), {"from": MONDAY.isoformat()}))
    only = text_of(portal.get(url("times", visit_type), {"from": MONDAY.isoformat(), "with": str(eva.pk)}))

    assert "09:00 Dario Quintero" in anybody
    assert "14:00 Eva Roa" in anybody
    assert "14:30" in only
    assert "09:00" not in only
    assert "All times America/Bogota (UTC−5)." in only
    assert portal.get(url("times", visit_type), {"with": str(uuid.uuid4())}).status_code == 404


def test_times_begin_with_the_first_free_day(portal, dario, house):
    late = make_type("late", self_service="book", lead_hours=24 * 20)
    first = own_times.first_free([dario], timezone.now().date(), type=late)

    page = portal.get(url("times", late))

    assert first.starts >= timezone.now() + timedelta(hours=24 * 20)
    assert html.unescape(page.content.decode()).count(tiles.value_of(first.starts, dario.pk, house.pk)) == 1


def test_a_time_is_kept_then_booked(portal, visit_type, dario, house, chart, patient_user):
    kept = portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)})
    hold = Appointment.objects.get(state=State.HELD)

    assert kept.url == url("keep", hold)
    page = portal.get(kept.url)
    assert f"kept for you until {hold.hold_expires_at.astimezone(house.zone):%H:%M}" in text_of(page)
    assert 590 <= int(re.search(r'data-seconds="(\d+)"', page.content.decode())[1]) <= 600
    done = portal.post(kept.url, {"reason": "Cough since Friday"})

    hold.refresh_from_db()
    assert done.url == url("visit", hold)
    assert (hold.state, hold.reason, hold.source) == ("booked", "Cough since Friday", "patient")
    assert hold.created_by == patient_user
    # A second press changes nothing.
    assert portal.post(kept.url, {"reason": "Again"}).url == done.url
    assert Appointment.objects.get().reason == "Cough since Friday"


def test_before_booking_the_cut_off_is_said(portal, visit_type, dario, house, admin):
    kept = portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)}).url

    assert "You can cancel online until" in text_of(portal.get(kept))
    decide(admin, cancel_hours=720)
    assert "it can be cancelled by telephone only" in text_of(portal.get(kept))


def test_earlier_and_later_lead_to_where_times_are(portal, visit_type, dario, house):
    first = own_times.first_free([dario], date.today(), type=visit_type).starts.astimezone(house.zone).date()
    where = url("times", visit_type)

    begin = portal.get(where).content.decode()
    later = portal.get(where, {"from": (first + timedelta(days=9)).isoformat()}).content.decode()

    assert "Earlier" not in begin
    assert "Later" in begin
    assert f"from={first + timedelta(days=2)}" in later


def test_a_kept_time_is_nobody_elses(portal, visit_type, dario, house, nurse):
    portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)})

    with pytest.raises(TimeTaken):
        services.book(
            Wanted(patient=PatientFactory(), practitioner=dario, location=house, starts_at=at(MONDAY, 9)), by=nurse
        )


def test_one_time_is_kept_at_a_time(portal, visit_type, dario, house):
    portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)})
    again = portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)})
    assert Appointment.objects.filter(state=State.HELD).count() == 1
    assert again.url == url("keep", Appointment.objects.get(state=State.HELD))

    portal.post(url("times", visit_type), {"slot": slot(dario, house, 10)})

    assert [hold.starts_at for hold in Appointment.objects.filter(state=State.HELD)] == [at(MONDAY, 10)]
    # What was given back is no visit.
    assert "cancelled" not in text_of(portal.get(url("list"))).lower()


def test_a_kept_time_is_given_back(portal, visit_type, dario, house):
    portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)})
    hold = Appointment.objects.get()

    assert portal.post(url("let_go", hold)).url == url("times", visit_type)

    hold.refresh_from_db()
    assert (hold.state, hold.is_live) == ("cancelled", False)
    assert "The time is no longer kept for you." in text_of(portal.get(url("keep", hold)))


@pytest.mark.parametrize("is_swept", [False, True])
def test_a_time_kept_too_long_is_said_and_proposed_again(portal, visit_type, dario, house, is_swept):
    portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)})
    hold = Appointment.objects.get()
    Appointment.objects.update(hold_expires_at=timezone.now() - timedelta(seconds=1))
    if is_swept:
        services.expire_holds()

    page = portal.post(url("keep", hold), {"reason": "Cough since Friday"})

    assert page.status_code == 422
    assert "The time is free again" in text_of(page)
    assert re.findall(r'name="take" value="([^"]*)"', html.unescape(page.content.decode()))[0] == slot(dario, house, 9)
    again = portal.post(url("times", visit_type), {"take": slot(dario, house, 9), "reason": "Cough since Friday"})
    assert "Cough since Friday" in text_of(portal.get(again.url))
    assert portal.post(again.url, {"reason": "Cough since Friday"}).status_code == 302
    assert Appointment.objects.get(state=State.BOOKED).starts_at == at(MONDAY, 9)


def test_a_kept_time_that_somebody_took_since_is_not_proposed(portal, visit_type, dario, house, nurse):
    portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)})
    hold = Appointment.objects.get()
    Appointment.objects.update(hold_expires_at=timezone.now() - timedelta(seconds=1))
    services.book(
        Wanted(patient=PatientFactory(), practitioner=dario, location=house, starts_at=at(MONDAY, 9)), by=nurse
    )

    page = portal.post(url("keep", hold))

    assert slot(dario, house, 9) not in html.unescape(page.content.decode())
    assert slot(dario, house, 9, 30) in html.unescape(page.content.decode())


def test_a_taken_time_is_refused_with_the_nearest(portal, visit_type, dario, house, booked):
    booked(9, patient=PatientFactory(first_name="Secret"))

    page = portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)})

    assert page.status_code == 422
    assert "This time is taken. Nothing was booked. The nearest free times:" in text_of(page)
    near = re.findall(r'name="take" value="([^"]*)"', html.unescape(page.content.decode()))
    assert len(near) == 3
    assert slot(dario, house, 9, 30) in near
    assert portal.post(url("times", visit_type), {"take": near[0]}).status_code == 302


def test_no_time_is_proposed_at_which_the_patient_is_elsewhere(portal, visit_type, house, dario, booked, chart):
    """Somebody else is free at nine, the patient is not; what they only keep is given back, and so is no hindrance."""
    eva = make_practitioner("Eva", "Roa")
    work(eva, house)
    visit = booked(9)

    offered = html.unescape(portal.get(url("times", visit_type), {"from": MONDAY.isoformat()}).content.decode())
    refused = portal.post(url("times", visit_type), {"slot": slot(eva, house, 9)})

    assert slot(eva, house, 9) not in offered
    assert slot(eva, house, 9, 30) in offered or slot(dario, house, 9, 30) in offered
    assert "You have another appointment then." in text_of(refused)
    assert slot(eva, house, 9) not in re.findall(r'name="take" value="([^"]*)"', html.unescape(refused.text))
    assert own_times.find_own_times([eva], MONDAY, MONDAY, type=visit_type)[0].starts == visit.starts_at
    asked = {"type": visit_type, "patient": chart}
    assert own_times.find_own_times([eva], MONDAY, MONDAY, **asked, moving=visit)[0].starts == visit.starts_at
    portal.post(url("times", visit_type), {"slot": slot(eva, house, 10)})
    assert at(MONDAY, 10) in {found.starts for found in own_times.find_own_times([dario], MONDAY, MONDAY, **asked)}


@pytest.mark.parametrize("value", ["", "x", "2030-01-07T09:00+0000|a|b", "later|now"])
def test_a_time_that_was_never_offered_is_not_there(portal, visit_type, dario, value):
    assert portal.post(url("times", visit_type), {"slot": value}).status_code == 404


def test_foreign_people_and_places_are_not_there(portal, visit_type, dario, house):
    for person, place in ((uuid.uuid4(), house.pk), (dario.pk, uuid.uuid4())):
        value = tiles.value_of(at(MONDAY, 9), person, place)
        assert portal.post(url("times", visit_type), {"slot": value}).status_code == 404
    assert portal.get(url("times", uuid.uuid4())).status_code == 404
    assert portal.get(url("times", make_type("closed"))).status_code == 404


def test_leave_is_not_told_to_patients(portal, visit_type, dario, house, nurse):
    disturbances.take_leave(
        dario, by=nurse, kind="illness", note="Broken leg", starts_at=at(MONDAY, 0), ends_at=at(MONDAY, 23)
    )

    page = portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)})

    assert "This time is not offered." in text_of(page)
    assert "leg" not in text_of(page)
    assert "Ill" not in text_of(page)


def test_whoever_lacks_a_qualification_is_not_offered(portal, dario, house, admin, patient_user, chart):
    type = make_type("scan", self_service="book")
    offering.update_type(
        type, by=admin, changes={}, qualifications=[create_kind(by=admin, name="Ultrasound", group="privilege")]
    )

    assert own_times.find_own_times([dario], MONDAY, MONDAY, type=type) == []
    with pytest.raises(RuleBroken, match=r"can not be booked for this online. Call us: 601 555 0101."):
        self_service.book_own(
            Wanted(patient=chart, practitioner=dario, location=house, type=type, starts_at=at(MONDAY, 9)),
            by=patient_user,
        )


def test_proposed_times_keep_to_lead_time_and_horizon(chart, dario, house, patient_user):
    late = make_type("late", self_service="book", lead_hours=24 * 40)
    near = make_type("near", self_service="book", horizon_days=3)

    def propose(type, starts_at):
        with pytest.raises(TimeTaken) as refused:
            self_service.book_own(
                Wanted(patient=chart, practitioner=dario, location=house, type=type, starts_at=starts_at),
                by=patient_user,
            )
        return [found.starts - timezone.now() for found in refused.value.nearest]

    early, far = propose(late, at(MONDAY, 9)), propose(near, at(MONDAY + timedelta(days=28), 9))
    assert len(early) == 3
    assert min(early) >= timedelta(days=39, hours=23)
    assert len(far) == 3
    assert max(far) <= timedelta(days=3)


# --- Asking ----------------------------------------------------------------------------------------------------------


def test_a_time_is_asked_for_once(portal, asked_type, dario, house, nurse):
    first = portal.post(url("times", asked_type), {"slot": slot(dario, house, 9)})
    assert first.url.startswith(url("ask", asked_type))
    assert not Appointment.objects.exists()
    page = portal.get(first.url)
    assert "09:00–09:30" in text_of(page)
    form = {"slot": slot(dario, house, 9), "reason": "Vaccines", "submit_key": str(uuid.uuid4())}

    answers = [portal.post(url("ask", asked_type), form) for _press in range(2)]

    asked = Appointment.objects.get()
    assert {answer.url for answer in answers} == {url("visit", asked)}
    assert (asked.state, asked.reason) == ("requested", "Vaccines")
    assert "Asked for, not confirmed yet" in text_of(portal.get(answers[0].url))
    assert services.move(asked, State.BOOKED, by=nurse).state == State.BOOKED


def test_asking_for_a_taken_time_keeps_what_was_typed(portal, asked_type, dario, house, booked):
    booked(9, patient=PatientFactory())
    form = {"slot": slot(dario, house, 9), "reason": "Vaccines", "submit_key": str(uuid.uuid4())}

    page = portal.post(url("ask", asked_type), form)

    assert page.status_code == 422
    assert "Vaccines" in text_of(page)
    assert portal.post(url("ask", asked_type), form | {"take": slot(dario, house, 10)}).status_code == 302


def test_a_request_is_withdrawn_at_any_time(portal, asked_type, booked, chart, patient_user, dario, house):
    asked = self_service.book_own(
        Wanted(patient=chart, practitioner=dario, location=house, type=asked_type, starts_at=at(MONDAY, 9)),
        by=patient_user,
    )
    soon(asked, 2)

    assert portal.post(url("cancel", asked)).status_code == 302
    asked.refresh_from_db()
    assert asked.state == State.CANCELLED


# --- Cancelling ------------------------------------------------------------------------------------------------------


def test_a_visit_is_cancelled_in_time(portal, booked, patient_user):
    visit = booked(9)
    page = portal.get(url("cancel", visit))
    assert "Why do you cancel?" in text_of(page)

    answer = portal.post(url("cancel", visit), {"reason": "Feeling well"})

    visit.refresh_from_db()
    assert (answer.url, visit.state) == (url("visit", visit), "cancelled")
    assert visit.changes.get(new_state="cancelled").reason == "Feeling well"
    # Pressed again: it is where it was.
    assert portal.post(url("cancel", visit)).url == url("visit", visit)


@pytest.mark.parametrize(
    ("hours", "left", "is_cancelled"), [(24, 23, False), (24, 25, True), (0, 1, True), (48, 47, False)]
)
def test_the_cut_off_says_to_call(portal, booked, admin, hours, left, is_cancelled):
    decide(admin, cancel_hours=hours)
    visit = soon(booked(9), left)

    answer = portal.post(url("cancel", visit))

    visit.refresh_from_db()
    assert (visit.state == State.CANCELLED) is is_cancelled
    if not is_cancelled:
        assert answer.status_code == 422
        assert f"until {hours} hours before the appointment" in text_of(answer)
        assert "Call us: 601 555 0101" in text_of(answer)
        assert 'href="tel:6015550101"' in answer.content.decode()
        assert 'name="reason"' not in portal.get(url("cancel", visit)).content.decode()
        assert url("cancel", visit) not in portal.get(url("visit", visit)).content.decode()


def test_the_cut_off_holds_in_the_api(booked, chart, patient_user, nurse, api_client):
    late, early = soon(booked(9), 23), booked(10)
    program = api_client(patient_user)

    refused = program.post(f"/api/appointments/{late.pk}/status", {"state": "cancelled"})
    also = program.patch(f"/api/appointments/{late.pk}", {"status": "cancelled"})

    assert (refused.status_code, refused.json()["code"]) == (409, "too_late")
    assert "Call us: 601 555 0101." in refused.json()["detail"]
    assert also.status_code == 409
    assert program.post(f"/api/appointments/{early.pk}/status", {"state": "cancelled"}).status_code == 200
    # The desk is not bound.
    assert api_client(nurse).post(f"/api/appointments/{late.pk}/status", {"state": "cancelled"}).status_code == 200


def test_a_visit_that_has_begun_is_the_clinics(portal, booked, admin):
    decide(admin, cancel_hours=0)
    visit = soon(booked(9), -0.1)

    assert "Only the clinic can change this visit now. Nothing was changed. Call us" in text_of(
        portal.post(url("cancel", visit))
    )


def test_cancelling_can_be_closed_online(portal, booked, admin):
    decide(admin, may_cancel=False, phone="300 111 2233")
    visit = booked(9)

    page = portal.post(url("cancel", visit))

    assert (page.status_code, "300 111 2233" in text_of(page)) == (422, True)
    visit.refresh_from_db()
    assert visit.state == State.BOOKED


def test_wish15_nothing_unrelated_keeps_a_patient_from_cancelling(
    portal, booked, admin, nurse, chart, dario, house, visit_type
):
    """The type is archived, the practitioner gone, the place closed, the chart full of what no form takes today."""
    visit = booked(9)
    waiting.join_waiting_list(
        by=nurse, patient=PatientFactory(first_name="Waits"), type=visit_type, earliest=MONDAY, latest=MONDAY
    )
    offering.update_type(visit_type, by=admin, changes={"is_active": False, "self_service": "none"})
    type(dario).objects.filter(pk=dario.pk).update(is_active=False)
    type(house).objects.filter(pk=house.pk).update(is_active=False)
    type(chart).objects.filter(pk=chart.pk).update(email="not an address", phone="?", first_name="")
    decide(admin, level="view")

    assert portal.post(url("cancel", visit)).url == url("visit", visit)
    visit.refresh_from_db()
    assert (visit.state, visit.is_live) == ("cancelled", False)


def test_a_cancelled_time_still_goes_to_who_waits(portal, booked, nurse, visit_type):
    """The control of the test above: where nothing is amiss the waiting list hears of it."""
    visit = booked(9)
    waits = PatientFactory(first_name="Waits")
    waiting.join_waiting_list(by=nurse, patient=waits, type=visit_type, earliest=MONDAY, latest=MONDAY)

    portal.post(url("cancel", visit))

    assert Offer.objects.get().appointment.patient_id == waits.pk


# --- Moving ----------------------------------------------------------------------------------------------------------


def test_a_visit_is_moved_to_another_time(portal, booked, dario, house):
    visit = booked(9)
    page = portal.get(url("move", visit), {"from": MONDAY.isoformat()})
    assert slot(dario, house, 10) in html.unescape(page.content.decode())
    assert slot(dario, house, 9) not in html.unescape(page.content.decode())
    yes = portal.get(url("move", visit), {"slot": slot(dario, house, 10)})
    assert "Instead of" in text_of(yes)
    visit.refresh_from_db()
    assert visit.starts_at == at(MONDAY, 9)

    answer = portal.post(url("move", visit), {"slot": slot(dario, house, 10), "version": visit.version})

    visit.refresh_from_db()
    assert (answer.url, visit.starts_at, visit.sequence) == (url("visit", visit), at(MONDAY, 10), 1)


def test_moving_to_a_taken_time_leaves_the_visit_where_it_was(portal, booked, dario, house):
    visit, _other = booked(9), booked(10, patient=PatientFactory())

    page = portal.post(url("move", visit), {"slot": slot(dario, house, 10), "version": visit.version})

    assert page.status_code == 422
    assert "This time is taken. Your appointment is where it was." in text_of(page)
    visit.refresh_from_db()
    assert visit.starts_at == at(MONDAY, 9)


def test_moving_what_somebody_else_moved_meanwhile_is_said(portal, booked, dario, house, nurse):
    visit = booked(9)
    services.reschedule(visit, by=nurse, starts_at=at(MONDAY, 11))

    page = portal.post(url("move", visit), {"slot": slot(dario, house, 10), "version": 1})

    assert (page.status_code, "Somebody else has changed this visit meanwhile." in text_of(page)) == (422, True)
    visit.refresh_from_db()
    assert visit.starts_at == at(MONDAY, 11)


def test_moving_ends_at_its_own_cut_off(portal, booked, admin, dario, house, patient_user, api_client):
    decide(admin, cancel_hours=2, move_hours=48)
    visit = soon(booked(9), 47)

    page = portal.post(url("move", visit), {"slot": slot(dario, house, 10), "version": visit.version})
    answer = api_client(patient_user).patch(f"/api/appointments/{visit.pk}", {"date": at(MONDAY, 10).isoformat()})

    assert "until 48 hours before the appointment" in text_of(page)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_late")
    assert "You can cancel online until" in text_of(portal.get(url("visit", visit)))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"may_move": False}, "This appointment can not be moved online. Nothing was changed. Call us: 601 555 0101"),
        ({"level": "request"}, "This appointment can not be moved online. Nothing was changed. Call us: 601 555 0101"),
        ({"level": "view"}, "This clinic books appointments itself. Nothing was changed. Call us: 601 555 0101"),
    ],
)
def test_moving_is_as_the_policy_has_it(portal, booked, admin, dario, house, changes, says):
    decide(admin, **changes)
    visit = booked(9)

    page = portal.post(url("move", visit), {"slot": slot(dario, house, 10), "version": visit.version})

    assert (page.status_code, says in text_of(page)) == (422, True)
    visit.refresh_from_db()
    assert visit.starts_at == at(MONDAY, 9)
    assert url("move", visit) not in portal.get(url("visit", visit)).content.decode()


# --- The policy ------------------------------------------------------------------------------------------------------


def test_policy_without_a_row_is_the_default(clinic):
    found = policy.read_policy()

    assert (found.level, found.may_cancel, found.cancel_hours, found.may_move, found.move_hours) == (
        "book",
        True,
        24,
        True,
        24,
    )
    assert not SelfServicePolicy.objects.exists()


def test_policy_is_decided_on_its_page(admin, page_client):
    portal = page_client(admin)
    where = reverse("rules:patients_online")
    assert "Patients online" in text_of(portal.get(where)) or portal.get(where).status_code == 200
    form = {"level": "request", "may_cancel": "on", "cancel_hours": "48", "move_hours": "12", "phone": " 601 1 "}

    assert portal.post(where, form).url == where
    assert portal.post(where, form | {"phone": "601 2"}).url == where

    found = SelfServicePolicy.objects.get()
    assert (found.level, found.may_cancel, found.cancel_hours, found.may_move, found.phone) == (
        *("request", True, 48, False), "601 2",
    )  # fmt: skip
    assert actions_about(found) == ["patients_policy_saved"] * 2


@pytest.mark.parametrize(
    "wrong",
    [{"level": "all"}, {"cancel_hours": "-1"}, {"cancel_hours": "721"}, {"move_hours": ""}, {"phone": "x" * 31}],
)
def test_policy_refuses_what_makes_no_sense(admin, page_client, wrong):
    form = {"level": "book", "cancel_hours": "24", "move_hours": "24", "phone": ""} | wrong

    assert page_client(admin).post(reverse("rules:patients_online"), form).status_code == 422
    assert not SelfServicePolicy.objects.exists()


def test_policy_is_not_for_the_desk(receptionist, patient_user, page_client):
    where = reverse("rules:patients_online")

    assert {page_client(member).post(where, {}).status_code for member in (receptionist, patient_user)} == {403}


def test_policy_of_another_clinic_is_another(admin, strange_admin):
    decide(admin, level="view")

    with outside_tenant(), tenant_context(strange_admin.tenant_id):
        assert policy.read_policy().level == "book"


@pytest.mark.parametrize(("level", "state"), [("book", "booked"), ("request", "requested"), ("view", None)])
def test_policy_narrows_what_a_type_allows(chart, dario, house, visit_type, patient_user, admin, level, state):
    decide(admin, level=level)
    wanted = Wanted(patient=chart, practitioner=dario, location=house, type=visit_type, starts_at=at(MONDAY, 9))

    if state is None:
        with pytest.raises(NotAllowed, match=r"This clinic books appointments itself. Call us: 601 555 0101."):
            self_service.book_own(wanted, by=patient_user)
    else:
        assert self_service.book_own(wanted, by=patient_user).state == state


def test_policy_view_shows_and_books_nothing(portal, booked, admin, visit_type, patient_user, api_client, dario, house):
    booked(9)
    decide(admin, level="view")

    words = text_of(portal.get(url("list")))

    assert "09:00–09:30" in words
    assert "This clinic books appointments itself." in words
    assert "Book an appointment" not in words
    assert portal.get(url("times", visit_type)).status_code == 404
    body = {"doctorId": str(dario.pk), "date": at(MONDAY, 10).isoformat(), "reason": "Cough"}
    assert api_client(patient_user).post("/api/appointments", body).status_code == 403


# --- Offers of the waiting list --------------------------------------------------------------------------------------


@pytest.fixture
def offered(booked, chart, nurse, visit_type):
    """The waiting list has a time for the signed-in patient, and somebody after them."""
    for patient in (chart, PatientFactory(first_name="Next")):
        waiting.join_waiting_list(by=nurse, patient=patient, type=visit_type, earliest=MONDAY, latest=MONDAY)
    services.move(booked(9, patient=PatientFactory()), State.CANCELLED, by=nurse, reason="Ill")
    return Offer.objects.get(state=Offer.State.OPEN)


def test_an_offer_is_taken(portal, offered):
    assert "A time is offered to you: " in text_of(portal.get(url("list")))
    assert "It is kept for you until" in text_of(portal.get(url("list")))
    visit = offered.appointment

    assert portal.post(url("answer_offer", visit), {"answer": "take"}).url == url("visit", visit)

    visit.refresh_from_db()
    offered.refresh_from_db()
    assert (visit.state, offered.state) == ("booked", "accepted")


def test_an_offer_passes_to_the_next(portal, offered):
    assert portal.post(url("answer_offer", offered.appointment), {"answer": "pass"}).url == url("list")

    offered.refresh_from_db()
    assert offered.state == "declined"
    assert Offer.objects.get(state=Offer.State.OPEN).appointment.patient.first_name == "Next"


def test_an_offer_that_is_over_is_said(portal, offered):
    Offer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    page = portal.post(url("answer_offer", offered.appointment), {"answer": "take"}, follow=True)

    assert "This offer is over." in text_of(page)
    offered.appointment.refresh_from_db()
    assert offered.appointment.state == State.HELD


def test_an_offer_is_answered_in_the_api(offered, patient_user, api_client):
    program = api_client(patient_user)

    assert program.post(f"/api/appointments/{offered.appointment_id}/status", {"state": "booked"}).status_code == 200
    offered.refresh_from_db()
    assert offered.state == "accepted"


# --- The calendar ----------------------------------------------------------------------------------------------------


def address_of(page):
    return re.search(r"<code>https?://[^/]+(/[^<]+)</code>", page.content.decode())[1]


def test_a_private_calendar_is_made_replaced_and_closed(portal, booked, client):
    booked(9)
    where = url("calendar")
    first = address_of(portal.post(where))
    assert client.get(first).status_code == 200
    assert "<code>" not in portal.get(where).content.decode()  # shown once
    feed = CalendarFeed.objects.get()

    second = address_of(portal.post(url("replace_feed", feed)))

    assert (client.get(first).status_code, client.get(second).status_code) == (404, 200)
    newest = CalendarFeed.objects.get(revoked_at=None)
    assert portal.post(url("revoke_feed", newest)).url == where
    assert client.get(second).status_code == 404


def test_a_calendar_closes_with_the_account(portal, booked, chart, admin, client):
    booked(9)
    address = address_of(portal.post(url("calendar")))
    assert client.get(address).status_code == 200

    own_account.unlink_account(chart, by=admin)

    assert client.get(address).status_code == 404


# --- The first page --------------------------------------------------------------------------------------------------


def test_today_shows_patients_what_is_next_and_how_to_book(portal, booked):
    booked(9)

    page = portal.get("/")

    assert "My next appointments" in text_of(page)
    assert "09:00–09:30" in text_of(page)
    assert url("kinds") in page.content.decode()
    assert "My appointments" in html.unescape(page.content.decode())


def test_today_of_staff_has_no_visits_of_ones_own(nurse, page_client):
    page = page_client(nurse).get("/").content.decode()

    assert "My next appointments" not in page
    assert "/my/visits/" not in page


# --- Under load, and at the edges ------------------------------------------------------------------------------------


def test_two_presses_at_once_keep_one_time(committed_db):
    """A thumb that trembles: both answers name the same kept time; a stranger's press gets a refusal."""
    tenant, _admin = open_clinic()
    with tenant_context(tenant.id):
        house, person = make_location(), make_practitioner()
        work(person, house)
        kind = make_type("visit", self_service="book")
        people = [MembershipFactory(role="patient") for _one in range(2)]
        charts = [PatientFactory(first_name=f"P{n}", user=one.user) for n, one in enumerate(people)]

    def press(who):
        try:
            with tenant_context(tenant.id):
                wanted = Wanted(patient=charts[who], practitioner=person, location=house, type=kind,
                                starts_at=at(MONDAY, 9))  # fmt: skip
                return self_service.book_own(wanted, by=people[who], hold=True).pk
        except TimeTaken as refused:
            return len(refused.nearest)
        finally:
            connection.close()

    for _round in range(5):
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(press, [0, 0, 0, 0]))
        assert len(set(answers)) == 1
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(press, [1])) == [3]
    with tenant_context(tenant.id):
        assert Appointment.objects.filter(state=State.HELD).count() == 1


def test_list_takes_the_same_statements_for_one_and_five(portal, booked):
    def queries():
        portal.get(url("list"))
        with CaptureQueriesContext(connection) as captured:
            portal.get(url("list"))
        return len(captured)

    booked(9)
    one = queries()
    for minutes in range(30, 150, 30):
        booked(starts_at=at(MONDAY, 9) + timedelta(minutes=minutes))

    assert queries() == one


def test_whoever_may_only_look_changes_nothing(booked, chart, patient_user, page_client, admin):
    rights.deny_permission(patient_user, Permission.APPOINTMENT_BOOK_OWN, by=admin, reason="Missed four visits")
    visit, portal = booked(9), page_client(patient_user)

    words = text_of(portal.get(url("visit", visit)))

    assert "601 555 0101" in words
    assert "Cancel the appointment" not in words
    assert "Book an appointment" not in text_of(portal.get(url("list")))
    assert {portal.post(url(name, visit)).status_code for name in ("cancel", "move", "keep", "let_go")} == {403}


@pytest.mark.parametrize("query", ["?from=x", "?from=9999-12-31", "?from=0001-01-01", "?from=2026-02-30", "?from="])
def test_days_that_make_no_sense_are_the_nearest_that_do(portal, visit_type, dario, query):
    assert portal.get(url("times", visit_type) + query).status_code == 200


@pytest.mark.parametrize("version", ["", "x", "-1", "9" * 40, "１"])
def test_a_version_that_is_none_is_the_one_that_stands(portal, booked, dario, house, version):
    visit = booked(9)

    answer = portal.post(url("move", visit), {"slot": slot(dario, house, 10), "version": version})

    assert answer.status_code in {302, 422}


def test_a_reason_that_is_too_long_is_said_and_the_time_stays_kept(portal, visit_type, dario, house):
    portal.post(url("times", visit_type), {"slot": slot(dario, house, 9)})
    hold = Appointment.objects.get()

    page = portal.post(url("keep", hold), {"reason": "x" * 501})

    hold.refresh_from_db()
    assert (page.status_code, hold.state) == (422, "held")


@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe"])
def test_the_cut_off_is_in_real_hours_over_a_change_of_the_clock(clinic, zone):
    """24 hours before 12:00 on the day after the clocks went forward is 11:00 or 11:30, not 12:00."""
    sunday = {"Europe/London": date(2027, 3, 28), "America/New_York": date(2027, 3, 14)}.get(zone, date(2026, 10, 4))
    visit = Appointment(starts_at=at(sunday, 12, zone=zone))

    until = self_service.cancel_until(visit, SelfServicePolicy(cancel_hours=24))

    assert visit.starts_at - until == timedelta(hours=24)
    assert f"{until.astimezone(ZoneInfo(zone)):%H:%M}" == ("11:30" if "Lord_Howe" in zone else "11:00")
