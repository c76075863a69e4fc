"""Signing in over the API: cookies and Bearer, renewing, signing out, and everything that must not get in."""

import time
import uuid
from datetime import timedelta

import jwt
import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from accounts.permissions import DEFAULT_ROLES, Permission
from accounts.users.authentication import csrf_token_for
from accounts.users.models import Membership, Role, Session
from accounts.users.tests.factories import PASSWORD, MembershipFactory, UserFactory
from accounts.users.tests.fixtures import open_session, tokens_of
from accounts.users.tests.test_sign_in_page import ENDINGS
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

# A forger may use any key, also one that is too short for the algorithm.
pytestmark = pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
COOKIES = {"access_token": "/", "refresh_token": "/api/auth/refresh", "XSRF-TOKEN": "/"}


def sign_in(program, member, password=PASSWORD, **more):
    return program.post("/api/auth/login", {"email": member.user.email, "password": password, **more})


def refused(answer):
    body = answer.json()
    assert set(body) == {"detail", "code", "trace_id"}
    return answer.status_code, body["detail"], body["code"]


def assert_cookies_are_cleared(answer):
    assert {name: morsel["path"] for name, morsel in answer.cookies.items()} == COOKIES
    assert {(morsel.value, morsel["max-age"]) for morsel in answer.cookies.values()} == {("", 0)}


# --- Login -----------------------------------------------------------------------------------------------------------


def test_login_answers_who_signed_in_and_never_a_token(clinic, nurse, anonymous_api):
    answer = sign_in(anonymous_api, nurse)

    assert answer.status_code == 200
    assert answer.json() == {
        "detail": "ok",
        "user": {
            "id": str(nurse.user_id),
            "email": nurse.user.email,
            "username": nurse.user.username,
            "name": "Nora Nurse",
            "role": "nurse",
            "roles": ["nurse"],
            "tenant": clinic.slug,
        },
    }
    assert not any(morsel.value in answer.content.decode() for morsel in answer.cookies.values())


def test_login_sets_the_cookies_as_medisecure_says(clinic, nurse, anonymous_api):
    cookies = sign_in(anonymous_api, nurse).cookies

    described = {
        name: (m["path"], m["max-age"], bool(m["httponly"]), bool(m["secure"]), m["samesite"], m["domain"])
        for name, m in cookies.items()
    }
    assert described == {
        "access_token": ("/", 15 * 60, True, True, "Strict", ""),
        "refresh_token": ("/api/auth/refresh", 7 * 24 * 3600, True, True, "Strict", ""),
        "XSRF-TOKEN": ("/", 7 * 24 * 3600, False, True, "Strict", ""),
    }


def test_login_cookies_open_the_api(clinic, nurse, anonymous_api):
    sign_in(anonymous_api, nurse)

    assert anonymous_api.get("/api/auth/me").json()["name"] == "Nora Nurse"


@pytest.mark.parametrize(
    "who", [{"email": "nora@example.org"}, {"username": "NORA@example.org "}, {"username": "nora.n"}]
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_login_takes_email_or_username(clinic, anonymous_api, who, slash):
    MembershipFactory(user=UserFactory(email="nora@example.org", username="nora.n"))

    assert anonymous_api.post(f"/api/auth/login{slash}", {**who, "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"password": PASSWORD},
        {"email": "a@example.org"},
        {"email": "a@example.org", "username": "a", "password": PASSWORD},
        {"email": "", "password": PASSWORD},
        {"email": ["a"], "password": PASSWORD},
        {"email": "a@example.org", "password": {"x": 1}},
        {"email": "a@example.org", "password": "x" * 257},
        {"email": "x" * 255, "password": PASSWORD},
        [],
        "text",
    ],
)
def test_login_refuses_what_is_no_sign_in(db, anonymous_api, body):
    answer = anonymous_api.post("/api/auth/login", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")


def test_login_refuses_everybody_with_the_same_answer(clinic, nurse, other_clinic, anonymous_api):
    inactive = MembershipFactory()
    inactive.user.is_active = False
    inactive.user.save()
    left = MembershipFactory()
    Membership.objects.filter(pk=left.pk).update(is_active=False)
    tries = [
        {"email": nurse.user.email, "password": "wrong"},
        {"email": "nobody@example.org", "password": PASSWORD},
        {"email": inactive.user.email, "password": PASSWORD},
        {"email": left.user.email, "password": PASSWORD, "tenant": clinic.slug},
        {"email": UserFactory().email, "password": PASSWORD},
        {"email": nurse.user.email, "password": PASSWORD, "tenant": other_clinic.slug},
        {"email": nurse.user.email, "password": PASSWORD, "tenant": "no-such-clinic"},
    ]

    answers = [refused(anonymous_api.post("/api/auth/login", {"tenant": clinic.slug, **body})) for body in tries]

    assert answers == [(401, "Invalid email or password", "invalid_credentials")] * len(tries)
    assert anonymous_api.cookies == {}
    reasons = AuditEntry.objects.filter(action="sign_in_refused").values_list("reason_code", flat=True)
    assert set(reasons) == {"invalid_credentials"}


def test_login_locks_a_person_after_five_failures(clinic, nurse, doctor, anonymous_api):
    for spelling in (nurse.user.email, nurse.user.email.upper(), nurse.user.username, f" {nurse.user.email}"):
        anonymous_api.post("/api/auth/login", {"username": spelling, "password": "wrong"})
    assert sign_in(anonymous_api, nurse, password="wrong").status_code == 401

    locked = sign_in(anonymous_api, nurse)

    wait = int(locked["Retry-After"])
    minutes = -(-wait // 60)
    assert 0 < wait <= 15 * 60
    assert refused(locked) == (
        429,
        f"Too many failed attempts. Please try again in {minutes} minute(s).",
        "too_many_attempts",
    )
    assert sign_in(anonymous_api, doctor).status_code == 200


def test_login_starts_afresh_after_the_right_password(clinic, nurse, anonymous_api):
    for password in ["wrong"] * 4 + [PASSWORD] + ["wrong"] * 4:
        sign_in(anonymous_api, nurse, password=password)

    assert sign_in(anonymous_api, nurse).status_code == 200


def test_login_in_several_clinics_asks_which(clinic, nurse, other_clinic, anonymous_api):
    with outside_tenant(), tenant_context(other_clinic.id):
        MembershipFactory(user=nurse.user, role="doctor")

    assert refused(sign_in(anonymous_api, nurse))[::2] == (400, "tenant_required")
    for how in ({"tenant": other_clinic.slug}, {"headers": {"X-Tenant": other_clinic.slug}}):
        headers = how.pop("headers", {})
        body = {"email": nurse.user.email, "password": PASSWORD, **how}
        assert anonymous_api.post("/api/auth/login", body, headers=headers).json()["user"]["role"] == "doctor"


# --- Bearer ----------------------------------------------------------------------------------------------------------


def test_token_answers_a_bearer_token_and_sets_no_cookie(clinic, nurse, anonymous_api):
    answer = anonymous_api.post("/api/auth/token", {"username": nurse.user.email, "password": PASSWORD})
    body = answer.json()

    assert (body["token_type"], body["expires_in"], body["user"]["role"]) == ("bearer", 900, "nurse")
    assert answer.cookies == {}
    anonymous_api.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    assert anonymous_api.get("/api/auth/me").status_code == 200


def test_token_refuses_like_login(clinic, nurse, anonymous_api):
    body = {"username": nurse.user.email, "password": "wrong", "tenant": clinic.slug}

    assert refused(anonymous_api.post("/api/auth/token", body))[0] == 401


def test_me_says_the_same_by_cookie_and_by_bearer(clinic, nurse, api_client, cookie_client):
    by_bearer = api_client(nurse).get("/api/auth/me").json()

    assert cookie_client(nurse).get("/api/auth/me/").json() == by_bearer
    assert by_bearer == {
        "id": str(nurse.user_id),
        "email": nurse.user.email,
        "username": nurse.user.username,
        "name": "Nora Nurse",
        "role": "nurse",
        "roles": ["nurse"],
        "permissions": sorted(DEFAULT_ROLES["nurse"][1]),
        "phone": "",
        "specialization": "",
        "department": "",
        "tenant": {
            "id": str(clinic.id),
            "slug": clinic.slug,
            "name": "Riverside Clinic",
            "time_zone": "America/Bogota",
        },
        "created_at": by_bearer["created_at"],
    }


def test_me_needs_somebody(db, anonymous_api):
    answer = anonymous_api.get("/api/auth/me")

    assert refused(answer)[::2] == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="carewright"'


def test_the_header_for_the_clinic_does_not_move_a_member(clinic, nurse, other_clinic, api_client):
    answer = api_client(nurse).get("/api/auth/me", headers={"X-Tenant": other_clinic.slug})

    assert answer.json()["tenant"]["slug"] == clinic.slug


# --- One credential --------------------------------------------------------------------------------------------------


def test_two_credentials_of_two_callers_are_refused(clinic, nurse, doctor, cookie_client):
    both = cookie_client(nurse)
    both.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens_of(open_session(doctor, 'token'))[0]}")

    assert both.get("/api/auth/me").status_code == 400


def test_two_sign_ins_of_one_person_are_two_callers(clinic, nurse, cookie_client):
    both = cookie_client(nurse)
    both.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens_of(open_session(nurse, 'token'))[0]}")

    assert both.get("/api/auth/me").status_code == 400


def test_two_credentials_of_one_caller_are_fine(clinic, nurse, cookie_client):
    both = cookie_client(nurse)
    both.credentials(HTTP_AUTHORIZATION=f"Bearer {both.cookies['access_token'].value}")

    assert both.get("/api/auth/me").status_code == 200


def test_a_dead_cookie_does_not_keep_a_good_token_out(clinic, nurse, api_client):
    program = api_client(nurse)
    program.cookies["access_token"] = "dead"

    assert program.get("/api/auth/me").status_code == 200


def test_a_bad_bearer_beside_a_good_cookie_is_refused(clinic, nurse, cookie_client):
    program = cookie_client(nurse)
    program.credentials(HTTP_AUTHORIZATION="Bearer dead")

    assert program.get("/api/auth/me").status_code in {400, 401}


def test_a_page_session_opens_no_api(clinic, nurse, page_client):
    assert page_client(nurse).get("/api/auth/me").status_code == 401


# --- Forged tokens ---------------------------------------------------------------------------------------------------


def encode(claims, key=None, algorithm="HS256", headers=None):
    return jwt.encode(claims, key or django_settings.SIMPLE_JWT["SIGNING_KEY"], algorithm=algorithm, headers=headers)


def without(name):
    return lambda claims: encode({key: value for key, value in claims.items() if key != name})


def changed(**values):
    return lambda claims: encode({**claims, **{name: v() if callable(v) else v for name, v in values.items()}})


def unsigned(claims):
    return jwt.encode(claims, None, algorithm="none")


def tampered(claims):
    head, body, signature = encode(claims).split(".")
    return ".".join([head, body[:-4] + ("AAAA" if body[-4:] != "AAAA" else "BBBB"), signature])


FORGERIES = {
    "empty": lambda claims: "",
    "garbage": lambda claims: "garbage",
    "three empty parts": lambda claims: "..",
    "five parts": lambda claims: "a.b.c.d.e",
    "not text": lambda claims: "\xff\xfe",
    "very long": lambda claims: encode({**claims, "x": "x" * 5000}),
    "no signature": lambda claims: encode(claims).rpartition(".")[0] + ".",
    "algorithm none": unsigned,
    "altered body": tampered,
    "another key": lambda claims: encode(claims, key="another key of the same length, thirty-two"),
    "empty key": lambda claims: encode(claims, key=" " * 32),
    "another algorithm": lambda claims: encode(claims, algorithm="HS512"),
    "key named by the token": lambda claims: encode(claims, key=" " * 32, headers={"kid": "../../dev/zero"}),
    "expired": changed(exp=lambda: int(time.time()) - 1),
    "not yet": changed(nbf=lambda: int(time.time()) + 3600),
    "issued in the future": changed(iat=lambda: int(time.time()) + 3600),
    "issued never": changed(iat="yesterday"),
    "expires in the year 300000": changed(exp=10**13, iat=10**13),
    "without expiry": without("exp"),
    "another issuer": changed(iss="somebody"),
    "without issuer": without("iss"),
    "another audience": changed(aud="somewhere"),
    "without audience": without("aud"),
    "a refresh token": changed(type="refresh"),
    "without type": without("type"),
    "without subject": without("sub"),
    "without session": without("sid"),
    "without tenant": without("tenant"),
    "without id": without("jti"),
    "a subject that is no id": changed(sub="1"),
    "a session that is no id": changed(sid="' OR true --"),
    "a tenant that is a list": changed(tenant=["x"]),
    "another subject": changed(sub=lambda: str(uuid.uuid4())),
    "an unknown session": changed(sid=lambda: str(uuid.uuid4())),
    "an unknown tenant": changed(tenant=lambda: str(uuid.uuid4())),
    "claims that are a list": lambda claims: jwt.api_jws.encode(
        b"[1]", django_settings.SIMPLE_JWT["SIGNING_KEY"], algorithm="HS256"
    ),
}


def claims_of(session):
    access, _ = tokens_of(session)
    return jwt.decode(access, options={"verify_signature": False})


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_tokens_let_nobody_in(clinic, nurse, anonymous_api, name):
    forged = FORGERIES[name](claims_of(open_session(nurse, "token")))

    anonymous_api.credentials(HTTP_AUTHORIZATION=f"Bearer {forged}")
    by_bearer = anonymous_api.get("/api/auth/me").status_code
    anonymous_api.credentials()
    anonymous_api.cookies["access_token"] = forged.encode("ascii", "replace").decode()
    by_cookie = anonymous_api.get("/api/auth/me").status_code

    assert (by_bearer, by_cookie) == (401, 401)


def test_an_untouched_token_does(clinic, nurse, anonymous_api):
    """The control for the forgeries: the same claims, encoded the same way."""
    anonymous_api.credentials(HTTP_AUTHORIZATION=f"Bearer {encode(claims_of(open_session(nurse, 'token')))}")

    assert anonymous_api.get("/api/auth/me").status_code == 200


def test_a_well_signed_token_for_the_other_clinic_lets_nobody_in(clinic, nurse, stranger, anonymous_api):
    """TI-H08: even with our key, a session belongs to one person in one clinic."""
    ours = claims_of(open_session(nurse, "token"))
    theirs = claims_of(open_session(stranger, "token"))
    mixes = [
        {**ours, "tenant": theirs["tenant"]},
        {**ours, "sid": theirs["sid"]},
        {**ours, "tenant": theirs["tenant"], "sid": theirs["sid"]},
        {**theirs, "tenant": ours["tenant"]},
        {**ours, "sub": theirs["sub"]},
    ]

    for claims in mixes:
        anonymous_api.credentials(HTTP_AUTHORIZATION=f"Bearer {encode(claims)}")
        assert anonymous_api.get("/api/auth/me").status_code == 401


def test_the_role_in_a_token_gives_nothing(clinic, nurse, anonymous_api):
    claims = claims_of(open_session(nurse, "token")) | {"role": "admin", "roles": ["admin"], "permissions": ["*"]}
    anonymous_api.credentials(HTTP_AUTHORIZATION=f"Bearer {encode(claims)}")

    assert anonymous_api.get("/api/audit/").status_code == 403


def test_a_refresh_token_is_no_access_token(clinic, nurse, anonymous_api):
    _, refresh = tokens_of(open_session(nurse, "token"))
    anonymous_api.credentials(HTTP_AUTHORIZATION=f"Bearer {refresh}")
    by_bearer = anonymous_api.get("/api/auth/me").status_code
    anonymous_api.credentials()
    anonymous_api.cookies["access_token"] = refresh

    assert (by_bearer, anonymous_api.get("/api/auth/me").status_code) == (401, 401)


# --- Renewing --------------------------------------------------------------------------------------------------------


def test_refresh_renews_all_three_cookies(clinic, nurse, anonymous_api):
    first = {name: morsel.value for name, morsel in sign_in(anonymous_api, nurse).cookies.items()}

    answer = anonymous_api.post("/api/auth/refresh")

    assert answer.json() == {"message": "Token refreshed", "detail": "refreshed"}
    assert {name: morsel["path"] for name, morsel in answer.cookies.items()} == COOKIES
    assert answer.cookies["access_token"].value != first["access_token"]
    assert answer.cookies["refresh_token"].value != first["refresh_token"]
    assert anonymous_api.get("/api/auth/me").status_code == 200
    assert anonymous_api.post("/api/auth/refresh/").status_code == 200


def test_refresh_with_a_spent_token_ends_the_whole_session(clinic, nurse, anonymous_api):
    spent = sign_in(anonymous_api, nurse).cookies["refresh_token"].value
    assert anonymous_api.post("/api/auth/refresh").status_code == 200
    assert anonymous_api.post("/api/auth/refresh").status_code == 200
    newest = anonymous_api.cookies["refresh_token"].value
    access = anonymous_api.cookies["access_token"].value

    anonymous_api.cookies["refresh_token"] = spent
    stolen = anonymous_api.post("/api/auth/refresh")

    assert refused_and_cleared(stolen) == (401, "Bad refresh token")
    assert Session.objects.get(membership=nurse).revoked_at
    anonymous_api.cookies["refresh_token"] = newest
    assert anonymous_api.post("/api/auth/refresh").status_code == 401
    anonymous_api.cookies.clear()
    anonymous_api.cookies["access_token"] = access
    assert anonymous_api.get("/api/auth/me").status_code == 401
    [ended] = AuditEntry.objects.filter(action="signed_out")
    assert ended.reason_code == "refresh_token_reused"


def test_refresh_of_two_tabs_at_once_gives_both_the_same_successor(clinic, nurse, anonymous_api):
    spent = sign_in(anonymous_api, nurse).cookies["refresh_token"].value
    first = anonymous_api.post("/api/auth/refresh").cookies["refresh_token"].value

    anonymous_api.cookies["refresh_token"] = spent
    again = anonymous_api.post("/api/auth/refresh")

    assert again.status_code == 200
    assert jti_of(again.cookies["refresh_token"].value) == jti_of(first)
    assert Session.objects.get(membership=nurse).revoked_at is None


def test_refresh_with_the_parent_after_ten_seconds_ends_the_session(clinic, nurse, anonymous_api):
    spent = sign_in(anonymous_api, nurse).cookies["refresh_token"].value
    anonymous_api.post("/api/auth/refresh")
    Session.objects.update(rotated_at=timezone.now() - timedelta(seconds=11))

    anonymous_api.cookies["refresh_token"] = spent

    assert refused_and_cleared(anonymous_api.post("/api/auth/refresh")) == (401, "Bad refresh token")
    assert Session.objects.get(membership=nurse).revoked_at


def jti_of(token):
    return jwt.decode(token, options={"verify_signature": False})["jti"]


def refused_and_cleared(answer):
    assert_cookies_are_cleared(answer)
    return answer.status_code, answer.json()["detail"]


def test_refresh_without_a_token(db, anonymous_api):
    assert refused_and_cleared(anonymous_api.post("/api/auth/refresh")) == (401, "No refresh token")


@pytest.mark.parametrize(
    "name", sorted(set(FORGERIES) - {"empty", "not text", "a refresh token"} | {"an access token"})
)
def test_refresh_with_a_forged_token(clinic, nurse, anonymous_api, name):
    session = open_session(nurse, "token")
    claims = jwt.decode(tokens_of(session)[1], options={"verify_signature": False})
    forge = FORGERIES.get(name, changed(type="access"))
    anonymous_api.cookies["refresh_token"] = forge(claims)

    assert refused_and_cleared(anonymous_api.post("/api/auth/refresh")) == (401, "Bad refresh token")
    assert Session.objects.get(pk=session.pk).revoked_at is None


@pytest.mark.parametrize("end", ENDINGS)
def test_refresh_of_an_ended_session(clinic, nurse, anonymous_api, end):
    sign_in(anonymous_api, nurse)
    end(nurse)

    assert refused_and_cleared(anonymous_api.post("/api/auth/refresh"))[0] == 401


# --- Out -------------------------------------------------------------------------------------------------------------


def test_logout_ends_the_session_and_clears_the_cookies(clinic, nurse, anonymous_api):
    kept = sign_in(anonymous_api, nurse).cookies["access_token"].value

    answer = anonymous_api.post("/api/auth/logout")

    assert answer.status_code == 200
    assert answer.json()["message"] == "Logged out successfully"
    assert_cookies_are_cleared(answer)
    assert Session.objects.get(membership=nurse).revoked_at
    anonymous_api.cookies["access_token"] = kept
    assert anonymous_api.get("/api/auth/me").status_code == 401


def test_logout_of_nobody_clears_the_cookies_all_the_same(db, anonymous_api):
    anonymous_api.cookies["access_token"] = "stale"

    assert refused_and_cleared(anonymous_api.post("/api/auth/logout"))[0] == 401


def test_logout_ends_one_session_and_not_the_others(clinic, nurse, api_client):
    here, there = api_client(nurse), api_client(nurse)

    here.post("/api/auth/logout")

    assert here.get("/api/auth/me").status_code == 401
    assert there.get("/api/auth/me").status_code == 200


@pytest.mark.parametrize("end", ENDINGS)
def test_whatever_ends_a_session_holds_at_the_next_request(clinic, nurse, api_client, cookie_client, end):
    programs = [api_client(nurse), cookie_client(nurse)]
    assert [program.get("/api/auth/me").status_code for program in programs] == [200, 200]

    end(nurse)

    assert [program.get("/api/auth/me").status_code for program in programs] == [401, 401]


# --- Cross-site requests (decision X5) -------------------------------------------------------------------------------

CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "Cross-Site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:8000.evil.example"},
    {"Origin": "https://testserver"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"X-CSRF-Token": "wrong"},
    {"X-CSRF-Token": ""},
]
SAME_SITE = [
    {},
    {"Origin": "http://testserver"},
    {"Origin": "http://localhost:8000"},
    {"Origin": "http://localhost:3000"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
def test_a_cookie_from_another_site_changes_nothing(clinic, nurse, cookie_client, headers):
    program = cookie_client(nurse)

    assert refused(program.post("/api/auth/logout", headers=headers)) == (403, "CSRF failed", "csrf_failed")
    assert program.get("/api/auth/me").status_code == 200


@pytest.mark.parametrize("headers", SAME_SITE)
def test_a_cookie_from_our_own_pages_does(clinic, nurse, cookie_client, headers):
    assert cookie_client(nurse).post("/api/auth/logout", headers=headers).status_code == 200


def test_a_csrf_token_has_to_be_the_cookie_and_of_this_session(clinic, nurse, cookie_client):
    program = cookie_client(nurse)
    own = program.cookies["XSRF-TOKEN"].value
    other = csrf_token_for(open_session(nurse, "token"))

    assert program.post("/api/auth/logout", headers={"X-CSRF-Token": other}).status_code == 403
    program.cookies["XSRF-TOKEN"] = other
    assert program.post("/api/auth/logout", headers={"X-CSRF-Token": other}).status_code == 403
    assert program.post("/api/auth/logout", headers={"X-CSRF-Token": own}).status_code == 403
    program.cookies["XSRF-TOKEN"] = own
    assert program.post("/api/auth/logout", headers={"X-CSRF-Token": own}).status_code == 200


def test_reading_by_cookie_is_allowed_from_anywhere(clinic, nurse, cookie_client):
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}

    assert cookie_client(nurse).get("/api/auth/me", headers=headers).status_code == 200


def test_a_bearer_token_needs_no_csrf(clinic, nurse, api_client):
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}

    assert api_client(nurse).post("/api/auth/logout", headers=headers).status_code == 200


def test_refreshing_from_another_site_is_refused(clinic, nurse, anonymous_api):
    sign_in(anonymous_api, nurse)

    answer = anonymous_api.post("/api/auth/refresh", headers={"Sec-Fetch-Site": "cross-site"})

    assert refused(answer)[0] == 403
    assert anonymous_api.post("/api/auth/refresh").status_code == 200


# --- What a role gives -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", DEFAULT_ROLES)
def test_a_role_opens_what_it_names(clinic, api_client, code):
    program = api_client(MembershipFactory(role=code))
    expected = 200 if Permission.AUDIT_VIEW_ALL in DEFAULT_ROLES[code][1] else 403

    assert program.get("/api/audit/").status_code == expected
    assert program.get("/api/auth/me").json()["permissions"] == sorted(DEFAULT_ROLES[code][1])


def test_a_role_that_loses_a_permission_loses_it_at_once(clinic, auditor, api_client):
    program = api_client(auditor)
    assert program.get("/api/audit/").status_code == 200

    Role.objects.filter(code="auditor").update(permissions=["profile.own"])

    assert program.get("/api/audit/").status_code == 403


def test_me_costs_the_same_for_one_role_and_for_three(clinic, api_client, django_assert_num_queries):
    one = api_client(MembershipFactory(role="nurse"))
    three = api_client(MembershipFactory(roles=["nurse", "qa", "user"]))
    with django_assert_num_queries(12, exact=False) as few:
        one.get("/api/auth/me")
    with django_assert_num_queries(len(few)):
        assert three.get("/api/auth/me").json()["roles"] == ["nurse", "qa", "user"]
