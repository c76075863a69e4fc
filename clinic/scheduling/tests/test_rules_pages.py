"""The pages of the book's rules: what each shows, refuses and writes; who may open it; strangers find nothing."""

import html
import re
from datetime import time, timedelta
from uuid import uuid4

import pytest
from django import forms
from django.urls import reverse
from django.utils import timezone
from django_scopes.exceptions import ScopeError

from accounts.qualifications.services import create_kind
from clinic.patients.restricting import restrict_chart
from clinic.patients.tests.factories import PatientFactory
from clinic.places import services as places
from clinic.places.models import Holiday, Location, OpeningHours, Resource
from clinic.practitioners.models import Practitioner
from clinic.scheduling import disturbances, feeds, presenting, reminders, services, wait_limits, waiting
from clinic.scheduling.models import (
    Appointment,
    AppointmentType,
    CalendarFeed,
    ExtraHours,
    Leave,
    Offer,
    ReminderRule,
    WaitingEntry,
    WaitLimits,
    WorkingHours,
)
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from tenancy.doors.late_choices import late_choices

from .factories import at, make_location, make_practitioner, make_type, next_day, work

MONDAY = next_day(0)
NEAR = ("practitioners:detail", "practitioners:hours", "practitioners:leave")
RULES = ("rules:places", "rules:create_place", "rules:holidays", "rules:types", "rules:create_type", "rules:reminders",
         "rules:create_reminder", "rules:waiting_room", "rules:overrides")  # fmt: skip


def text_of(response):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


@pytest.fixture
def house(clinic):
    return make_location()


@pytest.fixture
def dario(house, doctor):
    """The doctor of the cast as a practitioner with hours on weekdays from 9 to 12."""
    found = make_practitioner(member=doctor)
    work(found, house)
    return found


@pytest.fixture
def otto(house):
    found = make_practitioner("Otto", "Orejuela")
    work(found, house)
    return found


@pytest.fixture
def visit(dario, house, nurse):
    wanted = Wanted(patient=PatientFactory(), practitioner=dario, location=house, starts_at=at(MONDAY, 9))
    return services.book(wanted, by=nurse)


def new_hours(house, **changes):
    return {"weekdays": ["0", "2"], "location": house.pk, "starts": "14:00", "ends": "18:00", "step": "20",
            "valid_from": "2026-01-01", "valid_until": "", "only_type": "", **changes}  # fmt: skip


# --- Who may ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", NEAR)
@pytest.mark.parametrize("who", ["admin", "nurse", "receptionist"])
def test_staff_read_the_pages_of_a_practitioner(page, who, dario, page_client, request):
    answer = page_client(request.getfixturevalue(who)).get(reverse(page, args=[dario.pk]))

    assert answer.status_code == 200
    assert "Quintero" in text_of(answer)


@pytest.mark.parametrize("page", [*NEAR, "practitioners:list", "waiting:list", "waiting:find", *RULES])
def test_patients_and_the_signed_out_read_none_of_them(page, dario, page_client, patient_user, client):
    url = reverse(page, args=[dario.pk] if page in NEAR else [])

    assert page_client(patient_user).get(url).status_code == 403
    assert client.get(url).status_code == 302


@pytest.mark.parametrize("page", RULES)
def test_the_rules_are_for_those_who_manage_the_schedule(page, house, page_client, admin, nurse):
    assert page_client(admin).get(reverse(page)).status_code == 200
    assert page_client(nurse).get(reverse(page)).status_code == 403


@pytest.mark.parametrize("page", NEAR)
def test_a_practitioner_of_another_clinic_is_not_there(page, dario, strange_admin, page_client, other_clinic):
    assert page_client(strange_admin).get(reverse(page, args=[dario.pk])).status_code == 404


def strange_urls(dario, house, visit, admin, patient):
    """Every address that names something of this clinic."""
    leave, _batch = disturbances.take_leave(
        dario, by=admin, kind="holiday", starts_at=at(MONDAY, 20), ends_at=at(MONDAY, 21)
    )
    hours, kind = WorkingHours.objects.first(), make_type()
    extra = ExtraHours.objects.create(practitioner=dario, location=house, day=MONDAY, starts=time(14), ends=time(15))
    feed, _token = feeds.open_feed(by=admin, practitioner=dario)
    room = places.create_resource(by=admin, location=house, kind="room", name="One")
    holiday = places.add_holiday(by=admin, day=MONDAY, name="Off")
    rule = reminders.save_rule(None, by=admin, hours_before=24)
    entry = waiting.join_waiting_list(by=admin, patient=patient, type=kind, earliest=MONDAY, latest=MONDAY)
    named = {
        "practitioners:edit": [dario.pk],
        "practitioners:edit_hours": [dario.pk, hours.pk],
        "practitioners:calendar": [dario.pk],
        "practitioners:leave_detail": [dario.pk, leave.pk],
        "rules:edit_place": [house.pk],
        "rules:opening_hours": [house.pk],
        "rules:create_resource": [house.pk],
        "rules:edit_resource": [room.pk],
        "rules:edit_type": [kind.pk],
        "rules:edit_reminder": [rule.pk],
        "waiting:add": [patient.pk],
    }
    posted = {
        "practitioners:remove_hours": [dario.pk, hours.pk],
        "practitioners:add_extra": [dario.pk],
        "practitioners:remove_extra": [dario.pk, extra.pk],
        "practitioners:plan_leave": [dario.pk],
        "practitioners:undo_leave": [dario.pk, leave.pk],
        "practitioners:end_leave": [dario.pk, leave.pk],
        "practitioners:revoke_calendar": [dario.pk, feed.pk],
        "rules:remove_holiday": [holiday.pk],
        "waiting:withdraw": [entry.pk],
        "waiting:accept": [entry.pk, uuid4()],
    }
    return named, posted


def test_every_address_answers_here_and_404_next_door(dario, house, visit, admin, page_client, strange_admin):
    named, posted = strange_urls(dario, house, visit, admin, visit.patient)
    here, there = page_client(admin), page_client(strange_admin)

    for name, args in named.items():
        assert there.get(reverse(name, args=args)).status_code == 404, name
        assert here.get(reverse(name, args=args)).status_code == 200, name
    for name, args in posted.items():
        assert there.post(reverse(name, args=args)).status_code == 404, name
    assert Leave.objects.get().cancelled_at is None
    assert Holiday.objects.exists()
    assert ExtraHours.objects.exists()
    assert not CalendarFeed.objects.exclude(revoked_at=None).exists()


# --- Practitioners ---------------------------------------------------------------------------------------------------


def test_the_list_names_specialty_and_colour_in_words(dario, page_client, nurse):
    said = text_of(page_client(nurse).get(reverse("practitioners:list")))

    assert "Dario Quintero" in said
    assert "Teal" in said
    assert "Dario Doctor" in said


def test_create_practitioner_with_a_new_specialty(clinic, admin, page_client):
    browser = page_client(admin)
    data = {"first_name": "Nadia", "first_last_name": "Noriega", "colour": "3", "new_specialty": "Cardiology"}

    answer = browser.post(reverse("practitioners:create"), data)

    made = Practitioner.objects.get()
    assert answer.url == reverse("practitioners:detail", args=[made.pk])
    assert (made.colour, made.specialties.get().specialty.name) == (3, "Cardiology")
    assert "Cardiology" in text_of(browser.get(answer.url))


def test_create_practitioner_refuses_nobody_and_a_document_in_use(clinic, admin, page_client):
    browser = page_client(admin)
    first = {"first_name": "A", "colour": "1", "document_type": "1", "document_number": "79.412.365"}
    assert browser.post(reverse("practitioners:create"), first).status_code == 302

    nobody = browser.post(reverse("practitioners:create"), {"colour": "1"})
    double = browser.post(reverse("practitioners:create"), {**first, "first_name": "B", "document_number": "79412365"})

    assert (nobody.status_code, double.status_code) == (422, 422)
    assert "belongs to another practitioner" in text_of(double)
    assert Practitioner.objects.count() == 1


def test_edit_practitioner(dario, admin, page_client, nurse):
    url = reverse("practitioners:edit", args=[dario.pk])
    data = {"first_name": "Darío", "first_last_name": "Quintero", "colour": "2", "is_active": "on"}

    assert page_client(nurse).post(url, data).status_code == 403
    assert page_client(admin).post(url, data).status_code == 302
    assert Practitioner.objects.get(pk=dario.pk).first_name == "Darío"


# --- Hours -----------------------------------------------------------------------------------------------------------


def test_hours_of_several_weekdays_are_added_at_once(dario, house, admin, page_client):
    answer = page_client(admin).post(reverse("practitioners:hours", args=[dario.pk]), new_hours(house))

    assert answer.status_code == 302
    found = WorkingHours.objects.filter(starts=time(14)).order_by("weekday")
    assert [(row.weekday, row.ends, row.step) for row in found] == [(0, time(18), 20), (2, time(18), 20)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"starts": "11:00", "ends": "13:00"}, "works at Main house then already"),
        ({"starts": "14:00", "ends": "14:00"}, "End time must be after start time"),
        ({"valid_until": "2025-01-01"}, "The last day lies before the first"),
        ({"weekdays": []}, "This field is required"),
        ({"starts": "25:00"}, "valid time"),
    ],
)
def test_hours_that_make_no_sense_come_back_with_a_sentence(dario, house, admin, page_client, changes, said):
    before = WorkingHours.objects.count()

    answer = page_client(admin).post(reverse("practitioners:hours", args=[dario.pk]), new_hours(house, **changes))

    assert answer.status_code == 422
    assert said in text_of(answer)
    assert WorkingHours.objects.count() == before


def test_hours_over_midnight_are_fine(dario, house, admin, page_client):
    browser = page_client(admin)
    answer = browser.post(
        reverse("practitioners:hours", args=[dario.pk]), new_hours(house, starts="22:00", ends="02:00")
    )

    assert answer.status_code == 302
    assert "next day" in text_of(browser.get(answer.url))


def test_practitioners_change_their_own_hours_and_nobody_elses(dario, otto, house, doctor, nurse, page_client):
    own, others = (reverse("practitioners:hours", args=[who.pk]) for who in (dario, otto))

    assert page_client(doctor).post(own, new_hours(house)).status_code == 302
    assert page_client(doctor).post(others, new_hours(house)).status_code == 403
    assert page_client(nurse).post(own, new_hours(house)).status_code == 403
    assert "Add weekly hours" not in text_of(page_client(nurse).get(own))


def test_hours_are_changed_and_removed(dario, house, admin, page_client):
    browser, row = page_client(admin), WorkingHours.objects.filter(weekday=1).get()
    url = reverse("practitioners:edit_hours", args=[dario.pk, row.pk])

    assert browser.post(url, new_hours(house, weekdays=["1"], starts="08:00", ends="11:00")).status_code == 302
    row.refresh_from_db()
    assert (row.weekday, row.starts) == (1, time(8))
    assert browser.post(url, new_hours(house, weekdays=["1", "2"])).status_code == 422
    assert browser.post(reverse("practitioners:remove_hours", args=[dario.pk, row.pk])).status_code == 302
    assert not WorkingHours.objects.filter(pk=row.pk).exists()


def test_hours_of_one_are_not_found_under_another(dario, otto, admin, page_client):
    row = dario.working_hours.first()

    assert page_client(admin).post(reverse("practitioners:remove_hours", args=[otto.pk, row.pk])).status_code == 404


def test_an_extra_day_is_added_and_removed(dario, house, admin, page_client):
    browser, url = page_client(admin), reverse("practitioners:add_extra", args=[dario.pk])
    data = {"location": house.pk, "day": str(MONDAY), "starts": "14:00", "ends": "16:00", "step": "30"}

    assert browser.post(url, data).status_code == 302
    assert browser.post(url, {**data, "starts": "15:00"}).status_code == 422
    row = ExtraHours.objects.get()
    assert browser.post(reverse("practitioners:remove_extra", args=[dario.pk, row.pk])).status_code == 302
    assert not ExtraHours.objects.exists()


def test_wish11_the_week_shows_free_times_and_why_others_are_not(visit, dario, house, nurse, page_client):
    url = reverse("practitioners:hours", args=[dario.pk])
    browser = page_client(nurse)

    week = text_of(browser.get(url, {"week": str(MONDAY)}))
    why = text_of(browser.get(url, {"week": str(MONDAY), "day": str(MONDAY), "clock": "09:00"}))
    free = text_of(browser.get(url, {"week": str(MONDAY), "day": str(MONDAY), "clock": "10:30"}))

    assert f"09:00 Taken by appointment {visit.number}." in week
    assert "09:00, Main house : Taken by appointment" in why
    assert "This time is free and offered." in free


def test_hours_survive_nonsense_in_the_address(dario, nurse, page_client):
    url = reverse("practitioners:hours", args=[dario.pk])

    for query in ({"week": "x"}, {"week": "0001-01-01"}, {"week": "9999-12-31"}, {"type": "x"}, {"day": "2026-13-01"}):
        assert page_client(nurse).get(url, query).status_code == 200


# --- Leave -----------------------------------------------------------------------------------------------------------


def leave_data(**changes):
    return {"kind": "illness", "first": str(MONDAY), "from_clock": "", "last": "", "until_clock": "", "note": "",
            **changes}  # fmt: skip


@pytest.mark.parametrize("who", ["admin", "receptionist"])
def test_wish12_ill_today_moves_everybody_with_one_press_and_back_with_one(
    who, visit, dario, otto, page_client, request
):
    browser = page_client(request.getfixturevalue(who))
    url = reverse("practitioners:plan_leave", args=[dario.pk])
    assert "Ill today" in text_of(browser.get(reverse("practitioners:leave", args=[dario.pk])))

    plan = browser.post(url, leave_data())
    assert not Leave.objects.exists()  # a dry run
    (value,) = re.findall(rf'name="move-{visit.pk}" value="([^"]+)"', plan.content.decode())
    assert "Otto Orejuela" in text_of(plan)

    done = browser.post(url, leave_data(take="1") | {f"do-{visit.pk}": "move", f"move-{visit.pk}": value})
    moved = Appointment.objects.get(pk=visit.pk)
    assert (moved.practitioner, moved.starts_at) == (otto, visit.starts_at)
    assert "Moved" in text_of(browser.get(done.url))

    browser.post(reverse("practitioners:undo_leave", args=[dario.pk, Leave.objects.get().pk]))
    back = Appointment.objects.get(pk=visit.pk)
    assert (back.practitioner, back.starts_at) == (dario, visit.starts_at)
    assert Leave.objects.get().cancelled_at


def test_leave_cancels_or_leaves_what_one_chooses(visit, dario, house, nurse, admin, page_client):
    other = services.book(
        Wanted(patient=PatientFactory(), practitioner=dario, location=house, starts_at=at(MONDAY, 10)), by=nurse
    )
    chosen = {f"do-{visit.pk}": "cancel", f"do-{other.pk}": "leave"}

    browser = page_client(admin)
    done = browser.post(reverse("practitioners:plan_leave", args=[dario.pk]), leave_data(take="1") | chosen)

    assert Appointment.objects.get(pk=visit.pk).state == State.CANCELLED
    assert Appointment.objects.get(pk=other.pk).state == State.BOOKED
    assert "Still to be sorted out" in text_of(browser.get(done.url))


@pytest.mark.parametrize("sent", [{}, {"do-{}": "burn"}, {"do-{}": "move", "move-{}": "x"}, {"do-{}": "other"}])
def test_leave_with_an_undecided_visit_changes_nothing(visit, dario, admin, page_client, sent):
    chosen = {name.format(visit.pk): value for name, value in sent.items()}

    answer = page_client(admin).post(
        reverse("practitioners:plan_leave", args=[dario.pk]), leave_data(take="1") | chosen
    )

    assert answer.status_code == 422
    assert not Leave.objects.exists()
    assert Appointment.objects.get(pk=visit.pk).starts_at == visit.starts_at


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"last": str(MONDAY - timedelta(days=1))}, "The last day comes before the first"),
        ({"last": str(MONDAY + timedelta(days=500))}, "At most a year"),
        ({"from_clock": "15:00", "until_clock": "14:00"}, "has to come after"),
        ({"first": ""}, "This field is required"),
    ],
)
def test_leave_that_makes_no_sense_comes_back_with_a_sentence(dario, admin, page_client, changes, said):
    answer = page_client(admin).post(reverse("practitioners:plan_leave", args=[dario.pk]), leave_data(**changes))

    assert answer.status_code == 422
    assert said in text_of(answer)


def test_one_plans_ones_own_leave_and_nobody_elses(dario, otto, doctor, nurse, page_client):
    own, others = (reverse("practitioners:plan_leave", args=[who.pk]) for who in (dario, otto))

    holiday = leave_data(kind="holiday")
    assert page_client(doctor).post(own, holiday).status_code == 200
    assert page_client(doctor).post(others, holiday).status_code == 403
    assert page_client(nurse).post(own, holiday).status_code == 403


def test_the_desk_writes_down_illness_and_reads_whom_to_ask_for_the_rest(dario, admin, receptionist, page_client):
    leave, _batch = disturbances.take_leave(
        dario, by=admin, kind="holiday", starts_at=at(MONDAY, 0), ends_at=at(MONDAY, 23)
    )
    browser = page_client(receptionist)

    said = text_of(browser.get(reverse("practitioners:leave", args=[dario.pk])))

    assert re.search(r"Other leave is planned by themselves or by [^.]*Ada Admin\.", said)
    for name in ("undo_leave", "end_leave"):
        assert browser.post(reverse(f"practitioners:{name}", args=[dario.pk, leave.pk])).status_code == 403
    assert Leave.objects.get().cancelled_at is None


def test_the_plan_names_a_restricted_chart_and_nothing_else_of_it(visit, dario, admin, doctor, page_client):
    restrict_chart(visit.patient, by=doctor, reason="Works here")

    said = text_of(page_client(admin).post(reverse("practitioners:plan_leave", args=[dario.pk]), leave_data()))

    assert str(visit.patient.document_number or "no document") not in said
    assert "1 visit is in the way" in said


def test_leave_is_taken_back_from_the_list(dario, admin, page_client):
    leave, _batch = disturbances.take_leave(
        dario, by=admin, kind="holiday", starts_at=at(MONDAY, 0), ends_at=at(MONDAY, 23)
    )
    browser, url = page_client(admin), reverse("practitioners:end_leave", args=[dario.pk, leave.pk])

    browser.post(url)

    assert Leave.objects.get().cancelled_at
    assert "Taken back" in text_of(browser.get(reverse("practitioners:leave", args=[dario.pk])))
    assert "taken back already" in text_of(browser.post(url, follow=True))


# --- Calendar addresses ----------------------------------------------------------------------------------------------


def test_a_calendar_address_is_shown_once_read_and_closed(visit, dario, doctor, nurse, page_client, client):
    browser, url = page_client(doctor), reverse("practitioners:calendar", args=[dario.pk])
    assert page_client(nurse).post(url).status_code == 403

    (path,) = re.findall(r"<code>https?://[^/]+(/calendar/[^<]+\.ics)</code>", browser.post(url).content.decode())
    assert ".ics" not in browser.get(url).content.decode()

    answer = client.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    assert b"BEGIN:VEVENT" in answer.content
    assert visit.patient.first_name.encode() not in answer.content
    assert answer["Cache-Control"] == "no-store"  # no proxy between keeps it
    assert client.get(path, headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200

    browser.post(reverse("practitioners:revoke_calendar", args=[dario.pk, CalendarFeed.objects.get().pk]))
    assert client.get(path).status_code == 404


def test_calendar_addresses_that_were_never_given_out(dario, admin, client, other_clinic):
    _feed, token = feeds.open_feed(by=admin, practitioner=dario)
    clinic, _dot, secret = token.partition(".")

    for bad in ("x", f"{clinic}.", f"{clinic}.x", f"{other_clinic.pk.hex}.{secret}", f"{uuid4().hex}.{secret}", secret):
        assert client.get(f"/calendar/{bad}.ics").status_code == 404, bad
    assert client.get(f"/calendar/{token}.ics").status_code == 200
    assert client.post(f"/calendar/{token}.ics").status_code == 405


def test_a_calendar_does_not_change_the_clinic_of_who_is_signed_in(dario, admin, page_client, strange_admin):
    """A browser of another clinic reads the calendar of the address, not of its own session."""
    _feed, token = feeds.open_feed(by=admin, practitioner=dario)
    browser = page_client(strange_admin)

    assert browser.get(f"/calendar/{token}.ics").status_code == 200
    assert browser.get(reverse("practitioners:detail", args=[dario.pk])).status_code == 404


def test_calendar_is_limited_by_address(client, clinic, monkeypatch, settings):
    settings.RATE_LIMIT_SCALE = 0.02

    codes = [client.get("/calendar/x.ics").status_code for _ in range(4)]

    assert codes[0] == 404
    assert codes[-1] == 429


# --- Waiting list ----------------------------------------------------------------------------------------------------


@pytest.fixture
def kind(clinic):
    return make_type("visit", name="Check-up")


def join(browser, patient, kind, **changes):
    data = {"type": kind.pk, "earliest": str(MONDAY), "latest": str(MONDAY + timedelta(days=20)), "note": "Mornings"}
    return browser.post(reverse("waiting:add", args=[patient.pk]), data | changes)


def test_somebody_is_found_and_put_on_the_list(kind, receptionist, page_client):
    patient = PatientFactory(first_name="Zulema", first_last_name="Zapata")
    browser = page_client(receptionist)

    found = browser.get(reverse("waiting:find"), {"q": "zapata"})
    answer = join(browser, patient, kind, is_urgent="on")

    assert reverse("waiting:add", args=[patient.pk]) in found.content.decode()
    assert answer.status_code == 302
    said = text_of(browser.get(reverse("waiting:list")))
    assert all(words in said for words in ("ZAPATA", "Check-up", "Urgent", "Mornings", "Anybody"))
    assert join(browser, patient, kind).status_code == 422  # twice for the same


def test_days_that_make_no_sense_come_back(kind, receptionist, page_client):
    answer = join(page_client(receptionist), PatientFactory(), kind, latest=str(MONDAY - timedelta(days=1)))

    assert answer.status_code == 422
    assert not WaitingEntry.objects.exists()


@pytest.fixture
def offer(kind, dario, house, receptionist):
    """A time that became free, offered to the one who waits."""
    patient = PatientFactory(first_name="Wanda")
    waiting.join_waiting_list(by=receptionist, patient=patient, type=kind, earliest=MONDAY, latest=MONDAY)
    taken = services.book(
        Wanted(patient=PatientFactory(), practitioner=dario, location=house, type=kind, starts_at=at(MONDAY, 9)),
        by=receptionist,
    )
    freed = services.move(taken, State.CANCELLED, by=receptionist, reason="Called")
    return Offer.objects.first() or waiting.offer_freed_time(freed)


@pytest.mark.parametrize(("answer", "state"), [("accept", "accepted"), ("decline", "declined")])
def test_wish13_an_offer_is_answered_at_the_desk(offer, receptionist, page_client, answer, state):
    browser = page_client(receptionist)
    assert "kept until" in text_of(browser.get(reverse("waiting:list")))

    browser.post(reverse(f"waiting:{answer}", args=[offer.entry_id, offer.pk]))

    assert Offer.objects.get(pk=offer.pk).state == state
    again = browser.post(reverse(f"waiting:{answer}", args=[offer.entry_id, offer.pk]), follow=True)
    assert "This offer is over." in text_of(again)


def test_withdraw_lets_go_of_the_offered_time(offer, receptionist, page_client):
    page_client(receptionist).post(reverse("waiting:withdraw", args=[offer.entry_id]))

    assert WaitingEntry.objects.get().state == "withdrawn"
    assert Appointment.objects.get(pk=offer.appointment_id).state == State.CANCELLED


def test_the_list_says_nothing_of_a_restricted_chart_but_its_name(offer, doctor, receptionist, page_client):
    WaitingEntry.objects.update(note="Tumour")
    restrict_chart(offer.entry.patient, by=doctor, reason="Works here")

    said = text_of(page_client(receptionist).get(reverse("waiting:list")))

    assert "Restricted" in said
    assert "Tumour" not in said


# --- Places, kinds of visits, reminders ------------------------------------------------------------------------------


def test_a_location_is_added_with_its_own_clock(clinic, admin, page_client):
    browser, url = page_client(admin), reverse("rules:create_place")

    assert browser.post(url, {"name": "Harbour", "time_zone": "Europe/London"}).status_code == 302
    assert browser.post(url, {"name": "harbour", "time_zone": "Europe/London"}).status_code == 422
    assert browser.post(url, {"name": "Moon", "time_zone": "Moon/Base"}).status_code == 422
    assert [place.time_zone for place in Location.objects.all()] == ["Europe/London"]


def test_opening_hours_are_set_and_half_of_one_is_refused(house, admin, page_client):
    browser, url = page_client(admin), reverse("rules:opening_hours", args=[house.pk])

    assert browser.post(url, {"opens_0_1": "08:00"}).status_code == 422
    answer = browser.post(
        url, {"opens_0_1": "08:00", "closes_0_1": "12:00", "opens_0_2": "13:00", "closes_0_2": "17:00"}
    )

    assert answer.status_code == 302
    assert OpeningHours.objects.count() == 2
    assert 'value="13:00"' in browser.get(url).content.decode()


def test_a_room_is_added_and_taken_out_of_use(house, admin, page_client):
    browser = page_client(admin)
    data = {"kind": "device", "name": "Ultrasound 1", "category": "Ultrasound"}

    browser.post(reverse("rules:create_resource", args=[house.pk]), data)
    room = Resource.objects.get()
    browser.post(reverse("rules:edit_resource", args=[room.pk]), data)

    assert (room.category, Resource.objects.get().is_active) == ("ultrasound", False)
    assert "Not used any more" in text_of(browser.get(reverse("rules:places")))


def test_a_holiday_is_added_names_its_visits_and_is_removed(visit, admin, page_client):
    browser, url = page_client(admin), reverse("rules:holidays")

    browser.post(url, {"day": str(MONDAY), "name": "Founders’ day", "location": ""})
    assert "1 visit booked" in text_of(browser.get(url))
    assert browser.post(url, {"day": str(MONDAY), "name": "Again", "location": ""}).status_code == 422
    browser.post(reverse("rules:remove_holiday", args=[Holiday.objects.get().pk]))

    assert not Holiday.objects.exists()


def type_data(**changes):
    return {"name": "Scan", "minutes": "20", "buffer_before": "0", "buffer_after": "10", "modality": "in_person",
            "capacity": "1", "colour": "4", "self_service": "request", "lead_hours": "24", "horizon_days": "60",
            "price": "120000", "currency": "cop", **changes}  # fmt: skip


def test_a_kind_of_visit_with_all_it_needs(dario, house, admin, page_client):
    places.create_resource(by=admin, location=house, kind="device", name="U1", category="ultrasound")
    licence = create_kind(by=admin, name="Ultrasound privilege", group="privilege")
    browser = page_client(admin)
    needed = {"performers": [dario.pk], "needs": ["device:ultrasound", "room:"], "qualifications": [licence.pk]}

    assert browser.post(reverse("rules:create_type"), type_data(**needed)).status_code == 302

    made = AppointmentType.objects.get()
    assert (made.currency, made.buffer_after, made.self_service) == ("COP", 10, "request")
    assert made.performers.get().practitioner_id == dario.pk
    assert sorted(made.needs.values_list("kind", "category")) == [("device", "ultrasound"), ("room", "")]
    said = text_of(browser.get(reverse("rules:types")))
    assert "Ultrasound privilege" in said
    assert "free before 0, after 10" in said
    edit = reverse("rules:edit_type", args=[made.pk])
    assert (
        browser.get(edit).content.decode().partition("<main")[2].partition("</main")[0].count("checked") == 5
    )  # the four above, and that it is offered
    assert browser.post(edit, type_data(minutes="999")).status_code == 422


def test_a_reminder_in_own_words_is_looked_at_first(house, admin, page_client):
    browser, url = page_client(admin), reverse("rules:create_reminder")
    data = {"hours_before": "24", "subject": "See you", "text": "Dear %(name)s, at %(location)s", "is_active": "on"}

    look = browser.post(url, {**data, "look": "1"})
    assert "Dear Ana Gómez, at Main house" in text_of(look)
    assert not ReminderRule.objects.exists()

    assert browser.post(url, data).status_code == 302
    assert browser.post(url, data).status_code == 422
    assert "See you" in text_of(browser.get(reverse("rules:reminders")))


def test_wish4_the_report_names_who_when_and_why_and_no_patient(visit, dario, house, admin, page_client):
    patient = PatientFactory(first_last_name="Hidalgo")
    wanted = Wanted(patient=patient, practitioner=dario, location=house, starts_at=visit.starts_at,
                    overbook_reason="An emergency")  # fmt: skip
    services.book(wanted, by=admin)
    browser, url = page_client(admin), reverse("rules:overrides")

    said = text_of(browser.get(url))

    assert "An emergency" in said
    assert "Ada Admin" in said
    assert "HIDALGO" not in said.upper()
    assert "An emergency" not in text_of(browser.get(url, {"what": "unqualified"}))
    assert browser.get(url, {"since": "x"}).status_code == 302
    assert timezone.now() < visit.starts_at


def test_forms_ask_for_rows_when_they_are_made_and_not_when_they_are_read():
    """The server reads its forms outside of any clinic; with Django's own callback it could not start."""

    class Meta:
        model = WaitingEntry
        fields = ["type", "note"]

    late = type("Late", (forms.ModelForm,), {"Meta": type("Meta", (Meta,), {"formfield_callback": late_choices})})
    assert late.base_fields["type"].queryset is None
    with pytest.raises(ScopeError):
        type("Early", (forms.ModelForm,), {"Meta": Meta})


def test_wish4_the_report_of_a_span_of_days(visit, dario, house, admin, page_client):
    wanted = Wanted(patient=PatientFactory(), practitioner=dario, location=house, starts_at=visit.starts_at,
                    overbook_reason="An emergency")  # fmt: skip
    services.book(wanted, by=admin)
    browser, url = page_client(admin), reverse("rules:overrides")
    day = timedelta(days=1)

    assert "An emergency" in text_of(browser.get(url, {"since": MONDAY - day, "until": MONDAY}))
    assert "An emergency" not in text_of(browser.get(url, {"since": MONDAY - 2 * day, "until": MONDAY - day}))


def test_the_clinic_says_from_when_a_wait_is_long(admin, page_client):
    browser, url = page_client(admin), reverse("rules:waiting_room")

    refused = browser.post(url, {"long_minutes": "20", "too_long_minutes": "20"})
    assert (refused.status_code, wait_limits.read_limits().too_long_minutes) == (422, 30)
    assert browser.post(url, {"long_minutes": "5", "too_long_minutes": "10"}).status_code == 302

    arrived = Appointment(state=State.ARRIVED, starts_at=timezone.now() - timedelta(minutes=7))
    said = [
        presenting.waiting(arrived, timezone.now(), limits)["text"]
        for limits in (wait_limits.read_limits(), WaitLimits())
    ]
    assert said == ["waits 7 min, long", "waits 7 min"]
