"""The log says what happened, and to nobody's harm (security.md PR-01)."""

import json
import logging

import pytest
import structlog
from celery.signals import before_task_publish
from django.db import IntegrityError
from django.test import Client
from django_structlog.celery.receivers import CeleryReceiver
from psycopg.errors import UniqueViolation

from config.logs import json_formatter
from config.tests.platform_urls import SECRET, database
from tenancy.tenants.context import _current

pytestmark = pytest.mark.urls("config.tests.platform_urls")
CANARY = "Zoraida"


@pytest.fixture
def lines():
    """Every line that settings.LOGGING would write, rendered by its formatter."""
    written, handler = [], logging.Handler()
    formatter = json_formatter()
    handler.emit = lambda record: written.append(formatter.format(record))
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def ask(method, path, body=b"", **options):
    client = Client(raise_request_exception=False)
    return client.generic(method, path, body, content_type="application/json", **options)


def access_lines(capfd):
    return [json.loads(line) for line in capfd.readouterr().out.splitlines() if '"event":"request"' in line]


def test_one_line_for_a_request(capfd):
    ask("POST", "/api/notes", b"{}", headers={"X-Request-ID": "r-1"})

    (line,) = access_lines(capfd)
    assert line.pop("ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "r-1",
        "method": "POST",
        "route": "/api/notes",
        "status": 201,
        "tenant_id": None,
        "actor_id": None,
        "key_id": None,
    }


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/notes/7?owner=Zoraida", "/api/notes/{pk}"),
        ("/api/v1/notes/checked/", "/api/v1/notes/checked"),
        ("/people/01890a5d-ac96-774b-bcce-b302099a8057/letters/zoraida/", "/people/{pk}/letters/{name}"),
        ("/people/Zoraida/", "unmatched"),
        ("/page/", "/page"),
    ],
)
def test_the_line_names_the_route_and_never_the_address(capfd, path, route):
    ask("GET", path)

    (line,) = access_lines(capfd)
    assert line["route"] == route
    assert CANARY.lower() not in json.dumps(line).lower()


def test_probes_write_no_line(capfd):
    ask("GET", "/livez")

    assert access_lines(capfd) == []


BODY = json.dumps({"title": SECRET, "count": SECRET, "tags": [SECRET]}).encode()
WAYS = {
    "201": ("POST", "/api/notes", BODY),
    "400 field": ("POST", "/api/notes/checked", BODY),
    "400 JSON": ("POST", "/api/notes", BODY[:-5]),
    "400 duplicate": ("POST", "/api/notes", b'{"Zoraida": 1, "Zoraida": 2}'),
    "400 query": ("GET", "/api/notes?Zoraida=Zoraida&search=Zoraida&age=Zoraida", b""),
    "403": ("POST", "/api/fail/denied", BODY),
    "404": ("GET", "/api/Zoraida", b""),
    "404 page": ("GET", "/people/Zoraida/?q=Zoraida", b""),
    "400 page": ("GET", "/failing/suspicious/?q=Zoraida", b""),
    "409": ("POST", "/api/fail/unique", BODY),
    "500": ("POST", "/api/fail/bug", BODY),
    "500 database": ("POST", "/api/fail/not-null", BODY),
    "503": ("POST", "/api/fail/gone", BODY),
    "500 page": ("GET", "/broken/?q=Zoraida", b""),
    "500 page, database": ("GET", "/failing/not-null/", b""),
}


@pytest.mark.parametrize(("method", "path", "body"), WAYS.values(), ids=WAYS)
def test_no_name_reaches_the_log_whichever_way_it_came(lines, capfd, method, path, body):
    names = {
        "X-Patient": SECRET,
        "User-Agent": SECRET,
        "Referer": f"https://x.example/?q={CANARY}",
        "Cookie": "a=Zoraida",
    }

    response = ask(method, path, body, headers=names)

    written = [line for line in [*lines, *capfd.readouterr().out.splitlines()] if line.startswith("{")]
    assert written
    assert not [line for line in written if CANARY.lower() in line.lower()]
    assert response.status_code < 500 or [line for line in written if '"exception"' in line]


def test_a_foreign_host_is_not_repeated(lines):
    ask("GET", "/page/", headers={"Host": "zoraida.example"})

    assert not [line for line in lines if CANARY.lower() in line]


def test_a_broken_page_is_logged_by_django_with_its_reason_only(lines):
    ask("GET", "/broken/?q=Zoraida")

    assert "Internal Server Error" in [json.loads(line)["event"] for line in lines]


def test_stock_logging_would_have_written_the_name(caplog):
    ask("GET", "/broken/?q=Zoraida")

    assert CANARY in caplog.text


def formatted(message, *args, exc_info=None, name="somewhere"):
    record = logging.getLogger(name).makeRecord(name, logging.ERROR, __file__, 1, message, args, exc_info)
    return json.loads(json_formatter().format(record))


def test_an_exception_is_logged_with_type_place_and_causes():
    try:
        try:
            int(SECRET)
        except ValueError as error:
            raise RuntimeError(SECRET) from error
    except RuntimeError as error:
        line = formatted("failed", exc_info=(type(error), error, error.__traceback__))

    assert line["event"] == "failed"
    assert line["exception"]["type"] == "builtins.RuntimeError"
    assert line["exception"]["cause"]["type"] == "builtins.ValueError"
    assert "test_an_exception_is_logged_with_type_place_and_causes" in line["exception"]["frames"][0]
    assert CANARY not in json.dumps(line)


def test_a_database_error_is_logged_with_its_sqlstate():
    error = database(IntegrityError, UniqueViolation)

    line = formatted("failed", exc_info=(type(error), error, None))

    assert line["exception"]["cause"]["sqlstate"] == "23505"
    assert CANARY not in json.dumps(line)


def test_debug_adds_the_text(settings):
    settings.DEBUG = True
    error = ValueError("a developer's own data")

    line = formatted("failed", exc_info=(ValueError, error, None))

    assert line["exception"]["text"] == "a developer's own data"


def test_lines_carry_request_and_tenant_and_no_address(lines):
    token = _current.set("018f-tenant")
    try:
        with structlog.contextvars.bound_contextvars(request_id="r-2", ip="203.0.113.5"):
            structlog.get_logger("room").warning("something_happened", patient_id="p-1", odd=object())
            logging.getLogger("library").warning("something %s", "else")
    finally:
        _current.reset(token)

    ours, theirs = (json.loads(line) for line in lines)
    assert ours["event"] == "something_happened"
    assert ours["odd"] == "<object>"
    assert theirs["event"] == "something else"
    for line in (ours, theirs):
        assert (line["request_id"], line["tenant_id"]) == ("r-2", "018f-tenant")
        assert "ip" not in line


def test_celery_lines_name_the_task_and_neither_result_nor_error():
    task = {"name": "patients.tasks.export", "id": "t-1", "runtime": 0.5, "return_value": SECRET, "exc": SECRET}
    success = "Task %(name)s[%(id)s] succeeded in %(runtime)ss: %(return_value)s"
    failure = "Task %(name)s[%(id)s] %(description)s: %(exc)s"

    done = formatted(success, task, name="celery.app.trace")
    failed = formatted(failure, {**task, "description": "raised unexpected"}, name="celery.app.trace")

    assert done["event"] == "Task patients.tasks.export[t-1] succeeded in 0.5s: (not logged)"
    assert failed["event"] == "Task patients.tasks.export[t-1] raised unexpected: (not logged)"


def test_a_failed_task_is_logged_without_the_text_of_its_error(lines):
    CeleryReceiver().receiver_task_failure(task_id="t-1", exception=ValueError(SECRET))

    (line,) = (json.loads(line) for line in lines)
    assert (line["event"], line["task_id"]) == ("task_failed", "t-1")
    assert CANARY not in json.dumps(line)


def test_only_the_request_id_goes_along_with_a_task():
    headers = {}
    with structlog.contextvars.bound_contextvars(request_id="r-3", ip="203.0.113.5", tenant_id="t", actor_id="a"):
        before_task_publish.send("a.task", headers=headers, body={}, properties={}, routing_key="celery")

    assert headers["__django_structlog__"] == {"request_id": "r-3"}
