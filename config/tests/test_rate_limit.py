"""The limit of 100 requests a minute, as a real caller meets it (decision X24, security.md IN-25)."""

from http import HTTPStatus

import pytest


@pytest.fixture
def three_a_minute(settings):
    settings.RATE_LIMIT_SCALE = 0.03


def test_the_request_after_the_limit_is_429_and_says_when_again(three_a_minute, nurse, api_client):
    program = api_client(nurse)

    answers = [program.get("/api/auth/me") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    wait = int(answers[3]["Retry-After"])
    assert 1 <= wait <= 60
    assert answers[3].json()["code"] == "throttled"
    assert answers[3]["RateLimit-Policy"] == '"requests";q=3;w=60'
    assert answers[3]["RateLimit"] == f'"requests";r=0;t={wait}'


def test_colleagues_behind_one_address_do_not_share_a_limit(three_a_minute, nurse, doctor, api_client):
    first, second = api_client(nurse), api_client(doctor)

    for _ in range(4):
        last = first.get("/api/auth/me")

    assert last.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert second.get("/api/auth/me").status_code == HTTPStatus.OK


def test_the_scale_lets_a_load_test_through(settings, nurse, api_client):
    settings.RATE_LIMIT_SCALE = 10
    program = api_client(nurse)

    assert {program.get("/api/auth/me").status_code for _ in range(101)} == {HTTPStatus.OK}
