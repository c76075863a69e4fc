"""What a practitioner's hours come to in one week, and why one time is not among the free ones (wish 11)."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils.translation import gettext as _

from clinic.places.models import Location
from clinic.practitioners.models import Practitioner

from . import explaining, plans
from .availability import Demand, Plan, Slot, Window, slots
from .explaining import Reader
from .models import AppointmentType
from .wall_time import NoSuchTime, moment_of, wall_of

DEFAULT_MINUTES = 30


@dataclass(frozen=True)
class PreviewTime:
    """One offered time by the clock of its place; `why` holds sentences where it is not free."""

    clock: str
    place: str
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreviewDay:
    """One day of the week: the hours that hold on it, in words, its free times, and those that are not."""

    day: date
    hours: tuple[str, ...]
    free: tuple[PreviewTime, ...]
    taken: tuple[PreviewTime, ...]


def preview_week(practitioner: Practitioner, monday: date, *, type: AppointmentType | None = None) -> list[PreviewDay]:
    """Seven days of times for a kind of visit (half an hour where none is named), free ones and the others."""
    plan, demand = _read(practitioner, monday, monday + timedelta(days=6), type)
    reader, names = Reader(is_staff=True, type=type), _names()
    found = slots(plan, demand, explain=True)
    return [
        _preview_day(day, plan, found, reader, names)
        for day in (monday + timedelta(days=offset) for offset in range(7))
    ]


def why_not(
    practitioner: Practitioner, wall: datetime, *, type: AppointmentType | None = None, location: Location
) -> list[str]:
    """Why a time by the clock of a location is not offered, in sentences; none where it is free."""
    try:
        moment = moment_of(wall, location.zone, fold=0)
    except NoSuchTime as gap:
        return [str(gap)]
    # The night before may reach into this day.
    plan, demand = _read(practitioner, wall.date() - timedelta(days=1), wall.date(), type)
    plan.windows = [window for window in plan.windows if window.location_id == location.pk]
    for slot in slots(plan, demand, explain=True):
        if slot.starts == moment:
            return [entry["text"] for entry in explaining.explain(slot, Reader(is_staff=True, type=type))]
    return _outside(plan, demand, moment, wall, location)


def _outside(plan: Plan, demand: Demand, moment: datetime, wall: datetime, location: Location) -> list[str]:
    """The sentence for a time no rule begins a visit at."""
    place = {"place": location.name, "minutes": demand.minutes}
    around = [window for window in plan.windows if window.starts <= moment < window.ends]
    fitting = [window for window in around if window.types is None or demand.type_id in window.types]
    if around and not fitting:
        return [_("These hours are kept for another kind of visit: %(hours)s.") % {"hours": around[0].rule}]
    for window in fitting:
        if moment + timedelta(minutes=demand.minutes) > window.ends:
            return [
                _("A visit of %(minutes)d minutes would last beyond these hours: %(hours)s.")
                % {**place, "hours": window.rule}
            ]
    for window in fitting:
        begins = wall_of(window.starts, location.zone)
        return [
            _("Times begin every %(step)d minutes from %(begin)s on: %(hours)s.")
            % {"step": window.step, "begin": f"{begins:%H:%M}", "hours": window.rule}
        ]
    day = [window.rule for window in plan.windows if wall_of(window.starts, location.zone).date() == wall.date()]
    if day:
        return [_("Outside of the hours of that day: %(hours)s.") % {"hours": ", ".join(dict.fromkeys(day))}]
    return [_("There are no hours at %(place)s on that day.") % place]


def _read(practitioner: Practitioner, first: date, last: date, type: AppointmentType | None) -> tuple[Plan, Demand]:
    plan = plans.load_plan([practitioner], first, last, type=type)
    return plan, plans.demand_of(type or AppointmentType(minutes=DEFAULT_MINUTES))


def _names() -> dict:
    return {place.pk: place for place in Location.objects.all()}


def _preview_day(day: date, plan: Plan, found: list[Slot], reader: Reader, names: dict) -> PreviewDay:
    def begins(thing: Slot | Window) -> datetime:
        return wall_of(thing.starts, names[thing.location_id].zone)

    times = [
        PreviewTime(
            f"{begins(slot):%H:%M}",
            names[slot.location_id].name,
            tuple(entry["text"] for entry in explaining.explain(slot, reader)),
        )
        for slot in found
        if begins(slot).date() == day
    ]
    rules = [
        f"{window.rule} · {names[window.location_id].name}" for window in plan.windows if begins(window).date() == day
    ]
    return PreviewDay(
        day, tuple(dict.fromkeys(rules)), tuple(t for t in times if not t.why), tuple(t for t in times if t.why)
    )
