"""Staff pages: Today, the agenda, booking, one appointment. By role, across clinics, clash, double submit, undo."""

import html
import re
import uuid
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.team.services.roles import create_role
from accounts.users.tests.factories import MembershipFactory
from clinic.patients import restricting
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import presenting, services, tiles
from clinic.scheduling.models import Appointment, AppointmentChange
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import at, make_location, make_practitioner, make_type, next_day, work


@pytest.fixture
def place(clinic):
    return make_location()


@pytest.fixture
def noon(clinic):
    """A place where it is about noon now, in a clinic that lives by its clock: an hour ago is the same day."""
    zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
    Tenant.objects.filter(pk=clinic.pk).update(time_zone=zone)
    return make_location("Noon house", zone)


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


def text_of(page):
    main = page.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def book(patient, practitioner, starts_at, *, by, **fields):
    return services.book(Wanted(patient=patient, practitioner=practitioner, starts_at=starts_at, **fields), by=by)


def visit_now(patient, practitioner, place, *, by, minutes=0, state=State.BOOKED):
    """A visit that began so many minutes ago, in a state; hours do not matter here."""
    now = timezone.now().replace(second=0, microsecond=0)
    starts_at = now - timedelta(minutes=minutes)
    visit = services.book(Wanted(patient=patient, practitioner=practitioner, starts_at=now, location=place), by=by)
    Appointment.objects.filter(pk=visit.pk).update(
        starts_at=starts_at, busy_from=starts_at, wall_start=f"{starts_at.astimezone(place.zone):%Y-%m-%dT%H:%M}"
    )
    return services.move(visit, state, by=by) if state != State.BOOKED else visit


def sent(practitioner, day, place, patient, hour=9, minute=0, **fields):
    value = tiles.value_of(at(day, hour, minute), practitioner.pk, place.pk)
    return {
        "patient": str(patient.pk),
        "practitioner": str(practitioner.pk),
        "day": day.isoformat(),
        "slot": value,
        "submit_key": str(uuid.uuid4()),
    } | fields


PAGES = ["/agenda/", "/appointments/new/", "{visit}", "{visit}move/", "{visit}cancel/", "{chart}visits/"]


@pytest.mark.parametrize("role", ["nurse", "staff", "doctor", "admin"])
@pytest.mark.parametrize("page", PAGES)
def test_pages_open_for_who_works_with_the_book(role, page, nurse, patient, quintero, place, monday, page_client):
    visit = book(patient, quintero, at(monday, 9), by=nurse)
    address = page.format(visit=f"/appointments/{visit.pk}/", chart=f"/patients/{patient.pk}/")

    assert page_client(MembershipFactory(role=role)).get(address).status_code == 200


@pytest.mark.parametrize("role", ["patient", "auditor", "user"])
@pytest.mark.parametrize("page", PAGES)
def test_pages_stay_shut_for_others(role, page, nurse, patient, quintero, place, monday, page_client):
    visit = book(patient, quintero, at(monday, 9), by=nurse)
    address = page.format(visit=f"/appointments/{visit.pk}/", chart=f"/patients/{patient.pk}/")

    assert page_client(MembershipFactory(role=role)).get(address).status_code == 403


@pytest.mark.parametrize("page", ["", "move/", "cancel/", "state/", "undo/"])
def test_foreign_and_unknown_visits_are_not_there(page, nurse, stranger, patient, quintero, monday, page_client):
    visit = book(patient, quintero, at(monday, 9), by=nurse)
    post = page in {"state/", "undo/"}

    for member, pk in ((stranger, visit.pk), (nurse, uuid.uuid4())):
        browser = page_client(member)
        call = browser.post if post else browser.get
        assert call(f"/appointments/{pk}/{page}").status_code == 404


@pytest.mark.parametrize("name", ["practitioner", "location", "type", "patient"])
def test_foreign_ids_in_the_address_are_not_there(name, nurse, other_clinic, quintero, page_client):
    with outside_tenant(), tenant_context(other_clinic.id):
        theirs = {
            "practitioner": make_practitioner,
            "location": lambda: make_location(time_zone="Europe/London"),
            "type": make_type,
            "patient": lambda: PatientFactory(by=None),
        }[name]()
    browser = page_client(nurse)

    assert browser.get(f"/appointments/new/?{name}={theirs.pk}").status_code == 404
    assert browser.get(f"/appointments/new/?{name}=no-id").status_code == 404
    assert browser.get("/appointments/new/").status_code == 200


def test_patient_visits_of_another_clinic_are_not_there(stranger, patient, page_client):
    assert page_client(stranger).get(f"/patients/{patient.pk}/visits/").status_code == 404


# --- Booking ---------------------------------------------------------------------------------------------------------


def test_book_by_a_tile(nurse, patient, quintero, place, monday, page_client):
    browser = page_client(nurse)
    page = browser.get(f"/appointments/new/?patient={patient.pk}&practitioner={quintero.pk}&day={monday}")
    assert "09:00 09:30 10:00" in text_of(page)

    answer = browser.post("/appointments/new/", sent(quintero, monday, place, patient, reason="Cough"))

    visit = Appointment.objects.get()
    assert (answer.status_code, answer.url) == (302, f"/appointments/{visit.pk}/")
    assert (visit.starts_at, visit.reason, visit.state) == (at(monday, 9), "Cough", State.BOOKED)


def test_double_submit_books_once(nurse, patient, quintero, place, monday, page_client):
    browser, form = page_client(nurse), sent(quintero, monday, place, patient)

    first, second = (browser.post("/appointments/new/", form) for _press in range(2))

    assert first.url == second.url
    assert Appointment.objects.count() == 1
    # The negative control: another key is another wish, and the time is taken.
    assert browser.post("/appointments/new/", form | {"submit_key": str(uuid.uuid4())}).status_code == 422


def test_double_submit_of_a_series_books_it_once(nurse, patient, quintero, place, monday, page_client):
    browser, form = page_client(nurse), sent(quintero, monday, place, patient, repeat="1", times="3")

    first, second = (browser.post("/appointments/new/", form) for _press in range(2))

    assert (first.status_code, second.status_code, first.url) == (302, 302, second.url)
    days = [visit.starts_at for visit in Appointment.objects.order_by("starts_at")]
    assert days == [at(monday + timedelta(weeks=week), 9) for week in range(3)]


def test_clash_keeps_the_form_and_offers_the_three_nearest(nurse, patient, quintero, place, monday, page_client):
    book(PatientFactory(by=nurse), quintero, at(monday, 9), by=nurse)
    browser, form = page_client(nurse), sent(quintero, monday, place, patient, reason="Cough since Friday")

    page = browser.post("/appointments/new/", form)

    words = text_of(page)
    assert page.status_code == 422
    assert "has another visit then" in words
    assert "Nothing was saved" in words
    assert "Cough since Friday" in page.content.decode()
    near = page.content.decode().partition("The nearest free times")[2].partition("<fieldset")[0]
    near = near.replace("&quot;", "")
    proposed = [tiles.value_of(at(monday, *clock), quintero.pk, place.pk) for clock in ((9, 30), (10, 0), (10, 30))]
    assert re.findall(r'name="take" value="([^"]*)"', near) == proposed
    # Each is a button of the form: it takes its time, whatever is ticked, with everything typed.
    answer = browser.post("/appointments/new/", form | {"take": proposed[1]})
    assert answer.status_code == 302
    visit = Appointment.objects.get(patient=patient)
    assert (visit.starts_at, visit.reason) == (at(monday, 10), "Cough since Friday")


def test_clash_at_a_typed_time_keeps_it_for_who_may_book_over(
    nurse, doctor, patient, quintero, place, monday, page_client
):
    book(PatientFactory(by=nurse), quintero, at(monday, 9), by=nurse)
    form = sent(quintero, monday, place, patient, slot="other", other_time="09:00")

    page = page_client(doctor).post("/appointments/new/", form).content.decode()

    assert 'value="09:00"' in page
    (over,) = re.findall(r'name="take" value="([^"]*)">Book over it', page)
    assert over == tiles.value_of(at(monday, 9), quintero.pk, place.pk)
    assert "Book over it" not in page_client(nurse).post("/appointments/new/", form).content.decode()
    again = form | {"take": over, "overbook_reason": "Chest pain", "submit_key": str(uuid.uuid4())}
    assert page_client(doctor).post("/appointments/new/", again).status_code == 302
    assert Appointment.objects.get(patient=patient).overbook_reason == "Chest pain"


def test_why_a_time_is_not_offered_is_answered_and_nothing_typed_is_lost(
    nurse, patient, quintero, place, monday, page_client
):
    visit = book(PatientFactory(by=nurse), quintero, at(monday, 9), by=nurse)
    form = sent(quintero, monday, place, patient, slot="", reason="Cough", go="why")
    browser = page_client(nurse)

    said = {
        clock: text_of(browser.post("/appointments/new/", form | {"why_time": clock}))
        for clock in ("09:00", "09:10", "13:00", "10:00", "x")
    }

    assert f"Taken by appointment {visit.number}." in said["09:00"].partition("Say why")[2]
    assert "Times begin every 30 minutes" in said["09:10"]
    assert "Outside of the hours of that day" in said["13:00"]
    assert "It is free." in said["10:00"]
    assert "Type a time first" in said["x"]
    assert all("Cough" in words for words in said.values())


def test_taken_times_say_why(nurse, patient, quintero, place, monday, page_client):
    visit = book(PatientFactory(by=nurse), quintero, at(monday, 9), by=nurse)

    page = page_client(nurse).get(f"/appointments/new/?patient={patient.pk}&practitioner={quintero.pk}&day={monday}")

    assert f"09:00 Taken by appointment {visit.number}." in text_of(page)
    assert page.content.decode().count("disabled") == 1


def test_any_clinician_gets_each_time_once(nurse, patient, quintero, place, monday, page_client):
    other = make_practitioner("Berta", "Zapata")
    work(other, place)
    book(PatientFactory(by=nurse), quintero, at(monday, 9), by=nurse)

    page = page_client(nurse).get(f"/appointments/new/?patient={patient.pk}&day={monday}")

    assert re.findall(r"(\d\d:\d\d) [A-ZÁ]+, \w+", text_of(page)) == [
        "09:00",
        "09:30",
        "10:00",
        "10:30",
        "11:00",
        "11:30",
    ]


def test_next_free_day_keeps_what_was_typed(nurse, patient, quintero, place, monday, page_client):
    friday = next_day(4)
    form = {"patient": str(patient.pk), "practitioner": str(quintero.pk), "day": friday.isoformat(), "go": "next",
            "reason": "Cough"}  # fmt: skip

    page = page_client(nurse).post("/appointments/new/", form)

    assert page.status_code == 200
    assert presenting.day_words(friday + timedelta(days=3)) in text_of(page)
    assert "Cough" in page.content.decode()
    assert Appointment.objects.count() == 0


def test_overbooking_is_for_who_may(nurse, doctor, patient, quintero, place, monday, page_client):
    book(PatientFactory(by=nurse), quintero, at(monday, 9), by=nurse)
    form = sent(quintero, monday, place, patient, slot="other", other_time="09:00", overbook_reason="Chest pain")

    refused = page_client(MembershipFactory(role="staff")).post("/appointments/new/", form)
    done = page_client(doctor).post("/appointments/new/", form | {"submit_key": str(uuid.uuid4())})

    assert refused.status_code == 422
    assert "You may not book over other visits" in text_of(refused)
    assert done.status_code == 302
    assert "Overbooked" in text_of(page_client(nurse).get(done.url))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"slot": ""}, "Choose a time."),
        ({"slot": "other", "other_time": ""}, "Choose a time."),
        ({"slot": "nonsense"}, "Choose one of the times."),
        ({"patient": None}, "Choose a patient."),
        ({"repeat": "1", "times": ""}, "Say how many visits."),
    ],
)
def test_what_is_missing_is_said(fields, sentence, nurse, patient, quintero, place, monday, page_client):
    form = sent(quintero, monday, place, patient) | fields
    page = page_client(nurse).post(
        "/appointments/new/", {name: value for name, value in form.items() if value is not None}
    )

    assert page.status_code == 422
    assert sentence in text_of(page)
    assert Appointment.objects.count() == 0


def test_find_patient_leads_back_with_everything_kept(nurse, patient, quintero, page_client):
    page = page_client(nurse).get(f"/appointments/new/patient/?find=ana&practitioner={quintero.pk}&time=09:30")

    (link,) = re.findall(r'href="(/appointments/new/\?[^"]*)"', page.content.decode())
    assert html.unescape(link) == f"/appointments/new/?practitioner={quintero.pk}&time=09%3A30&patient={patient.pk}"


# --- One appointment -------------------------------------------------------------------------------------------------


def test_states_by_one_tap_and_undo(nurse, patient, quintero, monday, page_client):
    visit, browser = book(patient, quintero, at(monday, 9), by=nurse), page_client(nurse)
    address = f"/appointments/{visit.pk}/"

    for old, new in (("booked", "arrived"), ("arrived", "in_room"), ("in_room", "completed")):
        answer = browser.post(f"{address}state/", {"to": new, "from": old, "next": "/agenda/"})
        assert (answer.status_code, answer.url) == (302, "/agenda/")
        visit.refresh_from_db()
        assert visit.state == new
    browser.post(f"{address}undo/", {"next": address})

    visit.refresh_from_db()
    assert visit.state == State.IN_ROOM
    words = text_of(browser.get(address))
    assert "Taken back Nora Nurse" in words
    assert "Undo the last change" not in words


def test_a_stale_tap_changes_nothing(nurse, patient, quintero, monday, page_client):
    visit, browser = book(patient, quintero, at(monday, 9), by=nurse), page_client(nurse)
    services.move(visit, State.ARRIVED, by=nurse)

    answer = browser.post(f"/appointments/{visit.pk}/state/", {"to": "no_show", "from": "booked"}, follow=True)

    visit.refresh_from_db()
    assert visit.state == State.ARRIVED
    assert "This visit is Arrived by now." in text_of(answer)


def test_cancel_wants_a_reason_and_goes_back(nurse, patient, quintero, monday, page_client):
    visit, browser = book(patient, quintero, at(monday, 9), by=nurse), page_client(nurse)
    address = f"/appointments/{visit.pk}/cancel/"

    assert browser.post(address, {}).status_code == 422
    assert browser.post(address, {"why": "other"}).status_code == 422
    answer = browser.post(address, {"why": "ill", "words": "Fever", "next": "/agenda/"})

    visit.refresh_from_db()
    assert (answer.url, visit.state) == ("/agenda/", State.CANCELLED)
    assert "The patient is ill: Fever" in text_of(browser.get(f"/appointments/{visit.pk}/"))
    browser.post(f"/appointments/{visit.pk}/undo/")
    visit.refresh_from_db()
    assert visit.state == State.BOOKED


def test_move_and_undo_of_a_move(nurse, patient, quintero, place, monday, page_client):
    visit, browser = book(patient, quintero, at(monday, 9), by=nurse), page_client(nurse)
    form = {"practitioner": str(quintero.pk), "day": monday.isoformat(), "version": "1", "reason": "Bus strike",
            "slot": tiles.value_of(at(monday, 10), quintero.pk, place.pk)}  # fmt: skip

    assert browser.post(f"/appointments/{visit.pk}/move/", form).status_code == 302
    moved = Appointment.objects.get()
    assert (moved.pk, moved.starts_at) == (visit.pk, at(monday, 10))
    # Sent again from the page that knew the old version: refused, nothing changed.
    stale = browser.post(f"/appointments/{visit.pk}/move/", form)
    assert stale.status_code == 422
    assert "Somebody else has changed this visit meanwhile." in text_of(stale)
    browser.post(f"/appointments/{visit.pk}/undo/")
    assert Appointment.objects.get().starts_at == at(monday, 9)


def test_move_of_a_series_from_here_on(nurse, patient, quintero, place, monday, page_client):
    browser = page_client(nurse)
    browser.post("/appointments/new/", sent(quintero, monday, place, patient, repeat="1", times="3"))
    second = Appointment.objects.order_by("starts_at")[1]
    day = monday + timedelta(days=8)
    form = {"practitioner": str(quintero.pk), "day": day.isoformat(), "version": str(second.version),
            "scope": "following", "slot": tiles.value_of(at(day, 11), quintero.pk, place.pk)}  # fmt: skip

    browser.post(f"/appointments/{second.pk}/move/", form)

    begins = [at(monday, 9), at(monday + timedelta(days=8), 11), at(monday + timedelta(days=15), 11)]
    assert list(Appointment.objects.order_by("starts_at").values_list("starts_at", flat=True)) == begins
    answer = browser.post(f"/appointments/{second.pk}/undo/", {"next": "/agenda/"}, follow=True)
    assert "Taken back for 2 visits." in text_of(answer)
    assert Appointment.objects.order_by("starts_at")[1].starts_at == at(monday + timedelta(weeks=1), 9)


def test_next_leads_nowhere_else(nurse, patient, quintero, monday, page_client):
    visit = book(patient, quintero, at(monday, 9), by=nurse)

    answer = page_client(nurse).post(
        f"/appointments/{visit.pk}/state/", {"to": "arrived", "next": "https://evil.example"}
    )

    assert answer.url == "/"


def test_buttons_are_for_who_may_move(admin, nurse, patient, quintero, monday, page_client):
    visit = book(patient, quintero, at(monday, 9), by=nurse)
    looker = MembershipFactory(role=create_role(name="Looker", permissions=["appointments.view"], by=admin).code)

    seen, shut = (text_of(page_client(member).get(f"/appointments/{visit.pk}/")) for member in (nurse, looker))

    assert ("Arrived" in seen, "Arrived" in shut) == (True, False)
    assert page_client(looker).post(f"/appointments/{visit.pk}/state/", {"to": "arrived"}).status_code == 403


def test_did_not_come_is_asked_once_the_time_has_come(nurse, patient, quintero, noon, monday, page_client):
    quintero.working_hours.all().delete()
    later = book(patient, quintero, at(monday, 9), by=nurse)
    begun = visit_now(PatientFactory(by=nurse), quintero, noon, by=nurse, minutes=5)
    browser = page_client(nurse)

    words = [text_of(browser.get(f"/appointments/{visit.pk}/")) for visit in (later, begun)]

    assert ["Did not come" in said for said in words] == [False, True]


# --- Today and the agenda ---------------------------------------------------------------------------------------------


def test_today_shows_the_waiting_room_and_who_is_late(nurse, quintero, noon, page_client):
    names = ["Waits", "Long", "Late"]
    people = {name: PatientFactory(by=nurse, first_name=name) for name in names}
    others = [quintero, make_practitioner("Berta", "Zapata"), make_practitioner("Carla", "Yepes")]
    quintero.working_hours.all().delete()  # nobody has hours, so every time may be booked
    early = visit_now(people["Waits"], others[0], noon, by=nurse, minutes=5, state=State.ARRIVED)
    long = visit_now(people["Long"], others[1], noon, by=nurse, minutes=50, state=State.ARRIVED)
    visit_now(people["Late"], others[2], noon, by=nurse, minutes=7)
    now = timezone.now()
    Appointment.objects.filter(pk__in=[early.pk, long.pk]).update(arrived_at=now - timedelta(minutes=40))

    words = text_of(page_client(nurse).get("/"))

    # The later of arrival and booked time counts, so the one who came early has waited five minutes.
    room = words.partition("Nobody is in a room")[0]
    assert re.findall(r"(\w+) waits (\d+) min", room) == [("Long", "40"), ("Waits", "5")]
    assert "waits 40 min, too long" in room
    assert "Late 7 min late" in words


def test_today_shows_mine_first_and_everybody_one_click_away(doctor, nurse, noon, page_client):
    mine, theirs = make_practitioner(member=doctor), make_practitioner("Berta", "Zapata")
    visit_now(PatientFactory(by=nurse, first_name="Mina"), mine, noon, by=nurse)
    visit_now(PatientFactory(by=nurse, first_name="Otto"), theirs, noon, by=nurse)
    browser = page_client(doctor)

    own, all_of_them = text_of(browser.get("/")), text_of(browser.get("/?whose=all"))

    assert ("Mina" in own, "Otto" in own) == (True, False)
    assert ("Mina" in all_of_them, "Otto" in all_of_them) == (True, True)


@pytest.mark.parametrize("role", ["patient", "auditor"])
def test_today_has_no_board_without_the_permission(role, nurse, noon, page_client):
    visit_now(PatientFactory(by=nurse, first_name="Mina"), make_practitioner(), noon, by=nurse)

    page = page_client(MembershipFactory(role=role)).get("/")

    assert "Mina" not in page.content.decode()
    assert 'id="board"' not in page.content.decode()


def test_today_masks_restricted_charts(nurse, doctor, noon, page_client):
    patient = PatientFactory(by=nurse, first_name="Secret")
    visit_now(patient, make_practitioner(), noon, by=nurse)
    restricting.restrict_chart(patient, by=doctor, reason="Works here")

    assert "DE LA HOZ, Secret Restricted" in text_of(page_client(nurse).get("/"))
    assert "DE LA HOZ, Secret Restricted" not in text_of(page_client(doctor).get("/"))


def test_agenda_shows_day_week_list_and_rooms(nurse, patient, quintero, place, monday, page_client):
    book(patient, quintero, at(monday, 9), by=nurse)
    browser = page_client(nurse)

    for view in ("view=day", "view=week", "view=list", "by=room"):
        page = browser.get(f"/agenda/?day={monday}&{view}")
        assert "09:00 DE LA HOZ, Ana" in text_of(page)
        assert "all times America/Bogota (UTC−5)" in text_of(page)


def test_agenda_places_cards_by_classes(nurse, patient, quintero, place, monday, page_client):
    book(patient, quintero, at(monday, 10, 30), by=nurse, ends_at=at(monday, 11, 15))

    page = page_client(nurse).get(f"/agenda/?day={monday}").content.decode()

    # The day is drawn from 09:00, in rows of five minutes: 90 minutes later is row 19, 45 minutes are nine rows.
    assert re.search(r'class="r19 s9 l1of1 visit-card', page)
    assert "style=" not in page


def test_agenda_leads_from_a_free_time_to_booking(nurse, patient, quintero, place, monday, page_client):
    browser = page_client(nurse)
    page = browser.get(f"/agenda/?day={monday}").content.decode()
    links = [html.unescape(link) for link in re.findall(r'href="(/appointments/new/\?practitioner[^"]*)"', page)]
    assert len(links) == 6

    booking = browser.get(f"{links[1]}&patient={patient.pk}").content.decode()

    assert re.search(r'value="[^"]*" checked><span class="tile-time"><time>09:30', booking)


def test_agenda_says_why_nothing_can_be_booked(nurse, quintero, place, monday, page_client):
    from clinic.places.models import Holiday
    from clinic.scheduling.models import Leave

    Leave.objects.create(practitioner=quintero, kind="illness", starts_at=at(monday, 10), ends_at=at(monday, 12))
    Holiday.objects.create(day=monday + timedelta(days=1), name="Founders' day")
    browser = page_client(nurse)

    assert "Ill" in text_of(browser.get(f"/agenda/?day={monday}"))
    assert "Founders' day" in text_of(browser.get(f"/agenda/?day={monday + timedelta(days=1)}"))
    assert len(re.findall('class="[^"]*slot"', browser.get(f"/agenda/?day={monday}").content.decode())) == 2


@pytest.mark.parametrize("day", ["", "nonsense", "9999-99-99", "0001-01-01", "2026-02-30"])
def test_agenda_of_no_day_is_today(day, nurse, quintero, page_client):
    page = page_client(nurse).get("/agenda/", {"day": day})

    assert page.status_code == 200
    assert "· today" in text_of(page)


def test_agenda_of_a_clinic_without_anything_says_so(nurse, page_client):
    assert "There is no agenda yet" in text_of(page_client(nurse).get("/agenda/"))


def test_restricted_charts_are_masked_in_the_book(nurse, doctor, quintero, monday, page_client):
    patient = PatientFactory(by=nurse, first_name="Secret", birth_date="1971-07-23")
    visit = book(patient, quintero, at(monday, 9), by=nurse)
    restricting.restrict_chart(patient, by=doctor, reason="Works here")

    page = page_client(nurse).get(f"/appointments/{visit.pk}/")
    assert "Restricted" in text_of(page)
    assert "1971" not in text_of(page)
    assert "Open the chart" not in text_of(page)
    assert "Open the chart" in text_of(page_client(doctor).get(f"/appointments/{visit.pk}/"))
    booking = page_client(nurse).get(f"/appointments/new/?patient={patient.pk}")
    assert (booking.status_code, "break-glass" in booking.url) == (302, True)


# --- Cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/", *[f"/agenda/?view={view}&day={{day}}" for view in ("day", "list", "week")]])
def test_pages_take_the_same_statements_for_five_and_fifty_visits(address, nurse, noon, page_client):
    quintero = make_practitioner()
    now = timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    day = now.astimezone(noon.zone).date()
    browser, made = page_client(nurse), []

    def add(count):
        for _each in range(count):
            one = make_practitioner("Doc", f"Number{len(made)}") if address == "/" else quintero
            patient = PatientFactory(by=nurse)
            start = now if address == "/" else now - timedelta(minutes=50) + timedelta(minutes=2 * len(made))
            made.append(services.book(
                Wanted(patient=patient, practitioner=one, starts_at=start, location=noon,
                       ends_at=start + timedelta(minutes=2)), by=nurse))  # fmt: skip

    def queries():
        page = address.format(day=day)
        browser.get(page)
        with CaptureQueriesContext(connection) as captured:
            browser.get(page)
        return len(captured)

    add(5)
    five = queries()
    add(45)

    assert queries() == five
    assert five <= 30


def test_a_patient_sees_their_visits_on_the_chart(nurse, patient, quintero, monday, page_client):
    visit = book(patient, quintero, at(monday, 9), by=nurse)
    page = page_client(nurse).get(f"/patients/{patient.pk}/visits/")

    words = text_of(page)
    assert "To come 1" in words
    assert f"/appointments/{visit.pk}/" in page.content.decode()
    assert AppointmentChange.objects.count() == 1


def test_the_day_the_clocks_change_is_drawn_as_long_as_it_is(nurse, page_client):
    """2027-03-28 in London: 01:00 to 02:00 does not exist."""
    london, night, day = make_location("London house", "Europe/London"), make_practitioner("Nadia", "Night"), 28
    work(night, london, weekdays=[6], starts=time(0), ends=time(5))
    starts = datetime(2027, 3, day, 0, 30, tzinfo=UTC)
    patient = PatientFactory(by=nurse)
    services.book(Wanted(patient=patient, practitioner=night, location=london, starts_at=starts), by=nurse)

    page = page_client(nurse).get(f"/agenda/?view=day&day=2027-03-28&location={london.pk}").content.decode()

    assert "No such time: the clocks go forward" in page
    assert "Europe/London (UTC+1)" in page
    assert 'class="r7 s6 l1of1 visit-card' in page  # 00:30, half an hour: it ends when the clock shows two
    assert "time=01:00" not in page
    assert "time=02:00" in page
    usual = page_client(nurse).get(f"/agenda/?view=day&day=2027-04-04&location={london.pk}").content.decode()
    assert "No such time" not in usual
    assert "time=01:00" in usual
