"""Between the clock on the wall of a location and the one moment it means.

Hours are written in wall time ("Mondays 9 to 12"), the book holds moments. On
two days a year a wall time does not exist, or comes twice; what then happens
is decided here and nowhere else (wishes 7 and 8).
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext


class NoSuchTime(ValueError):
    """A wall time that the clock jumps over. The message is a sentence for the reader."""


class TwiceThatDay(ValueError):
    """A wall time that comes twice because the clock goes back. The message is a sentence for the reader."""


def moment_of(wall: datetime, zone: ZoneInfo, *, fold: int | None = None) -> datetime:
    """The moment (UTC) a naive wall time means at a place.

    `fold` says which of two (0 the first, 1 the second) where it comes twice.
    Raises NoSuchTime, and TwiceThatDay where `fold` is None.
    """
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first == second:
        return first
    if first > second:  # the gap: neither reads back as what was asked for
        raise NoSuchTime(
            _("%(time)s does not exist on %(day)s: the clocks go forward.")
            % {"time": f"{wall:%H:%M}", "day": _day(wall)}
        )
    if fold is None:
        raise TwiceThatDay(
            _("%(time)s comes twice on %(day)s: the clocks go back. Say which, with an offset such as -05:00.")
            % {"time": f"{wall:%H:%M}", "day": _day(wall)}
        )
    return second if fold else first


def _day(wall: datetime) -> str:
    return date_format(wall.date(), pgettext("a day in a sentence", "j F Y"))


def nearest_moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """As `moment_of`, for hours: a time in the gap means its end, one that comes twice the first."""
    try:
        return moment_of(wall, zone, fold=0)
    except NoSuchTime:
        # Read with the offset from before the gap, the time falls behind it by as much as it went into it.
        ahead = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
        behind = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        return _end_of_gap(ahead, behind, zone)


def _end_of_gap(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The moment between two moments at which the zone's offset changes, to the second."""
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high.replace(microsecond=0)


def window(day: date, starts: time, ends: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The two moments between which hours of a day lie; `ends` at or before `starts` means the next day."""
    last = day if ends > starts else day + timedelta(days=1)
    return nearest_moment(datetime.combine(day, starts), zone), nearest_moment(datetime.combine(last, ends), zone)


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The moments at which a day begins and ends at a place: 23, 24 or 25 hours apart."""
    midnight = time()
    return (
        nearest_moment(datetime.combine(day, midnight), zone),
        nearest_moment(datetime.combine(day + timedelta(days=1), midnight), zone),
    )


def wall_of(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock at a place shows at a moment, as a naive datetime."""
    return moment.astimezone(zone).replace(tzinfo=None)
