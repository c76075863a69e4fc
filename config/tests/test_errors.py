import json
from http import HTTPStatus

import pytest
from django.test import Client

from config import errors
from config.tests.platform_urls import SECRET

pytestmark = pytest.mark.urls("config.tests.platform_urls")

ANSWERS = {
    "rule": (409, "rule_broken"),
    "stale": (412, "stale_version"),
    "not-allowed": (403, "permission_denied"),
    "denied": (403, "permission_denied"),
    "missing": (404, "not_found"),
    "suspicious": (400, "bad_request"),
    "too-big": (413, "too_large"),
    "model": (400, "validation_error"),
    "throttled": (429, "throttled"),
    "signed-out": (403, "not_authenticated"),
    "unique": (409, "duplicate"),
    "overlap": (409, "overlap"),
    "reference": (409, "reference"),
    "check": (409, "rule_broken"),
    "not-null": (500, "server_error"),
    "serialization": (503, "try_again"),
    "deadlock": (503, "try_again"),
    "cancelled": (503, "too_slow"),
    "gone": (503, "unavailable"),
    "data": (400, "invalid_value"),
    "bug": (500, "server_error"),
}


@pytest.fixture
def client():
    return Client(raise_request_exception=False)


def post(client, path, body=b"{}", content_type="application/json", **options):
    return client.post(path, body, content_type=content_type, **options)


@pytest.mark.parametrize(("kind", "expected"), ANSWERS.items(), ids=ANSWERS)
def test_api_error_answers_every_exception_as_json_without_its_values(client, kind, expected):
    response = post(client, f"/api/fail/{kind}", headers={"X-Request-ID": "trace-7"})
    body = response.json()

    assert (response.status_code, body["code"]) == expected
    assert body["trace_id"] == "trace-7"
    assert sorted(body) == ["code", "detail", "trace_id"]
    assert SECRET not in response.content.decode()
    assert isinstance(body["detail"], list if kind == "model" else str)


@pytest.mark.parametrize(("kind", "expected"), ANSWERS.items(), ids=ANSWERS)
def test_pages_answer_every_exception_without_its_values(client, kind, expected):
    response = client.get(f"/failing/{kind}/")

    assert response.headers["Content-Type"].startswith("text/html")
    assert SECRET not in response.content.decode()
    assert response.status_code in {400, 403, 404, 413, 500, 503}


def test_api_error_passes_on_the_sentence_of_a_rule(client):
    assert post(client, "/api/fail/rule").json()["detail"] == "The door is closed."


def test_api_error_says_when_to_come_again(client):
    assert post(client, "/api/fail/throttled")["Retry-After"] == "12"
    assert post(client, "/api/fail/deadlock")["Retry-After"] == "1"
    assert "Retry-After" not in post(client, "/api/fail/rule")


def test_api_error_flattens_field_errors(client):
    response = post(client, "/api/notes/checked", json.dumps({"count": "x", "tags": ["ok", "far too long a tag"]}))

    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert [(entry["loc"], entry["type"]) for entry in response.json()["detail"]] == [
        (["body", "title"], "required"),
        (["body", "count"], "invalid"),
        (["body", "tags", 1], "max_length"),
    ]


@pytest.mark.parametrize("body", ["[]", '"x"', "3", "null", "true"])
def test_a_body_that_is_no_object_is_a_field_error(client, body):
    for path in ("/api/notes/checked", "/api/notes/7"):
        response = (client.post if "checked" in path else client.put)(path, body, content_type="application/json")

        assert response.status_code == HTTPStatus.BAD_REQUEST
        assert response.json()["detail"][0]["loc"] == ["body"]


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head"])
@pytest.mark.parametrize("path", ["/api/nothing", "/api/nothing/", "/api", "/v1/x/y", "/fhir/R4/Patient/1", "/api/v1/"])
def test_an_unknown_address_of_the_api_is_json_404(client, method, path, settings):
    for debug in (False, True):
        settings.DEBUG = debug
        response = getattr(client, method)(path)

        assert response.status_code == HTTPStatus.NOT_FOUND
        assert response["Content-Type"] == "application/json"
        assert method == "head" or response.json()["detail"] == "Not found"


def test_an_unknown_page_is_html_404(client):
    response = client.get("/nothing/")

    assert response.status_code == HTTPStatus.NOT_FOUND
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/api/notes", "/page/"])
def test_a_foreign_host_is_400_without_its_name(client, path):
    response = client.get(path, headers={"host": "zoraida.example"})

    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert b"zoraida" not in response.content


@pytest.mark.parametrize("method", ["delete", "patch", "trace", "options", "propfind"])
def test_other_methods_are_405_with_allow(client, method):
    response = client.generic(method.upper(), "/api/notes")

    assert response.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert response["Allow"] == "GET, POST, HEAD, OPTIONS"
    assert response.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"]
)
def test_other_content_types_are_415(client, content_type):
    response = post(client, "/api/notes", b"a=1", content_type=content_type)

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_etag_routes_answer_304_and_412(client):
    assert client.get("/api/notes/7")["ETag"] == '"3"'
    assert client.get("/api/notes/7", headers={"If-None-Match": 'W/"3"'}).status_code == HTTPStatus.NOT_MODIFIED
    stale = client.put("/api/notes/7", "{}", content_type="application/json", headers={"If-Match": '"2"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_version")


@pytest.mark.parametrize(
    "path", ["/api/notes", "/api/v1/notes", "/api/notes/7", "/api/notes/checked", "/api/fail/rule"]
)
def test_both_slash_forms_answer_alike_for_every_method(client, path):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
        plain, slashed = (
            client.generic(method, address, b'{"title": "x"}', content_type="application/json")
            for address in (path, f"{path}/")
        )

        assert plain.status_code == slashed.status_code
        assert plain.status_code not in {301, 302, 307, 308, 404}


def test_an_error_page_that_fails_itself_still_answers(client, monkeypatch):
    monkeypatch.setattr(errors.loader, "render_to_string", lambda *_args: 1 / 0)

    assert client.get("/nothing/").status_code == HTTPStatus.NOT_FOUND
    assert client.get("/broken/").status_code == HTTPStatus.INTERNAL_SERVER_ERROR


def test_csrf_failure_is_403_in_our_words():
    response = Client(enforce_csrf_checks=True).post("/page/")

    assert response.status_code == HTTPStatus.FORBIDDEN
    assert b"CSRF verification failed. Request aborted" not in response.content
