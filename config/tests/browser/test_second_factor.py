"""Setting up and proving a second factor: by a telephone, and by a passkey that Chromium makes itself (AU-36)."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

import pyotp
import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.users.tests.factories import PASSWORD, MembershipFactory

from .conftest import DESKTOP, PHONE, troubles_of

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def local(site):
    """Passkeys belong to a domain, and this one needs no certificate."""
    return site.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def somebody(site):
    """A nurse of this test's own: what they set up stays theirs."""
    return site.work(lambda: MembershipFactory(role="nurse", user__name="Sara Second"))


def give_password(page, local, member):
    page.goto(f"{local}/sign-in/")
    page.get_by_label("E-mail or user name").fill(member.user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def sign_out(page, local):
    page.goto(f"{local}/account/security/")
    page.locator(".member-button").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in/"))


def plug_in(page):
    """An authenticator that says yes by itself; returns its console and its number."""
    console = page.context.new_cdp_session(page)
    console.send("WebAuthn.enable")
    return console, console.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})["authenticatorId"]


def keep(page, name):
    """A picture in both widths and schemes, where SCREENSHOTS names a directory."""
    if directory := os.environ.get("SCREENSHOTS"):
        for viewport in (DESKTOP, PHONE):
            page.set_viewport_size(viewport)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.screenshot(path=Path(directory) / f"{name}-{viewport['width']}-{scheme}.png", full_page=True)
        page.set_viewport_size(DESKTOP)
        page.emulate_media(color_scheme="light")


def test_q8_q9_enrol_a_telephone_and_sign_in_with_it(site, opens, local, somebody):
    page = opens(None)
    give_password(page, local, somebody)
    page.get_by_role("link", name="Set up a second factor").click()
    expect(page.get_by_role("heading", name="Set up a second factor")).to_be_visible()
    page.get_by_text("It cannot be scanned").click()
    keep(page, "enrol")
    assert troubles_of(page) == []

    phone = pyotp.TOTP("".join(page.locator(".seed span").all_inner_texts()))
    page.get_by_label("Six digits from the app").fill(phone.now())
    page.get_by_role("button", name="Set up the authenticator").click()
    expect(page.get_by_role("heading", name="Keep these recovery codes")).to_be_visible()
    codes = page.locator(".recovery-codes code").all_inner_texts()
    assert len(set(codes)) == 10
    keep(page, "codes")
    assert troubles_of(page) == []

    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as a file").click()
    assert saved.value.suggested_filename == "carewright-recovery-codes.txt"
    assert all(code in unquote(saved.value.url) for code in codes)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Keep these recovery codes")).to_be_visible()  # the box is not ticked
    page.get_by_label("I have kept these codes").check()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Signing in asks for your password and a second factor.")).to_be_visible()
    keep(page, "security")
    assert troubles_of(page) == []

    sign_out(page, local)
    give_password(page, local, somebody)
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    page.get_by_label("Code").fill("000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This code is not right")
    keep(page, "challenge")
    assert troubles_of(page) == []
    page.get_by_label("Code").fill(codes[0])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Today")).to_be_visible()


def test_au36_enrol_a_passkey_and_sign_in_with_it(site, opens, local, somebody):
    page = opens(None)
    console, authenticator = plug_in(page)
    give_password(page, local, somebody)
    page.goto(f"{local}/account/security/enrol/")
    page.get_by_label("Name of the passkey").fill("Ward computer")
    page.get_by_role("button", name="Make a passkey").click()
    expect(page.get_by_role("heading", name="Keep these recovery codes")).to_be_visible()
    page.get_by_label("I have kept these codes").check()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("rowheader", name="Ward computer")).to_be_visible()
    keep(page, "security-passkey")
    assert troubles_of(page) == []

    sign_out(page, local)
    give_password(page, local, somebody)
    expect(page.get_by_role("button", name="Use a passkey")).to_be_visible()
    keep(page, "challenge-passkey")
    assert troubles_of(page) == []
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()

    sign_out(page, local)
    give_password(page, local, somebody)
    console.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": authenticator})
    plug_in(page)  # somebody else's: it knows no passkey of hers
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("The passkey was not used.")
    expect(page).to_have_url(f"{local}/sign-in/second-factor/")


def test_au36_a_passkey_of_somebody_else_opens_nothing(site, opens, local, somebody):
    thief = site.work(lambda: MembershipFactory(role="nurse", user__name="Tom Thief"))
    page = opens(None)
    plug_in(page)
    for member in (thief, somebody):
        give_password(page, local, member)
        page.goto(f"{local}/account/security/enrol/")
        page.get_by_role("button", name="Make a passkey").click()
        expect(page.get_by_role("heading", name="Keep these recovery codes")).to_be_visible()
        sign_out(page, local)

    give_password(page, local, thief)
    stolen = page.evaluate(ANSWER, f"{local}/sign-in/second-factor/passkey/")
    give_password(page, local, somebody)
    page.locator("form[data-passkey]").evaluate(
        "(form, answer) => { form.querySelector('[name=answer]').value = answer; form.requestSubmit(); }", stolen
    )
    expect(page.get_by_role("alert").first).to_contain_text("This passkey could not be checked.")


ANSWER = """async (address) => {
  const form = document.querySelector("form[data-passkey]");
  const headers = {"X-CSRFToken": form.querySelector("[name=csrfmiddlewaretoken]").value};
  return getPasskey(await (await fetch(address, {method: "POST", headers})).json());
}"""


def test_policy_leads_the_late_to_enrolling_and_an_administrator_resets(site, opens, local):
    """The narrow page of somebody who may do nothing else yet, and the page of the administrator who helps."""
    late, chief = site.work(_late_and_chief)
    page = opens(None)
    give_password(page, local, late)
    expect(page.get_by_role("heading", name="Set up a second factor")).to_be_visible()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    keep(page, "enrol-late")
    assert troubles_of(page) == []

    page = opens(None)
    give_password(page, local, chief)
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    keep(page, "today")
    page.goto(f"{local}/people/{late.pk}/second-factor/reset/")
    page.get_by_label("Reason").fill("Lost the telephone, seen in person")
    page.get_by_role("button", name="Reset the second factor").click()
    expect(page.get_by_role("alert")).to_contain_text("has no second factor")
    keep(page, "reset")
    assert troubles_of(page) == []


def _late_and_chief():
    late = MembershipFactory(role="nurse", user__name="Lars Late")
    late.user.second_factor_reset_at = timezone.now()
    late.user.save()
    return late, MembershipFactory(role="admin", user__name="Chiara Chief")
