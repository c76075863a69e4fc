"""One code, sent by a hundred at once: how many of them get in (security.md AU-12, figure 9).

Nobody counts wrong tries here, or the lock after five of them would hide what
is measured: the step of a code is taken once, in PostgreSQL.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench.large_clinic import _environment, _prepare
from bench.report import Figure, percentile
from scripts import servers

THREADS, ROUNDS = 100, 20


def measure_replays() -> list[Figure]:
    """Rounds of a hundred threads, each with a connection of its own; after each, a replay on an emptied Redis."""
    # A process of its own: settings are read once, and other benches have another database.
    done = subprocess.run([sys.executable, "-m", "bench.second_factor"], check=True, stdout=subprocess.PIPE)
    measured = json.loads(done.stdout.splitlines()[-1])
    successes = measured["successes"]
    note = f"{sum(successes)} successes in {ROUNDS} rounds of {THREADS} threads"
    return [
        Figure("rounds without exactly one success", sum(count != 1 for count in successes), "", 0, note),
        Figure("replays accepted after FLUSHALL", measured["replays"], "", 0, f"{ROUNDS} x {THREADS} tries"),
        Figure("a round of 100, median", percentile(measured["times"], 0.5), "s"),
    ]


def _measure() -> dict:
    with _installation():
        from accounts.second_factor import models

        models.MOST_TRIES = 1_000_000
        successes, replays, times = [], 0, []
        with ThreadPoolExecutor(THREADS) as threads:
            for number in range(ROUNDS):
                user, code = _person_with_code(number)
                began = time.monotonic()
                successes.append(_all_at_once(threads, user, code))
                times.append(time.monotonic() - began)
                _flush_redis()
                replays += _all_at_once(threads, user, code)
            _disconnect(threads)
    return {"successes": successes, "replays": replays, "times": times}


@contextmanager
def _installation() -> Iterator[None]:
    """Servers of our own, with a connection for every thread; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="carewright-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        usual = servers.POSTGRES_SETTINGS["max_connections"]
        servers.POSTGRES_SETTINGS["max_connections"] = str(THREADS + 20)
        try:
            postgres, redis = servers.start_postgres(home / "postgres"), servers.start_redis(home / "redis")
        finally:
            servers.POSTGRES_SETTINGS["max_connections"] = usual
        try:
            os.environ.update(_environment(home, postgres, redis))
            _prepare()
            yield
            from django.db import connection

            connection.close()
        finally:
            redis.stop()
            postgres.stop()


def _person_with_code(number: int):
    import pyotp

    from accounts.second_factor import services
    from accounts.users.services import create_user

    user = create_user(email=f"round-{number}@bench.example", name=f"Round {number}", password=None)
    device = services.begin_authenticator(user)
    device.confirmed = True
    device.save()
    return user, pyotp.parse_uri(device.provision_uri).now()


def _all_at_once(threads: ThreadPoolExecutor, user, code: str) -> int:
    """How many of the threads got in with this code."""
    from accounts.second_factor import services

    barrier = threading.Barrier(THREADS)

    def try_it(_number) -> bool:
        from django.db import connection

        connection.ensure_connection()
        barrier.wait(timeout=60)
        try:
            return services.prove_code(user, code) == "totp"
        except services.CodeRefused:
            return False

    return sum(threads.map(try_it, range(THREADS)))


def _disconnect(threads: ThreadPoolExecutor) -> None:
    from django.db import connection

    barrier = threading.Barrier(THREADS)

    def leave(_number) -> None:
        barrier.wait(timeout=60)
        connection.close()

    list(threads.map(leave, range(THREADS)))


def _flush_redis() -> None:
    from django.core.cache import caches

    caches["default"]._cache.get_client(write=True).flushall()


if __name__ == "__main__":
    print(json.dumps(_measure()))
