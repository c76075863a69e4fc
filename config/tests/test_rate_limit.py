"""The limits of requests, as real callers meet them (decision X24, S14, security.md IN-25, CL-02)."""

from http import HTTPStatus

import pytest
import structlog

from accounts.api_keys.models import ApiKey
from tenancy.doors import limits


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


# --- API keys --------------------------------------------------------------------------------------------------------


@pytest.fixture
def six_a_minute(settings):
    settings.RATE_LIMIT_SCALE = 0.01  # of 600


def test_s14_a_key_reads_in_each_answer_what_is_left(six_a_minute, key_client):
    program = key_client()

    answers = [program.get("/v1/auth/api-keys") for _ in range(7)]

    assert [answer.status_code for answer in answers] == [200] * 6 + [429]
    assert {answer["RateLimit-Policy"] for answer in answers} == {'"key";q=6;w=60'}
    assert answers[0]["RateLimit"] == '"key";r=5;t=10'
    assert answers[5]["RateLimit"] == '"key";r=0;t=60'
    assert not any("Retry-After" in answer for answer in answers[:6])
    assert 1 <= int(answers[6]["Retry-After"]) <= 10
    assert answers[6]["RateLimit"] == f'"key";r=0;t={answers[6]["Retry-After"]}'
    assert answers[6].json()["code"] == "throttled"


def test_s14_keys_do_not_share_a_bucket(six_a_minute, key_client):
    first, second = key_client(), key_client()

    for _ in range(7):
        last = first.get("/v1/auth/api-keys")

    assert last.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert second.get("/v1/auth/api-keys").status_code == HTTPStatus.OK


def test_s14_a_key_has_the_limit_it_was_given(settings, key_client):
    program = key_client()
    ApiKey.objects.update(requests_per_minute=2)

    assert [program.get("/v1/auth/api-keys").status_code for _ in range(3)] == [200, 200, 429]


def test_s14_the_flag_switches_it_off(six_a_minute, settings, key_client):
    settings.API_KEY_RATE_LIMIT = False
    program = key_client()

    answers = [program.get("/v1/auth/api-keys") for _ in range(8)]

    assert {answer.status_code for answer in answers} == {HTTPStatus.OK}
    assert "RateLimit" not in answers[0]


def test_x24_without_redis_a_key_goes_through_and_somebody_is_told(six_a_minute, settings, key_client):
    program = key_client()
    dead = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/9"}
    settings.CACHES = {"default": dead}
    limits._paused_until.clear()

    with structlog.testing.capture_logs() as said:
        answers = [program.get("/v1/auth/api-keys") for _ in range(8)]
    limits._paused_until.clear()

    assert {answer.status_code for answer in answers} == {HTTPStatus.OK}
    assert "rate_limits_unavailable" in {line["event"] for line in said}


def test_members_are_not_told_what_is_left(nurse, api_client):
    """A person's 100 a minute is a fence, not a budget: the header comes with the refusal only."""
    assert "RateLimit" not in api_client(nurse).get("/api/auth/me")
