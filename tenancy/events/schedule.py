"""When a delivery is tried again, and when nobody tries any more. Times only, so a test can hold them to the second.

Ten tries over about three days: the example of Standard Webhooks 1.0, 75 hours
and 35 minutes, give or take a tenth. A receiver that says when (Retry-After)
is asked no sooner; one that says "gone" (410) is never asked again.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from tenancy import backoff

PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""What is waited after the first try, the second, and so on."""

MOST_TRIES = len(PAUSES) + 1
SCATTER = 0.1
GIVE_UP_AFTER = timedelta(days=4)
"""A receiver that rests between failures is not asked for each delivery as often as it might be; this ends it."""

LONGEST_ASKED = timedelta(hours=24)
LONGEST_REST = timedelta(hours=1)
FAILURES_BEFORE_REST = 5
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=5)


def next_try(tries: int, *, since: datetime, now: datetime, asked: timedelta | None = None) -> datetime | None:
    """When to try again after so many tries (1 or more); None when that was the last.

    `asked` is what the receiver asked for, honoured up to a day.
    """
    if tries >= MOST_TRIES or now - since > GIVE_UP_AFTER:
        return None
    return now + max(backoff.scattered(PAUSES[tries - 1], SCATTER), min(asked or timedelta(), LONGEST_ASKED))


def rest_after(failures: int, *, asked: timedelta | None = None) -> timedelta | None:
    """How long to leave an endpoint alone after so many failures in a row, whatever waits for it; None: not at all.

    This is the circuit breaker: five failures open it, for ten seconds at first
    and five minutes at most, and then one delivery finds out.
    """
    rest = min(asked or timedelta(), LONGEST_REST)
    if failures >= FAILURES_BEFORE_REST:
        tries = failures - FAILURES_BEFORE_REST + 1
        rest = max(rest, backoff.pause_after(tries, first=FIRST_PAUSE, longest=LONGEST_PAUSE))
    return rest or None


def read_retry_after(text: str | None, *, now: datetime) -> timedelta | None:
    """A Retry-After header as a time to wait: whole seconds or a date (RFC 9110, 10.2.3). None for anything else."""
    text = (text or "").strip()
    if text.isascii() and text.isdecimal():
        return timedelta(seconds=min(int(text[:9]), 10**8))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(at - now, timedelta())
