"""The pages: proving at the sign-in, setting up, looking after it, resetting (AU-14 to AU-17, AU-36)."""

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone
from django_otp_webauthn.models import WebAuthnCredential

from accounts.notifications.models import Notification
from accounts.second_factor import selectors
from accounts.second_factor.models import Authenticator
from accounts.users.models import Session, User, Workplace
from accounts.users.tests.factories import PASSWORD, MembershipFactory
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import finish_pending, tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

from .phones import code, enrolled, phone_of, wrong_code

CHALLENGE, ENROL, SECURITY = "/sign-in/second-factor/", "/account/security/enrol/", "/account/security/"
CODES = re.compile(r"<code>([0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4})</code>")


def give_password(client, member, **fields):
    return client.post("/sign-in/", {"username": member.user.email, "password": PASSWORD} | fields)


def answer_challenge(client, text):
    return client.post(CHALLENGE, {"code": text})


def refusals():
    finish_pending()
    return list(AuditEntry.objects.filter(action="sign_in_refused").values_list("reason_code", flat=True))


# --- Proving at the sign-in ------------------------------------------------------------------------------------------


def test_q3_the_challenge_lets_in_with_a_code(clinic, nurse, client):
    phone = enrolled(nurse.user)

    assert give_password(client, nurse, next="/patients/")["Location"] == CHALLENGE
    assert "Confirm that it is you" in client.get(CHALLENGE).text
    answer = answer_challenge(client, code(phone))

    assert (answer.status_code, answer["Location"]) == (302, "/patients/")
    assert client.get("/patients/").status_code == 200
    assert Session.objects.get(membership=nurse).second_factor == "totp"


def test_au17_the_challenge_takes_a_recovery_code_and_tells(clinic, nurse, client, page_client):
    codes = CODES.findall(enrol_in(page_client(nurse), nurse).text)

    give_password(client, nurse)
    answer = answer_challenge(client, codes[0].upper())

    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert Session.objects.filter(membership=nurse, second_factor="recovery").count() == 1
    assert Notification.objects.filter(recipient=nurse, kind="recovery_code_used").count() == 1


def test_au16_the_challenge_without_the_password_is_nothing(clinic, nurse, client):
    phone = enrolled(nurse.user)

    assert client.get(CHALLENGE)["Location"] == "/sign-in/"
    assert answer_challenge(client, code(phone))["Location"] == "/sign-in/"
    assert client.post(f"{CHALLENGE}passkey/").status_code == 403
    assert Session.objects.filter(membership=nurse).count() == 0


def test_au16_the_challenge_is_over_after_five_minutes(clinic, nurse, client):
    phone = enrolled(nurse.user)
    give_password(client, nurse)
    kept = client.session
    kept["pending_sign_in"] |= {"at": kept["pending_sign_in"]["at"] - 300}
    kept.save()

    assert answer_challenge(client, code(phone))["Location"] == "/sign-in/"
    assert Session.objects.filter(membership=nurse).count() == 0


def test_au14_five_wrong_codes_end_the_challenge_and_a_new_one_does_not_begin_afresh(clinic, nurse, client):
    phone = enrolled(nurse.user)
    give_password(client, nurse)

    answers = [answer_challenge(client, wrong_code(phone)) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [422] * 4 + [429]
    assert answers[4]["Retry-After"]
    assert answer_challenge(client, code(phone))["Location"] == "/sign-in/"
    assert give_password(client, nurse)["Location"] == CHALLENGE
    locked = answer_challenge(client, code(phone))
    assert locked.status_code == 429
    assert "Too many failed attempts. Please try again in 15 minute(s)." in locked.text
    assert Session.objects.filter(membership=nurse).count() == 0
    assert refusals() == ["invalid_totp"] * 5 + ["too_many_attempts"]
    assert Notification.objects.filter(recipient=nurse, kind="wrong_second_factors").count() == 1


def test_the_challenge_says_what_is_wrong(clinic, nurse, client):
    phone = enrolled(nurse.user)
    give_password(client, nurse)

    assert "Enter a code." in answer_challenge(client, " ").text
    assert "This code is not right" in answer_challenge(client, wrong_code(phone)).text
    assert answer_challenge(client, code(phone)).status_code == 302


def test_the_challenge_leads_to_the_choice_of_a_clinic(clinic, other_clinic, nurse, client):
    with outside_tenant(), tenant_context(other_clinic.id):
        MembershipFactory(role="nurse", user=nurse.user)
    phone = enrolled(nurse.user)
    give_password(client, nurse)

    assert answer_challenge(client, code(phone))["Location"] == "/clinics/enter/"
    assert client.post("/clinics/enter/", {"tenant": clinic.slug}).status_code == 302
    assert Session.objects.get(membership=nurse).second_factor == "totp"


@pytest.mark.parametrize(
    "answer",
    ["x", "{}", "[]", "null", '{"id": 1}', "[" * 20_000, '{"id":"a","rawId":"a","type":"public-key","response":{}}'],
)
def test_au36_a_passkey_answer_that_is_none_is_counted_like_a_wrong_code(clinic, nurse, client, answer):
    enrolled(nurse.user)
    add_credential(nurse)
    give_password(client, nurse)
    assert json.loads(client.post(f"{CHALLENGE}passkey/").content)["challenge"]

    refused = client.post(CHALLENGE, {"answer": answer})

    assert refused.status_code == 422
    assert "This passkey could not be checked." in refused.text
    assert refusals() == ["passkey_refused"]
    for _try in range(3):
        assert client.post(CHALLENGE, {"answer": answer}).status_code == 422
    assert client.post(CHALLENGE, {"answer": answer}).status_code == 429


# --- Setting up ------------------------------------------------------------------------------------------------------


def enrol_in(browser, member, **fields):
    browser.get(ENROL)
    phone = phone_of(Authenticator.objects.get(user=member.user))
    return browser.post(ENROL, {"code": code(phone)} | fields)


def test_q8_the_page_shows_the_code_to_scan_and_to_type(clinic, nurse, page_client):
    page = page_client(nurse).get(ENROL)

    seed = Authenticator.objects.get(user=nurse.user).typed_seed
    assert page.status_code == 200
    assert page["Cache-Control"].startswith("no-store") or "no-store" in page["Cache-Control"]
    drawing = re.search(r'<svg viewBox="0 0 (\d+) \1" class="qr-code">.*?</svg>', page.text)  # whole, in any size
    assert drawing
    assert " style=" not in page.text
    assert all(f"<span>{seed[start : start + 4]}</span>" in page.text for start in range(0, len(seed), 4))


def test_q9_enrolling_shows_the_recovery_codes_once(clinic, nurse, page_client):
    browser = page_client(nurse)
    key = browser.session.session_key

    done = enrol_in(browser, nurse)

    codes = CODES.findall(done.text)
    seed = Authenticator.objects.get(user=nurse.user).typed_seed
    assert (done.status_code, len(codes)) == (200, 10)
    assert browser.session.session_key != key
    for address in (ENROL, SECURITY, "/"):
        page = browser.get(address, follow=True)
        assert page.status_code == 200
        assert not CODES.findall(page.text)
        assert seed[:4] not in page.text or seed[4:8] not in page.text
    kept = browser.post(f"{SECURITY}recovery-codes/kept/", {"kept": "on"}, follow=True)
    assert "Noted: your recovery codes are kept." in kept.text
    assert selectors.get_recovery_codes(nurse.user).kept_at


def test_enrolling_with_a_wrong_code_says_so_and_keeps_the_seed(clinic, nurse, page_client):
    browser = page_client(nurse)
    browser.get(ENROL)
    before = Authenticator.objects.get(user=nurse.user).typed_seed

    page = browser.post(ENROL, {"code": wrong_code(phone_of(Authenticator.objects.get(user=nurse.user)))})

    assert page.status_code == 422
    assert "This code is not right" in page.text
    assert Authenticator.objects.get(user=nurse.user).typed_seed == before


def test_au15_enrolling_asks_for_the_password_when_the_sign_in_is_old(clinic, nurse, page_client):
    browser = page_client(nurse)
    Session.objects.filter(pk=browser.sign_in.pk).update(valid_from=timezone.now() - timedelta(minutes=16))

    assert "Your password" in browser.get(ENROL).text
    assert enrol_in(browser, nurse).status_code == 422
    assert "This is not your password." in enrol_in(browser, nurse, password="wrong").text
    assert len(CODES.findall(enrol_in(browser, nurse, password=PASSWORD).text)) == 10


@pytest.mark.parametrize("place", ["switch-off", "recovery-codes"])
def test_au15_what_weakens_the_account_asks_for_the_password(clinic, nurse, page_client, place):
    browser = page_client(nurse)
    codes = CODES.findall(enrol_in(browser, nurse).text)

    assert browser.get(f"{SECURITY}{place}/").status_code == 200
    assert browser.post(f"{SECURITY}{place}/", {}).status_code == 422
    assert "This is not your password." in browser.post(f"{SECURITY}{place}/", {"password": "wrong"}).text
    assert selectors.count_recovery_codes(nurse.user) == 10
    done = browser.post(f"{SECURITY}{place}/", {"password": PASSWORD})

    if place == "switch-off":
        assert done["Location"] == SECURITY
        assert selectors.get_authenticator(nurse.user) is None
    else:
        assert len(set(CODES.findall(done.text)) - set(codes)) == 10
    assert browser.get(SECURITY).status_code == 200


def test_security_says_what_there_is(clinic, nurse, page_client):
    browser = page_client(nurse)
    assert "Only your password protects your account" in browser.get(SECURITY).text

    enrol_in(browser, nurse)

    page = browser.get(SECURITY).text
    assert "Signing in asks for your password and a second factor." in page
    assert "10 codes are left" in page


def test_pages_of_nobody_lead_to_the_sign_in(clinic, client):
    for address in (ENROL, SECURITY, f"{SECURITY}switch-off/", f"{SECURITY}recovery-codes/"):
        assert client.get(address)["Location"].startswith("/sign-in/")


# --- Passkeys (the ceremonies themselves: config/tests/browser/test_second_factor.py) --------------------------------


def add_credential(member, name="Key"):
    return WebAuthnCredential.objects.create(
        user=member.user, name=name, credential_id=name.encode() + member.pk.bytes, public_key=b"\xa0", confirmed=True
    )


@pytest.mark.parametrize("answer", ["x", "{}", '{"id":"a","rawId":"a","type":"public-key","response":{}}'])
def test_au36_a_passkey_that_is_none_is_refused(clinic, nurse, page_client, answer):
    browser = page_client(nurse, SERVER_NAME="localhost")
    options = browser.post(f"{SECURITY}passkeys/begin/").json()

    page = browser.post(f"{SECURITY}passkeys/add/", {"passkey-name": "Key", "passkey-answer": answer})

    assert options["rp"] == {"id": "localhost", "name": "Carewright"}
    assert page.status_code == 422
    assert "This passkey could not be checked." in page.text
    assert not User.objects.get(pk=nurse.user_id).has_second_factor


def test_a_passkey_is_removed_after_the_password(clinic, nurse, doctor, page_client):
    browser = page_client(nurse)
    enrol_in(browser, nurse)
    mine, theirs = add_credential(nurse), add_credential(doctor)

    assert browser.get(f"{SECURITY}passkeys/{theirs.pk}/remove/").status_code == 404
    assert browser.post(f"{SECURITY}passkeys/{theirs.pk}/remove/", {"password": PASSWORD}).status_code == 404
    assert browser.post(f"{SECURITY}passkeys/{mine.pk}/remove/", {"password": "wrong"}).status_code == 422
    assert browser.post(f"{SECURITY}passkeys/{mine.pk}/remove/", {"password": PASSWORD})["Location"] == SECURITY
    assert list(WebAuthnCredential.objects.all()) == [theirs]
    assert User.objects.get(pk=nurse.user_id).has_second_factor


# --- The policy of the clinic ----------------------------------------------------------------------------------------

LONG_AGO = timedelta(days=8)


@pytest.fixture
def late(clinic, nurse):
    """The clinic asks, and the nurse's seven days are over."""
    clinic.two_factor_required, clinic.two_factor_since = True, timezone.now() - LONG_AGO
    clinic.save()
    type(nurse).objects.filter(pk=nurse.pk).update(created_at=timezone.now() - LONG_AGO)
    return nurse


def test_policy_leads_the_late_to_enrolling_only(late, page_client):
    browser = page_client(late)

    for address in ("/", "/patients/", SECURITY, f"{SECURITY}recovery-codes/"):
        assert browser.get(address)["Location"] == ENROL
    page = browser.get(ENROL)
    assert page.status_code == 200
    assert "Sign out" in page.text
    assert len(CODES.findall(enrol_in(browser, late).text)) == 10
    assert browser.get("/patients/").status_code == 200


def test_policy_reminds_during_the_days_of_grace(clinic, nurse, page_client):
    clinic.two_factor_required, clinic.two_factor_since = True, timezone.now()
    clinic.save()
    browser = page_client(nurse)

    assert "Set up a second factor" in browser.get("/").text
    enrol_in(browser, nurse)
    assert "Set up a second factor" not in browser.get("/").text


def test_policy_reminds_nobody_where_nothing_is_asked(clinic, nurse, page_client):
    clinic.two_factor_required = False
    clinic.save()

    assert "Set up a second factor" not in page_client(nurse).get("/").text


# --- Somebody else's -------------------------------------------------------------------------------------------------


def test_reset_by_an_administrator(clinic, admin, nurse, page_client):
    enrolled(nurse.user)
    browser, address = page_client(admin), f"/people/{nurse.pk}/second-factor/reset/"

    assert "Nora Nurse" in browser.get(address).text
    assert browser.post(address, {"reason": " "}).status_code == 422
    assert Authenticator.objects.filter(user=nurse.user).exists()
    assert browser.post(address, {"reason": "Lost the telephone"}).status_code == 302
    assert not Authenticator.objects.filter(user=nurse.user).exists()
    assert User.objects.get(pk=nurse.user_id).second_factor_reset_at


def test_reset_is_for_administrators_of_this_clinic(clinic, other_clinic, admin, nurse, doctor, stranger, page_client):
    enrolled(nurse.user)
    Workplace.objects.create(user=nurse.user, tenant=other_clinic)

    assert page_client(doctor).get(f"/people/{nurse.pk}/second-factor/reset/").status_code == 403
    browser = page_client(admin)
    assert browser.get(f"/people/{stranger.pk}/second-factor/reset/").status_code == 404
    refused = browser.post(f"/people/{nurse.pk}/second-factor/reset/", {"reason": "Lost"})
    assert refused.status_code == 422
    assert "also works in other clinics" in refused.text
    assert Authenticator.objects.filter(user=nurse.user).exists()
