"""The bell in a real browser: it counts by itself, and disturbs nobody."""

import re

from playwright.sync_api import expect

from accounts.notifications import notices, services
from accounts.notifications.models import Delivery
from accounts.users.tests.factories import MembershipFactory

from .conftest import troubles_of


def tell(site, member, times=1):
    def act():
        for _number in range(times):
            services.notify(notices.MAIL_FAILED, [member], url="/account/notifications/")

    site.work(act)


def reader(site, name):
    """A member of this test's own."""
    site.members[name] = site.work(lambda: MembershipFactory(role="nurse", user__name=f"{name} Reader"))
    return site.members[name]


def test_k44_the_bell_counts_by_itself_and_leaves_the_focus_where_it_is(site, opens):
    member = reader(site, "Bella")
    page = opens("Bella")
    page.clock.install()
    page.goto("/patients/")
    bell = page.get_by_role("link", name=re.compile("^Notifications"))
    expect(bell).to_have_accessible_name("Notifications, none unread")
    page.get_by_label("Find a patient").fill("resting here")

    tell(site, member, 2)
    with page.expect_request("**/notifications/count/") as asked:
        page.clock.fast_forward(61_000)
    expect(bell).to_have_accessible_name("Notifications, 2 unread")

    assert asked.value.headers["x-background"] == "1"
    expect(page.get_by_label("Find a patient")).to_be_focused()
    expect(page.get_by_label("Find a patient")).to_have_value("resting here")


def test_the_bell_says_nothing_when_the_network_is_gone(site, opens):
    reader(site, "Bonnie")
    page = opens("Bonnie")
    page.clock.install()
    page.goto("/account/notifications/")
    page.route("**/notifications/count/", lambda route: route.fulfill(status=503, body="away"))

    with page.expect_response("**/notifications/count/"):
        page.clock.fast_forward(61_000)

    expect(page.locator("#failure")).to_be_hidden()
    assert all("503" in complaint for complaint in opens.complaints)
    opens.complaints.clear()


def test_k44_reading_and_choosing_by_keyboard(site, opens):
    member = reader(site, "Benito")
    tell(site, member, 3)
    page = opens("Benito")
    page.goto("/notifications/")
    assert troubles_of(page) == []

    page.get_by_role("button", name="Mark as read").first.press("Enter")
    expect(page.get_by_role("link", name="Notifications, 2 unread")).to_be_visible()
    page.get_by_role("link", name="Some mail was not delivered").first.press("Enter")
    expect(page).to_have_url(re.compile("/account/notifications/$"))
    assert troubles_of(page) == []

    page.get_by_role("group", name=re.compile("Staff and roles")).get_by_label("Not at all").check()
    page.get_by_role("button", name="Save").press("Enter")
    expect(page.get_by_text("Your choice is saved.")).to_be_visible()
    page.goto("/notifications/")
    page.get_by_role("button", name="Mark all as read").press("Enter")
    expect(page.get_by_role("link", name="Notifications, none unread")).to_be_visible()


def test_mail_that_failed_can_be_used_by_everybody(site, opens):
    def fail():
        site.members["Ada"] = MembershipFactory(role="admin", user__name="Ada Admin")
        Delivery.objects.create(
            channel="mail", address="nobody@example.org", kind="x", state="failed", last_error="550 5.1.1"
        )

    site.work(fail)
    page = opens("Ada")
    page.goto("/notifications/undelivered/")
    assert troubles_of(page) == []

    page.get_by_role("button", name="Try again").first.press("Enter")
    expect(page.get_by_text("The mail is tried again now.")).to_be_visible()
