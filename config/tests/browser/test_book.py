"""The book in a browser: find a time, lose it, take the one proposed, arrive, complete, undo; keys; axe on all."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import services
from clinic.scheduling.services import Wanted
from clinic.scheduling.tests.factories import at, make_location, make_practitioner, next_day, work

from .conftest import troubles_of, without_leaving


@pytest.fixture(scope="module")
def book(running_site, django_db_blocker):
    """Somebody with hours on weekdays from nine to twelve, and somebody without any, who is asked; made once."""

    def open_book():
        place = make_location("Riverside house")
        practitioner = make_practitioner("Berta", "Buchwald")
        work(practitioner, place)
        return {"place": place, "practitioner": practitioner, "asked": make_practitioner("Carla", "Yepes")}

    with django_db_blocker.unblock():
        return running_site.work(open_book)


def test_book_clash_take_the_proposed_time_arrive_complete_undo(site, opens, book):
    monday = next_day(0)
    patient = site.patient(first_name="Wilma", first_last_name="Walker")
    page = opens()
    page.goto("/agenda/")
    page.get_by_role("link", name="Book a visit").click()
    page.get_by_role("searchbox", name="Patient", exact=True).press_sequentially("walker wil", delay=20)
    page.locator("#found").get_by_role("link", name="WALKER, Wilma").click()
    with without_leaving(page):
        page.get_by_label("Reason for the visit").fill("Cough since Friday")
        page.get_by_label("Clinician").select_option(label="BUCHWALD, Berta")
        page.get_by_label("Day", exact=True).fill(monday.isoformat())
        page.get_by_label("Day", exact=True).blur()
        tile = page.get_by_role("radio", name="09:00")
        expect(tile).to_be_enabled()
        expect(page.get_by_role("group", name=re.compile("^Monday"))).to_be_visible()
    assert troubles_of(page) == []
    tile.check()
    # Somebody else is quicker.
    site.work(
        lambda: services.book(
            Wanted(
                patient=PatientFactory(by=site.members["nurse"]),
                practitioner=book["practitioner"],
                starts_at=at(monday, 9),
            ),
            by=site.members["nurse"],
        )
    )
    page.get_by_role("button", name="Book this time").click()

    alert = page.get_by_role("alert").filter(has_text="has another visit then")
    expect(alert).to_be_focused()
    expect(alert.get_by_role("radio")).to_have_count(3)
    expect(page.get_by_label("Reason for the visit")).to_have_value("Cough since Friday")
    assert troubles_of(page) == []
    alert.get_by_role("button", name="Take this time").click()
    expect(page.get_by_role("heading", name="WALKER, Wilma")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("09:30–10:00")
    assert page.title().startswith("WALKER, Wilma")
    assert troubles_of(page) == []

    for button, state in (("Arrived", "Arrived"), ("In the room", "In the room"), ("Done", "Completed")):
        page.get_by_role("button", name=button).first.click()
        expect(page.get_by_role("status").filter(has_text=f"{state}:")).to_be_visible()
    page.get_by_role("button", name="Undo the last change").click()
    expect(page.get_by_role("region", name="State")).to_contain_text("In the room")
    page.goto(f"/patients/{patient.pk}/visits/")
    expect(page.get_by_role("table", name=None).first).to_contain_text("09:30–10:00")
    assert troubles_of(page) == []


def test_today_taps_do_not_load_the_page_and_keep_the_focus(site, opens, book):
    patient = site.patient(first_name="Ulla", first_last_name="Today")
    site.work(
        lambda: services.book(
            Wanted(patient=patient, practitioner=book["asked"], starts_at=timezone.now() + timedelta(minutes=1)),
            by=site.members["nurse"],
        )
    )
    page = opens()
    page.goto("/")
    row = page.get_by_role("listitem").filter(has_text="TODAY, Ulla")
    assert troubles_of(page) == []

    with without_leaving(page):
        row.get_by_role("button", name="Arrived").click()
        expect(row).to_contain_text("early")
        row.get_by_role("button", name="In the room").click()
        expect(row.get_by_role("button", name="Done")).to_be_visible()
        # The minute's refresh, called early: the focus stays where it was.
        row.get_by_role("link", name="TODAY, Ulla", exact=True).focus()
        page.evaluate("htmx.trigger(document.querySelector('[data-refreshes]'), 'shown')")
        page.wait_for_timeout(1000)
        expect(row.get_by_role("link", name="TODAY, Ulla", exact=True)).to_be_focused()
        row.get_by_role("button", name="Undo").click()
        expect(row.get_by_role("button", name="In the room")).to_be_visible()
    row.get_by_role("link", name="Cancel").click()
    assert troubles_of(page) == []
    page.get_by_label("The patient is ill").check()
    page.get_by_role("button", name="Cancel the visit").click()
    expect(page).to_have_url(f"{site.url}/")
    expect(page.get_by_role("listitem").filter(has_text="TODAY, Ulla")).to_contain_text("Cancelled")


def test_agenda_by_keys_and_for_everybody(opens, book):
    page = opens()
    page.goto("/agenda/?day=2026-03-02&view=day")
    page.locator("body").press("n")
    expect(page).to_have_url(re.compile("day=2026-03-03"))
    page.locator("body").press("ArrowLeft")
    expect(page).to_have_url(re.compile("day=2026-03-02"))
    page.locator("body").press("t")
    expect(page.locator('[data-key="today"]')).to_have_attribute("aria-current", "date")
    page.locator("body").press("g")
    page.locator("body").press("t")
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    monday = next_day(0)
    for view in ("day", "week", "list", "day&by=room"):
        page.goto(f"/agenda/?day={monday}&view={view}")
        assert troubles_of(page) == []


def test_move_page_can_be_used_by_everybody(site, opens, book):
    visit = site.work(
        lambda: services.book(
            Wanted(
                patient=PatientFactory(by=site.members["nurse"]),
                practitioner=book["practitioner"],
                starts_at=at(next_day(2), 9),
            ),
            by=site.members["nurse"],
        )
    )
    page = opens()
    page.goto(f"/appointments/{visit.pk}/")
    page.get_by_role("link", name="Another time").click()
    assert troubles_of(page) == []
    page.get_by_role("radio", name="11:00").check()
    page.get_by_role("button", name="Move to this time").click()
    expect(page.get_by_role("main")).to_contain_text("1 visit is moved.")
    page.get_by_role("button", name="Undo the last change").click()
    expect(page.get_by_role("main")).to_contain_text("09:00–09:30")
