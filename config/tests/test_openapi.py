import shutil
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from io import StringIO
from socketserver import ThreadingMixIn
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import Http404
from django.test import Client, RequestFactory
from django.urls import get_resolver
from openapi_spec_validator import OpenAPIV31SpecValidator
from playwright.sync_api import sync_playwright

from config import openapi

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def public_docs(settings):
    settings.API_DOCS = "public"


@pytest.fixture(scope="module")
def document():
    return openapi.schema()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_schema_has_no_warning():
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=StringIO(), stderr=StringIO())


def test_schema_is_openapi_3_1(document):
    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_schema_names_each_operation_once(document):
    names = Counter(operation["operationId"] for _path, _method, operation in operations(document))

    assert [name for name, count in names.items() if count > 1] == []


def test_schema_documents_one_slash_form_and_one_mount(document):
    paths = set(document["paths"])

    assert not [path for path in paths if path.endswith("/")]
    assert not [path for path in paths if path.startswith("/api/v1/") and not path.startswith("/api/v1/auth/")]
    assert "/api/auth/login" in paths


def test_every_documented_path_is_a_route(document):
    for path in document["paths"]:
        example = path.replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057")
        if "{" not in example and path != "/api/health":
            assert get_resolver().resolve(example).view_name != "api_not_found"


NAMES_OTHERS = {
    ("/api/appointments", "post"),
    ("/api/appointments/holds", "post"),
    ("/api/appointment-types", "post"),
    ("/api/schedules", "post"),
    ("/api/rooms", "post"),
    ("/api/slots", "get"),
}
"""Doors without an id in their path that name other rows by id: what is not there, or not ours, is 404 there, too."""


def test_every_operation_has_the_standard_answers_and_a_request_id(document):
    for path, method, operation in operations(document):
        if path == "/api/health":
            continue
        answers = operation["responses"]
        assert {"400", "401", "403", "429"} <= set(answers), (path, method)
        # Under /v1 others are named by document, in the body or the address.
        may_miss = "{" in path or (path, method) in NAMES_OTHERS or path.startswith("/v1/")
        assert ("404" in answers) <= may_miss, (path, method)
        assert "404" in answers or "{" not in path, (path, method)
        done = [answer for code, answer in answers.items() if code.startswith("2")]
        assert done, (path, method)
        assert all("X-Request-ID" in answer["headers"] for answer in done)
        assert all(answer["description"] for answer in done)


def test_every_operation_says_who_may_call_it(document):
    for path, method, operation in operations(document):
        assert operation.get("security"), (path, method)


@pytest.mark.parametrize(
    "path",
    ["/api/openapi.json", "/v1/openapi.json", "/docs", "/docs/", "/redoc", "/api/docs/", "/api/redoc"],
)
def test_docs_are_for_those_the_setting_names(settings, path):
    client = Client()
    for setting, status in (("public", 200), ("staff", 404), ("off", 404)):
        settings.API_DOCS = setting
        response = client.get(path)

        assert response.status_code == status
        assert "Location" not in response


def test_docs_for_staff_open_for_staff(settings):
    settings.API_DOCS = "staff"
    request = RequestFactory().get("/redoc")
    request.member = None
    with pytest.raises(Http404):
        openapi.reference(request)

    request.member = SimpleNamespace(is_staff=False)
    with pytest.raises(Http404):
        openapi.reference(request)

    request.member = SimpleNamespace(is_staff=True)
    assert openapi.reference(request).status_code == HTTPStatus.OK


def test_openapi_json_is_sent_once_to_those_who_have_it(public_docs):
    first = Client().get("/api/openapi.json")
    again = Client().get("/api/openapi.json", headers={"If-None-Match": first["ETag"]})

    assert first.json() == openapi.schema()
    assert (again.status_code, again.content) == (304, b"")


def test_reference_shows_every_operation_without_a_script(public_docs, document):
    text = Client().get("/redoc").content.decode()

    assert "<script" not in text
    assert "style=" not in text
    for path, _method, operation in operations(document):
        assert f'id="{operation["operationId"]}"' in text
        assert f"<code>{path}</code>" in text


def test_reference_is_english_for_everybody(public_docs):
    answer = Client().get("/redoc", HTTP_ACCEPT_LANGUAGE="es")

    assert '<h2 id="errors">Errors</h2>' in answer.content.decode()
    assert answer["Content-Language"] == "en"


def test_type_of_says_a_schema_in_a_few_words(document):
    assert openapi.type_of(document, {"type": "string", "format": "date"}) == "string (date)"
    assert openapi.type_of(document, {"type": ["string", "null"]}) == "string or null"
    assert (
        openapi.type_of(document, {"type": "array", "items": {"$ref": "#/components/schemas/Error"}}) == "list of Error"
    )
    assert openapi.type_of(document, {"oneOf": [{"type": "string"}, {"type": "null"}]}) == "string or null"


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_args):
        pass


class ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@pytest.fixture
def server(public_docs):
    """The whole application on a free port, static files included."""
    httpd = ThreadingServer(("127.0.0.1", 0), QuietHandler)
    httpd.set_app(StaticFilesHandler(get_wsgi_application()))
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def _visit(server, path, wait_for):
    """What the page wrote to the console, and whom else it asked."""
    noise, strangers = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: message.type in {"error", "warning"} and noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith((server, "data:")) or strangers.append(asked.url))
        page.goto(f"{server}{path}")
        page.wait_for_selector(wait_for, timeout=10_000)
        if "docs" in path:
            page.click("#swagger-ui .opblock button.opblock-summary-control")
            page.wait_for_selector("#swagger-ui .opblock-body")
        browser.close()
    return noise, strangers


@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")
@pytest.mark.parametrize(
    ("path", "wait_for"),
    [("/docs", "#swagger-ui .opblock"), ("/api/docs/", "#swagger-ui .opblock"), ("/redoc", "article")],
)
def test_docs_pages_work_under_our_policy(server, path, wait_for):
    """Zero CSP violations, zero console errors, and no request to anybody else."""
    # In a thread of its own: another test of this process may have Playwright open already.
    with ThreadPoolExecutor(1) as run:
        noise, strangers = run.submit(_visit, server, path, wait_for).result(timeout=60)

    assert (noise, strangers) == ([], [])
