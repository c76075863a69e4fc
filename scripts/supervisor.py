"""Keeps the processes of one installation alive, and ends them together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from scripts import Problem
from scripts.servers import Server, ServerProblem, start_process

RESTARTS_ALLOWED = 6  # within RESTART_WINDOW seconds; one more and it is hopeless
RESTART_WINDOW = 120
STOP_SECONDS = 30  # for requests and tasks in hand; as long as Compose and the load balancer of deploy/aws give


def say(sentence: str) -> None:
    print(f"carewright: {sentence}", flush=True)


def complain(sentence: str) -> None:
    print(f"carewright: {sentence}", file=sys.stderr, flush=True)


@dataclass
class Kept:
    """One process that has to run. `start` returns a `servers.Server`, or a `Group` for our own programs."""

    name: str
    start: Callable
    running: "Server | Group | None" = None
    deaths: list[float] = field(default_factory=list)
    start_at: float = 0.0


@dataclass
class Group:
    """A program of ours and whatever it starts: one process group, ended as a whole."""

    process: subprocess.Popen

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_running(self) -> bool:
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        if self.is_running():
            _signal_group(self.pid, signal.SIGTERM, leader_only=True)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """SIGTERM, and SIGKILL for the whole group once the leader is gone or the time is over."""
        self.ask_to_stop()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        # Also after a good end: a child of a killed leader would hold the port.
        _signal_group(self.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Step(Group):
    """A program that ends by itself."""

    name: str
    log: Path


def start_group(command: list[str], *, log: Path, environment: dict[str, str], directory: Path) -> Group:
    return Group(start_process(command, log=log, env=environment, cwd=directory))


class Supervisor:
    """Processes in the order in which they were started; they end in the opposite order."""

    def __init__(self):
        self.kept: list[Kept] = []
        self.steps: list[Step] = []

    def add(self, name: str, start: Callable):
        """Start a process now and look after it from here on."""
        kept = Kept(name, start)
        self.kept.append(kept)
        kept.running = start()
        return kept.running

    def watch(self, also: Callable[[], None] = lambda: None) -> None:
        """Restart what ends, for ever, and do `also` each time. Raises Problem when one process ends over and over."""
        while True:
            self.watch_once(time.monotonic())
            also()
            time.sleep(0.2)

    def watch_once(self, now: float) -> None:
        for kept in self.kept:
            if kept.running is not None and not kept.running.is_running():
                self._note_death(kept, now)
            if kept.running is None and now >= kept.start_at:
                try:
                    kept.running = kept.start()
                except ServerProblem as problem:
                    complain(str(problem))
                    self._note_death(kept, now)

    def _note_death(self, kept: Kept, now: float) -> None:
        """Remember that it ended, and when to try again: at once, then after 0.5, 1, 2, 4 … seconds."""
        if kept.running is not None:
            kept.running.stop()
        kept.running = None
        kept.deaths = [death for death in kept.deaths if now - death < RESTART_WINDOW] + [now]
        if len(kept.deaths) > RESTARTS_ALLOWED:
            raise Problem(f"{kept.name} ended {len(kept.deaths)} times in {RESTART_WINDOW} seconds; see its log.")
        wait = 0 if len(kept.deaths) == 1 else 0.5 * 2 ** (len(kept.deaths) - 2)
        kept.start_at = now + wait
        complain(f"{kept.name} ended, starting it again" + (f" in {wait:g} s." if wait else "."))

    def stop(self) -> None:
        """End everything. Our own programs are told together, then each server, the database last.

        A program that is told finishes what it has in hand: the web server takes nothing new and answers what runs,
        the worker ends its task. After STOP_SECONDS whatever is left is killed (security.md FA-14).
        """
        programs = self.steps + [kept.running for kept in self.kept if isinstance(kept.running, Group)]
        for program in programs:
            program.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for program in programs:
            program.stop(max(0.1, deadline - time.monotonic()))
        for kept in reversed(self.kept):
            if isinstance(kept.running, Server):
                kept.running.stop()
        self.kept.clear()


def end_leftovers(mark: str) -> None:
    """Kill what a killed launcher of the same STATE_DIR left behind: processes with `mark` in their environment."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            marked = mark.encode() in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if marked and int(entry.name) != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)


def _signal_group(pid: int, number: int, leader_only: bool = False) -> None:
    with suppress(ProcessLookupError, PermissionError):
        (os.kill if leader_only else os.killpg)(pid, number)
