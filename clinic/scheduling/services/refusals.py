"""Why a time can not be had: taken, or not offered; and which free times lie nearest to it."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cached_property

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.permissions import Permission
from accounts.users.models import Membership
from clinic.places.models import Resource
from tenancy.rules import RuleBroken

from .. import plans
from ..availability import Slot, nearest, slots
from ..models import Appointment, AppointmentResource, AppointmentType
from ..states import State
from ..wall_time import day_bounds, wall_of

NEAR_DAYS = (1, 14)  # three times are looked for in the days around, and further only where there are none


class TimeTaken(RuleBroken):
    """Somebody or something is taken at that time. `nearest` are up to three free times, the nearest first.

    They are looked for when somebody asks, which is after the refused booking
    was rolled back: nobody waits for its locks meanwhile.
    """

    code = "time_taken"

    def __init__(self, sentence: str, *, who: str, nearest: Iterable[Slot] = ()):
        super().__init__(sentence)
        self.who, self._nearest = who, nearest

    @cached_property
    def nearest(self) -> list[Slot]:
        return list(self._nearest)


class TimeNotOffered(TimeTaken):
    """Nobody has the time, but it is not one that is offered: leave, closed, outside of the hours."""

    code = "time_not_offered"


class MoveRefused(RuleBroken):
    """This may not follow that (states.MOVES)."""

    code = "move_refused"


def others_then(appointment: Appointment) -> QuerySet[Appointment]:
    """Live visits that share time with this one. The bounds of `starts_at` are what the indexes know."""
    return (
        Appointment.objects.live()
        .exclude(pk=appointment.pk)
        .filter(busy_from__lt=appointment.busy_until, busy_until__gt=appointment.busy_from)
        .filter(starts_at__gt=appointment.busy_from - plans.LONGEST_BUSY)
        .filter(starts_at__lt=appointment.busy_until + plans.LONGEST_BUFFERS)
    )


def refuse_clash(
    appointment: Appointment, resources: Iterable[Resource], *, by: Membership | None, lane: int | None = None
) -> None:
    """Raise TimeTaken where practitioner, patient, a room or a device is taken; `lane` looks at that lane only."""
    others = others_then(appointment)
    if lane is not None:
        others = others.filter(lane=lane)
    clash = others.filter(practitioner=appointment.practitioner_id, session=None).order_by("starts_at").first()
    if clash is not None:
        raise TimeTaken(_say_taken(clash, appointment, by=by), who="practitioner", nearest=nearest_to(appointment))
    refuse_busy_patient(appointment, lane=lane)
    refuse_claimed(appointment, resources)


def _say_taken(clash: Appointment, appointment: Appointment, *, by: Membership | None) -> str:
    """Who keeps a time is for those to read who may see the book."""
    may_know = by is not None and by.may(Permission.APPOINTMENT_VIEW)
    if may_know and clash.state == State.HELD and (kept := plans.say_holds([clash.pk])):
        return _("This time is kept by %(what)s.") % {"what": kept[clash.pk]}
    return _("%(name)s has another visit then.") % {"name": appointment.practitioner.name}


def refuse_busy_patient(appointment: Appointment, *, lane: int | None = None) -> None:
    """Raise TimeTaken where the patient is somewhere else then; buffers do not count."""
    if appointment.patient_id is None:
        return
    others = others_then(appointment).filter(
        patient=appointment.patient_id, starts_at__lt=appointment.ends_at, ends_at__gt=appointment.starts_at
    )
    if (others if lane is None else others.filter(lane=lane)).exists():
        raise TimeTaken(_("The patient has another visit then."), who="patient", nearest=nearest_to(appointment))


def refuse_claimed(appointment: Appointment, resources: Iterable[Resource]) -> None:
    """A room or a device is one thing, in whatever lane it is taken."""
    claims = AppointmentResource.objects.filter(
        is_live=True, busy_from__lt=appointment.busy_until, busy_until__gt=appointment.busy_from
    ).exclude(appointment=appointment.pk)
    names = {resource.pk: resource.name for resource in resources}
    taken = claims.filter(resource__in=names).values_list("resource_id", flat=True).first() if names else None
    if taken:
        raise TimeTaken(
            _("%(name)s is taken then.") % {"name": names[taken]}, who="resource", nearest=nearest_to(appointment)
        )


def refuse_not_offered(appointment: Appointment) -> None:
    """Leave and the limit of a day always count; hours where the practitioner has any: who has none is asked."""
    away = appointment.practitioner.leave.filter(
        cancelled_at=None, starts_at__lt=appointment.ends_at, ends_at__gt=appointment.starts_at
    ).first()
    if away:
        raise TimeNotOffered(
            _("%(name)s is away then: %(why)s.")
            % {"name": appointment.practitioner.name, "why": away.note or away.get_kind_display()},
            who="practitioner",
            nearest=nearest_to(appointment),
        )
    _refuse_full_day(appointment)
    # Whether there are hours at all is asked last: where there are, as nearly always, it need not be.
    if (why := _not_offered(appointment)) and appointment.practitioner.working_hours.exists():
        raise TimeNotOffered(
            _("This time is not offered: %(why)s.") % {"why": why}, who="hours", nearest=nearest_to(appointment)
        )


def _refuse_full_day(appointment: Appointment) -> None:
    """As many visits of a type as its limit allows are enough for one practitioner and day."""
    kind = appointment.type
    if kind is None or kind.per_day is None:
        return
    zone = appointment.location.zone
    low, high = day_bounds(wall_of(appointment.starts_at, zone).date(), zone)
    that_day = Appointment.objects.live().filter(
        practitioner=appointment.practitioner_id, type=kind, session=None, starts_at__gte=low, starts_at__lt=high
    )
    if that_day.exclude(pk=appointment.pk).count() >= kind.per_day:
        raise TimeNotOffered(
            _("No more than %(count)s of these visits a day.") % {"count": kind.per_day},
            who="hours",
            nearest=nearest_to(appointment),
        )


def _not_offered(appointment: Appointment) -> str:
    """Why hours, opening hours and holidays do not give a time, in words; "" where they do."""
    day = wall_of(appointment.starts_at, appointment.location.zone).date()
    plan = plans.load_hours([appointment.practitioner], day - timedelta(days=1), day)
    for block in plan.location_blocks.get(appointment.location_id, ()):
        if block.starts < appointment.ends_at and block.ends > appointment.starts_at:
            return block.words
    around = [
        w
        for w in plan.windows
        if w.location_id == appointment.location_id
        and w.starts <= appointment.starts_at
        and appointment.ends_at <= w.ends
    ]
    if any(w.types is None or appointment.type_id in w.types for w in around):
        return ""
    return _("kept for another kind of visit") if around else _("outside of the working hours")


def nearest_to(appointment: Appointment) -> Iterator[Slot]:
    """Up to three free times of the same practitioner, the nearest first."""
    type = appointment.type
    zone = appointment.location.zone
    day = wall_of(appointment.starts_at, zone).date()
    # From yesterday on: a night's hours reach into today.
    earliest = wall_of(timezone.now(), zone).date() - timedelta(days=1)
    ignore = None if appointment._state.adding else appointment.pk
    demand = plans.demand_of(type or AppointmentType(minutes=appointment.minutes), minutes=appointment.minutes)
    for days in NEAR_DAYS:
        span = max(day - timedelta(days=days), earliest), day + timedelta(days=days)
        plan = plans.load_plan([appointment.practitioner], *span, type=type, ignore=ignore, needs=demand.needs)
        found = nearest(slots(plan, demand), appointment.starts_at)
        # Outside of these days nothing is nearer than so many hours, however the clocks are changed.
        if len(found) == 3 and abs(found[-1].starts - appointment.starts_at) < timedelta(hours=24 * days - 2):
            break
    yield from found
