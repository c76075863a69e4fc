"""A patient by telephone: find a time, lose it to the clock, book, cancel, and be told to call after the cut-off."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.users.tests.factories import MembershipFactory
from clinic.patients.tests.factories import PatientFactory
from clinic.places import services as places
from clinic.scheduling import services
from clinic.scheduling.models import Appointment
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from clinic.scheduling.tests.factories import at, make_location, make_practitioner, make_type, next_day, work

from .conftest import PHONE, troubles_of


@pytest.fixture(scope="module")
def portal(running_site, django_db_blocker):
    """A patient with an account and a chart, somebody to see, and two kinds of visits; made once."""

    def open_portal():
        place = make_location("Portal house")
        place = places.update_location(
            place, by=None, changes={"phone": "601 555 0101", "address": "Calle 127 # 15-20"}
        )
        person = make_practitioner("Olga", "Portal")
        work(person, place)
        member = MembershipFactory(role="patient", user__name="Pia Patient")
        running_site.members["patient"] = member
        running_site.members["manager"] = MembershipFactory(role="admin", user__name="Ada Admin")
        book = make_type("portal-visit", name="Portal consultation", self_service="book")
        ask = make_type("portal-ask", name="Portal check-up", self_service="request")
        for kind in (book, ask):
            kind.performers.create(practitioner=person)
        chart = PatientFactory(first_name="Pia", first_last_name="Portal", user=member.user)
        return {"chart": chart, "place": place, "person": person, "book": book, "ask": ask}

    with django_db_blocker.unblock():
        return running_site.work(open_portal)


def test_a_patient_books_loses_the_time_books_again_cancels_and_meets_the_cut_off(site, opens, portal):
    page = opens("patient", viewport=PHONE)
    page.goto("/")
    page.get_by_role("link", name="Book an appointment").click()
    expect(page.get_by_role("heading", name="What do you come for?")).to_be_visible()
    assert troubles_of(page) == []
    page.get_by_role("link", name="Portal consultation").click()
    page.goto(f"{page.url}?from={next_day(0)}")
    assert troubles_of(page) == []
    page.set_viewport_size(PHONE)
    tile = page.get_by_role("button", name="10:00").first
    assert tile.bounding_box()["height"] >= 48
    tile.click()

    # Kept, by the server's clock.
    expect(page.get_by_text("The time is kept for you until")).to_be_visible()
    expect(page.locator("[data-left]")).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))
    page.get_by_label("What is it about?").fill("Cough since Friday")
    assert troubles_of(page) == []
    late = timezone.now() - timedelta(seconds=1)
    site.work(lambda: Appointment.objects.filter(state=State.HELD).update(hold_expires_at=late))
    page.get_by_role("button", name="Book this appointment").click()
    alert = page.get_by_role("alert").filter(has_text="is free again")
    expect(alert).to_be_focused()
    assert troubles_of(page) == []
    alert.get_by_role("button", name="10:00").click()
    expect(page.get_by_label("What is it about?")).to_have_value("Cough since Friday")
    page.get_by_role("button", name="Book this appointment").click()
    expect(page.get_by_role("status").filter(has_text="Your appointment is booked.")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("10:00–10:30")
    expect(page.get_by_role("main")).to_contain_text("America/Bogota")
    assert troubles_of(page) == []

    page.get_by_role("link", name="Cancel the appointment").click()
    assert troubles_of(page) == []
    page.get_by_role("button", name="Cancel the appointment").click()
    expect(page.get_by_role("status").filter(has_text="Your appointment is cancelled.")).to_be_visible()

    def tomorrow():
        soon = services.book(
            Wanted(patient=portal["chart"], practitioner=portal["person"], location=portal["place"],
                   type=portal["book"], starts_at=at(next_day(1), 9)),
            by=site.members["nurse"],
        )  # fmt: skip
        starts = timezone.now() + timedelta(hours=20)
        Appointment.objects.filter(pk=soon.pk).update(
            starts_at=starts, ends_at=starts + timedelta(minutes=30), busy_from=starts,
            busy_until=starts + timedelta(minutes=30),
        )  # fmt: skip
        return soon.pk

    soon = site.work(tomorrow)
    page.goto("/my/visits/")
    assert troubles_of(page) == []
    page.goto(f"/my/visits/{soon}/")
    expect(page.get_by_role("link", name="Cancel the appointment")).to_have_count(0)
    expect(page.get_by_role("main")).to_contain_text("Online you can cancel until 24 hours before the appointment")
    assert troubles_of(page) == []
    page.goto(f"/my/visits/{soon}/cancel/")
    expect(page.get_by_role("alert")).to_contain_text("Call us: 601 555 0101")
    expect(page.get_by_role("main").get_by_role("link", name="601 555 0101").first).to_have_attribute(
        "href", "tel:6015550101"
    )
    assert troubles_of(page) == []


def test_the_page_says_when_a_kept_time_lapses(site, opens, portal):
    page = opens("patient", viewport=PHONE)
    page.goto(f"/my/visits/book/{portal['book'].pk}/?from={next_day(0)}")
    page.get_by_role("button", name="11:00").first.click()
    expect(page.locator("[data-left]")).to_be_visible()
    soon = timezone.now() + timedelta(seconds=3)
    site.work(lambda: Appointment.objects.filter(state=State.HELD).update(hold_expires_at=soon))
    page.reload()
    expect(page.locator("[data-lapsed], .notice-bad").filter(visible=True).first).to_contain_text(
        re.compile("no longer kept for you")
    )
    assert troubles_of(page) == []


def test_a_patient_asks_moves_and_takes_a_calendar(site, opens, portal):
    page = opens("patient", viewport=PHONE)
    page.goto(f"/my/visits/book/{portal['ask'].pk}/?from={next_day(2)}")
    page.get_by_role("button", name="09:00").first.click()
    expect(page.get_by_role("heading", name="Ask for this time?")).to_be_visible()
    assert troubles_of(page) == []
    page.get_by_role("button", name="Ask for this time").click()
    expect(page.get_by_role("main")).to_contain_text("Asked for, not confirmed yet")
    assert troubles_of(page) == []
    page.get_by_role("link", name="Another time").click()
    assert troubles_of(page) == []
    page.get_by_role("button", name="11:30").first.click()
    expect(page.get_by_role("heading", name="Take this time?")).to_be_visible()
    assert troubles_of(page) == []
    page.get_by_role("button", name="Take this time").click()
    expect(page.get_by_role("main")).to_contain_text("11:30–12:00")

    page.goto("/my/visits/calendar/")
    page.get_by_role("button", name="Make an address").click()
    expect(page.get_by_text("Copy it now: it is shown this once.")).to_be_visible()
    assert troubles_of(page) == []


def test_an_administrator_decides_what_patients_do(opens, portal):
    page = opens("manager")
    page.goto("/clinic/patients-online/")
    expect(page.get_by_label("See them, ask for a time and book")).to_be_checked()
    assert troubles_of(page) == []
    page.get_by_label("Cancel until so many hours before").fill("1000")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert troubles_of(page) == []
    page.get_by_label("Cancel until so many hours before").fill("24")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved. It holds from now on.")).to_be_visible()
