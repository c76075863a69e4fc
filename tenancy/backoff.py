"""Trying again: how long to wait, how often at most, and when to stop asking somebody who does not answer (S26).

Three parts, each usable alone. `pause_after` grows and scatters. A `Breaker`
opens after failures in a row, so that nobody waits for a system that is away;
after its rest one call may find out. A `Budget` keeps tries again below a share
of all calls: where everything fails, retries would double the load of what is
already too slow. `call` puts them together for systems outside of the house:

    EHR = Breaker(failures=5, rest=timedelta(seconds=30))
    chart = backoff.call(lambda: ask(url), retry_on=(OSError,), breaker=EHR, budget=Budget(share=0.1))

What must not be lost does not belong here but into a table that a poller looks
at: mail (`accounts.notifications`) and events (`tenancy.events`).
"""

import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

Answer = TypeVar("Answer")

__all__ = ["Breaker", "Budget", "CircuitOpen", "call", "pause_after", "scattered"]


class CircuitOpen(Exception):
    """The system failed often enough; it is not asked before its rest is over."""


def pause_after(tries: int, *, first: timedelta, longest: timedelta, scatter: float = 0.2) -> timedelta:
    """How long to wait after so many tries (1 or more): twice as long each time, up to `longest`, give or take."""
    return scattered(min(first * 2 ** min(max(tries, 1) - 1, 20), longest), scatter)


def scattered(pause: timedelta, scatter: float = 0.2) -> timedelta:
    """A pause, give or take a share of it, so that those who failed together do not come back together."""
    return pause * random.uniform(1 - scatter, 1 + scatter)  # noqa: S311  (spreads load; nothing secret)


class Breaker:
    """Failures in a row of one system, as this process saw them. Safe between threads."""

    def __init__(self, *, failures: int = 5, rest: timedelta = timedelta(seconds=30), clock=time.monotonic):
        self._most, self._rest, self._clock = failures, rest.total_seconds(), clock
        self._failures = 0
        self._asks_again_at = 0.0
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether callers are turned away now."""
        return self._failures >= self._most and self._clock() < self._asks_again_at

    def enter(self) -> None:
        """Ask to call. Raises CircuitOpen; after the rest it lets one caller find out and the others wait for that."""
        with self._lock:
            if self._failures < self._most:
                return
            if self._clock() < self._asks_again_at:
                raise CircuitOpen
            self._asks_again_at = self._clock() + self._rest

    def succeeded(self) -> None:
        """It answers again."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """One more failure; the rest begins anew."""
        with self._lock:
            self._failures += 1
            self._asks_again_at = self._clock() + self._rest


class Budget:
    """How many tries again there may be: a share of the calls, and `at_least` so many whatever their number."""

    def __init__(self, *, share: float = 0.1, at_least: int = 10):
        self._share, self._most = share, float(at_least)
        self._left = float(at_least)
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A first call: it pays for a part of a try again."""
        with self._lock:
            self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """Whether there may be one more try again."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True


def call(
    function: Callable[[], Answer],
    *,
    retry_on: tuple[type[Exception], ...],
    tries: int = 4,
    first: timedelta = timedelta(milliseconds=200),
    longest: timedelta = timedelta(seconds=10),
    breaker: Breaker | None = None,
    budget: Budget | None = None,
    wait_for: Callable[[Exception], timedelta | None] = lambda error: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Call a system outside of the house, again after failures named in `retry_on`; only where a repeat does no harm.

    `wait_for(error)` is how long the system asked to be left alone (Retry-After),
    or None. Raises CircuitOpen without calling, or the last error: when the tries
    or the budget are used up, or for an error that is not in `retry_on`.
    """
    if budget:
        budget.earn()
    number = 0
    while True:
        number += 1
        if breaker:
            breaker.enter()
        try:
            answer = function()
        except retry_on as error:
            if breaker:
                breaker.failed()
            if number >= tries or (breaker and breaker.is_open) or (budget and not budget.spend()):
                raise
            pause = max(pause_after(number, first=first, longest=longest), wait_for(error) or timedelta())
            sleep(pause.total_seconds())
        else:
            if breaker:
                breaker.succeeded()
            return answer
