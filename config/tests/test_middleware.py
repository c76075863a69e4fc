import re

import pytest
import structlog
from django.test import Client

from config.middleware import pattern_name

pytestmark = pytest.mark.urls("config.tests.platform_urls")


@pytest.mark.parametrize("sent", ["abc", "A-1_b.2", "x" * 64])
def test_a_plain_request_id_is_kept(sent):
    assert Client().get("/page/", headers={"X-Request-ID": sent})["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a\nb", "ñ", "<script>", "a,b", "../x"])
def test_any_other_request_id_is_replaced(sent):
    given = Client().get("/page/", headers={"X-Request-ID": sent})["X-Request-ID"]

    assert re.fullmatch(r"[0-9a-f]{32}", given)


def test_nothing_stays_bound_after_a_request():
    structlog.contextvars.bind_contextvars(left="over")

    Client(raise_request_exception=False).get("/broken/")

    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize(
    ("route", "name"),
    [
        ("", "/"),
        ("patients/<uuid:pk>/edit/", "/patients/{pk}/edit"),
        ("api/^patients/(?P<pk>[0-9a-f]{8}(-[0-9a-f]{4}){3})/letters/?$", "/api/patients/{pk}/letters"),
        ("api/^patients/(?P<pk>[^/.]+)/letters/(?P<name>[a-z]+(?:[.]md)?)/?$", "/api/patients/{pk}/letters/{name}"),
        ("^(?P<unknown>(?:api|v1|fhir)(?:/.*)?)$", "/{unknown}"),
    ],
)
def test_pattern_name(route, name):
    assert pattern_name(route) == name


def test_a_chunked_body_is_411_and_not_taken_for_empty():
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/api/notes", "CONTENT_TYPE": "application/json"}
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked"}

    refused = Client().request(**environ, **chunked)

    assert (refused.status_code, refused.json()["code"]) == (411, "length_required")
    assert Client().request(**environ).status_code == 201
    assert Client().request(**environ, **chunked, CONTENT_LENGTH="0").status_code == 201
