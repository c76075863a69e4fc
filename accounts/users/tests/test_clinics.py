"""Several clinics: switching between one's own, and the platform administrator who visits with a reason."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import include, path
from django.utils import timezone

from accounts.notifications.models import Notification
from accounts.permissions import PATIENT_PORTAL, PLATFORM_PERMISSIONS, PLATFORM_ROLE, Permission
from accounts.users import platform, services
from accounts.users.models import Grant, HeldRole, Membership, Session, User, Workplace
from accounts.users.tests.test_sign_in_page import own_page
from tenancy.audit.models import AuditEntry
from tenancy.rules import NotAllowed, RuleBroken
from tenancy.tenants.context import finish_pending, tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import PASSWORD, MembershipFactory, UserFactory

urlpatterns = [path("own/", own_page), path("", include("config.urls"))]
pytestmark = pytest.mark.urls(__name__)
REASON = "Ticket 4711: the roles of the night shift"


@pytest.fixture
def commuter(clinic, nurse, other_clinic):
    """A nurse of both clinics."""
    with outside_tenant(), tenant_context(other_clinic.id):
        MembershipFactory(user=nurse.user)
    return nurse


@pytest.fixture
def operator(clinic):
    """A platform administrator, member of no clinic."""
    return UserFactory(name="Olga Operator", is_platform_admin=True)


@pytest.fixture
def demo(settings):
    settings.DEMO = True


def sign_in(client, user, **more):
    return client.post("/sign-in/", {"username": user.email, "password": PASSWORD, **more})


def switch(browser, clinic, **more):
    return browser.post("/clinics/enter/", {"tenant": clinic.slug, **more})


def in_clinic(clinic, ask):
    with outside_tenant(), tenant_context(clinic.id):
        return ask()


# --- One's own clinics -----------------------------------------------------------------------------------------------


def test_choose_clinic_ends_the_session_here_and_opens_one_there(clinic, commuter, other_clinic, page_client):
    browser = page_client(commuter, second_factor="totp")

    answer = switch(browser, other_clinic, next="/patients/")

    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert browser.get("/own/").text == "Nora Nurse in Harbor Clinic, Nora Nurse"
    assert Session.objects.get(pk=browser.sign_in.pk).revoked_at
    [entry] = AuditEntry.objects.filter(action="signed_out")
    assert entry.reason_code == "clinic_switched"
    there = in_clinic(other_clinic, lambda: list(Session.objects.values_list("second_factor", "revoked_at")))
    assert there == [("totp", None)]


def test_choose_clinic_changes_the_key_of_the_browser(clinic, commuter, other_clinic, page_client, settings):
    browser = page_client(commuter)
    copied = browser.cookies[settings.SESSION_COOKIE_NAME].value

    switch(browser, other_clinic)

    assert browser.cookies[settings.SESSION_COOKIE_NAME].value != copied
    browser.cookies[settings.SESSION_COOKIE_NAME] = copied
    assert browser.get("/own/").status_code == 302


def test_au34_no_number_of_switches_makes_a_sign_in_live_longer(clinic, commuter, other_clinic, page_client):
    browser = page_client(commuter)
    ends = timezone.now() + timedelta(minutes=30)
    Session.objects.filter(pk=browser.sign_in.pk).update(expires_at=ends)

    for place in (other_clinic, clinic, other_clinic):
        switch(browser, place)

    lasts = in_clinic(other_clinic, lambda: Session.objects.order_by("-created_at").first().expires_at)
    assert lasts <= ends


@pytest.mark.parametrize("slug", ["harbor", "no-such-clinic", "", "\x00", "x" * 500])
def test_choose_clinic_of_others_is_not_there(clinic, nurse, other_clinic, page_client, slug):
    browser = page_client(nurse)
    slug = other_clinic.slug if slug == "harbor" else slug

    assert browser.post("/clinics/enter/", {"tenant": slug}).status_code == 404
    assert browser.get("/own/").text == "Nora Nurse in Riverside Clinic, Nora Nurse"
    assert "Harbor" not in browser.get("/clinics/enter/").text


def test_choose_clinic_after_the_membership_there_ended_is_not_there(clinic, commuter, other_clinic, page_client):
    browser = page_client(commuter)
    in_clinic(other_clinic, lambda: Membership.objects.filter(user=commuter.user).update(is_active=False))

    assert switch(browser, other_clinic).status_code == 404


def test_choose_clinic_needs_somebody_who_is_signed_in(clinic, commuter, other_clinic, client, page_client):
    browser = page_client(commuter)
    Session.objects.filter(pk=browser.sign_in.pk).update(revoked_at=timezone.now())

    for anybody in (client, browser):
        assert anybody.get("/clinics/enter/")["Location"] == "/sign-in/"
        assert switch(anybody, other_clinic)["Location"] == "/sign-in/"
        assert anybody.get("/own/").status_code == 302


def test_choose_clinic_needs_the_csrf_token(clinic, commuter, other_clinic, page_client):
    assert switch(page_client(commuter, enforce_csrf_checks=True), other_clinic).status_code == 403


def test_the_menu_offers_the_other_clinics(clinic, commuter, page_client):
    page = page_client(commuter).get("/")

    assert 'action="/clinics/enter/"' in page.text
    assert "Harbor Clinic" in page.text


# --- The platform administrator --------------------------------------------------------------------------------------


def visit(client, operator, clinic, reason=REASON):
    sign_in(client, operator)
    return switch(client, clinic, reason=reason)


def test_platform_signs_in_without_a_workplace_and_chooses(demo, clinic, other_clinic, operator, client):
    assert sign_in(client, operator)["Location"] == "/clinics/enter/"
    assert client.get("/own/").status_code == 302

    everything = client.get("/clinics/enter/")
    found, other = client.get("/clinics/enter/?q=harb"), client.get("/clinics/enter/?q=river")

    # Tests that commit leave clinics of the same name behind.
    assert other_clinic.slug in {c.slug for c in found.context["clinics"]}
    assert {c.name for c in found.context["clinics"]} == {"Harbor Clinic"}
    assert "Riverside" not in found.text
    assert "Riverside" in other.text
    assert len(everything.context["clinics"]) > 1


@pytest.mark.parametrize("reason", ["", "   ", "because", "x" * 301])
def test_platform_needs_a_reason(demo, clinic, operator, client, reason):
    answer = visit(client, operator, clinic, reason=reason)

    assert answer.status_code == 422
    assert not Membership.objects.filter(user=operator).exists()
    assert client.get("/own/").status_code == 302


def test_platform_enters_one_clinic_visibly_for_an_hour(demo, clinic, admin, nurse, operator, client):
    answer = visit(client, operator, clinic)

    assert answer["Location"] == "/"
    member = Membership.objects.get(user=operator)
    assert [role.code for role in member.roles] == [PLATFORM_ROLE]
    assert timedelta(minutes=59) < member.ends_at - timezone.now() <= timedelta(hours=1)
    assert Session.objects.get(membership=member).expires_at == member.ends_at
    [entry] = AuditEntry.objects.filter(action="platform_entered")
    assert REASON in entry.payloads.get().body
    told = Notification.objects.filter(kind="platform_entered")
    assert {one.recipient_id for one in told} >= {admin.pk}
    assert nurse.pk not in {one.recipient_id for one in told}
    assert member.pk not in {one.recipient_id for one in told}
    page = client.get("/")
    local = member.ends_at.astimezone(clinic.zone)
    assert f"{local:%H:%M}" in page.text
    assert "You work here as platform administrator until" in page.text
    assert REASON in page.text


def test_platform_visit_is_no_workplace(demo, clinic, operator, client, anonymous_api):
    visit(client, operator, clinic)

    assert not Workplace.objects.filter(user=operator).exists()
    given = {"email": operator.email, "password": PASSWORD, "tenant": clinic.slug}
    assert anonymous_api.post("/api/auth/login", given).status_code == 401


def test_platform_never_sees_patients(demo, clinic, admin, operator, client):
    visit(client, operator, clinic)
    member = Membership.objects.get(user=operator)
    Grant.objects.create(membership=member, permission=Permission.PATIENT_VIEW, reason="to try", granted_by=admin)
    HeldRole.objects.create(membership=member, role=admin.roles[0])

    assert client.get("/patients/").status_code == 403
    assert client.get("/patients/new/").status_code == 403
    assert client.get("/admin/").status_code == 200
    assert "Ticket 4711" in client.get("/admin/").text
    assert client.get("/admin/patients/patient/").status_code == 403
    seen = Membership.objects.get(user=operator).permissions
    assert seen <= PLATFORM_PERMISSIONS
    names_patients = {Permission.PATIENT_VIEW, Permission.BREAK_GLASS, Permission.AUDIT_VIEW_ALL}
    assert not seen & (names_patients | PATIENT_PORTAL - {Permission.OWN_PROFILE})


def test_platform_visit_ends_by_itself(demo, clinic, operator, client):
    visit(client, operator, clinic)
    Membership.objects.filter(user=operator).update(ends_at=timezone.now())

    assert client.get("/own/").status_code == 302


def test_platform_leaves_and_is_back_at_the_list(demo, clinic, operator, client):
    visit(client, operator, clinic)

    answer = client.post("/clinics/leave/")

    assert (answer.status_code, answer["Location"]) == (302, "/clinics/enter/")
    assert client.get("/own/").status_code == 302
    assert client.get("/clinics/enter/").status_code == 200
    assert Membership.objects.get(user=operator).ends_at <= timezone.now()
    assert AuditEntry.objects.filter(action="platform_left").count() == 1


def test_platform_signing_out_ends_the_visit(demo, clinic, operator, client):
    visit(client, operator, clinic)

    client.post("/sign-out/")

    assert Membership.objects.get(user=operator).ends_at <= timezone.now()


def test_platform_works_in_one_clinic_at_a_time(demo, clinic, other_clinic, operator, client, page_client):
    visit(client, operator, clinic)
    second = type(client)()

    visit(second, operator, other_clinic)

    assert second.get("/own/").text == "Olga Operator in Harbor Clinic, Olga Operator"
    assert client.get("/own/").status_code == 302


def test_platform_goes_from_one_clinic_to_the_next_with_a_reason_each(demo, clinic, other_clinic, operator, client):
    visit(client, operator, clinic)

    assert switch(client, other_clinic).status_code == 422
    assert switch(client, other_clinic, reason=REASON)["Location"] == "/"

    assert client.get("/own/").text == "Olga Operator in Harbor Clinic, Olga Operator"
    assert Membership.objects.get(user=operator).ends_at <= timezone.now()


def test_platform_enters_again_after_leaving(demo, clinic, operator, client):
    visit(client, operator, clinic)
    client.post("/clinics/leave/")

    assert switch(client, clinic, reason=REASON)["Location"] == "/"
    assert client.get("/own/").status_code == 200
    assert AuditEntry.objects.filter(action="platform_entered").count() == 2


def test_platform_without_second_factor_sets_one_up_first(clinic, operator, client):
    visit(client, operator, clinic)

    assert client.get("/own/")["Location"] == "/account/security/enrol/"
    assert client.get("/admin/").status_code in {302, 403}


def test_platform_that_works_in_a_clinic_enters_it_as_a_member(demo, clinic, other_clinic, client):
    user = UserFactory(is_platform_admin=True, name="Olga Operator")
    MembershipFactory(user=user, role="nurse")

    sign_in(client, user)

    assert client.get("/own/").text == "Olga Operator in Riverside Clinic, Olga Operator"
    assert "visit-line" not in client.get("/").text
    assert switch(client, other_clinic, reason=REASON)["Location"] == "/"
    assert client.get("/own/").text == "Olga Operator in Harbor Clinic, Olga Operator"


def test_platform_is_no_way_back_for_a_member_who_was_deactivated(demo, clinic, other_clinic, client):
    user = UserFactory(is_platform_admin=True)
    member = MembershipFactory(user=user, role="nurse")
    Membership.objects.filter(pk=member.pk).update(is_active=False)
    Workplace.objects.filter(user=user).delete()

    answer = visit(client, user, clinic)

    assert answer.status_code == 422
    assert "You are a member of this clinic." in answer.text


def test_nobody_else_enters_as_platform(demo, clinic, nurse, other_clinic, page_client):
    assert switch(page_client(nurse), other_clinic, reason=REASON).status_code == 404
    with pytest.raises(NotAllowed):
        platform.begin_visit(nurse.user, reason=REASON)


def test_leave_clinic_is_for_visitors(clinic, nurse, client, page_client):
    assert page_client(nurse).post("/clinics/leave/").status_code == 404
    assert client.post("/clinics/leave/").status_code == 404
    assert page_client(nurse).get("/clinics/leave/").status_code == 405


def test_add_member_never_gives_the_role_of_the_platform(clinic, admin):
    with pytest.raises(RuleBroken, match="There is no role platform"):
        services.add_member(UserFactory(), roles=["nurse", PLATFORM_ROLE], by=admin)


def test_add_member_makes_a_visitor_an_ordinary_member(demo, clinic, admin, operator, client):
    visit(client, operator, clinic)

    member = services.add_member(operator, roles=["nurse"], by=admin)

    member = Membership.objects.get(pk=member.pk)
    assert (member.is_platform, member.ends_at, [role.code for role in member.roles]) == (False, None, ["nurse"])
    assert Workplace.objects.filter(user=operator).count() == 1


# --- The command -----------------------------------------------------------------------------------------------------


def make(**options):
    out = StringIO()
    call_command("create_platform_admin", stdout=out, **options)
    return json.loads(out.getvalue())


def test_create_platform_admin_prints_a_password_once(demo, clinic, client):
    made = make(email="olga@platform.example", name="Olga Operator")

    assert sorted(made) == ["email", "id", "is_new", "name", "password"]
    answer = client.post("/sign-in/", {"username": "olga@platform.example", "password": made["password"]})
    assert answer["Location"] == "/clinics/enter/"
    again = make(email="OLGA@platform.example", name="Somebody")
    assert (again["id"], again["name"], again["is_new"], "password" in again) == (
        made["id"],
        "Olga Operator",
        False,
        False,
    )


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [("no address", None, "valid email"), ("a@platform.example", "short", "least")],
)
def test_create_platform_admin_refuses_with_a_sentence(db, email, password, sentence):
    before = User.objects.count()
    with pytest.raises(CommandError, match=sentence):
        make(email=email, name="Olga", password=password)

    assert User.objects.count() == before


# --- A new device ----------------------------------------------------------------------------------------------------


def test_a_new_device_tells_the_person_and_the_first_one_nobody(clinic, nurse, client):
    for agent in ("Firefox/133.0 Windows", "Firefox/133.0 Windows", "Chrome/131.0 Android"):
        client.post("/sign-in/", {"username": nurse.user.email, "password": PASSWORD}, headers={"User-Agent": agent})
        finish_pending()

    [told] = Notification.objects.filter(recipient=nurse)
    assert (told.kind, told.params["device"], told.url) == (
        "signed_in_on_new_device",
        "Chrome on Android",
        "/account/sign-ins/",
    )
    assert told.delivery_id is None
