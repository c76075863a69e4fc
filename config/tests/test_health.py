import socket
import time
from contextlib import closing

import psycopg
import pytest
import redis
from django.test import Client

from config import health

pytestmark = pytest.mark.urls("config.tests.platform_urls")


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(health, "_last", (float("-inf"), False))


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/api/health"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_probes_answer_whatever_host_is_named(path, slash):
    response = Client().get(f"{path}{slash}", headers={"Host": "10.2.3.4"})

    assert (response.status_code, response.json()) == (200, {"status": "ok", "version": "1.0.0"})


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/api/health"])
def test_probes_are_for_reading(path):
    assert Client().head(path).status_code == 200
    response = Client().post(path)
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


def hangs():
    raise OSError("password=hunter2 host=db.internal")


@pytest.mark.parametrize("part", ["ask_database", "ask_redis"])
def test_readyz_is_503_without_details_when_a_part_is_away(monkeypatch, part):
    monkeypatch.setattr(health, part, hangs)

    response = Client().get("/readyz")

    assert (response.status_code, response.json()) == (503, {"status": "unavailable", "version": "1.0.0"})
    assert Client().get("/livez").status_code == 200


@pytest.fixture
def silent_server():
    """A port that accepts connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_ask_redis_gives_up_on_a_server_that_hangs(settings, silent_server):
    settings.REDIS_URL = f"redis://127.0.0.1:{silent_server}/0"
    started = time.monotonic()

    with pytest.raises(redis.RedisError):
        health.ask_redis()

    assert time.monotonic() - started < 5


def test_ask_database_gives_up_on_a_server_that_hangs(settings, silent_server, monkeypatch):
    for name, value in {"HOST": "127.0.0.1", "PORT": str(silent_server), "OPTIONS": {}}.items():
        monkeypatch.setitem(settings.DATABASES["default"], name, value)
    started = time.monotonic()

    with pytest.raises(psycopg.OperationalError):
        health.ask_database()

    assert time.monotonic() - started < 5


def test_readyz_asks_once_a_second(monkeypatch):
    asked = []
    monkeypatch.setattr(health, "ask_database", lambda: asked.append(1))
    monkeypatch.setattr(health, "ask_redis", lambda: None)

    for _ in range(20):
        Client().get("/readyz")

    assert len(asked) == 1
