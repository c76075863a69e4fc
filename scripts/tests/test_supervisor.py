import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts import Problem
from scripts.run import web_command
from scripts.servers import ServerProblem
from scripts.supervisor import RESTARTS_ALLOWED, Kept, Supervisor, end_leftovers, start_group

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
# A leader with a child, as the web server is, and a number to find the child by.
FAMILY = [
    sys.executable,
    "-c",
    "import subprocess, sys; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()",
]


@pytest.fixture
def supervisor():
    made = Supervisor()
    yield made
    made.stop()


def starter(tmp_path, command=SLEEP):
    return lambda: start_group(command, log=tmp_path / "log", environment=dict(os.environ), directory=tmp_path)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def test_watch_once_starts_again_what_was_killed(supervisor, tmp_path, capsys):
    first = supervisor.add("web", starter(tmp_path))
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: not first.is_running())

    supervisor.watch_once(time.monotonic())

    assert supervisor.kept[0].running.pid != first.pid
    assert supervisor.kept[0].running.is_running()
    assert capsys.readouterr().err == "carewright: web ended, starting it again.\n"


def test_watch_once_ends_the_children_of_a_killed_leader(supervisor, tmp_path):
    group = supervisor.add("web", starter(tmp_path, FAMILY))
    wait_for(lambda: (tmp_path / "log").read_text().strip())
    child = int((tmp_path / "log").read_text())
    os.kill(group.pid, signal.SIGKILL)
    wait_for(lambda: not group.is_running())

    supervisor.watch_once(time.monotonic())

    wait_for(lambda: not is_alive(child))


class Dead:
    """What ends at once, however often it is started."""

    def is_running(self):
        return False

    def stop(self):
        pass


def test_watch_once_waits_longer_each_time(supervisor):
    kept = Kept("worker", Dead)
    supervisor.kept = [kept]
    waits, now = [], 1000.0

    for _ in range(RESTARTS_ALLOWED):
        supervisor.watch_once(now)  # starts it
        supervisor.watch_once(now)  # finds it dead
        waits.append(kept.start_at - now)
        now = kept.start_at

    assert waits == [0, 0.5, 1, 2, 4, 8]


def test_watch_once_gives_up_in_the_end(supervisor):
    supervisor.kept = [Kept("worker", Dead, Dead(), deaths=[1000.0] * RESTARTS_ALLOWED)]

    with pytest.raises(Problem, match="worker ended 7 times in 120 seconds; see its log"):
        supervisor.watch_once(1010.0)


def test_watch_once_forgets_deaths_of_long_ago(supervisor):
    supervisor.kept = [Kept("worker", Dead, Dead(), deaths=[1000.0] * RESTARTS_ALLOWED)]

    supervisor.watch_once(2000.0)

    assert supervisor.kept[0].deaths == [2000.0]


def test_watch_once_tries_again_when_a_server_does_not_start(supervisor, capsys):
    def start():
        raise ServerProblem("The data are broken.")

    supervisor.kept = [Kept("postgres", start)]

    supervisor.watch_once(1000.0)

    assert capsys.readouterr().err.startswith("carewright: The data are broken.\n")
    assert supervisor.kept[0].deaths == [1000.0]


def test_stop_ends_everything_even_what_does_not_want_to(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.supervisor.STOP_SECONDS", 0.5)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    )
    supervisor = Supervisor()
    easy = supervisor.add("easy", starter(tmp_path))
    hard = supervisor.add("hard", starter(tmp_path, [sys.executable, "-c", stubborn]))
    wait_for(lambda: (tmp_path / "log").read_text().strip())

    started = time.monotonic()
    supervisor.stop()

    assert not easy.is_running()
    assert not hard.is_running()
    assert time.monotonic() - started < 10


SLOW_APPLICATION = """
import time

def application(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
"""


def start_slow_web(supervisor, tmp_path):
    """The web server as `make run` starts it, on an application that takes its time; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "slow.py").write_text(SLOW_APPLICATION)
    command = web_command("127.0.0.1", port, application="slow:application")
    supervisor.add("web", starter(tmp_path, [sys.executable, *command]))
    wait_for(lambda: ask(port, 0) == b"done")
    return port


def ask(port, seconds):
    """What the answer says that takes so long; None where it never came."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/?{seconds}", timeout=30) as answer:
            return answer.read()
    except (OSError, http.client.HTTPException):
        return None


def stop_while_asked(supervisor, port, seconds):
    """Answers to three requests, in hand at the moment of the stop: one more than one process has threads."""
    with ThreadPoolExecutor(3) as clients:
        answers = [clients.submit(ask, port, seconds) for _ in range(3)]
        time.sleep(0.5)
        supervisor.stop()
        return [answer.result() for answer in answers]


def test_fa14_stop_lets_requests_in_hand_finish_and_takes_no_more(supervisor, tmp_path):
    port = start_slow_web(supervisor, tmp_path)

    answers = stop_while_asked(supervisor, port, 2)

    assert answers == [b"done"] * 3
    assert ask(port, 0) is None


def test_fa14_without_patience_the_same_requests_are_cut(supervisor, tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.supervisor.STOP_SECONDS", 0.5)
    port = start_slow_web(supervisor, tmp_path)

    assert None in stop_while_asked(supervisor, port, 4)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_end_leftovers_ends_marked_processes_only():
    marked = subprocess.Popen(["sleep", "60"], env=os.environ | {"CAREWRIGHT_STATE": "/a/state"})
    other = subprocess.Popen(["sleep", "60"], env=os.environ | {"CAREWRIGHT_STATE": "/a/state-too"})

    end_leftovers("CAREWRIGHT_STATE=/a/state")

    assert marked.wait(30) == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    other.wait()
