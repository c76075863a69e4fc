"""Real servers, started and ended for real; each takes well under a second."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from scripts import servers
from scripts.servers import ServerProblem

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A place for servers; whatever still runs there at the end is stopped."""
    started = []
    for name in ("start_postgres", "start_redis"):
        monkeypatch.setattr(servers, name, remembering(getattr(servers, name), started))
    yield tmp_path
    for server in started:
        server.stop()


def remembering(start_server, started):
    def start_and_remember(*args, **options):
        started.append(start_server(*args, **options))
        return started[-1]

    return start_and_remember


def start(directory, **options):
    return servers.start_postgres(directory / "postgres", **{"fsync": False} | options)


def ask(url, statement):
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchone()


def do(url, statement):
    with psycopg.connect(url) as connection:
        connection.execute(statement)


def call_redis(url, *words):
    with redis.Redis.from_url(url) as client:
        return client.execute_command(*words)


def test_start_postgres_answers_and_keeps_its_data(directory):
    first = start(directory)
    with psycopg.connect(first.superuser_url) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE TABLE kept (id int)")
        assert connection.execute("SHOW server_version_num").fetchone()[0].startswith("18")
    first.stop()
    second = start(directory)

    assert ask(second.superuser_url, "SELECT count(*) FROM kept") == (0,)
    second.stop()
    assert not second.is_running()


def test_start_postgres_refuses_a_wrong_password(directory):
    postgres = start(directory)

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url("postgres", "wrong", "postgres"))


def test_start_postgres_keeps_statements_out_of_its_log(directory):
    postgres = start(directory)
    do(postgres.superuser_url, "CREATE TABLE people (name text PRIMARY KEY)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        do(postgres.superuser_url, "INSERT INTO people VALUES ('Amaranta'), ('Amaranta')")
    postgres.stop()

    log = (directory / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "Amaranta" not in log


@pytest.mark.parametrize("name", ["with space and ñ", "long" * 30])
def test_start_postgres_and_redis_find_room_for_their_sockets(directory, name):
    (directory / name).mkdir()

    postgres, cache = start(directory / name), servers.start_redis(directory / name / "redis")

    assert ask(postgres.superuser_url, "SELECT 1") == (1,)
    assert call_redis(cache.url, "PING")


def test_start_postgres_after_kill_has_what_was_committed(directory):
    first = start(directory, fsync=True)
    do(first.superuser_url, "CREATE TABLE kept (id int)")
    os.kill(first.pid, signal.SIGKILL)
    first.process.wait()

    second = start(directory, fsync=True)

    assert ask(second.superuser_url, "SELECT count(*) FROM kept") == (0,)


def test_servers_die_with_the_process_that_started_them(directory):
    code = (
        "import sys, time; from pathlib import Path; from scripts import servers\n"
        "place = Path(sys.argv[1])\n"
        "a, b = servers.start_postgres(place / 'postgres', fsync=False), servers.start_redis(place / 'redis')\n"
        "print(a.pid, b.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code, directory], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in starter.stdout.readline().split()]
    assert [servers._runs(pid, str(directory)) for pid in pids] == [True, True]

    starter.kill()
    starter.communicate()

    assert eventually(lambda: not any(servers._runs(pid, str(directory)) for pid in pids))


def test_start_postgres_stops_a_leftover_and_takes_over(directory):
    leftover = start(directory, detached=True)

    taken_over = start(directory)

    assert leftover.process.wait(30) is not None
    assert ask(taken_over.superuser_url, "SELECT 1") == (1,)


def test_start_postgres_leaves_a_stranger_with_the_same_number_alone(directory):
    start(directory).stop()
    stranger = subprocess.Popen(["sleep", "60"])
    (directory / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{directory}\n1\n5432\n/tmp\n\n\nready\n")

    postgres = start(directory)

    assert postgres.is_running()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_start_postgres_says_what_is_wrong_with_broken_data(directory):
    start(directory).stop()
    (directory / "postgres" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(ServerProblem, match=r"does not start .*pg_control"):
        start(directory)

    (directory / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServerProblem, match="was written by PostgreSQL 16, this is PostgreSQL 18"):
        start(directory)

    (directory / "postgres" / "PG_VERSION").unlink()
    with pytest.raises(ServerProblem, match="is not a PostgreSQL data directory"):
        start(directory)


def test_start_postgres_says_when_its_password_is_lost(directory):
    start(directory).stop()
    (directory / "postgres.secret").unlink()
    with pytest.raises(ServerProblem, match="does not hold the password"):
        start(directory)

    (directory / "postgres.secret").write_text("{torn")
    with pytest.raises(ServerProblem, match="is damaged"):
        start(directory)


def test_start_postgres_says_when_a_file_is_in_its_place(tmp_path):
    (tmp_path / "postgres.secret").write_text('{"postgres_password": "x"}')
    (tmp_path / "postgres").write_text("")

    with pytest.raises(ServerProblem, match="is not a PostgreSQL data directory"):
        start(tmp_path)


def test_start_redis_keeps_its_data_after_kill(directory):
    first = servers.start_redis(directory / "redis")
    call_redis(first.url, "SET", "kept", "yes")
    time.sleep(0.1)
    os.kill(first.pid, signal.SIGKILL)
    first.process.wait()

    second = servers.start_redis(directory / "redis")

    assert call_redis(second.url, "GET", "kept") == b"yes"


def test_start_redis_says_what_is_wrong_with_broken_data(directory):
    server = servers.start_redis(directory / "redis")
    call_redis(server.url, "SET", "kept", "yes")
    server.stop()
    (directory / "redis" / "appendonly.aof").write_bytes(b"this is no append-only file, not at all\r\n" * 9)

    with pytest.raises(ServerProblem, match="Redis does not start on"):
        servers.start_redis(directory / "redis")


def test_socket_directory_opens_to_the_owner_only(tmp_path):
    made = servers.socket_directory(tmp_path / "run", "redis.sock")

    assert made.stat().st_mode & 0o777 == 0o700


def test_command_line_starts_reports_and_stops(directory):
    def command(action):
        return subprocess.run(
            [sys.executable, "-m", "scripts.servers", action, "--directory", directory],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    assert command("status").returncode == 3
    assert command("start").stdout.count("://") == 2
    assert command("status").returncode == 0
    assert command("stop").returncode == 0
    assert command("status").stdout.count("does not run") == 2


def test_secrets_are_written_for_the_owner_only(tmp_path):
    servers.write_secrets(tmp_path / "secrets", {"key": "value"})

    assert servers.read_secrets(tmp_path / "secrets") == {"key": "value"}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o600


def eventually(condition, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
