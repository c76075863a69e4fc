"""Clocks that were changed by law: which visits to come are now at another time than was meant, and what to do.

A visit keeps its moment and what the clock on the wall was meant to show. When
a government moves its clocks, or a location gets another time zone, the two
part: what was booked for 09:00 would take place at 10:00. The clinic chooses
whether the clock counts or the moment (clinic.md section 5, point 5).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from tenancy.rules import RuleBroken

from . import services
from .models import Appointment
from .states import UPCOMING
from .wall_time import nearest_moment, wall_of


@dataclass(frozen=True)
class Parted:
    """A visit whose clock does not show any more what was meant, both as naive wall times."""

    appointment: Appointment
    meant: datetime
    shows: datetime

    @property
    def shift(self) -> timedelta:
        """How far the moment has to go for the clock to be right again."""
        return nearest_moment(self.meant, self.appointment.location.zone) - self.appointment.starts_at


@dataclass
class Outcome:
    """What became of them: how many were changed, and why others were not, by number of the visit."""

    changed: int = 0
    refused: dict[int, str] = field(default_factory=dict)


def find_parted() -> list[Parted]:
    """The visits to come of this clinic that moved by themselves, in order of time. Places go with their session."""
    visits = Appointment.objects.filter(state__in=UPCOMING, starts_at__gt=timezone.now(), session=None)
    visits = visits.select_related("location", "practitioner").order_by("starts_at", "id")
    found = []
    for visit in visits.iterator(chunk_size=2000):
        meant, shows = datetime.fromisoformat(visit.wall_start), wall_of(visit.starts_at, visit.location.zone)
        # A clock that shows what was meant is right, also where it shows it twice that day.
        if meant != shows and nearest_moment(meant, visit.location.zone) != visit.starts_at:
            found.append(Parted(visit, meant, shows))
    return found


def keep_clock(parted: Iterable[Parted]) -> Outcome:
    """Move these visits to the moments their clocks were meant to show; for people nothing changes.

    Whoever goes later goes last first, so that neighbours make room for each other.
    """
    ordered = sorted(parted, key=lambda one: one.appointment.starts_at)
    later = [one for one in reversed(ordered) if one.shift > timedelta()]
    earlier = [one for one in ordered if one.shift <= timedelta()]
    outcome = Outcome()
    for one in [*later, *earlier]:
        reason = _("The clocks of %(zone)s were changed.") % {"zone": one.appointment.location.time_zone}
        try:
            with transaction.atomic():
                services.shift(one.appointment, one.appointment.starts_at + one.shift, reason=reason)
        except RuleBroken as broken:
            outcome.refused[one.appointment.number] = str(broken.sentence)
        else:
            outcome.changed += 1
    return outcome


def keep_moment(parted: Iterable[Parted]) -> Outcome:
    """Leave these visits where they are; the clock they show now is the one that is meant. Patients are told of it."""
    outcome = Outcome()
    for one in parted:
        reason = _("The clocks of %(zone)s were changed.") % {"zone": one.appointment.location.time_zone}
        try:
            with transaction.atomic():
                services.shift(one.appointment, one.appointment.starts_at, reason=reason)
        except RuleBroken as broken:
            outcome.refused[one.appointment.number] = str(broken.sentence)
        else:
            outcome.changed += 1
    return outcome
