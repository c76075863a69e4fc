"""The back door: who may enter, what they see there, and that nothing can be deleted."""

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts.users.admin_site import HouseModelAdmin
from accounts.users.models import Membership, Role, Session
from accounts.users.tests.fixtures import sign_in_browser

INDEX = "/admin/"


@pytest.fixture
def demo(settings):
    settings.DEMO = True


def with_second_factor(member):
    return sign_in_browser(member, second_factor="totp")


@pytest.mark.parametrize("who", ["nurse", "doctor", "receptionist", "auditor", "patient_user"])
def test_admin_is_for_administrators(demo, clinic, page_client, who, request):
    answer = page_client(request.getfixturevalue(who)).get(INDEX)

    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]


def test_admin_is_for_people_who_are_signed_in(demo, clinic, client):
    assert client.get(INDEX).status_code == 302

    login = client.get("/admin/login/", {"next": INDEX})
    assert (login.status_code, login["Location"]) == (302, f"/sign-in/?next={INDEX}")


def test_admin_login_tells_a_member_who_may_not_enter(demo, clinic, nurse, page_client):
    assert page_client(nurse).get("/admin/login/").status_code == 403


def test_admin_lets_an_administrator_of_the_demo_in(demo, clinic, admin, page_client):
    assert page_client(admin).get(INDEX).status_code == 200


def test_admin_wants_the_second_factor_outside_of_the_demo(clinic, admin, page_client):
    assert page_client(admin).get(INDEX).status_code == 302
    assert with_second_factor(admin).get(INDEX).status_code == 200


def test_admin_wants_an_administrator_with_the_second_factor(clinic, nurse):
    assert with_second_factor(nurse).get(INDEX).status_code == 302


def test_admin_is_closed_at_the_next_request_when_the_role_goes(demo, clinic, admin, page_client):
    browser = page_client(admin)
    assert browser.get(INDEX).status_code == 200

    Role.objects.filter(code="admin").update(permissions=["profile.own"])

    assert browser.get(INDEX).status_code == 302


def test_admin_lists_only_the_own_clinic(demo, clinic, admin, nurse, stranger, page_client):
    browser = page_client(admin)
    people = browser.get("/admin/users/membership/").text
    search = browser.get("/admin/users/membership/", {"q": stranger.user.email}).text
    detail = browser.get(f"/admin/users/membership/{stranger.pk}/change/")

    assert "Nora Nurse" in people
    assert "Sven Stranger" not in people + search
    assert detail.status_code == 302  # Django's "does not exist", as for any unknown id
    assert browser.get("/admin/users/membership/?user__memberships__tenant__name=Harbor").status_code in {302, 400}


def test_admin_shows_no_secret_of_a_session(demo, clinic, admin, page_client):
    browser = page_client(admin)
    text = browser.get("/admin/users/session/").text
    session = browser.session["sid"]

    assert "refresh_jti" not in text + browser.get(f"/admin/users/session/{session}/change/").text


@pytest.mark.parametrize("model", ["membership", "role", "session"])
def test_admin_changes_nothing(demo, clinic, admin, nurse, page_client, model):
    browser = page_client(admin)
    row = {"membership": nurse, "role": Role.objects.get(code="nurse")}.get(
        model
    ) or nurse.sessions.model.objects.first()

    assert browser.get(f"/admin/users/{model}/add/").status_code == 403
    assert browser.post(f"/admin/users/{model}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert browser.post(f"/admin/users/{model}/{row.pk}/change/", {}).status_code == 403
    answer = browser.post(f"/admin/users/{model}/", {"action": "delete_selected", "_selected_action": [str(row.pk)]})
    assert answer.status_code in {200, 302, 403}
    assert type(row).objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize(
    "address",
    ["/admin/auth/group/", "/admin/second_factor/authenticator/", "/admin/django_otp_webauthn/webauthncredential/"],
)
def test_admin_keeps_what_belongs_to_no_clinic_from_clinics(demo, clinic, admin, page_client, address):
    assert page_client(admin).get(address).status_code in {403, 404}


def test_every_admin_of_ours_is_of_the_house():
    """Nothing is deleted at the back door, whichever room it belongs to."""
    ours = [page for model, page in admin.site._registry.items() if model._meta.app_config.name.count(".") == 1]
    house = [page for page in ours if not type(page).__module__.startswith(("django.", "django_otp."))]

    assert len(house) >= 3
    assert [page for page in house if not isinstance(page, HouseModelAdmin)] == []
    assert all(type(page).has_delete_permission is HouseModelAdmin.has_delete_permission for page in house)


def test_admin_pages_are_all_reachable(demo, clinic, admin, page_client):
    browser = page_client(admin)
    for model, page in list(_registry()):
        if isinstance(page, HouseModelAdmin):
            address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            assert browser.get(address).status_code == 200, address

    assert Membership.objects.filter(pk=admin.pk).exists()


def _registry():
    from django.contrib.admin import site

    return site._registry.items()


def test_admin_has_no_password_door_of_its_own(demo, clinic, admin, page_client):
    browser = page_client(admin)

    assert browser.get("/admin/password_change/").status_code == 404
    assert "password_change" not in browser.get(INDEX).text


def test_admin_sign_out_ends_the_session_row(demo, clinic, admin, page_client):
    browser = page_client(admin)
    browser.post("/admin/logout/")

    assert not Session.objects.filter(membership=admin, revoked_at__isnull=True).exists()
