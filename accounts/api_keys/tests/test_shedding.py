"""A program that has spent its limit is turned away without a look-up, and not for longer than its limit says."""

import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.api_keys import shedding
from accounts.api_keys.models import ApiKey
from tenancy.doors.limits import BucketLimit


@pytest.fixture
def spent(key_client):
    """A program of 30 requests a minute that has just been refused by its limit, and that answer."""
    program = key_client("patients:read")
    ApiKey.objects.update(requests_per_minute=30)
    bucket = BucketLimit("key", "30/m")
    while bucket.hit(str(program.key.pk)).allowed:
        pass
    program.refused = program.get("/v1/patients")
    assert program.refused.status_code == 429
    return program


def test_lo06_the_next_refusal_asks_nobody_and_says_the_same(spent):
    with CaptureQueriesContext(connection) as queries:
        again = spent.get("/v1/patients")

    assert len(queries) == 0
    assert (again.status_code, again.json()["detail"]) == (429, spent.refused.json()["detail"])
    assert set(again.json()) == set(spent.refused.json())
    for name in ("Content-Type", "RateLimit", "RateLimit-Policy", "Retry-After", "Content-Language"):
        assert again.get(name) == spent.refused.get(name), name


def test_lo06_without_what_is_remembered_the_refusal_costs_a_look_up(spent):
    shedding.forget()

    with CaptureQueriesContext(connection) as queries:
        assert spent.get("/v1/patients").status_code == 429

    assert len(queries) > 0


def test_lo06_it_speaks_the_callers_language(spent):
    answer = spent.get("/v1/patients", HTTP_ACCEPT_LANGUAGE="es")

    assert answer.json()["detail"].startswith("Demasiadas solicitudes")


def test_lo06_the_next_drop_lets_it_in(spent):
    until, _limit, usage = shedding._spent[spent.key.key_hash]
    assert 0 < until - time.monotonic() <= usage.next_drop <= 2

    time.sleep(usage.next_drop + 0.05)

    assert spent.get("/v1/patients").status_code == 200


def test_lo06_another_key_is_not_meant(spent, key_client):
    assert key_client("patients:read").get("/v1/patients").status_code == 200
    assert spent.get("/v1/patients", headers={"X-Api-Key": "cwk_nonsense"}).status_code == 401


def test_lo06_what_is_remembered_never_grows_for_ever(spent, monkeypatch):
    monkeypatch.setattr(shedding, "MOST_KEYS", 3)
    _until, limit, usage = shedding._spent[spent.key.key_hash]

    for number in range(10):
        shedding.remember(str(number), limit, usage)

    assert len(shedding._spent) <= 3
