"""axe on every page, at both widths and in both schemes; nothing sticks out of a phone."""

import re
from datetime import date

import pytest
from playwright.sync_api import expect

from clinic.patients import services

from .conftest import troubles_of

PAGES = {
    "today": "/",
    "list": "/patients/",
    "empty search": "/patients/?q=nobody+has+this+name",
    "chart": "{chart}",
    "create": "/patients/new/",
    "edit": "{chart}edit/",
    "history": "{chart}history/?version=1",
    "looks": "{chart}looks/",
    "gallery": "/look/",
    "404": "/patients/no-such-page/",
}


@pytest.mark.parametrize("name", PAGES)
def test_page_can_be_used_by_everybody(site, opens, name):
    page = opens()
    page.goto(PAGES[name].format(chart=f"/patients/{site.members['full'].pk}/"))

    assert troubles_of(page) == []


def test_sign_in_can_be_used_by_everybody(opens):
    page = opens(None)
    page.goto("/sign-in/")
    assert troubles_of(page) == []

    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert troubles_of(page) == []


def test_stale_edit_can_be_used_by_everybody(site, opens):
    patient = site.patient(first_name="Ulises", first_last_name="Stale", birth_date=date(1978, 3, 14))
    page = opens()
    page.goto(f"/patients/{patient.pk}/edit/")
    _change(site, patient, city="Cali")
    page.get_by_label("City").fill("Pasto")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Somebody saved this before you.")).to_be_visible()

    assert troubles_of(page) == []


def test_refused_form_and_double_can_be_used_by_everybody(site, opens):
    site.patient(first_name="Tadeo", first_last_name="Doble")
    page = opens()
    page.goto("/patients/new/")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert troubles_of(page) == []

    page.get_by_label("First name").fill("Tadeo")
    page.get_by_label("First family name").fill("Doble")
    page.get_by_label("Female").check()
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_text("Is it one of these?")).to_be_visible()
    assert troubles_of(page) == []


def test_open_dialog_and_menu_can_be_used_by_everybody(site, opens):
    page = opens()
    page.goto(f"/patients/{site.members['full'].pk}/")
    page.get_by_role("button", name="Note an answer").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert troubles_of(page) == []

    page.keyboard.press("Escape")
    page.locator(".member-button").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert troubles_of(page) == []


BAD_PIECES = """() => {
  const main = document.querySelector("main");
  main.insertAdjacentHTML("beforeend", `<img src="/static/icons/carewright.svg"><hr>`);
  main.querySelector("hr").style.width = "500px";
}"""
INLINE_STYLE = """() => document.querySelector("main").setAttribute("style", "color: red")"""


def test_troubles_are_found(site, opens):
    """The negative control: a picture without words, a line wider than a phone, a style the policy forbids."""
    page = opens()
    page.goto("/patients/")
    page.evaluate(BAD_PIECES)

    found = troubles_of(page)

    assert any(re.search("light: image-alt", trouble) for trouble in found)
    assert any(re.search("^390: sticks out: HR", trouble) for trouble in found)
    page.evaluate(INLINE_STYLE)
    (complaint,) = opens.complaints
    assert "Content Security Policy" in complaint
    opens.complaints.clear()


def _change(site, patient, **changes):
    site.work(lambda: services.update_patient(patient, by=site.members["doctor"], changes=changes))
