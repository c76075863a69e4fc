"""Waking the worker after a commit. Rows say what is to be done; a ring that is lost or doubled changes nothing.

Nobody has to hear it: whoever has work in rows also has a poller that looks
every few seconds (mail: `accounts.notifications.tasks`, events:
`tenancy.events.tasks`).
"""

import time
import uuid
from typing import Any

import structlog
from celery import Task
from celery import current_app as app
from django.core.cache import cache
from kombu.pools import producers
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

# Connections of its own: those of Celery's pool try for six seconds to reach a broker that is dead.
IMPATIENT = {"socket_timeout": 1, "socket_connect_timeout": 1, "max_retries": 1, "interval_start": 0}
ONCE_MORE = {"max_retries": 1, "interval_start": 0}  # for a connection that has grown old in the pool
DEAF_SECONDS = 30.0
STILL_RINGING_SECONDS = 10
RECENT_SECONDS = 1
GATHER_SECONDS = 0.25
_deaf_until = 0.0


def ring(task: Task, *args: Any, **options: Any) -> None:
    """Ask the worker to run a task now, or never mind.

    After a broker that did not answer nobody rings for half a minute, so that at
    most one request in a while waits for it.
    """
    global _deaf_until
    if time.monotonic() < _deaf_until:
        return
    try:
        to_broker = app.connection_for_write(connect_timeout=1, transport_options=IMPATIENT)
        with producers[to_broker].acquire(block=True, timeout=1) as doorbell:
            task.apply_async(args, producer=doorbell, retry=True, retry_policy=ONCE_MORE, **options)
    except Exception as error:  # whatever a dead broker raises; what the request had to do is committed
        _deaf_until = time.monotonic() + DEAF_SECONDS
        log.warning("broker_not_reached", error=type(error).__name__)


def ring_once(task: Task, tenant_id: uuid.UUID | str, **options: Any) -> None:
    """As `ring`, but not while the same task waits for the same clinic: a thousand commits make one task.

    The first ring is heard at once. Where one came less than a second before, the
    task waits a quarter of a second, so that a busy clinic costs the worker four
    rounds a second and not one for each commit. The task calls `answered` before
    it looks at the rows.
    """
    if time.monotonic() < _deaf_until:
        return
    try:
        if not cache.add(_mark(task.name, tenant_id), 1, timeout=STILL_RINGING_SECONDS):
            return
        if not cache.add(_mark(f"{task.name}:recent", tenant_id), 1, timeout=RECENT_SECONDS):
            options = {"countdown": GATHER_SECONDS, **options}
    except RedisError as error:
        log.warning("doorbell_mark_not_set", error=type(error).__name__)
    ring(task, str(tenant_id), **options)


def answered(name: str, tenant_id: uuid.UUID | str) -> None:
    """Somebody goes to look: what is committed from here on rings again."""
    try:
        cache.delete(_mark(name, tenant_id))
    except RedisError as error:
        log.warning("doorbell_mark_not_removed", error=type(error).__name__)


def forget() -> None:
    """Try the broker again at once. For tests, which start others."""
    global _deaf_until
    _deaf_until = 0.0


def _mark(name: str, tenant_id: uuid.UUID | str) -> str:
    return f"doorbell:{name}:{tenant_id}"
