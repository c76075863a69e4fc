"""Days longer than a page: Today, the list of a day and the columns show a part, count all, and cost the same."""

import html
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import agenda
from clinic.scheduling.models import Appointment
from clinic.scheduling.states import State
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.numbering import next_number
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import make_location, make_practitioner, make_type

STEP = timedelta(minutes=2)
LATE = 30


def noon_house(tenant_id):
    """A place where it is about noon now, in a clinic that lives by its clock."""
    zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
    Tenant.objects.filter(pk=tenant_id).update(time_zone=zone)
    return make_location("Noon house", zone)


def fill(place, by, count, *, late=0, state=State.BOOKED, first_name="Ana", one=None, now=None, people=None, **more):
    """So many visits of one clinician, one each two minutes, `late` of them before now; gives their ids by time."""
    now = now or timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    begun, made = Appointment.objects.count(), []
    one, kind = one or make_practitioner("Doc", f"Number{begun}"), make_type(f"kind-{begun}")
    patients = people or [PatientFactory(by=by, first_name=first_name) for _each in range(3)]
    for place_in_row in range(count):
        starts = now + (place_in_row - late) * STEP
        times = {"starts_at": starts, "busy_from": starts, "ends_at": starts + STEP, "busy_until": starts + STEP}
        made.append(Appointment(
            number=next_number("appointment"), patient=patients[place_in_row % len(patients)], practitioner=one,
            location=place, type=kind, time_zone=place.time_zone,
            wall_start=f"{starts.astimezone(place.zone):%Y-%m-%dT%H:%M}", state=state,
            is_live=state not in {State.CANCELLED, State.NO_SHOW}, **times, **more,
        ))  # fmt: skip
    Appointment.objects.bulk_create(made)
    return [str(visit.pk) for visit in made]


@pytest.fixture
def noon(clinic):
    return noon_house(clinic.pk)


def shown(page):
    """Ids of the lines of a page, in order."""
    return re.findall(r'id="open-([0-9a-f-]{36})"', page.content.decode())


def link(page, id):
    found = re.search(rf'id="{id}" href="([^"#]*)#', page.content.decode())
    return html.unescape(found[1]) if found else None


def counts(page):
    return re.findall(r'<h2[^>]*>(\w[\w ]*?) <span class="count">(\d+)</span>', page.content.decode())


# --- Today -----------------------------------------------------------------------------------------------------------


def test_today_begins_with_a_few_who_are_late_and_counts_everybody(nurse, noon, page_client):
    visits = fill(noon, nurse, 100, late=LATE)

    page = page_client(nurse).get("/")

    first = LATE - agenda.LATE_SHOWN
    assert shown(page) == visits[first : first + agenda.MOST_EXPECTED]
    assert dict(counts(page))["Expected"] == "100"
    assert f"{first + 1} to {first + agenda.MOST_EXPECTED} of 100" in page.content.decode()


def test_today_shows_each_who_is_expected_once_on_the_way_through(nurse, noon, page_client):
    visits, browser = fill(noon, nurse, 90, late=LATE), page_client(nurse)

    address, seen = "/?whose=all&expected=0", []
    while address:
        page = browser.get(address)
        seen += shown(page)
        following = link(page, "expected-visits-later")
        address = following and f"/{following}"

    assert seen == [*visits[:80], *visits[70:]]  # the last stretch is a whole one
    back = link(page, "expected-visits-earlier")
    assert (back, shown(browser.get(f"/{back}"))) == ("?whose=all&expected=50", visits[50:70])
    assert link(page, "expected-visits-usual") == "?whose=all"


@pytest.mark.parametrize("asked", ["-1", "x", "", "99999999999", "1e3", "٣"])
def test_today_of_a_place_that_is_none_begins_as_ever(asked, nurse, noon, page_client):
    visits = fill(noon, nurse, 40)

    assert shown(page_client(nurse).get("/", {"expected": asked})) == visits[: agenda.MOST_EXPECTED]


def test_today_beyond_the_end_shows_the_end(nurse, noon, page_client):
    visits = fill(noon, nurse, 40)

    assert shown(page_client(nurse).get("/?expected=500")) == visits[-agenda.MOST_EXPECTED :]


def test_today_of_a_short_day_has_nothing_to_leaf_through(nurse, noon, page_client):
    fill(noon, nurse, 5)

    assert 'class="stretch"' not in page_client(nurse).get("/").content.decode()


def test_today_stays_where_it_is_when_it_is_fetched_anew_and_after_a_tap(nurse, noon, page_client):
    visits, browser = fill(noon, nurse, 90, late=LATE), page_client(nurse)
    here = "/?whose=all&expected=40"

    page = browser.get(here).content.decode()

    (refresher,) = re.findall(r'data-refreshes hx-get="([^"]*)"', page)
    assert html.unescape(refresher) == here
    next_page = html.unescape(re.findall(r'name="next" value="([^"]*)"', page)[0])
    tapped = browser.post(f"/appointments/{visits[40]}/state/", {"to": "arrived", "from": "booked", "next": next_page})
    assert tapped.url == here
    assert shown(browser.get(here)) == visits[41:61]


@pytest.mark.parametrize("address", ["/?expected=20", "/agenda/?view=list&first=20", "/agenda/?view=day"])
def test_what_is_fetched_anew_is_the_board_alone_and_the_same(address, nurse, noon, page_client):
    fill(noon, nurse, 90)
    browser = page_client(nurse)

    whole, part = (browser.get(address, headers=headers).content.decode() for headers in ({}, {"HX-Request": "true"}))

    assert ("<html" in whole, "<html" in part, 'id="said"' in part) == (True, False, True)
    boards = [re.search(r'id="board".*</(?:section|div)>\s*<span hidden', page, re.DOTALL) for page in (whole, part)]
    taps = [re.sub(r'(csrfmiddlewaretoken" value=|datetime=)"[^"]*"', "", board[0]) for board in boards]
    assert [" ".join(board.split()) for board in taps[:1]] == [" ".join(board.split()) for board in taps[1:]]


def test_who_waits_longest_is_shown_first_of_however_many(nurse, noon, page_client):
    visits = fill(noon, nurse, 40, late=40, state=State.ARRIVED)
    Appointment.objects.filter(pk__in=visits).update(arrived_at=timezone.now())
    # Came before their time: they wait since their time, the first of them the longest.
    Appointment.objects.filter(pk__in=visits[30:]).update(arrived_at=timezone.now() - timedelta(hours=3))
    browser = page_client(nurse)

    page = browser.get("/")
    rest = browser.get(f"/{link(page, 'waiting-visits-later')}")

    first, second = (re.findall(r'id="waits-([0-9a-f-]{36})"', one.content.decode()) for one in (page, rest))
    assert first[:10] == visits[30:]
    assert len(first) == len(second) == agenda.MOST_WAITING
    assert not set(first) & set(second)
    assert dict(counts(page))["Waiting"] == "40"


def test_finished_and_in_the_room_are_counted_whole(nurse, noon, page_client):
    fill(noon, nurse, 25, late=25, state=State.IN_ROOM)
    fill(noon, nurse, 30, late=30, state=State.COMPLETED)

    page = page_client(nurse).get("/")

    assert counts(page) == [("Waiting", "0"), ("In the room", "25"), ("Expected", "0"), ("Finished last", "30")]
    assert len(shown(page)) == agenda.MOST_FINISHED
    assert link(page, "in_room-visits-later") == f"?in_room={agenda.MOST_IN_ROOM}"


# --- The day as a list ------------------------------------------------------------------------------------------------


def test_list_of_a_long_day_is_leafed_through_and_misses_nobody(nurse, noon, page_client):
    visits, browser = fill(noon, nurse, 150, late=100), page_client(nurse)
    query = f"view=list&day={timezone.localdate(timezone=noon.zone)}"

    seen, page = [], browser.get(f"/agenda/?{query}&first=0")
    seen += shown(page)
    while following := link(page, "board-later"):
        page = browser.get(f"/agenda/{following}")
        seen += shown(page)

    assert list(dict.fromkeys(seen)) == visits
    assert len(seen) == 3 * agenda.MOST_LISTED


def test_list_of_a_long_day_leads_to_every_hour_and_begins_with_the_one_that_is_now(nurse, noon, page_client):
    visits, browser = fill(noon, nurse, 150, late=100), page_client(nurse)
    begins = {}
    for pk, wall in Appointment.objects.order_by("starts_at").values_list("id", "wall_start"):
        begins.setdefault(wall[11:13], str(pk))

    page = browser.get("/agenda/?view=list")

    links = re.findall(r'<a href="([^"#]*)#board" id="hour-\d+"[^>]*>(\d\d):00', page.content.decode())
    assert [hour for _address, hour in links] == list(begins)
    for address, hour in links:
        rows = shown(browser.get(f"/agenda/{html.unescape(address)}"))
        assert begins[hour] in (rows if rows[-1] == visits[-1] else rows[:1])
    now = f"{timezone.now().astimezone(noon.zone):%H}"
    assert begins[now] in shown(page)
    assert len(shown(page)) == agenda.MOST_LISTED


def test_list_of_a_short_day_is_whole(nurse, noon, page_client):
    visits = fill(noon, nurse, 30, late=20)

    page = page_client(nurse).get("/agenda/?view=list")

    assert shown(page) == visits
    assert 'class="list-hours"' not in page.content.decode()


def test_another_day_begins_at_its_beginning(nurse, noon, page_client):
    fill(noon, nurse, 100, late=50)

    page = page_client(nurse).get("/agenda/?view=list&first=20").content.decode()

    assert "first=" not in "".join(re.findall(r'data-key="[a-z]+"[^>]* href="([^"]*)"', page))


# --- Whose, and what is written --------------------------------------------------------------------------------------

PAGES = ["/?expected=0", "/?waiting=0", "/agenda/?view=list&first=0", "/agenda/?view=day", "/agenda/?view=week"]


@pytest.mark.parametrize("address", PAGES)
def test_nothing_of_another_clinic_is_shown_or_counted(address, nurse, noon, other_clinic, stranger, page_client):
    fill(noon, nurse, 3, first_name="Ana")
    with outside_tenant(), tenant_context(other_clinic.id):
        fill(noon_house(other_clinic.pk), stranger, 70, first_name="Zoe")

    mine, theirs = (page_client(member).get(address).content.decode() for member in (nurse, stranger))

    assert ("Ana" in mine, "Zoe" in mine, "Ana" in theirs, "Zoe" in theirs) == (True, False, False, True)
    assert "of 70" not in mine


@pytest.mark.parametrize("address", [*PAGES, "/agenda/?view=day&by=room"])
def test_what_people_are_called_is_text_not_markup(address, nurse, noon, page_client):
    wild = "<img src=x>\"'&"
    visits = fill(noon, nurse, 2, late=1, first_name=wild, state=State.ARRIVED)
    Appointment.objects.filter(pk__in=visits).update(arrived_at=timezone.now())
    one = Appointment.objects.first()
    type(one.practitioner).objects.update(first_name=wild)
    type(one.type).objects.update(name=wild)

    page = page_client(nurse).get(address).content.decode()

    assert "<img src=x>" not in page
    assert "&lt;img src=x&gt;&quot;&#x27;&amp;" in page


# --- Cost ------------------------------------------------------------------------------------------------------------

COSTS = {
    "/": 24,
    "/agenda/?view=list": 22,
    "/agenda/?view=day": 24,
    "/agenda/?view=week": 24,
    "/agenda/?view=day&by=room": 24,
}


def statements(browser, address):
    browser.get(address)
    with CaptureQueriesContext(connection) as captured:
        answer = browser.get(address)
    assert answer.status_code == 200
    return len(captured)


def fill_states(place, by, one, count, late):
    for number, state in enumerate((State.BOOKED, State.ARRIVED, State.IN_ROOM, State.COMPLETED)):
        fill(place, by, count, state=state, one=one, late=late + number * count)


@pytest.mark.parametrize("address", COSTS)
def test_a_page_takes_the_same_statements_for_one_and_for_a_hundred(address, nurse, noon, page_client):
    browser, one = page_client(nurse), make_practitioner()
    fill_states(noon, nurse, one, 1, late=0)
    few = statements(browser, address)
    fill_states(noon, nurse, one, 25, late=30)

    assert statements(browser, address) == few <= COSTS[address]


@pytest.mark.parametrize("address", COSTS)
def test_the_count_of_statements_notices_a_field_that_is_not_read(address, nurse, noon, page_client, monkeypatch):
    """The negative control: without one name in what is read, each row asks for it."""
    monkeypatch.setattr(agenda, "SHOWN", tuple(name for name in agenda.SHOWN if name != "override_reason"))
    browser, one = page_client(nurse), make_practitioner()
    fill(noon, nurse, 1, one=one)
    few = statements(browser, address)
    fill(noon, nurse, 15, one=one, late=15)

    assert statements(browser, address) > few
