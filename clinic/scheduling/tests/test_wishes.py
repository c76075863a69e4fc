"""The wishes of those who work with such books (clinic.md section 4, rows 1 to 17): each has a test that names it."""

import calendar
import re
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.utils import translation
from icalendar import Calendar

from accounts.notifications import sending
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import feeds, presenting, selectors, services
from clinic.scheduling.services import Wanted
from clinic.scheduling.wall_time import wall_of
from tenancy.tenants.context import get_current_tenant_id

from .factories import at, make_location, make_practitioner, next_day, work

WISHES = range(1, 18)
NAMED = re.compile(r"\b[Ww]ish(?:es)?[ _]?((?:\d+(?:, | and |–)?)+)")


def test_every_wish_has_a_test_that_names_it():
    root = Path(__file__).parents[3]
    places = [*root.glob("clinic/scheduling/tests/test_*.py"), *root.glob("config/tests/browser/test_*.py")]
    named = {
        int(number)
        for place in places
        if place.name != "test_wishes.py"
        for found in NAMED.findall(place.read_text())
        for number in re.findall(r"\d+", found)
    }
    here = {int(number) for number in re.findall(r"^def test_wish(\d+)_", Path(__file__).read_text(), re.M)}

    assert set(WISHES) - named - here == set()


@pytest.mark.parametrize("day", [date(date.today().year + 1, 1, 13), date(date.today().year + 1, 7, 14)])
def test_wish8_mail_page_api_and_calendars_show_the_clock_of_the_place(clinic, nurse, api_client, page_client, day):
    """Whoever looks, from wherever: half past two in London, winter and summer, said with its zone."""
    london, otto = make_location("London", "Europe/London"), make_practitioner("Otto", "Orejuela")
    patient = PatientFactory(email="ana@example.org")
    moment = datetime.combine(day, time(14, 30), ZoneInfo("Europe/London"))
    visit = services.book(Wanted(patient=patient, practitioner=otto, location=london, starts_at=moment), by=nurse)
    _feed, token = feeds.open_feed(by=nurse, practitioner=otto)

    row = api_client(nurse).get(f"/api/appointments/{visit.pk}").json()
    page = page_client(nurse).get(f"/appointments/{visit.pk}/").content.decode()
    mail.outbox.clear()
    sending.deliver_due(get_current_tenant_id())
    (message,) = mail.outbox
    attached = Calendar.from_ical(message.attachments[0][1]).walk("VEVENT")[0]["DTSTART"]
    fed = Calendar.from_ical(feeds.read_feed(token.partition(".")[2])).walk("VEVENT")[0]["DTSTART"]

    assert (row["localStart"], row["timeZone"]) == (f"{day}T14:30", "Europe/London")
    assert datetime.fromisoformat(row["start"]) == moment
    assert "14:30" in page
    assert "Europe/London" in page
    assert "14:30 (Europe/London)" in message.body
    for begin in (attached, fed):
        assert begin.params["TZID"] == "Europe/London"
        assert begin.dt.replace(tzinfo=None) == datetime.combine(day, time(14, 30))
        assert begin.dt == moment


@pytest.fixture(params=[calendar.SUNDAY, calendar.MONDAY, calendar.SATURDAY])
def week_start(request):
    """A machine whose weeks begin on another day."""
    before = calendar.firstweekday()
    calendar.setfirstweekday(request.param)
    yield request.param
    calendar.setfirstweekday(before)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Bogota", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("language", ["en", "es", "ar"])  # their weeks begin on Sunday, Monday, Saturday
def test_wish9_a_weekday_is_the_same_day_everywhere(clinic, nurse, admin, api_client, week_start, language, zone):
    """Hours for Wednesdays give times on Wednesdays, whatever the first day of a week is and how far from UTC."""
    place, otto = make_location(f"House {zone}", zone), make_practitioner("Otto", "Orejuela")
    body = {"doctor_id": str(otto.pk), "location_id": str(place.pk), "weekday": "Wed"}
    made = api_client(admin).post("/api/schedules", body | {"start_time": "00:00", "end_time": "23:45", "step": 480})
    assert made.status_code == 201, made.json()
    first = next_day(0)

    with translation.override(language):
        found = selectors.find_slots([otto], first, first + timedelta(days=20), by=nurse)
        words = {presenting.day_words(wall_of(slot.starts, place.zone).date()).split()[0] for slot in found}
        wednesday = presenting.day_words(date(2026, 11, 25)).split()[0]

    assert {wall_of(slot.starts, place.zone).weekday() for slot in found} == {2}
    assert {wall_of(slot.starts, place.zone).date() for slot in found} == {
        first + timedelta(days=n) for n in (2, 9, 16)
    }
    assert words == {wednesday}


def test_wish9_the_week_of_the_agenda_has_its_days_under_their_names(clinic, nurse, page_client):
    place, otto = make_location(), make_practitioner("Otto", "Orejuela")
    work(otto, place)
    wednesday = next_day(2)
    visit = Wanted(patient=PatientFactory(), practitioner=otto, location=place, starts_at=at(wednesday, 10))
    services.book(visit, by=nurse)

    for day in (wednesday - timedelta(days=2), wednesday, wednesday + timedelta(days=4)):
        query = {"view": "week", "practitioner": str(otto.pk), "location": str(place.pk), "day": str(day)}
        page = page_client(nurse).get("/agenda/", query)
        heads = [column["head"] for column in page.context["grid"]["columns"]]
        assert heads[:5] == [presenting.short_day(wednesday + timedelta(days=n)) for n in range(-2, 3)], heads
