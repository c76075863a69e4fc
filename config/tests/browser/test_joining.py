"""Being invited, registering, forgetting and changing a password, in a real browser and for everybody."""

import re
from uuid import uuid4

import pytest
from django.core import mail
from django.core.cache import cache
from playwright.sync_api import expect

from accounts.notifications import sending
from accounts.users.models import User
from accounts.users.tests.factories import PASSWORD, MembershipFactory
from tenancy.tenants.models import Tenant

from .conftest import sign_in, troubles_of

NEW = "three loud blue teapots"


@pytest.fixture(autouse=True)
def fresh_limits():
    cache.clear()


@pytest.fixture
def admin(site):
    return site.work(lambda: MembershipFactory(role="admin", user__name="Ada Admin"))


@pytest.fixture
def link(site):
    """`link("join")`: the path in the mail that leaves now."""

    def follow(begins):
        mail.outbox = []
        site.run.submit(lambda: sending.deliver_due(site.tenant_id)).result(timeout=30)
        bodies = "\n".join(message.body for message in mail.outbox)
        return re.findall(rf"^http://localhost:8000(/{begins}/\S+)$", bodies, re.MULTILINE)[-1]

    return follow


@pytest.fixture
def shot():
    """`shot(page, "invite")`: nothing here is missing for anybody."""

    def look(page, name):
        assert troubles_of(page) == [], name

    return look


def choose_password(page, words, button):
    page.get_by_label("New password").fill(words)
    page.get_by_label("The same once more").fill(words)
    page.get_by_role("button", name=button).click()


def test_an_invited_nurse_joins(site, opens, admin, link, shot):
    desk = opens(None)
    sign_in(desk, admin)
    email = f"{uuid4().hex[:10]}@example.org"
    desk.goto("/people/invite/")
    desk.get_by_role("button", name="Send the invitation").click()
    expect(desk.get_by_text("Nobody was invited yet")).to_be_visible()
    shot(desk, "invite-refused")
    desk.get_by_label("Name").fill("Nina Nueva")
    desk.get_by_label("E-mail").fill(email)
    desk.get_by_label("Nurse").check()
    desk.get_by_role("button", name="Send the invitation").click()
    expect(desk.get_by_text("The invitation for Nina Nueva is on its way.")).to_be_visible()
    shot(desk, "invite")

    path = link("join")
    nina = opens(None)
    nina.goto(path)
    expect(nina.get_by_text("You join as Nurse")).to_be_visible()
    shot(nina, "accept")
    choose_password(nina, "password", "Join")
    expect(nina.get_by_role("alert")).to_contain_text("stolen")
    shot(nina, "accept-refused")
    choose_password(nina, NEW, "Join")
    expect(nina.get_by_role("heading", name="Today")).to_be_visible()

    nina.goto(path)
    expect(nina.get_by_role("heading", name="This link does not work")).to_be_visible()
    shot(nina, "refused")


def test_a_patient_registers(site, opens, link, shot):
    site.work(lambda: Tenant.objects.filter(pk=site.tenant_id).update(allows_registration=True))
    try:
        page, email = opens(None), f"{uuid4().hex[:10]}@example.org"
        page.goto("/join/")
        shot(page, "register")
        page.get_by_label("Your name").fill("Pia Nueva")
        page.get_by_label("E-mail").fill(email)
        choose_password(page, NEW, "Register")
        expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
        shot(page, "registered")

        page.goto(link("confirm-email"))
        shot(page, "confirm")
        page.get_by_label("Your password").fill(NEW)
        page.get_by_role("button", name="Confirm").click()
        expect(page.get_by_text("Your address is confirmed.")).to_be_visible()
        page.get_by_label("E-mail or user name").fill(email)
        page.get_by_label("Password").fill(NEW)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Today")).to_be_visible()
    finally:
        site.work(lambda: Tenant.objects.filter(pk=site.tenant_id).update(allows_registration=False))


def test_a_forgotten_password_is_set_and_then_changed(site, opens, link, shot):
    member = site.work(lambda: MembershipFactory(role="nurse", user__name="Fatima Forgot"))
    page = opens(None)
    page.goto("/password-reset/")
    shot(page, "reset")
    page.get_by_label("E-mail").fill(member.user.email)
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
    shot(page, "reset-sent")

    path = link("password-reset")
    page.goto(path)
    assert path.split("/")[3] not in page.url
    shot(page, "set")
    choose_password(page, NEW, "Set the password")
    expect(page.get_by_text("Your new password is set. Sign in with it.")).to_be_visible()
    page.get_by_label("E-mail or user name").fill(member.user.email)
    page.get_by_label("Password").fill(NEW)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()

    page.goto("/account/password/")
    shot(page, "change")
    page.get_by_label("Present password").fill("wrong")
    choose_password(page, PASSWORD, "Change the password")
    expect(page.get_by_role("alert")).to_contain_text("not your present password")
    shot(page, "change-refused")
    page.get_by_label("Present password").fill(NEW)
    choose_password(page, PASSWORD, "Change the password")
    expect(page.get_by_text("Your password is changed.")).to_be_visible()
    assert site.work(lambda: User.objects.get(pk=member.user_id).check_password(PASSWORD))


def test_another_address_is_asked_for(site, opens, shot):
    member = site.work(lambda: MembershipFactory(role="nurse", user__name="Elena Address"))
    page = opens(None)
    sign_in(page, member)
    page.goto("/account/e-mail/")
    shot(page, "e-mail")
    page.get_by_label("New e-mail address").fill(f"{uuid4().hex[:10]}@example.org")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Send a link to the new address").click()
    expect(page.get_by_text("A new address waits for you")).to_be_visible()
    shot(page, "e-mail-waiting")
