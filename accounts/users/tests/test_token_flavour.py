"""The token flavour of signing in, /api/v1/auth (Doctolib): D1 to D6, D12, D13; decisions C9 and X4."""

from datetime import timedelta

import jwt
import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from accounts.users.models import Session
from accounts.users.tests.factories import PASSWORD, MembershipFactory, UserFactory
from accounts.users.tests.fixtures import ProgramClient
from tenancy.audit.models import AuditEntry

PATH = "/api/v1/auth/refresh"


def sign_in(program, member, password=PASSWORD, **more):
    return program.post("/api/v1/auth/login", {"email": member.user.email, "password": password, **more})


def described(morsel):
    return (
        morsel["path"], morsel["max-age"], bool(morsel["httponly"]), bool(morsel["secure"]), morsel["samesite"],
        morsel["domain"],
    )  # fmt: skip


def claims_in(token):
    return jwt.decode(token, options={"verify_signature": False})


def refused(answer):
    body = answer.json()
    assert set(body) == {"detail", "code", "trace_id"}
    return answer.status_code, body["detail"]


@pytest.fixture
def signed_in(clinic, nurse):
    """A program that has signed in, with its Bearer token and its refresh cookie."""
    program = ProgramClient()
    body = sign_in(program, nurse).json()
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    return program


@pytest.mark.parametrize("slash", ["", "/"])
def test_d1_login_answers_a_bearer_token_and_d5_keeps_the_refresh_token_in_a_cookie(clinic, nurse, slash):
    program = ProgramClient()
    answer = program.post(f"/api/v1/auth/login{slash}", {"email": nurse.user.email, "password": PASSWORD})
    body = answer.json()

    assert answer.status_code == 200
    assert set(body) == {"access_token", "token_type"}
    assert body["token_type"] == "Bearer"
    assert {name: described(morsel) for name, morsel in answer.cookies.items()} == {
        "refresh_token": (PATH, 7 * 24 * 3600, True, True, "Strict", "")
    }
    assert answer.cookies["refresh_token"].value not in answer.content.decode()
    program.cookies.clear()
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    assert program.get("/api/v1/auth/me").json() == program.get("/api/auth/me").json()
    assert program.get("/api/v1/auth/me/").json()["name"] == "Nora Nurse"


def test_d13_tokens_have_an_id_of_their_own_and_say_what_they_are(clinic, nurse):
    answer = sign_in(ProgramClient(), nurse)
    access, refresh = claims_in(answer.json()["access_token"]), claims_in(answer.cookies["refresh_token"].value)

    assert (access["type"], refresh["type"]) == ("access", "refresh")
    assert access["jti"] != refresh["jti"]
    assert access["sub"] == refresh["sub"] == str(nurse.user_id)
    assert access["exp"] - access["iat"] == 15 * 60
    assert abs(refresh["exp"] - refresh["iat"] - 7 * 24 * 3600) <= 1


def test_d13_passwords_are_kept_as_salted_bcrypt(db):
    hashes = {UserFactory().password for _ in range(2)}

    assert len(hashes) == 2
    assert all(stored.startswith("bcrypt_sha256$$2b$") for stored in hashes)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "nora@example.org", "password": "wrong"}, 401),
        ({"username": "nobody", "password": PASSWORD}, 401),
        ({"username": "nora.n", "password": PASSWORD, "tenant": "no-such-clinic"}, 401),
        ({"email": "nora@example.org"}, 400),
        ({"email": ["nora@example.org"], "password": PASSWORD}, 400),
        ({}, 400),
    ],
)
def test_d12_login_refuses_with_a_sentence(clinic, body, status):
    MembershipFactory(user=UserFactory(email="nora@example.org", username="nora.n"))
    answer = ProgramClient().post("/api/v1/auth/login", body)

    assert answer.status_code == status
    assert answer.json()["detail"] == "Invalid email or password" or status == 400
    assert answer.cookies == {}


def test_d2_refresh_rotates_both_tokens(signed_in, nurse):
    before = signed_in.cookies["refresh_token"].value
    answer = signed_in.post(f"{PATH}/")
    body = answer.json()

    assert (answer.status_code, set(body), body["token_type"]) == (200, {"access_token", "token_type"}, "Bearer")
    assert described(answer.cookies["refresh_token"]) == (PATH, 7 * 24 * 3600, True, True, "Strict", "")
    assert answer.cookies["refresh_token"].value != before
    signed_in.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    assert signed_in.get("/api/v1/auth/me").status_code == 200


def test_d2_a_spent_refresh_token_ends_the_session(signed_in, nurse):
    spent = signed_in.cookies["refresh_token"].value
    signed_in.post(PATH)
    signed_in.post(PATH)
    signed_in.cookies["refresh_token"] = spent

    answer = signed_in.post(PATH)

    assert refused(answer) == (401, "Refresh token revoked")
    assert (answer.cookies["refresh_token"].value, answer.cookies["refresh_token"]["max-age"]) == ("", 0)
    assert Session.objects.get(membership=nurse).revoked_at
    assert signed_in.get("/api/v1/auth/me").status_code == 401
    assert AuditEntry.objects.filter(reason_code="refresh_token_reused").count() == 1


def test_d12_refresh_says_what_is_wrong(signed_in, nurse):
    good = signed_in.cookies["refresh_token"].value
    claims = claims_in(good)
    key = django_settings.SIMPLE_JWT["SIGNING_KEY"]
    past = {**claims, "iat": claims["iat"] - 9999, "exp": claims["iat"] - 1}
    sentences = {}
    for name, token in {"none": "", "expired": jwt.encode(past, key), "altered": good[:-3] + "abc"}.items():
        signed_in.cookies["refresh_token"] = token
        sentences[name] = refused(signed_in.post(PATH))
    Session.objects.update(revoked_at=timezone.now())
    signed_in.cookies["refresh_token"] = good
    sentences["ended"] = refused(signed_in.post(PATH))

    assert sentences == {
        "none": (401, "No refresh token"),
        "expired": (401, "Refresh token expired"),
        "altered": (401, "Bad refresh token"),
        "ended": (401, "Refresh token revoked"),
    }


def test_d3_logout_blocks_access_and_refresh_token_at_once(signed_in, nurse):
    refresh = signed_in.cookies["refresh_token"].value

    answer = signed_in.post("/api/v1/auth/logout")

    assert (answer.status_code, answer.json()) == (200, {"detail": "Logout Successfully!"})
    cleared = answer.cookies["refresh_token"]
    assert (cleared.value, *described(cleared)) == ("", PATH, 0, True, True, "Strict", "")
    assert signed_in.get("/api/v1/auth/me").status_code == 401
    signed_in.cookies["refresh_token"] = refresh
    assert refused(signed_in.post(PATH)) == (401, "Refresh token revoked")


def test_d3_logout_of_nobody_clears_the_cookie_all_the_same(db):
    answer = ProgramClient().post("/api/v1/auth/logout/")

    assert refused(answer) == (401, "Not authenticated")
    assert answer.cookies["refresh_token"]["path"] == PATH


def test_x4_the_two_flavours_do_not_overwrite_each_other(clinic, nurse):
    """A browser with both keeps two refresh cookies of one name on two paths."""
    program = ProgramClient()
    cookie = program.post("/api/auth/login", {"email": nurse.user.email, "password": PASSWORD}).cookies
    token = sign_in(ProgramClient(), nurse).cookies

    assert {morsel["path"] for morsel in (cookie["refresh_token"], token["refresh_token"])} == {
        "/api/auth/refresh",
        PATH,
    }
    assert set(token) == {"refresh_token"}


@pytest.mark.parametrize("path", [PATH, "/api/auth/refresh"])
def test_au34_a_refresh_goes_no_further_than_the_session(signed_in, nurse, path):
    ends = (timezone.now() + timedelta(seconds=30)).replace(microsecond=0)
    Session.objects.update(expires_at=ends)

    answer = signed_in.post(path)

    refresh = claims_in(answer.cookies["refresh_token"].value)
    assert refresh["exp"] == int(ends.timestamp())
    assert Session.objects.get(membership=nurse).expires_at == ends
    Session.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert signed_in.post(path).status_code == 401


@pytest.mark.parametrize("path", ["/api/v1/auth/token", "/api/v1/auth/nothing"])
def test_c9_the_token_flavour_has_no_other_routes(db, path):
    assert ProgramClient().post(path, {}).status_code == 404
