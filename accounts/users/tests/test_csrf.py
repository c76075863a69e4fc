"""Requests that another site makes a browser send (decision X5; AU-27 to AU-29, CF-03; Q7, M22, K5, D14)."""

import base64

import pytest
from django.conf import settings as django_settings
from django.core import signing

from accounts.users.authentication import csrf_token_for
from accounts.users.models import Session
from accounts.users.tests.factories import PASSWORD
from accounts.users.tests.fixtures import ProgramClient, open_session, sign_in_by_cookie, sign_in_program, tokens_of
from tenancy.tenants.tests.contexts import outside_tenant

LOGOUT = "/api/auth/logout"
ORIGIN = "http://testserver"


@pytest.fixture
def web(clinic, nurse):
    """A web client with its cookies, of `nurse`."""
    return sign_in_by_cookie(nurse)


def token(web):
    return web.cookies["XSRF-TOKEN"].value


def flipped(text):
    return text[:-1] + ("A" if text[-1] != "A" else "B")


REFUSED = {
    "cross-site by Fetch": {"Sec-Fetch-Site": "cross-site"},
    "cross-site in capitals": {"Sec-Fetch-Site": "CROSS-SITE"},
    "another origin": {"Origin": "https://evil.example"},
    "origin null": {"Origin": "null"},
    "origin empty": {"Origin": ""},
    "our name as a prefix": {"Origin": "http://testserver.evil.example"},
    "our name as a suffix": {"Origin": "http://eviltestserver"},
    "our name as user": {"Origin": "http://testserver@evil.example"},
    "another scheme": {"Origin": "https://testserver"},
    "another port": {"Origin": "http://testserver:8080"},
    "a path behind": {"Origin": "http://testserver/"},
    "in capitals": {"Origin": "HTTP://TESTSERVER"},
    "two origins": {"Origin": "http://testserver http://evil.example"},
    "a sibling": {"Origin": "http://other.testserver", "Sec-Fetch-Site": "same-site"},
    "another origin that claims to be ours": {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    "our origin, but cross-site": {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    "an empty token": {"X-CSRF-Token": ""},
    "a token of spaces": {"X-CSRF-Token": "   "},
    "an unsigned token": {"X-CSRF-Token": "token"},
    "a token of our form": {"X-CSRF-Token": "018f0000-0000-7000-8000-000000000000:signature"},
    "a method put on top": {"Origin": "https://evil.example", "X-HTTP-Method-Override": "GET"},
    "our host in another header": {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
    "the other host claimed": {"Origin": "http://evil.example", "X-Forwarded-Proto": "http", "X-Original-Host": "x"},
    "a referrer of ours": {"Origin": "https://evil.example", "Referer": "http://testserver/"},
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("path", [LOGOUT, "/api/v1/auth/logout", "/api/patients", "/api/v1/patients/"])
def test_au27_m22_a_request_of_another_site_changes_nothing(web, path, name):
    answer = web.post(path, {}, headers=REFUSED[name])

    assert (answer.status_code, answer.json()["detail"], answer.json()["code"]) == (403, "CSRF failed", "csrf_failed")
    assert answer.cookies == {}
    assert Session.objects.get(pk=web.sign_in.pk).revoked_at is None


@pytest.mark.parametrize("name", [name for name in REFUSED if "token" not in name])
@pytest.mark.parametrize("path", ["/api/auth/refresh", "/api/v1/auth/refresh"])
def test_au27_another_site_does_not_renew(clinic, nurse, path, name):
    session = open_session(nurse, "token")
    program = ProgramClient()
    program.cookies["refresh_token"] = tokens_of(session)[1]
    before = session.refresh_jti

    assert program.post(path, headers=REFUSED[name]).status_code == 403
    session.refresh_from_db()
    assert session.refresh_jti == before


def tokens_that_are_not_ours(web, nurse, doctor):
    own = token(web)
    body, _, signature = own.rpartition(":")
    return {
        "of another person": csrf_token_for(open_session(doctor, "token")),
        "of another session of the same person": csrf_token_for(open_session(nurse, "token")),
        "another signature": f"{body}:{flipped(signature)}",
        "another session id": f"{flipped(body)}:{signature}",
        "no signature": body,
        "only a signature": f":{signature}",
        "signed by another key": signing.Signer(key="another", salt="carewright.csrf").sign(body),
        "signed for something else": signing.Signer(salt="another").sign(body),
        "twice": own * 2,
        "encoded": base64.b64encode(own.encode()).decode(),
        "in capitals": own.upper(),
    }


def test_q7_au27_the_header_must_be_the_cookie_and_signed_for_this_session(web, nurse, doctor):
    own = token(web)
    for name, other in tokens_that_are_not_ours(web, nurse, doctor).items():
        for cookie in (own, other):  # the cookie may have been planted beside ours, or in its place
            web.cookies["XSRF-TOKEN"] = cookie
            answer = web.post(LOGOUT, headers={"X-CSRF-Token": other})
            assert answer.status_code == 403, (name, cookie == own)
    del web.cookies["XSRF-TOKEN"]
    assert web.post(LOGOUT, headers={"X-CSRF-Token": own}).status_code == 403

    web.cookies["XSRF-TOKEN"] = own
    assert web.post(LOGOUT, headers={"X-CSRF-Token": own}).status_code == 200


def test_au27_a_token_of_an_ended_session_is_worthless_in_the_next(clinic, nurse):
    first, second = sign_in_by_cookie(nurse), sign_in_by_cookie(nurse)
    second.cookies["XSRF-TOKEN"] = token(first)

    assert second.post(LOGOUT, headers={"X-CSRF-Token": token(first)}).status_code == 403


@pytest.mark.parametrize("name", ["access_token", "XSRF-TOKEN"])
@pytest.mark.parametrize("order", [1, -1])
def test_au27_a_cookie_that_came_twice_is_one_too_many(web, doctor, name, order):
    """A sibling site can plant a second one for all of the domain; which of the two a server reads is chance."""
    planted = tokens_of(open_session(doctor, "token"))[0] if name == "access_token" else "planted"
    both = [f"{name}={web.cookies[name].value}", f"{name}={planted}"][::order]
    others = [f"{other}={morsel.value}" for other, morsel in web.cookies.items() if other != name]
    web.cookies.clear()

    answer = web.post(LOGOUT, headers={"Cookie": "; ".join([*others, *both])})

    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert not Session.objects.exclude(revoked_at=None).exists()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", "first_name=Eve"),
        ("multipart/form-data; boundary=x", "--x--"),
        ("text/plain", '{"first_name": "Eve"}'),
        ("", '{"first_name": "Eve"}'),
    ],
)
@pytest.mark.parametrize("path", ["/api/patients", "/api/auth/login", "/api/v1/auth/login", "/api/auth/token"])
def test_au27_what_a_form_can_send_is_no_json(web, path, kind, body):
    assert web.generic("POST", path, body, content_type=kind).status_code in {403, 415}


ALLOWED = [
    {},
    {"Origin": ORIGIN},
    {"Origin": "http://localhost:5173"},
    {"Origin": "http://localhost:3000"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"},
]


@pytest.mark.parametrize("headers", ALLOWED)
def test_au27_our_own_pages_may(web, headers):
    """The control."""
    own = {"X-CSRF-Token": token(web)}

    assert web.post(LOGOUT, headers={**headers, **own}).status_code == 200


@pytest.mark.parametrize("name", REFUSED)
def test_au28_a_bearer_needs_none_of_it(clinic, nurse, name):
    assert sign_in_program(nurse).post(LOGOUT, headers=REFUSED[name]).status_code == 200


def test_au28_a_cookie_beside_its_bearer_is_not_asked(web):
    """Only a program can have set the header; a browser sends none of its own."""
    web.credentials(HTTP_AUTHORIZATION=f"Bearer {web.cookies['access_token'].value}")

    assert web.post(LOGOUT, headers={"Origin": "https://evil.example"}).status_code == 200


# --- AU-29: fixation -------------------------------------------------------------------------------------------------


def test_au29_planted_tokens_are_dead_weight(clinic, nurse, doctor):
    """Somebody plants their own cookies before a person signs in: all of them are replaced."""
    planted = sign_in_by_cookie(doctor)
    program = ProgramClient()
    for name, morsel in planted.cookies.items():
        program.cookies[name] = morsel.value
    program.cookies["refresh_token"] = tokens_of(planted.sign_in)[1]

    answer = program.post("/api/auth/login", {"email": nurse.user.email, "password": PASSWORD})

    assert set(answer.cookies) == {"access_token", "refresh_token", "XSRF-TOKEN"}
    assert all(program.cookies[name].value != morsel.value for name, morsel in planted.cookies.items())
    assert program.get("/api/auth/me").json()["id"] == str(nurse.user_id)


def test_au29_each_sign_in_has_ids_of_its_own(clinic, nurse):
    program = ProgramClient()
    seen = []
    for _ in range(3):
        program.post("/api/auth/login", {"email": nurse.user.email, "password": PASSWORD})
        seen += [morsel.value for morsel in program.cookies.values()]

    assert len(set(seen)) == 9


def test_au29_the_session_of_a_page_gets_a_new_key(clinic, nurse, client):
    with outside_tenant():
        planted = client.session
        planted["seen"] = 1
        planted.save()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = planted.session_key

    client.post("/sign-in/?next=/admin/", {"username": nurse.user.email, "password": PASSWORD})

    assert client.cookies[django_settings.SESSION_COOKIE_NAME].value != planted.session_key
    client.cookies[django_settings.SESSION_COOKIE_NAME] = planted.session_key
    assert client.get("/").status_code == 302


# --- CORS ------------------------------------------------------------------------------------------------------------

ORIGINS = {
    "http://localhost:5173": True,
    "http://localhost:3000": True,
    "http://localhost:5173.": False,
    "http://localhost:51730": False,
    "http://localhost": False,
    "https://localhost:5173": False,
    "http://LOCALHOST:5173": False,
    "http://localhost:5173.evil.example": False,
    "http://evil-localhost:5173": False,
    "http://localhost:5173@evil.example": False,
    "http://127.0.0.1:5173": False,
    "http://[::1]:5173": False,
    "https://evil.example": False,
    "null": False,
    "file://": False,
    "": False,
    "*": False,
    "http://localhost:3000, http://evil.example": False,
    "http://localhost:3000\thttp://evil.example": False,
    "chrome-extension://abcdef": False,
}


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("path", ["/api/auth/me", "/api/v1/auth/me", "/api/auth/login"])
def test_m22_k5_d14_cf03_only_named_origins_may_read_answers(web, path, origin):
    asked = web.get(path, headers={"Origin": origin})
    preflight = web.options(path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})

    for answer in (asked, preflight):
        given = answer.headers.get("Access-Control-Allow-Origin")
        assert given == (origin if ORIGINS[origin] else None)
        assert answer.headers.get("Access-Control-Allow-Credentials") == ("true" if ORIGINS[origin] else None)


def test_m22_pages_have_no_cors_at_all(web):
    assert "Access-Control-Allow-Origin" not in web.get("/sign-in/", headers={"Origin": "http://localhost:5173"})
