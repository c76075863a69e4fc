"""`/api/auth/totp/…` and the reset, as the specifications have them (Q3, Q8 to Q10; contract.md 1.1)."""

from datetime import timedelta

import pyotp
import pytest
import time_machine
from django.utils import timezone

from accounts.second_factor.models import Authenticator
from accounts.users.credentials import CSRF_COOKIE
from accounts.users.models import Session, User, Workplace
from accounts.users.tests.factories import PASSWORD, MembershipFactory
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import finish_pending

from .phones import code, enrolled, phone_of, wrong_code

SETUP, VERIFY, DISABLE, RENEW = (f"/api/auth/totp/{name}" for name in ("setup", "verify", "disable", "recovery-codes"))


def set_up(program):
    """As a front end does it; returns the telephone and the answer of verify."""
    phone = pyotp.parse_uri(program.post(SETUP).json()["provision_uri"])
    phone.used = code(phone)
    return phone, program.post(VERIFY, {"code": phone.used})


def header_of(program):
    return {"X-CSRF-Token": program.cookies[CSRF_COOKIE].value}


def test_q8_setup_gives_a_provisioning_uri_and_switches_nothing_on(clinic, nurse, cookie_client):
    program = cookie_client(nurse)

    answer = program.post(SETUP)

    assert answer.status_code == 200
    assert set(answer.json()) == {"provision_uri"}
    assert answer.json()["provision_uri"].startswith("otpauth://totp/Carewright:")
    phone = pyotp.parse_uri(answer.json()["provision_uri"])
    assert (phone.issuer, phone.name) == ("Carewright", nurse.user.username)
    assert not User.objects.get(pk=nurse.user_id).has_second_factor


@pytest.mark.parametrize("prefix", ["/api/auth/totp", "/api/v1/auth/totp"])
def test_q9_verify_enables_and_gives_ten_recovery_codes(clinic, nurse, api_client, prefix):
    program = api_client(nurse)
    phone = pyotp.parse_uri(program.post(f"{prefix}/setup/").json()["provision_uri"])

    answer = program.post(f"{prefix}/verify/", {"code": code(phone)})

    assert answer.status_code == 200
    assert answer.json()["detail"] == "enabled"
    assert len(set(answer.json()["recovery_codes"])) == 10
    assert Session.objects.get(pk=program.sign_in.pk).second_factor == "totp"
    assert program.get("/api/auth/me").status_code == 200


def test_q9_verify_without_setup_or_with_a_wrong_code_is_a_bad_request(clinic, nurse, cookie_client):
    program = cookie_client(nurse)

    missing = program.post(VERIFY, {"code": "123456"})
    phone = pyotp.parse_uri(program.post(SETUP).json()["provision_uri"])
    wrong = program.post(VERIFY, {"code": wrong_code(phone)})

    assert (missing.status_code, missing.json()["code"]) == (400, "no_totp_secret")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_totp")
    assert not User.objects.get(pk=nurse.user_id).has_second_factor


@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": None}, {"code": ["1"]}, {"code": {}}, {"code": "1" * 17}])
def test_q9_verify_refuses_bad_bodies(clinic, nurse, api_client, body):
    assert api_client(nurse).post(VERIFY, body).status_code == 400


def test_au14_verify_is_locked_after_five_wrong_codes(clinic, nurse, api_client):
    program = api_client(nurse)
    phone = pyotp.parse_uri(program.post(SETUP).json()["provision_uri"])
    answers = [program.post(VERIFY, {"code": wrong_code(phone)}) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [400] * 5 + [429]
    assert answers[5].json()["detail"] == "Too many failed attempts. Please try again in 15 minute(s)."
    assert 0 < int(answers[5]["Retry-After"]) <= 900


def test_au15_setup_shows_no_active_seed(clinic, nurse, cookie_client):
    program = cookie_client(nurse)
    set_up(program)

    again = program.post(SETUP)

    assert (again.status_code, again.json()["code"]) == (409, "totp_active")
    assert "otpauth" not in again.text


def test_au12_a_code_used_to_enrol_signs_nobody_in(clinic, nurse, cookie_client, anonymous_api):
    program = cookie_client(nurse)
    phone, _answer = set_up(program)
    credentials = {"email": nurse.user.email, "password": PASSWORD}

    replayed = anonymous_api.post("/api/auth/login", credentials | {"totp_code": phone.used})
    next_one = anonymous_api.post("/api/auth/login", credentials | {"totp_code": code(phone, steps=1)})

    assert (replayed.status_code, replayed.json()["code"]) == (400, "invalid_totp")
    assert next_one.status_code == 200


def test_q3_login_asks_for_the_second_factor(clinic, nurse, cookie_client, anonymous_api):
    _phone, answer = set_up(cookie_client(nurse))
    credentials = {"username": nurse.user.username, "password": PASSWORD}

    without = anonymous_api.post("/api/auth/login", credentials)
    recovered = anonymous_api.post("/api/auth/login", credentials | {"totp_code": answer.json()["recovery_codes"][0]})

    assert (without.status_code, without.json()["code"]) == (400, "two_factor_required")
    assert not without.cookies
    assert recovered.status_code == 200
    assert Session.objects.get(membership=nurse, second_factor="recovery")


def test_q10_disable_needs_the_csrf_header_of_cookie_callers(clinic, nurse, cookie_client):
    program = cookie_client(nurse)
    set_up(program)

    bare = program.post(DISABLE)
    foreign = program.post(DISABLE, headers={"X-CSRF-Token": "another:value"})
    assert [(answer.status_code, answer.json()["code"]) for answer in (bare, foreign)] == [(403, "csrf_failed")] * 2
    assert Authenticator.objects.filter(user=nurse.user).exists()

    answer = program.post(DISABLE, headers=header_of(program))
    assert (answer.status_code, answer.json()) == (200, {"detail": "disabled"})
    assert not Authenticator.objects.filter(user=nurse.user).exists()
    assert not User.objects.get(pk=nurse.user_id).has_second_factor
    assert program.get("/api/auth/me").status_code == 200


def test_au15_disable_needs_a_proof_when_the_last_one_is_old(clinic, nurse, api_client):
    program = api_client(nurse)
    phone, _answer = set_up(program)
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        bare = program.post(DISABLE)
        wrong = program.post(DISABLE, {"password": "not this one"})
        right = program.post(DISABLE, {"code": code(phone)})

    assert (bare.status_code, bare.json()["code"]) == (403, "reauthentication_required")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_password")
    assert right.json() == {"detail": "disabled"}


def test_au17_renewing_recovery_codes(clinic, nurse, cookie_client, anonymous_api):
    program = cookie_client(nurse)
    _phone, enabled = set_up(program)

    assert program.post(RENEW).status_code == 403
    answer = program.post(RENEW, {"password": PASSWORD}, headers=header_of(program))

    assert len(answer.json()["recovery_codes"]) == 10
    credentials = {"email": nurse.user.email, "password": PASSWORD}
    old, new = enabled.json()["recovery_codes"][0], answer.json()["recovery_codes"][0]
    assert anonymous_api.post("/api/auth/login", credentials | {"totp_code": old}).status_code == 400
    assert anonymous_api.post("/api/auth/login", credentials | {"totp_code": new}).status_code == 200


@pytest.mark.parametrize(
    "address", [SETUP, VERIFY, DISABLE, RENEW, "/api/users/00000000-0000-7000-8000-000000000000/second-factor/reset"]
)
def test_strangers_are_refused(clinic, anonymous_api, address):
    assert anonymous_api.post(address, {"code": "123456", "reason": "x"}).status_code == 401


def test_q9_other_programs_of_the_person_are_signed_out_at_the_next_request(clinic, nurse, api_client):
    here, there = api_client(nurse), api_client(nurse)
    assert there.get("/api/auth/me").status_code == 200

    set_up(here)

    assert there.get("/api/auth/me").status_code == 401
    assert here.get("/api/auth/me").status_code == 200


def test_a_sign_in_without_the_factor_its_person_has_is_refused(clinic, nurse, api_client, page_client):
    """Begun with the password alone while a second factor was being set up elsewhere: no such session lives."""
    program, browser = api_client(nurse), page_client(nurse)
    User.objects.filter(pk=nurse.user_id).update(has_second_factor=True)

    assert program.get("/api/auth/me").status_code == 401
    assert browser.get("/").status_code == 302
    Session.objects.filter(membership=nurse).update(second_factor="totp")
    assert program.get("/api/auth/me").status_code == 200
    assert browser.get("/").status_code == 200


# --- The policy of the clinic ----------------------------------------------------------------------------------------

GRACE = timedelta(days=7)


def asked(tenant, *, since):
    tenant.two_factor_required, tenant.two_factor_since = True, since
    tenant.save()


@pytest.fixture
def late(clinic):
    """The clinic asks, and everybody's seven days are over."""
    asked(clinic, since=timezone.now() - GRACE - timedelta(days=1))
    clinic.late = lambda member: (
        type(member).objects.filter(pk=member.pk).update(created_at=timezone.now() - GRACE - timedelta(days=1))
    )
    return clinic


def test_policy_seven_days_of_grace(clinic, nurse, api_client, page_client):
    asked(clinic, since=timezone.now() - GRACE + timedelta(hours=1))
    program, browser = api_client(nurse), page_client(nurse)

    assert program.get("/api/patients/").status_code == 200
    assert browser.get("/patients/").status_code == 200


def test_policy_after_that_only_enrolling_is_open(late, nurse, api_client):
    late.late(nurse)
    program = api_client(nurse)

    refused = [
        program.get("/api/patients/"),
        program.post("/api/patients/"),
        program.post(DISABLE),
        program.post(RENEW),
    ]
    codes = {(answer.status_code, answer.json()["code"]) for answer in refused}
    assert codes == {(403, "two_factor_enrolment_required")}
    assert program.get("/api/auth/me").status_code == 200  # a front end has to know whom to lead there
    _phone, answer = set_up(program)
    assert answer.status_code == 200
    assert program.get("/api/patients/").status_code == 200


def test_policy_never_asks_patients(late, patient_user, api_client):
    late.late(patient_user)

    assert api_client(patient_user).get("/api/auth/me").status_code == 200


def test_policy_off_asks_nobody(late, nurse, api_client):
    late.late(nurse)
    late.two_factor_required = False
    late.save()

    assert api_client(nurse).get("/api/patients/").status_code == 200


@pytest.mark.parametrize("is_required", [True, False])
def test_policy_the_admin_site_always_needs_a_proved_factor(clinic, admin, page_client, settings, is_required):
    settings.DEMO = False
    clinic.two_factor_required = is_required
    clinic.save()

    assert page_client(admin).get("/admin/").status_code != 200
    assert page_client(admin, "totp").get("/admin/").status_code == 200


# --- Somebody else's -------------------------------------------------------------------------------------------------


def reset(program, member, **body):
    return program.post(f"/api/users/{member.user_id}/second-factor/reset", body or {"reason": "Lost the telephone"})


def test_reset_takes_the_id_that_the_list_of_people_gives(clinic, admin, nurse, api_client):
    enrolled(nurse.user)
    program = api_client(admin)
    [row] = [row for row in program.get("/api/users").json()["items"] if row["email"] == nurse.user.email]

    assert program.post(f"/api/users/{row['id']}/second-factor/reset", {"reason": "Lost"}).status_code == 200
    assert program.post(f"/api/users/{nurse.pk}/second-factor/reset", {"reason": "Lost"}).status_code == 404


def test_reset_by_an_administrator(clinic, admin, nurse, api_client):
    enrolled(nurse.user)

    answer = reset(api_client(admin), nurse)

    assert (answer.status_code, answer.json()) == (200, {"detail": "reset"})
    assert not Authenticator.objects.filter(user=nurse.user).exists()
    finish_pending()
    assert AuditEntry.objects.filter(action="second_factor_reset", object_id=str(nurse.pk)).count() == 1


def test_reset_is_refused(clinic, other_clinic, admin, doctor, nurse, stranger, api_client):
    enrolled(nurse.user)
    enrolled(doctor.user)
    Workplace.objects.create(user=doctor.user, tenant=other_clinic)
    by_admin = api_client(admin)

    assert reset(api_client(MembershipFactory(role="nurse")), nurse).status_code == 403
    assert reset(by_admin, nurse, reason=" ").status_code == 400
    assert reset(by_admin, nurse, other="x").status_code == 400
    assert reset(by_admin, stranger).status_code == 404
    assert reset(by_admin, admin).status_code == 409
    assert reset(by_admin, doctor).status_code == 409
    assert Authenticator.objects.filter(user__in=[nurse.user, doctor.user]).count() == 2


def test_phone_of_agrees_with_what_the_api_says(clinic, nurse, api_client):
    uri = api_client(nurse).post(SETUP).json()["provision_uri"]

    assert pyotp.parse_uri(uri).secret == phone_of(Authenticator.objects.get(user=nurse.user)).secret
