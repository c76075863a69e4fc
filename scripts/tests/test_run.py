"""The launcher, as a person starts it. One test starts the whole; the others end before anything has begun."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from config.environment import Environment
from scripts import Problem, external, run, servers
from scripts.state import State

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def outside_environment():
    """The environment of a person at a terminal: without what the test run set for Django and what `make test` left."""
    ours = {*Environment.model_fields, "ENV_FILE", "DJANGO_SETTINGS_MODULE", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def launch(state_dir, port, **environment):
    """`make run` in the background."""
    return subprocess.Popen(
        ["make", "run", f"PORT={port}", f"STATE_DIR={state_dir}"],
        cwd=ROOT,
        env=outside_environment() | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refusal(state_dir, port, **environment):
    """The one sentence with which a start is refused."""
    launcher = launch(state_dir, port, **environment)
    _, said = launcher.communicate(timeout=120)
    assert launcher.returncode != 0
    sentences = [line for line in said.splitlines() if not line.startswith("make")]
    assert len(sentences) == 1, said
    return sentences[0].removeprefix("carewright: ")


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def listening(port):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield


# --- Refused -------------------------------------------------------------------------------------------------------


def test_run_refuses_a_port_in_use(tmp_path, port):
    with listening(port):
        assert refusal(tmp_path / "state", port) == (
            f"port {port} is in use by another program; choose another: make run PORT={port + 1}."
        )


def test_run_refuses_a_port_that_is_none(tmp_path):
    assert refusal(tmp_path / "state", "http") == "PORT=http is not a port number (1 to 65535)."


def test_run_refuses_a_file_as_state(tmp_path, port):
    (tmp_path / "state").write_text("")

    assert refusal(tmp_path / "state", port).endswith(f"{tmp_path}/state is a file, not a directory.")
    assert refusal(tmp_path / "state" / "below", port).endswith(f"{tmp_path}/state is a file, not a directory.")


def test_run_refuses_a_directory_of_something_else(tmp_path, port):
    (tmp_path / "thesis.doc").write_text("")

    assert "holds something else (thesis.doc)" in refusal(tmp_path, port)


def test_run_refuses_damaged_secrets(tmp_path, port):
    (tmp_path / "carewright-state").write_text("")
    (tmp_path / "secrets").write_text('{"secret_key": ')

    assert refusal(tmp_path, port) == (
        f"{tmp_path}/secrets is damaged; restore it, or move the whole directory away to start anew."
    )


def test_run_refuses_a_database_that_does_not_answer(tmp_path, port):
    said = refusal(tmp_path / "state", port, DATABASE_URL="postgresql://app:hunter2@127.0.0.1:1/clinic")

    assert said.startswith("DATABASE_URL cannot be used: ")
    assert "hunter2" not in said


def test_run_refuses_a_redis_that_does_not_answer(tmp_path, port):
    said = refusal(tmp_path / "state", port, REDIS_URL="redis://:hunter2@127.0.0.1:1/0")

    assert said.startswith("REDIS_URL cannot be used: ")
    assert "hunter2" not in said


def test_bootstrap_refuses_an_old_python(tmp_path):
    lie = "import sys, runpy; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['bootstrap.py', 'run']; "
    code = lie + "runpy.run_path('scripts/bootstrap.py', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr == (
        "carewright: Carewright needs Python 3.11 to 3.14, this is 3.9; name another: make PYTHON=/path/to/python3.11\n"
    )


def test_logins_in_finds_them_flat_and_nested():
    login = {"email": "ana@example.org", "password": "secret", "role": "nurse"}
    row = ("Riverside", "ana@example.org", "secret", "nurse")

    assert list(run.logins_in({"logins": [login | {"clinic": "Riverside"}]})) == [row]
    assert list(run.logins_in({"clinics": [{"name": "Riverside", "staff": [login | {"name": "Ana"}]}]})) == [row]
    assert list(run.logins_in({"patients": 3})) == []


# --- Somebody else's database --------------------------------------------------------------------------------------


@pytest.fixture
def other_server(tmp_path):
    server = servers.start_postgres(tmp_path / "other" / "postgres", fsync=False)
    yield server
    server.stop()


def addresses(url, tmp_path, **environment):
    with State.open(tmp_path / "state") as state:
        return run.external_database({"DATABASE_URL": url} | environment, state, external.examine_database(url))


def test_external_database_of_a_superuser_names_three_roles_after_it(other_server, tmp_path):
    found = addresses(other_server.url("postgres", other_server.password, "riverside"), tmp_path)

    assert set(found) == {"DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_BACKUP_URL", "DATABASE_ADMIN_URL"}
    assert "dbname=riverside&user=riverside_app&password=" in found["DATABASE_URL"]
    assert "user=riverside_owner" in found["DATABASE_OWNER_URL"]
    assert "dbname=postgres" in found["DATABASE_ADMIN_URL"]


def test_external_database_of_a_plain_role_needs_the_owner_as_well(other_server, tmp_path):
    with psycopg.connect(other_server.superuser_url) as connection:
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    url = other_server.url("plain", "plain", "postgres")

    with pytest.raises(Problem, match=r"names the role plain, which is no superuser .* set DATABASE_OWNER_URL"):
        addresses(url, tmp_path)
    owner = "postgresql://owner@localhost/x"
    assert addresses(url, tmp_path, DATABASE_OWNER_URL=owner) == {"DATABASE_URL": url, "DATABASE_OWNER_URL": owner}


# --- The whole -----------------------------------------------------------------------------------------------------


def processes_of(state_dir):
    """Every process of an installation, by its environment or its command line."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"CAREWRIGHT_STATE={state_dir}\0".encode() in environment or f"{state_dir}/" in command:
            found[int(entry.name)] = command
    return found


def processes_named(state_dir, word):
    return {pid for pid, command in processes_of(state_dir).items() if word in command}


def kill(state_dir, word):
    """Kill the first process of that name, and wait for one that was not there before: a worker which lost its
    leader still answers until the launcher ends the whole group, so an answer alone says nothing yet."""
    before = processes_named(state_dir, word)
    assert before, f"no {word} runs"
    os.kill(min(before), signal.SIGKILL)
    deadline = time.monotonic() + 120
    while min(before) in (now := processes_named(state_dir, word)) or not now - before:
        assert time.monotonic() < deadline, f"{word} did not come back"
        time.sleep(0.05)


def status(port, path="/", seconds=5):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=seconds) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def wait_until_ready(launcher, port, seconds):
    deadline = time.monotonic() + seconds
    while status(port, "/readyz") != 200 or status(port) != 200:
        assert launcher.poll() is None, launcher.communicate()
        assert time.monotonic() < deadline, "it does not answer"
        time.sleep(0.1)


def what_stays(state_dir, seconds=10):
    """What still runs after a few seconds: a killed server takes a moment to be gone."""
    deadline = time.monotonic() + seconds
    while processes_of(state_dir) and time.monotonic() < deadline:
        time.sleep(0.1)
    return processes_of(state_dir)


def count_users(state_dir):
    code = "import django; django.setup(); from django.db import connection as c; x = c.cursor()\n"
    code += "x.execute('SELECT count(*) FROM users_user'); print(x.fetchone()[0])"
    environment = outside_environment() | {"ENV_FILE": f"{state_dir}/env", "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@contextmanager
def a_page_in_hand(state_dir, port):
    """A page that is being answered for as long as the block lasts: the database lets it wait. Gives its status."""
    lines = (state_dir / "env").read_text().splitlines()
    admin = next(line.partition("=")[2] for line in lines if line.startswith("DATABASE_ADMIN_URL="))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with (
        ThreadPoolExecutor(1) as browser,
        psycopg.connect(admin, dbname="carewright") as locking,
        psycopg.connect(admin, dbname="carewright", autocommit=True) as looking,
    ):
        locking.execute("LOCK TABLE tenants_tenant")
        page = browser.submit(status, port, "/sign-in/", seconds=60)
        deadline = time.monotonic() + 30
        while not looking.execute(waiting).fetchone()[0]:
            assert time.monotonic() < deadline, "the page does not wait"
            time.sleep(0.05)
        yield page


def test_run_opens_a_clinic_survives_kills_and_keeps_its_data(tmp_path, port):
    state_dir = tmp_path / "state"
    launcher = launch(state_dir, port)
    try:
        wait_until_ready(launcher, port, 300)
        users = count_users(state_dir)
        assert users > 0

        assert "already runs from" in refusal(state_dir, port)

        for word in ("granian", "/bin/postgres", "redis-server"):
            kill(state_dir, word)
        wait_until_ready(launcher, port, 120)

        with a_page_in_hand(state_dir, port) as page:
            launcher.terminate()
            time.sleep(1)
        launcher.communicate(timeout=120)
        assert page.result() == 200
        assert what_stays(state_dir) == {}

        launcher = launch(state_dir, port)
        wait_until_ready(launcher, port, 120)
        assert count_users(state_dir) == users

        launcher.kill()  # make itself: the launcher below it has to notice
        launcher.communicate(timeout=120)
        assert what_stays(state_dir, 30) == {}
    finally:
        launcher.terminate()
        launcher.communicate(timeout=120)
