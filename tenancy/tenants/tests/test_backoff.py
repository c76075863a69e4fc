"""Trying again: growing pauses, a breaker, a budget (S26)."""

from datetime import timedelta

import pytest

from tenancy import backoff
from tenancy.backoff import Breaker, Budget, CircuitOpen

ONE = timedelta(seconds=1)


class Clock:
    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def failing(times, answer="chart", error=ConnectionError):
    """A system that fails so often, then answers; `asked` counts."""

    def ask():
        ask.asked += 1
        if ask.asked <= times:
            raise error("away")
        return answer

    ask.asked = 0
    return ask


def test_s26_pauses_grow_scatter_and_end():
    pauses = [backoff.pause_after(tries, first=ONE, longest=timedelta(seconds=60)) for tries in (1, 2, 4, 9, 500)]

    for pause, middle in zip(pauses, (1, 2, 8, 60, 60), strict=True):
        assert 0.8 * middle <= pause.total_seconds() <= 1.2 * middle


def test_s26_call_tries_again_what_may_pass_later(clock):
    ask = failing(2)

    assert backoff.call(ask, retry_on=(OSError,), first=ONE, sleep=clock.sleep) == "chart"
    assert ask.asked == 3
    assert 0.8 <= clock.slept[0] <= 1.2
    assert 1.6 <= clock.slept[1] <= 2.4


def test_s26_call_gives_up_with_the_last_error(clock):
    ask = failing(9)

    with pytest.raises(ConnectionError):
        backoff.call(ask, retry_on=(OSError,), tries=3, sleep=clock.sleep)
    assert ask.asked == 3


def test_s26_call_does_not_repeat_what_will_never_pass(clock):
    ask = failing(9, error=ValueError)

    with pytest.raises(ValueError, match="away"):
        backoff.call(ask, retry_on=(OSError,), sleep=clock.sleep)
    assert (ask.asked, clock.slept) == (1, [])


def test_s26_call_waits_as_long_as_it_was_asked_to(clock):
    backoff.call(
        failing(1), retry_on=(OSError,), first=ONE, sleep=clock.sleep, wait_for=lambda error: timedelta(seconds=30)
    )

    assert clock.slept == [30]


def test_s26_a_breaker_opens_and_lets_one_find_out(clock):
    breaker = Breaker(failures=2, rest=timedelta(seconds=30), clock=clock)
    ask = failing(4)

    def call():
        return backoff.call(ask, retry_on=(OSError,), tries=1, breaker=breaker, sleep=clock.sleep)

    for _ in range(2):
        with pytest.raises(ConnectionError):
            call()
    with pytest.raises(CircuitOpen):
        call()
    assert (ask.asked, breaker.is_open) == (2, True)

    clock.now += 31
    with pytest.raises(ConnectionError):
        call()
    with pytest.raises(CircuitOpen):
        call()
    clock.now += 31
    breaker.enter()
    with pytest.raises(CircuitOpen):
        breaker.enter()  # one finds out, the others wait for that
    clock.now += 31
    ask.asked = 4

    assert call() == "chart"
    assert call() == "chart"
    assert not breaker.is_open


def test_s26_a_breaker_that_opens_ends_the_tries(clock):
    ask, breaker = failing(9), Breaker(failures=2, clock=clock)

    with pytest.raises(ConnectionError):
        backoff.call(ask, retry_on=(OSError,), tries=9, breaker=breaker, sleep=clock.sleep)
    assert ask.asked == 2


def test_s26_a_budget_keeps_retries_to_a_share_of_the_calls(clock):
    budget, asked = Budget(share=0.1, at_least=5), 0
    for _ in range(200):
        ask = failing(9)
        with pytest.raises(ConnectionError):
            backoff.call(ask, retry_on=(OSError,), budget=budget, sleep=clock.sleep)
        asked += ask.asked

    assert 200 + 20 <= asked <= 200 + 20 + 5
