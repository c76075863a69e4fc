"""Is it alive, is it ready: for load balancers, without sign-in and without details for strangers.

`/livez` says the process answers. `/readyz`, `/health` and `/api/health` ask
PostgreSQL and Redis, each with a short time-out, over connections of their
own: a request must not find the pool exhausted by the question whether it is.
The answer is kept for a second, so that nobody can load the database with it.
"""

import threading
import time
from collections.abc import Callable

import psycopg
import redis
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis.backoff import NoBackoff
from redis.retry import Retry

from .metrics import metrics

log = structlog.get_logger(__name__)
TIMEOUT_SECONDS = 2
KEPT_SECONDS = 1.0
_lock = threading.Lock()
_last: tuple[float, bool] = (float("-inf"), False)


def version() -> str:
    return settings.SPECTACULAR_SETTINGS["VERSION"]


def livez(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok", "version": version()})


def readyz(_request: HttpRequest) -> HttpResponse:
    ready = is_ready()
    body = {"status": "ok" if ready else "unavailable", "version": version()}
    return JsonResponse(body, status=200 if ready else 503, headers={} if ready else {"Retry-After": "2"})


PROBES: dict[str, Callable[[HttpRequest], HttpResponse | None]] = {
    "/livez": livez,
    "/readyz": readyz,
    "/health": readyz,
    "/api/health": readyz,
    "/metrics": metrics,
}


def is_ready() -> bool:
    """Whether PostgreSQL and Redis answer, asked at most once a second."""
    global _last
    with _lock:
        asked, answer = _last
        if time.monotonic() - asked > KEPT_SECONDS:
            answer = all([_answers("database", ask_database), _answers("redis", ask_redis)])
            _last = time.monotonic(), answer
        return answer


def _answers(name: str, ask: Callable[[], None]) -> bool:
    try:
        ask()
    except (psycopg.Error, redis.RedisError, OSError) as error:
        log.error("not_ready", part=name, error=type(error).__name__)
        return False
    return True


def ask_database() -> None:
    database = settings.DATABASES["default"]
    options = {name: value for name, value in database["OPTIONS"].items() if name != "server_side_binding"}
    with psycopg.connect(
        **options,
        dbname=database["NAME"],
        user=database["USER"],
        password=database["PASSWORD"],
        host=database["HOST"],
        port=database["PORT"] or None,
        connect_timeout=TIMEOUT_SECONDS,
        autocommit=True,
    ) as connection:
        connection.execute(f"SET statement_timeout = {TIMEOUT_SECONDS * 1000}")
        connection.execute("SELECT 1")


def ask_redis() -> None:
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        client.ping()
    finally:
        client.close()
