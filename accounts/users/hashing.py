"""Hashing passwords without making everybody else wait.

One hash takes a third of a second of a processor. Each web process has two
threads, so a flood of sign-ins would hold them all; therefore one hash at a
time in a web process, done by a helper that yields to all others (nice), and
whoever comes while it is taken is asked to come again (security.md F13, LO-07).
The password hashers use this module in the place of `bcrypt`.
"""

import atexit
import base64
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import bcrypt
from bcrypt import gensalt

__all__ = ["Busy", "gensalt", "hashpw", "is_flooded", "note_arrival", "take_turn"]

NICENESS = 10
REFUSED = b"-"
PROGRAM = f"""
import base64, os, signal, sys, bcrypt
signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the one it helps, whose end closes its input
os.nice({NICENESS})
# All helpers on one processor: however many web processes hash, the others stay free.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {{max(os.sched_getaffinity(0))}})
for line in sys.stdin.buffer:
    password, salt = (base64.b64decode(part) for part in line.strip().split(b","))
    try:
        answer = base64.b64encode(bcrypt.hashpw(password, salt))
    except ValueError:
        answer = b"{REFUSED.decode()}"
    sys.stdout.buffer.write(answer + b"\\n")
    sys.stdout.buffer.flush()
"""
# So many in so many seconds are people; more are a flood, and nobody waits in line behind one.
CALM_TRIES, CALM_SECONDS = 8, 10.0
# Who waits holds one of two threads, and keeps others from being noticed: one at a time, and not again at once.
PATIENCE_SECONDS, PATIENCE_EVERY = 0.7, 3.0
COME_AGAIN_SECONDS = 2

_turn = threading.Lock()
_tries: deque[float] = deque(maxlen=CALM_TRIES)
_waited_at = -PATIENCE_EVERY


class Busy(Exception):
    """Another password is being hashed, and too many others want to be next."""


@contextmanager
def take_turn() -> Iterator[None]:
    """Be the one in this process whose password is checked. Raises Busy, at once during a flood."""
    if not _turn.acquire(blocking=False) and not _turn.acquire(timeout=_patience()):
        raise Busy
    try:
        yield
    finally:
        _turn.release()


def note_arrival() -> None:
    """Somebody wants to sign in. Also those are noted who are turned away: a flood is one until it ends."""
    _tries.append(time.monotonic())


def is_flooded() -> bool:
    """Whether who comes now would be turned away by `take_turn`."""
    return _turn.locked() and not _is_calm()


def _patience() -> float:
    """How long the next one may wait in line, in seconds."""
    global _waited_at
    now = time.monotonic()
    if not _is_calm() or now - _waited_at < PATIENCE_EVERY:
        return 0
    _waited_at = now
    return PATIENCE_SECONDS


def _is_calm() -> bool:
    return len(_tries) < CALM_TRIES or time.monotonic() - _tries[0] > CALM_SECONDS


def forget() -> None:
    """As after a start; for tests."""
    global _waited_at
    _waited_at = -PATIENCE_EVERY
    _tries.clear()


def hashpw(password: bytes, salt: bytes) -> bytes:
    """`bcrypt.hashpw`, one at a time and beside this process. Raises ValueError where bcrypt does."""
    return _helper(os.getpid()).hash(password, salt)


@cache
def _helper(_pid: int) -> "_Helper":
    """One for each process: what was forked does not share its parent's."""
    return _Helper()


class _Helper:
    """A small process that hashes and yields to all others.

    A thread would do, were it not for Python's lock: one that yields while it
    holds the lock makes every other thread of its process wait.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.end)

    def hash(self, password: bytes, salt: bytes) -> bytes:
        line = base64.b64encode(password) + b"," + base64.b64encode(salt) + b"\n"
        with self.lock:
            answer = self._ask(line) or self._ask(line)  # it may have been killed since the last time
        if not answer:
            return bcrypt.hashpw(password, salt)
        if answer == REFUSED:
            raise ValueError("bcrypt refuses this password")
        return base64.b64decode(answer)

    def _ask(self, line: bytes) -> bytes:
        """The answer without its end of line; nothing when there was nobody to answer."""
        if self.process is None:
            self.process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-I", "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError:
            answer = b""
        if not answer:
            self.end()
        return answer.rstrip(b"\n")

    def end(self) -> None:
        """Stop the process; the next question starts another."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None
