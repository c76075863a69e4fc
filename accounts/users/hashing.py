"""Hashing passwords without making everybody else wait.

One hash takes a third of a second of a processor. Each web process has two
threads, so a flood of sign-ins would hold them all; therefore one hash at a
time in a process, in a thread that yields to all others (nice), and whoever
comes while it is taken is asked to come again (security.md F13, LO-07).
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TypeVar

Answer = TypeVar("Answer")
NICENESS = 10
# So many in so many seconds are people; more are a flood, and nobody waits in line behind one.
CALM_TRIES, CALM_SECONDS = 8, 10.0
PATIENCE_SECONDS = 0.7
COME_AGAIN_SECONDS = 2

_turn = threading.Lock()
_tries: deque[float] = deque(maxlen=CALM_TRIES)


class Busy(Exception):
    """Another password is being hashed, and too many others want to be next."""


@contextmanager
def take_turn() -> Iterator[None]:
    """Be the one in this process whose password is checked. Raises Busy, at once during a flood."""
    if not _turn.acquire(timeout=PATIENCE_SECONDS if _is_calm() else 0):
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


def _is_calm() -> bool:
    return len(_tries) < CALM_TRIES or time.monotonic() - _tries[0] > CALM_SECONDS


def forget() -> None:
    """As after a start; for tests."""
    _tries.clear()


def run_quietly(work: Callable[..., Answer], *arguments: object) -> Answer:
    """Do some hashing in the one thread of this process that yields to all others, and wait for the answer."""
    return _quiet_thread(os.getpid()).submit(work, *arguments).result()


@lru_cache(maxsize=1)
def _quiet_thread(pid: int) -> ThreadPoolExecutor:
    """One for each process: a thread does not live on in a fork."""
    return ThreadPoolExecutor(1, "hashing", _yield_to_others)


def _yield_to_others() -> None:
    # Linux knows the niceness of a single thread; elsewhere the hashing runs like everything else.
    with suppress(OSError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
