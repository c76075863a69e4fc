"""One person in several clinics, and the platform administrator who visits with a reason."""

import pytest
from playwright.sync_api import expect

from accounts.users.tests.factories import PASSWORD, MembershipFactory, UserFactory, open_clinic
from tenancy.tenants.context import tenant_context

from .conftest import PHONE, troubles_of


@pytest.fixture
def harbor(site):
    """Another clinic on the same server."""
    return site.run.submit(lambda: open_clinic(name="Harbor Clinic")[0]).result(timeout=30)


def join(site, clinic, user):
    def act():
        with tenant_context(clinic.id):
            MembershipFactory(user=user)

    site.run.submit(act).result(timeout=30)


def give_password(page, user):
    page.goto("/sign-in/")
    page.get_by_label("E-mail or user name").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_choose_a_clinic_and_switch_on_a_phone(site, harbor, opens):
    member = site.work(lambda: MembershipFactory(user__name="Cora Commuter"))
    join(site, harbor, member.user)
    page = opens(None, viewport=PHONE)
    give_password(page, member.user)
    expect(page.get_by_role("heading", name="Choose a clinic")).to_be_visible()
    assert troubles_of(page) == []
    page.set_viewport_size(PHONE)

    page.get_by_role("button", name="Riverside Clinic").click()
    expect(page.locator(".bottom-clinic")).to_have_text("Riverside Clinic")
    page.locator(".member-button").click()
    page.get_by_role("button", name="Harbor Clinic").click()

    expect(page.locator(".bottom-clinic")).to_have_text("Harbor Clinic")
    expect(page.locator(".bottom-clinic")).to_be_in_viewport()
    page.goto("/account/sign-ins/")
    expect(page.get_by_role("heading", name="Where I am signed in")).to_be_visible()
    assert troubles_of(page) == []


def test_a_visit_of_the_platform_is_seen_on_every_page_and_can_be_left(site, harbor, opens):
    user = site.run.submit(lambda: UserFactory(name="Olga Operator", is_platform_admin=True)).result(timeout=30)
    page = opens(None)
    give_password(page, user)
    page.get_by_label("Find a clinic").fill(harbor.slug)
    page.get_by_role("button", name="Search").click()
    assert troubles_of(page) == []
    page.get_by_role("link", name="Harbor Clinic").click()
    page.get_by_label("Reason").fill("Ticket 4711: the roles of the night shift")
    assert troubles_of(page) == []
    page.get_by_role("button", name="Enter this clinic").click()

    banner = page.get_by_role("complementary", name="Visit of the platform")
    for address in ("/", "/account/sign-ins/", "/admin/"):
        page.goto(address)
        expect(banner).to_contain_text("Ticket 4711: the roles of the night shift")
    page.goto("/")
    assert troubles_of(page) == []
    expect(page.get_by_role("link", name="Patients")).to_have_count(0)
    banner.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", name="Choose a clinic")).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
