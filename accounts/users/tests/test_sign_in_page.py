"""The sign-in page, signing out, the language, and the guard of pages."""

import re
import time
from datetime import timedelta

import pyotp
import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpResponse
from django.urls import include, path
from django.utils import timezone

from accounts.guards import requires
from accounts.permissions import Permission
from accounts.users.entering import held_person
from accounts.users.models import Membership, Session
from accounts.users.tests.factories import PASSWORD, MembershipFactory, UserFactory
from accounts.users.tests.fixtures import PageClient
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant


@requires(Permission.OWN_PROFILE)
def own_page(request):
    return HttpResponse(f"{request.member.display_name} in {request.tenant.name}, {request.user.name}")


@requires(Permission.AUDIT_EXPORT, Permission.CUSTOM_FIELD_MANAGE)
def rare_page(request):
    return HttpResponse("rare")


urlpatterns = [path("own/", own_page), path("rare/", rare_page), path("", include("config.urls"))]
pytestmark = pytest.mark.urls(__name__)

REFUSED = "Invalid email or password"


def sign_in(client, member, password=PASSWORD, **more):
    return client.post("/sign-in/", {"username": member.user.email, "password": password, **more})


def trail(action):
    return list(AuditEntry.objects.filter(action=action).in_order())


# --- In --------------------------------------------------------------------------------------------------------------


def test_sign_in_shows_a_form_that_is_never_stored(db, client):
    answer = client.get("/sign-in/?next=/patients/")

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert '<input type="hidden" name="next" value="/patients/">' in answer.text
    assert 'autocomplete="current-password"' in answer.text


def test_sign_in_opens_a_session_and_remembers_it(clinic, nurse, client):
    answer = sign_in(client, nurse)

    assert (answer.status_code, answer["Location"]) == (302, "/")
    session = Session.objects.get()
    assert (session.membership, session.kind, session.address) == (nurse, "page", "127.0.0.1")
    [entry] = trail("signed_in")
    assert (entry.object_id, entry.actor_kind) == (str(session.pk), "member")
    assert client.get("/own/").text == "Nora Nurse in Riverside Clinic, Nora Nurse"


def test_sign_in_cookie_is_for_the_browser_only(clinic, nurse, client):
    sign_in(client, nurse)

    cookie = client.cookies[django_settings.SESSION_COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")


def test_sign_in_changes_the_key_of_the_session(clinic, nurse, client):
    with outside_tenant():
        before = client.session
        before["planted"] = True
        before.save()
        client.cookies[django_settings.SESSION_COOKIE_NAME] = before.session_key

    sign_in(client, nurse)

    assert client.cookies[django_settings.SESSION_COOKIE_NAME].value != before.session_key


@pytest.mark.parametrize("spelling", ["nora@example.org", "NORA@Example.org ", "nora.n", "\uff4eora.n"])
def test_sign_in_takes_either_name_in_any_spelling(clinic, client, spelling):
    MembershipFactory(user=UserFactory(email="nora@example.org", username="nora.n"))

    assert client.post("/sign-in/", {"username": spelling, "password": PASSWORD}).status_code == 302


def refusals(clinic, nurse, other_clinic):
    inactive = MembershipFactory()
    inactive.user.is_active = False
    inactive.user.save()
    no_member = MembershipFactory()
    Membership.objects.filter(pk=no_member.pk).update(is_active=False)
    return {
        "wrong": (nurse.user.email, "wrong password"),
        "empty-like": (nurse.user.email, " "),
        "very long": (nurse.user.email, "x" * 256),
        "unknown": ("nobody@example.org", PASSWORD),
        "inactive person": (inactive.user.email, PASSWORD),
        "inactive member": (no_member.user.email, PASSWORD),
        "no clinic at all": (UserFactory().email, PASSWORD),
        "no password": (UserFactory(password=None).email, PASSWORD),
    }


def test_sign_in_refuses_everybody_with_the_same_page(clinic, nurse, other_clinic, client):
    pages = {}
    for name, (username, password) in refusals(clinic, nurse, other_clinic).items():
        answer = client.post("/sign-in/", {"username": username, "password": password})
        text = re.sub(r'(value|data-shown-at)="[^"]*"|"X-CSRFToken": "[^"]*"', "", answer.text)
        pages[name] = (answer.status_code, text, SESSION_KEY in client.session)
        assert password not in answer.text or password == " "

    assert set(pages.values()) == {pages["wrong"]}
    assert (pages["wrong"][0], pages["wrong"][2]) == (200, False)
    assert REFUSED in pages["wrong"][1]


def test_sign_in_notes_a_refusal_without_what_was_typed(clinic, nurse, client):
    sign_in(client, nurse, password="hunter2hunter2")

    entries = trail("sign_in_refused")
    assert [entry.reason_code for entry in entries] == ["invalid_credentials"]
    assert all("hunter2" not in entry.payloads.get().body for entry in entries)


def test_sign_in_notes_a_lock_once(clinic, nurse, client):
    for _ in range(12):
        sign_in(client, nurse, password="wrong")

    assert [entry.reason_code for entry in trail("sign_in_refused")] == [
        *["invalid_credentials"] * 5,
        "too_many_attempts",
    ]


def test_sign_in_again_ends_what_the_browser_had_open(clinic, nurse, client):
    sign_in(client, nurse)
    copied = client.cookies[django_settings.SESSION_COOKIE_NAME].value

    sign_in(client, nurse)

    assert client.cookies[django_settings.SESSION_COOKIE_NAME].value != copied
    before, now = Session.objects.filter(membership=nurse).order_by("created_at")
    assert before.revoked_at
    assert now.revoked_at is None
    client.cookies[django_settings.SESSION_COOKIE_NAME] = copied
    assert client.get("/own/").status_code == 302


def test_sign_in_is_locked_after_five_failures(clinic, nurse, doctor, client):
    for _ in range(5):
        assert REFUSED in sign_in(client, nurse, password="wrong").text

    locked = sign_in(client, nurse)

    assert locked.status_code == 429
    assert 0 < int(locked["Retry-After"]) <= 15 * 60
    assert re.search(r"Too many failed attempts\. Please try again in \d+ minute\(s\)\.", locked.text)
    assert sign_in(client, doctor).status_code == 302


def test_sign_in_needs_every_field(clinic, nurse, client):
    answer = client.post("/sign-in/", {"username": nurse.user.email})

    assert answer.status_code == 200
    assert "This field is required." in answer.text


def test_sign_in_is_not_possible_without_its_limiter(clinic, nurse, client, settings):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}

    assert sign_in(client, nurse).status_code == 503


def test_sign_in_of_a_forged_form_is_refused(clinic, nurse):
    answer = sign_in(PageClient(enforce_csrf_checks=True), nurse)

    assert answer.status_code == 403


# --- Which clinic ----------------------------------------------------------------------------------------------------


@pytest.fixture
def commuter(clinic, nurse, other_clinic):
    """A nurse of both clinics."""
    with outside_tenant(), tenant_context(other_clinic.id):
        MembershipFactory(user=nurse.user)
    return nurse


def test_sign_in_asks_a_person_of_several_clinics_which(clinic, commuter, other_clinic, client):
    asked = sign_in(client, commuter)
    page = client.get("/clinics/enter/")
    before = client.get("/own/")
    chosen = client.post("/clinics/enter/", {"tenant": other_clinic.slug})

    assert asked["Location"] == "/clinics/enter/"
    assert all(tenant.name in page.text for tenant in (clinic, other_clinic))
    assert before.status_code == 302
    assert chosen["Location"] == "/"
    assert client.get("/own/").text == "Nora Nurse in Harbor Clinic, Nora Nurse"


def test_sign_in_takes_the_clinic_with_the_password(clinic, commuter, other_clinic, client):
    assert sign_in(client, commuter, clinic=other_clinic.slug)["Location"] == "/"
    assert client.get("/own/").text == "Nora Nurse in Harbor Clinic, Nora Nurse"


def test_sign_in_goes_on_to_the_page_after_the_choice_of_a_clinic(clinic, commuter, client):
    sign_in(client, commuter, next="/own/?x=1")

    assert client.post("/clinics/enter/", {"tenant": clinic.slug})["Location"] == "/own/?x=1"


def test_sign_in_goes_to_the_clinic_of_the_address(clinic, commuter, other_clinic, client, settings):
    settings.BASE_DOMAIN, settings.ALLOWED_HOSTS = "clinics.example", ["*"]
    host = {"HTTP_HOST": f"{other_clinic.slug}.clinics.example"}

    client.post("/sign-in/", {"username": commuter.user.email, "password": PASSWORD}, **host)

    assert "Harbor Clinic" in client.get("/own/", **host).text


def test_sign_in_lets_nobody_choose_a_clinic_they_do_not_work_in(clinic, nurse, other_clinic, client):
    sign_in(client, nurse, clinic=other_clinic.slug)

    assert "Harbor" not in client.get("/own/").text


# --- Where to --------------------------------------------------------------------------------------------------------


def test_sign_in_returns_to_the_page_that_was_asked_for(clinic, nurse, client):
    asked = client.get("/own/?x=1")
    there = sign_in(client, nurse, next="/own/?x=1")

    assert asked["Location"] == "/sign-in/?next=/own/%3Fx%3D1"
    assert there["Location"] == "/own/?x=1"


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "http:///evil.example",
     "https:evil.example", "\x08//evil.example", "data:text/html,x"],
)  # fmt: skip
def test_sign_in_never_leads_elsewhere(clinic, nurse, client, elsewhere):
    assert sign_in(client, nurse, next=elsewhere)["Location"] == "/"


# --- The second factor -----------------------------------------------------------------------------------------------


def test_q3_sign_in_takes_the_code_with_the_password(clinic, nurse, client):
    device = enrolled(nurse.user)
    code = pyotp.TOTP(pyotp.random_base32()).now()

    assert "Invalid two-factor code" in sign_in(client, nurse, otp_code=code).text
    assert sign_in(client, nurse, otp_code=totp(device)).status_code == 302


def test_q3_sign_in_leads_to_the_page_that_asks_for_the_code(clinic, nurse, client):
    enrolled(nurse.user)

    answer = sign_in(client, nurse, next="/own/?x=1")

    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/second-factor/")
    held = client.session["pending_sign_in"]
    assert (held["user"], held["tenant"], held["next"]) == (str(nurse.user_id), "", "/own/?x=1")
    assert PASSWORD not in str(held)


@pytest.mark.parametrize("address", ["/own/", "/", "/admin/", "/clinics/enter/", "/account/sign-ins/", "/api/auth/me"])
def test_au16_a_password_without_its_second_factor_opens_nothing(clinic, nurse, client, address):
    enrolled(nurse.user)
    sign_in(client, nurse)

    answer = client.get(address)

    assert answer.status_code in {302, 401}
    assert answer.status_code == 401 or answer["Location"].startswith(("/sign-in/", "/admin/login/"))
    assert not Session.objects.filter(membership=nurse).exists()
    assert SESSION_KEY not in client.session


def test_au16_a_held_sign_in_is_worthless_after_five_minutes_and_after_a_new_password(clinic, nurse, rf):
    request = rf.get("/")
    request.session = {"pending_sign_in": held_for(nurse.user)}
    assert held_person(request) == nurse.user

    request.session["pending_sign_in"]["at"] -= 300
    assert held_person(request) is None

    request.session["pending_sign_in"] = held_for(nurse.user)
    change_password(nurse)
    assert held_person(request) is None


def held_for(user):
    password_hash = user.get_session_auth_hash()
    return {"user": str(user.pk), "tenant": "", "next": "", "at": int(time.time()), "hash": password_hash}


def enrolled(user):
    """Their authenticator. The room that owns it stands above this one, so it is asked for by name."""
    device = apps.get_model("second_factor", "Authenticator")(user=user, name="phone", confirmed=True)
    device.seed = b"twenty bytes of seed"
    device.save()
    return device


def totp(device):
    return pyotp.TOTP(device.typed_seed).now()


# --- Out, and language -----------------------------------------------------------------------------------------------


def test_sign_out_ends_the_session_on_the_server(clinic, nurse, page_client):
    browser = page_client(nurse)
    kept = browser.cookies[django_settings.SESSION_COOKIE_NAME].value

    answer = browser.post("/sign-out/")

    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/")
    assert '"storage"' in answer["Clear-Site-Data"]
    assert Session.objects.get(membership=nurse).revoked_at
    assert [entry.reason_code for entry in trail("signed_out")] == ["signed_out"]
    browser.cookies[django_settings.SESSION_COOKIE_NAME] = kept
    assert browser.get("/own/").status_code == 302


def test_sign_out_by_a_link_does_nothing(clinic, nurse, page_client):
    browser = page_client(nurse)

    page = browser.get("/sign-out/")
    assert (page.status_code, page["Allow"]) == (405, "POST")
    assert "belongs to a button" in page.text
    assert 'href="/"' in page.text
    assert browser.get("/own/").status_code == 200


@pytest.mark.parametrize(("language", "kept"), [("es", "es"), ("xx", ""), ("", "")])
def test_set_language_keeps_it_with_the_person(clinic, nurse, page_client, language, kept):
    browser = page_client(nurse)

    answer = browser.post("/language/", {"language": language, "next": "//evil.example"})

    nurse.user.refresh_from_db()
    assert (answer["Location"], nurse.user.language) == ("/", kept)


def test_pages_speak_the_clinics_language_to_whoever_chose_none(clinic, nurse, page_client):
    clinic.language = "es"
    clinic.save()
    browser = page_client(nurse)
    english = {"accept-language": "en"}

    assert '<html lang="es"' in browser.get("/account/", headers=english).text
    browser.post("/language/", {"language": "en"})
    assert '<html lang="en"' in browser.get("/account/", headers={"accept-language": "es"}).text


def test_the_api_speaks_the_programs_language_to_whoever_chose_none(clinic, nurse, api_client):
    clinic.language = "es"
    clinic.save()

    assert api_client(nurse).get("/api/patients/00000000-0000-0000-0000-000000000000").json()["detail"] == "Not found"


# --- The guard of pages ----------------------------------------------------------------------------------------------


def test_requires_sends_strangers_to_the_sign_in_page(db, client):
    assert client.get("/own/")["Location"] == "/sign-in/?next=/own/"


def test_requires_leads_back_to_the_page_of_a_button_and_not_to_its_address(db, client):
    from_page = client.post(
        "/account/sign-ins/end-all/", headers={"referer": "http://testserver/account/sign-ins/?a=1"}
    )
    elsewhere = client.post("/account/sign-ins/end-all/", headers={"referer": "http://evil.example/account/"})

    assert from_page["Location"] == "/sign-in/?next=/account/sign-ins/%3Fa%3D1"
    assert elsewhere["Location"] == "/sign-in/?next=/account/sign-ins/end-all/"


def test_requires_asks_for_any_of_its_permissions(clinic, nurse, admin, auditor, page_client):
    assert page_client(nurse).get("/rare/").status_code == 403
    assert page_client(admin).get("/rare/").status_code == 200
    assert page_client(auditor).get("/rare/").status_code == 200


def end_session(member):
    Session.objects.filter(membership=member).update(revoked_at=timezone.now())


def expire_session(member):
    Session.objects.filter(membership=member).update(expires_at=timezone.now() - timedelta(seconds=1))


def deactivate_member(member):
    Membership.objects.filter(pk=member.pk).update(is_active=False)


def deactivate_person(member):
    member.user.is_active = False
    member.user.save()


def close_clinic(member):
    Tenant.objects.filter(pk=member.tenant_id).update(is_active=False)


ENDINGS = [end_session, expire_session, deactivate_member, deactivate_person, close_clinic]


def change_password(member):
    member.user.set_password("another fine password")
    member.user.save()


@pytest.mark.parametrize("end", [*ENDINGS, change_password])
def test_whatever_ends_a_session_holds_at_the_next_page(clinic, nurse, page_client, end):
    browser = page_client(nurse)
    assert browser.get("/own/").status_code == 200

    end(nurse)

    assert browser.get("/own/").status_code == 302


def test_a_session_of_one_clinic_opens_no_other(clinic, nurse, stranger, other_clinic, page_client):
    browser = page_client(nurse)
    with outside_tenant():
        kept = browser.session
        kept["tenant_id"] = str(other_clinic.id)
        kept.save()

    assert browser.get("/own/").status_code == 302


def test_session_is_touched_at_most_twice_a_minute(clinic, nurse, page_client):
    browser = page_client(nurse)
    long_ago = timezone.now() - timedelta(minutes=5)
    Session.objects.update(last_seen_at=long_ago)

    browser.get("/own/")
    seen = Session.objects.get(membership=nurse).last_seen_at
    browser.get("/own/")

    assert seen > long_ago
    assert Session.objects.get(membership=nurse).last_seen_at == seen
