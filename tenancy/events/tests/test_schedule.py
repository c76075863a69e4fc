"""Ten tries over about three days, to the second but for the scatter (WH-12)."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from tenancy.events import schedule
from tenancy.events.schedule import next_try, read_retry_after, rest_after

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STANDARD = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600]


@pytest.fixture
def no_scatter(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: 1.0)


def test_wh12_the_ten_tries_are_those_of_standard_webhooks(no_scatter):
    at, pauses = NOW, []
    for tries in range(1, 10):
        following = next_try(tries, since=NOW, now=at)
        pauses.append((following - at).total_seconds())
        at = following

    assert pauses == STANDARD
    assert at - NOW == timedelta(hours=75, minutes=35, seconds=5)
    assert next_try(10, since=NOW, now=at) is None


def test_wh12_tries_are_scattered_by_a_tenth():
    spread = {(next_try(4, since=NOW, now=NOW) - NOW).total_seconds() for _ in range(200)}

    assert len(spread) > 100
    assert 0.9 * 7200 <= min(spread) < max(spread) <= 1.1 * 7200


def test_wh12_retry_after_is_honoured_and_capped(no_scatter):
    def wait(tries, asked):
        return next_try(tries, since=NOW, now=NOW, asked=asked) - NOW

    assert wait(1, timedelta(seconds=120)) == timedelta(seconds=120)
    assert wait(1, timedelta(seconds=1)) == timedelta(seconds=5), "never sooner than planned"
    assert wait(3, timedelta(minutes=5)) == timedelta(minutes=30)
    assert wait(1, timedelta(days=300)) == timedelta(hours=24)


def test_a_delivery_that_waited_too_long_is_given_up():
    assert next_try(2, since=NOW - timedelta(days=4, seconds=1), now=NOW) is None
    assert next_try(2, since=NOW - timedelta(days=3, hours=23), now=NOW) is not None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120), (" 7 ", 7), ("0", 0), ("Sun, 01 Mar 2026 12:05:00 GMT", 300),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60), ("999999999999999999999", 10**8),
        (None, None), ("", None), ("soon", None), ("-5", None), ("1.5", None), ("٣", None), ("12 monkeys", None),
        ("Sun, 99 Mar 2026 12:05:00 GMT", None), ("\x00", None),
    ],
)  # fmt: skip
def test_wh12_retry_after_is_read_as_seconds_or_a_date(text, seconds):
    found = read_retry_after(text, now=NOW)

    assert found == (None if seconds is None else timedelta(seconds=seconds))


def test_wh15_five_failures_open_the_breaker(no_scatter):
    rests = [rest_after(failures) for failures in (1, 4, 5, 6, 7, 20, 10_000)]

    seconds = [rest and rest.total_seconds() for rest in rests]
    assert seconds == [None, None, 10, 20, 40, 300, 300]


def test_an_endpoint_that_asks_is_left_alone_for_an_hour_at_most():
    assert rest_after(1, asked=timedelta(seconds=30)) == timedelta(seconds=30)
    assert rest_after(1, asked=timedelta(days=2)) == schedule.LONGEST_REST
