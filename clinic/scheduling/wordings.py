"""Times of the book in words, by the clock of the place they are meant in."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from accounts.qualifications.selectors import Gap

from .wall_time import wall_of


def say_day(wall: datetime) -> str:
    """ "Mon 23 Nov"."""
    return date_format(wall.date(), pgettext("how a day of the book is written", "D j M Y"))


def say_when(moment: datetime, zone: ZoneInfo) -> str:
    """ "Mon 23 Nov 2026 09:30"."""
    wall = wall_of(moment, zone)
    return f"{say_day(wall)} {wall:%H:%M}"


def say_span(starts: datetime, ends: datetime, zone: ZoneInfo) -> str:
    """From when until when; whole days without clocks."""
    first, last = wall_of(starts, zone), wall_of(ends, zone)
    if first.time() == time() and last.time() == time():
        last -= timedelta(days=1)
        if first.date() == last.date():
            return say_day(first)
        return _("%(first)s to %(last)s") % {"first": say_day(first), "last": say_day(last)}
    if first.date() == last.date():
        return f"{say_day(first)} {first:%H:%M}–{last:%H:%M}"
    return _("%(first)s to %(last)s") % {"first": say_when(starts, zone), "last": say_when(ends, zone)}


def say_gap(name: str, gap: Gap) -> str:
    """What somebody lacks, as a sentence: the item, and the day it lapsed."""
    if gap.lapsed_on is None:
        return _("%(name)s does not hold “%(kind)s”.") % {"name": name, "kind": gap.kind.name}
    return _("“%(kind)s” of %(name)s lapsed on %(day)s.") % {
        "name": name,
        "kind": gap.kind.name,
        "day": date_format(gap.lapsed_on, pgettext("a day in a sentence", "j F Y")),
    }
