"""Security headers on every kind of answer (security.md CF-01, CF-03)."""

import pytest
from django.test import Client

pytestmark = pytest.mark.urls("config.tests.platform_urls")

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# What is asked for, and the status it is answered with.
KINDS = {
    "page": ("GET", "/page/", {}, 200),
    "API 200": ("GET", "/api/notes", {}, 200),
    "API 201": ("POST", "/api/notes", {}, 201),
    "not modified": ("GET", "/api/notes/7", {"If-None-Match": '"3"'}, 304),
    "API 400": ("GET", "/api/notes?x=1", {}, 400),
    "foreign host": ("GET", "/page/", {"Host": "evil.example"}, 400),
    "API 403": ("POST", "/api/fail/not-allowed", {}, 403),
    "page 403": ("GET", "/failing/denied/", {}, 403),
    "API 404": ("GET", "/api/nothing", {}, 404),
    "page 404": ("GET", "/nothing/", {}, 404),
    "API 405": ("DELETE", "/api/notes", {}, 405),
    "API 409": ("POST", "/api/fail/rule", {}, 409),
    "API 413": ("POST", "/api/fail/too-big", {}, 413),
    "API 429": ("POST", "/api/fail/throttled", {}, 429),
    "API 500": ("POST", "/api/fail/bug", {}, 500),
    "page 500": ("GET", "/failing/bug/", {}, 500),
    "API 503": ("POST", "/api/fail/deadlock", {}, 503),
    "probe": ("GET", "/livez", {}, 200),
}


def ask(method, path, headers, **options):
    client = Client(raise_request_exception=False)
    return client.generic(method, path, b"{}", content_type="application/json", headers=headers, **options)


@pytest.mark.parametrize(("method", "path", "headers", "status"), KINDS.values(), ids=KINDS)
def test_every_kind_of_answer_carries_the_headers(method, path, headers, status):
    response = ask(method, path, headers)

    assert response.status_code == status
    assert {name: response.headers.get(name) for name in EVERYWHERE} == EVERYWHERE
    assert "camera=()" in response["Permissions-Policy"]
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert len(response["X-Request-ID"]) == 32
    assert (response["Server"], "X-Powered-By" in response) == ("carewright", False)


def test_every_answer_over_https_demands_https(settings):
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    settings.MIDDLEWARE = list(settings.MIDDLEWARE)  # built anew with these values

    for method, path, headers, _status in KINDS.values():
        response = ask(method, path, headers, secure=True)

        assert response["Strict-Transport-Security"].startswith("max-age=31536000; includeSubDomains")


def test_only_the_admin_may_style_inline():
    assert "style-src 'self' 'unsafe-inline'" in ask("GET", "/admin/page/", {})["Content-Security-Policy"]
    assert "script-src 'self';" in ask("GET", "/admin/page/", {})["Content-Security-Policy"] + ";"
    assert "unsafe-inline" not in ask("GET", "/page/", {})["Content-Security-Policy"]


ALLOWED = "https://app.example.org"
REFUSED = [
    "https://evil.example",
    "https://app.example.org.evil.example",
    "https://evil-app.example.org",
    "https://app.example.org:8443",
    "http://app.example.org",
    "https://APP.example.org@evil.example",
    "https://app.example.org%60.evil.example",
    "https://sub.app.example.org",
    "null",
    "file://",
    "*",
]


@pytest.fixture
def one_origin(settings):
    settings.CORS_ALLOWED_ORIGINS = [ALLOWED]


def preflight(path, origin):
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type,if-match,x-csrf-token",
    }
    return Client().options(path, headers=headers)


@pytest.mark.parametrize("path", ["/api/notes", "/v1/anything", "/api/nothing"])
def test_preflight_lets_a_named_origin_in(one_origin, path):
    response = preflight(path, ALLOWED)

    assert response.status_code == 200
    assert response["Access-Control-Allow-Origin"] == ALLOWED
    assert response["Access-Control-Allow-Credentials"] == "true"
    assert "PUT" in response["Access-Control-Allow-Methods"]
    assert {"if-match", "x-csrf-token"} <= set(response["Access-Control-Allow-Headers"].split(", "))
    assert "origin" in response["Vary"].lower()


@pytest.mark.parametrize("origin", REFUSED)
def test_preflight_gives_other_origins_nothing(one_origin, origin):
    for path in ("/api/notes", "/page/"):
        assert not [name for name in preflight(path, origin).headers if name.startswith("Access-Control-")]


def test_pages_are_for_no_other_origin(one_origin):
    assert "Access-Control-Allow-Origin" not in preflight("/page/", ALLOWED)


def test_errors_are_readable_for_a_named_origin(one_origin):
    response = Client().get("/api/nothing", headers={"Origin": ALLOWED})

    assert response["Access-Control-Allow-Origin"] == ALLOWED
    assert "x-request-id" in response["Access-Control-Expose-Headers"]
