"""How long a browser stays signed in (AU-34), and where somebody is signed in."""

import re
from datetime import timedelta

import pytest
from django.urls import include, path
from django.utils import timezone

from accounts.users import sessions
from accounts.users.devices import describe_device
from accounts.users.models import Session
from accounts.users.tests.fixtures import open_session
from accounts.users.tests.test_sign_in_page import own_page
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import PASSWORD, MembershipFactory

urlpatterns = [path("own/", own_page), path("", include("config.urls"))]
pytestmark = pytest.mark.urls(__name__)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0"


def last_seen(browser, **ago):
    Session.objects.filter(pk=browser.sign_in.pk).update(last_seen_at=timezone.now() - timedelta(**ago))


def set_policy(clinic, **policy):
    Tenant.objects.filter(pk=clinic.pk).update(**policy)


# --- AU-34: idle and absolute life -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("idle_minutes", "seconds", "status"),
    [(15, 14 * 60 + 55, 200), (15, 15 * 60 + 1, 302), (5, 5 * 60 + 1, 302), (60, 59 * 60, 200), (60, 60 * 60 + 1, 302)],
)
def test_au34_a_browser_falls_asleep_after_the_idle_minutes_of_its_clinic(
    clinic, nurse, page_client, idle_minutes, seconds, status
):
    set_policy(clinic, idle_minutes=idle_minutes)
    browser = page_client(nurse)
    last_seen(browser, seconds=seconds)

    assert browser.get("/own/").status_code == status


@pytest.mark.parametrize("method", ["get", "post"])
def test_au34_an_idle_session_never_comes_alive_again(clinic, nurse, page_client, method):
    browser = page_client(nurse)
    last_seen(browser, minutes=16)
    before = Session.objects.get(pk=browser.sign_in.pk).last_seen_at

    for address in ("/own/", "/keep-alive/", "/", "/drafts/", "/clinics/enter/", "/sign-in/"):
        getattr(browser, method)(address)

    assert Session.objects.get(pk=browser.sign_in.pk).last_seen_at == before
    assert browser.get("/own/").status_code == 302
    assert browser.post("/keep-alive/").status_code == 401


def test_au34_an_idle_browser_goes_on_nowhere_else(clinic, nurse, other_clinic, page_client):
    with outside_tenant(), tenant_context(other_clinic.id):
        MembershipFactory(user=nurse.user)
    browser = page_client(nurse)
    last_seen(browser, minutes=16)

    answer = browser.post("/clinics/enter/", {"tenant": other_clinic.slug})

    assert answer["Location"] == "/sign-in/"


def test_au34_a_session_is_over_after_the_hours_of_its_clinic_however_busy(clinic, nurse, client):
    set_policy(clinic, session_hours=2)
    client.post("/sign-in/", {"username": nurse.user.email, "password": PASSWORD})
    session = Session.objects.get(membership=nurse)
    assert timedelta(0) <= session.created_at + timedelta(hours=2) - session.expires_at < timedelta(seconds=5)

    Session.objects.update(expires_at=timezone.now() - timedelta(seconds=1), last_seen_at=timezone.now())

    assert client.get("/own/").status_code == 302
    assert client.post("/keep-alive/").status_code == 401


def test_au34_what_a_page_asks_by_itself_is_no_activity(clinic, nurse, page_client):
    browser = page_client(nurse)
    last_seen(browser, minutes=10)
    before = Session.objects.get(pk=browser.sign_in.pk).last_seen_at

    quiet = browser.get("/own/", headers={"X-Background": "1"})
    unchanged = Session.objects.get(pk=browser.sign_in.pk).last_seen_at
    browser.get("/own/")

    assert (quiet.status_code, unchanged) == (200, before)
    assert Session.objects.get(pk=browser.sign_in.pk).last_seen_at > before


# --- What the page is told -------------------------------------------------------------------------------------------


def test_keep_alive_by_get_only_asks(clinic, nurse, page_client):
    browser = page_client(nurse)
    last_seen(browser, minutes=14)

    asked = browser.get("/keep-alive/", headers={"X-Background": "1"}).json()
    kept = browser.post("/keep-alive/").json()

    assert 55 <= asked["idle"] <= 60
    assert 895 <= kept["idle"] <= 900
    assert 12 * 3600 - 10 <= kept["absolute"] <= 12 * 3600
    assert sorted(kept) == ["absolute", "idle", "opened"]


def test_a_page_is_told_what_is_left_from_its_own_request_on(clinic, nurse, page_client):
    browser = page_client(nurse)
    last_seen(browser, seconds=31)
    page = browser.get("/")
    last_seen(browser, seconds=29)
    soon = browser.get("/")

    # However long a loaded machine takes for a page: what is left counts from the request on.
    fresh, going = (int(re.search(r'data-idle="(\d+)"', text)[1]) for text in (page.text, soon.text))
    assert 890 <= fresh <= 900
    assert 861 <= going <= 871


def test_keep_alive_of_a_stranger_says_nothing(db, client):
    asked, kept = client.get("/keep-alive/"), client.post("/keep-alive/")

    assert (asked.status_code, asked.json()) == (200, {"idle": 0, "absolute": 0, "opened": 0})
    assert (kept.status_code, kept.json()) == (401, {"detail": "Please sign in again."})


# --- Where am I signed in --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (FIREFOX, "Firefox on Windows"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/131.0 Safari/537.36 Edg/131.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 14; SM-A546B) AppleWebKit/537.36 Chrome/131.0 Mobile Safari/537.36",
         "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1 Mobile/15E148 Safari/604.1",
         "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) Version/18.1 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/131.0 Safari/537.36", "Chrome on Linux"),
        ("python-requests/2.32.3", "python-requests"),
        ("", "Unknown device"),
        ("<script>alert(1)</script>", "Unknown device"),
    ],
)  # fmt: skip
def test_describe_device_says_it_in_words(name, words):
    assert describe_device(name) == words


def test_sign_ins_lists_ones_own_and_marks_this_one(clinic, nurse, doctor, page_client):
    browser = page_client(nurse)
    phone, theirs = open_session(nurse, "page"), open_session(doctor, "page")
    Session.objects.filter(pk=phone.pk).update(device=FIREFOX, address="192.0.2.7")
    Session.objects.filter(pk=theirs.pk).update(device="their own device")

    page = browser.get("/account/sign-ins/")

    assert page.status_code == 200
    assert {row["session"].pk: row["is_here"] for row in page.context["live"]} == {
        browser.sign_in.pk: True,
        phone.pk: False,
    }
    assert "Firefox on Windows" in page.text
    assert "192.0.2.7" in page.text
    assert "their own device" not in page.text


def test_sign_ins_shows_what_ended_for_thirty_days(clinic, nurse, page_client):
    browser = page_client(nurse)
    ended, old, asleep = (open_session(nurse, "page") for _ in range(3))
    sessions.revoke_session(ended)
    sessions.revoke_session(old)
    now = timezone.now()
    Session.objects.filter(pk=old.pk).update(last_seen_at=now - timedelta(days=31))
    Session.objects.filter(pk=asleep.pk).update(last_seen_at=now - timedelta(hours=1))

    page = browser.get("/account/sign-ins/")

    assert [row["session"].pk for row in page.context["ended"]] == [ended.pk, asleep.pk]
    assert "By itself, when time was up" in page.text


def test_end_sign_in_holds_at_the_next_request(clinic, nurse, page_client, api_client):
    browser, phone, program = page_client(nurse), page_client(nurse), api_client(nurse)

    for other in (phone, program):
        assert browser.post(f"/account/sign-ins/{other.sign_in.pk}/end/").status_code == 302

    assert phone.get("/own/").status_code == 302
    assert program.get("/api/auth/me").status_code == 401
    assert browser.get("/own/").status_code == 200
    entries = AuditEntry.objects.filter(action="signed_out").in_order()
    assert [entry.reason_code for entry in entries] == ["ended_by_owner"] * 2


def test_end_sign_in_of_this_very_browser_signs_out(clinic, nurse, page_client):
    browser = page_client(nurse)

    answer = browser.post(f"/account/sign-ins/{browser.sign_in.pk}/end/")

    assert answer["Location"] == "/sign-in/"
    assert answer["Clear-Site-Data"] == '"storage"'
    assert browser.get("/own/").status_code == 302


def test_end_sign_in_knows_nobody_elses(clinic, nurse, doctor, stranger, page_client):
    browser, other = page_client(nurse), page_client(doctor)
    foreign = open_session(stranger, "page")

    for session_id in (other.sign_in.pk, foreign.pk, "01936f5e-0000-7000-8000-000000000000"):
        assert browser.post(f"/account/sign-ins/{session_id}/end/").status_code == 404

    assert other.get("/own/").status_code == 200


def test_end_other_sign_ins_leaves_this_one(clinic, nurse, doctor, page_client, api_client):
    browser, phone, program, other = page_client(nurse), page_client(nurse), api_client(nurse), page_client(doctor)

    browser.post("/account/sign-ins/end-others/")

    assert browser.get("/own/").status_code == 200
    assert phone.get("/own/").status_code == 302
    assert program.get("/api/auth/me").status_code == 401
    assert other.get("/own/").status_code == 200


def test_end_all_sign_ins_holds_in_every_clinic(clinic, nurse, other_clinic, page_client):
    with outside_tenant(), tenant_context(other_clinic.id):
        there = MembershipFactory(user=nurse.user)
        there.permissions
    browser, elsewhere = page_client(nurse), page_client(there)

    answer = browser.post("/account/sign-ins/end-all/")

    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/")
    assert browser.get("/own/").status_code == 302
    assert elsewhere.get("/own/").status_code == 302


@pytest.mark.parametrize("address", ["", "end-others/", "end-all/"])
def test_sign_ins_are_for_those_who_are_signed_in(db, client, address):
    assert client.post(f"/account/sign-ins/{address}").status_code == 302
    assert client.get("/account/sign-ins/")["Location"].startswith("/sign-in/")
