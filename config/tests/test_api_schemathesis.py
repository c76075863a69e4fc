"""Every operation of the schema with generated input, valid and not: what it answers is what it documents."""

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from accounts.api_keys.services import create_platform_key
from accounts.users.models import Session
from accounts.users.tests.fixtures import open_session, tokens_of
from config import openapi
from tenancy.tenants.tests.contexts import outside_tenant

quickly = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def api(db, settings):
    """The application in this process and this transaction, asked as an administrator."""
    settings.API_DOCS = "public"
    settings.RATE_LIMIT_SCALE = 1_000_000
    openapi.schema_bytes.cache_clear()
    handler = get_wsgi_application()

    def application(environ, start_response):
        with outside_tenant():
            return handler(environ, start_response)

    # They would close the connection and with it the transaction of this test.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield schemathesis.openapi.from_wsgi("/api/openapi.json", application)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def credentials(admin, make_api_key):
    """`credentials(path)`: an administrator's key under /v1, the operator's for clinics, else a token."""

    def headers(path):
        if path.startswith("/v1/tenants"):
            with outside_tenant():
                return {"X-Api-Key": create_platform_key(name="operator")[1]}
        if path.startswith("/v1/"):
            return {"X-Api-Key": make_api_key()[1]}
        return {"Authorization": f"Bearer {tokens_of(open_session(admin, Session.Kind.TOKEN))[0]}"}

    return headers


METHODS = {"get", "post", "put", "patch", "delete"}
OPERATIONS = sorted(
    f"{method} {path}" for path, methods in openapi.schema()["paths"].items() for method in METHODS & set(methods)
)
MODES = {"valid": GenerationMode.POSITIVE, "invalid": GenerationMode.NEGATIVE}
NOT_CHECKED = [
    # Rules of the house refuse what a schema can not rule out: a NUL in a text, a birth date in the future.
    schemathesis.checks.positive_data_acceptance,
    # It takes our Bearer beside a made-up cookie for a hole; accounts.users tests which credential counts.
    schemathesis.checks.ignored_auth,
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_answer_as_documented(api, credentials, operation, mode):
    method, path = operation.split()
    headers = credentials(path)

    @given(case=api[path][method].as_strategy(generation_mode=MODES[mode]))
    @quickly
    def ask(case):
        case.call_and_validate(headers=headers, excluded_checks=NOT_CHECKED)

    try:
        ask()
    except Unsatisfiable:
        pytest.skip("this operation takes no input that could be wrong")
