"""The warning, the lock, and the words that come back. The clock is driven by the row, never by waiting for minutes."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.users.models import Session
from accounts.users.tests.factories import PASSWORD, MembershipFactory
from tenancy.tenants.models import Tenant

from .conftest import sign_in, troubles_of

IDLE_MINUTES = 15


@pytest.fixture
def sitting(site, opens):
    """`sitting()`: a window in which a member of this test's own is signed in, and that member."""

    def sit(**options):
        member = site.work(lambda: MembershipFactory(roles=["doctor", "staff"], user__name="Ida Idle"))
        page = opens(None, **options)
        sign_in(page, member)
        page.wait_for_load_state()  # the script that listens for what comes next is there
        return page, member

    return sit


def nearly_asleep(site, member, seconds):
    """As if nobody had touched anything for so long that only these seconds are left."""
    seen = timezone.now() - timedelta(minutes=IDLE_MINUTES) + timedelta(seconds=seconds)
    site.work(lambda: Session.objects.filter(membership=member, revoked_at=None).update(last_seen_at=seen))


def idle_left(site, member):
    session = site.work(lambda: Session.objects.filter(membership=member, revoked_at=None).get())
    return (session.last_seen_at + timedelta(minutes=IDLE_MINUTES) - timezone.now()).total_seconds()


def wakes(page):
    """The tab comes to the front after a while away: the page's own clock has run down, as the server's has."""
    page.evaluate("""() => {
      const now = Date.now; const ahead = 14 * 60 * 1000; Date.now = () => now() + ahead;
      document.dispatchEvent(new Event("visibilitychange")); Date.now = now;
    }""")


def warning_of(page):
    return page.get_by_role("alertdialog", name="Are you still there?")


def enter_again(page, member):
    page.get_by_label("E-mail or user name").fill(member.user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_warning_counts_down_and_one_key_stays_signed_in(site, sitting):
    page, member = sitting()
    page.goto("/patients/")
    nearly_asleep(site, member, 118)

    wakes(page)

    expect(warning_of(page)).to_be_visible()
    expect(page.get_by_role("button", name="Stay signed in")).to_be_focused()
    expect(page.locator("[data-countdown]")).to_have_text(re.compile(r"^1:5\d$"))
    page.keyboard.press("Enter")
    expect(warning_of(page)).to_be_hidden()
    assert idle_left(site, member) > 14 * 60
    page.goto("/patients/")
    expect(page.get_by_role("heading", name="Patients")).to_be_visible()


def test_escape_stays_signed_in_too(site, sitting):
    page, member = sitting()
    nearly_asleep(site, member, 100)
    wakes(page)
    expect(warning_of(page)).to_be_visible()

    page.keyboard.press("Escape")

    expect(warning_of(page)).to_be_hidden()
    assert idle_left(site, member) > 14 * 60


def test_no_warning_while_another_tab_is_busy(site, sitting):
    page, member = sitting()
    other = page.context.new_page()
    other.goto("/patients/")

    wakes(page)

    page.wait_for_timeout(300)
    expect(warning_of(page)).to_be_hidden()
    assert idle_left(site, member) > 14 * 60


def test_staying_in_one_tab_closes_the_warning_in_the_other(site, sitting):
    page, member = sitting()
    other = page.context.new_page()
    other.goto("/patients/")
    nearly_asleep(site, member, 110)
    for tab in (page, other):
        wakes(tab)
        expect(warning_of(tab)).to_be_visible()

    other.keyboard.press("Enter")

    expect(warning_of(other)).to_be_hidden()
    expect(warning_of(page)).to_be_hidden()


def test_typing_is_activity(site, sitting):
    page, member = sitting()
    page.goto("/patients/new/")
    nearly_asleep(site, member, 300)
    page.evaluate("() => { const now = Date.now; Date.now = () => now() + 61_000; }")

    with page.expect_response("**/keep-alive/"):
        page.get_by_label("City").press("C")

    assert idle_left(site, member) > 14 * 60


def test_au34_lock_sign_in_again_and_every_word_is_there(site, sitting):
    patient = site.patient(first_name="Delia", first_last_name="Locked")
    page, member = sitting()
    page.goto(f"/patients/{patient.pk}/edit/")
    page.get_by_label("City").fill("Tumaco")
    page.get_by_label("Medical history").fill("Asthma; half a sentence")
    nearly_asleep(site, member, 2)

    wakes(page)

    expect(page).to_have_url(re.compile(r"/sign-in/\?locked&next="))
    expect(page.get_by_text("You were away for a while")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text(re.compile("LOCKED, Delia|Tumaco|Asthma"))
    assert "LOCKED" not in page.title()
    page.go_back()
    expect(page.locator("body")).not_to_contain_text(re.compile("Tumaco|Asthma"))
    expect(page).to_have_url(re.compile("/sign-in/"))
    page.go_forward()
    expect(page).to_have_url(re.compile(r"/sign-in/\?locked&next="))
    enter_again(page, member)
    expect(page).to_have_url(f"{site.url}/patients/{patient.pk}/edit/")
    expect(page.get_by_label("City")).to_have_value("Tumaco")
    expect(page.get_by_label("Medical history")).to_have_value("Asthma; half a sentence")
    expect(page.get_by_text("stands here again. It is not saved yet.")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("Saved.")
    page.goto(f"/patients/{patient.pk}/edit/")
    expect(page.get_by_role("button", name="Discard the draft")).to_have_count(0)


def test_another_person_at_the_locked_computer_sees_nothing_of_it(site, sitting):
    patient = site.patient(first_name="Dora", first_last_name="Shared")
    page, member = sitting()
    page.goto(f"/patients/{patient.pk}/edit/")
    page.get_by_label("City").fill("Tumaco")
    nearly_asleep(site, member, 2)
    wakes(page)
    expect(page).to_have_url(re.compile(r"/sign-in/"))

    enter_again(page, site.members["doctor"])

    expect(page).to_have_url(f"{site.url}/patients/{patient.pk}/edit/")
    expect(page.get_by_label("City")).to_have_value("")


def test_a_draft_is_kept_while_typing_and_can_be_discarded(site, sitting):
    page, _member = sitting()
    page.goto("/patients/new/")
    page.get_by_label("City").press_sequentially("Pasto")

    expect(page.locator("[data-draft-saved]")).to_have_text(re.compile(r"^Draft saved \d\d:\d\d$"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/")
    page.goto("/patients/new/")
    expect(page.get_by_label("City")).to_have_value("Pasto")
    assert troubles_of(page) == []
    page.get_by_role("button", name="Discard the draft").click()
    expect(page.get_by_label("City")).to_have_value("")
    expect(page.get_by_role("button", name="Discard the draft")).to_have_count(0)


def test_all_tabs_lock_and_go_on_together(site, sitting):
    page, member = sitting()
    other = page.context.new_page()
    other.goto("/patients/")
    nearly_asleep(site, member, 2)
    wakes(page)
    expect(page).to_have_url(re.compile(r"/sign-in/"))
    expect(other).to_have_url(re.compile(r"/sign-in/"))

    enter_again(page, member)

    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    expect(other).to_have_url(site.url + "/patients/")


def test_signing_out_in_one_tab_covers_the_other(site, sitting):
    page, _member = sitting()
    other = page.context.new_page()
    other.goto("/patients/")
    page.locator(".member-button").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile(r"/sign-in/"))

    wakes(other)

    expect(other).to_have_url(re.compile(r"/sign-in/"))


def test_the_end_of_the_day_is_told_and_can_not_be_put_off(site, sitting):
    page, member = sitting()
    soon = timezone.now() + timedelta(seconds=100)
    site.work(lambda: Session.objects.filter(membership=member).update(expires_at=soon))

    wakes(page)

    dialog = page.get_by_role("alertdialog", name="Time to sign in again")
    expect(dialog).to_be_visible()
    expect(page.get_by_role("button", name="Stay signed in")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    page.wait_for_timeout(1500)
    expect(dialog).to_be_hidden()


def test_the_warning_has_no_trouble(site, sitting):
    page, member = sitting()
    nearly_asleep(site, member, 118)
    wakes(page)
    expect(warning_of(page)).to_be_visible()

    assert troubles_of(page) == []


def test_without_a_server_the_page_is_covered_and_nothing_is_thrown_away(site, sitting, opens):
    patient = site.patient(first_name="Olivia", first_last_name="Offline")
    page, member = sitting()
    page.goto(f"/patients/{patient.pk}/edit/")
    page.get_by_label("City").fill("Tumaco")
    page.context.set_offline(True)
    page.evaluate("() => { const now = Date.now; Date.now = () => now() + 16 * 60 * 1000; }")
    page.evaluate('document.dispatchEvent(new Event("visibilitychange"))')

    dialog = page.get_by_role("alertdialog", name="Locked")
    expect(dialog).to_be_visible()
    expect(page.locator(".frame")).to_be_hidden()
    assert page.title() == "Locked"
    nearly_asleep(site, member, -5)
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page).to_have_url(re.compile(r"/sign-in/\?locked"))
    enter_again(page, member)
    expect(page.get_by_label("City")).to_have_value("Tumaco")
    opens.complaints[:] = [line for line in opens.complaints if "ERR_INTERNET_DISCONNECTED" not in line]


def test_a_late_form_is_kept_without_script(site, sitting):
    patient = site.patient(first_name="Norma", first_last_name="Noscript")
    page, member = sitting(java_script_enabled=False)
    page.goto(f"/patients/{patient.pk}/edit/")
    page.get_by_label("City").fill("Tumaco")
    nearly_asleep(site, member, -1)

    page.get_by_role("button", name="Save", exact=True).click()

    expect(page).to_have_url(re.compile(r"/sign-in/\?locked"))
    enter_again(page, member)
    expect(page.get_by_label("City")).to_have_value("Tumaco")
    expect(page.get_by_text("stands here again. It is not saved yet.")).to_be_visible()


def test_idle_minutes_of_the_tests_are_those_of_the_clinic(site):
    assert site.work(lambda: Tenant.objects.get(pk=site.tenant_id).idle_minutes) == IDLE_MINUTES
