"""What decides about free times, read from the book in a handful of queries and handed to `availability`."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import FloatField, Func
from django.utils import timezone
from django.utils.translation import gettext as _

from clinic.places.models import Holiday, Location, OpeningHours, Resource
from clinic.practitioners.models import Practitioner

from .availability import Block, Busy, Demand, Group, Need, Plan, Window
from .models import (
    Appointment,
    AppointmentResource,
    AppointmentType,
    ExtraHours,
    Leave,
    TypeNeed,
    TypePerformer,
    WorkingHours,
)
from .states import State
from .wall_time import day_bounds, wall_of, window

TRIED_FIRST = 8  # rooms and devices whose claims are read at once
LONGEST_SPAN_DAYS = 366
LONGEST_BUFFERS = timedelta(hours=8)
LONGEST_BUSY = timedelta(hours=16)


def load_plan(
    practitioners: Iterable[Practitioner],
    first: date,
    last: date,
    *,
    type: AppointmentType | None = None,
    ignore: UUID | None = None,
    needs: Iterable[Need] | None = None,
) -> Plan:
    """Everything that decides about these practitioners from `first` to `last`, both days included.

    A time belongs to the day on which it begins by the clock of its location;
    that the hours began the evening before does not matter.

    `ignore` is an appointment that is being moved: its own time is free to it.
    `needs` are those of the type, where they are known already. Ten queries
    however many practitioners and days.
    """
    people = {p.pk: p for p in practitioners}
    locations = {location.pk: location for location in Location.objects.filter(is_active=True)}
    plan = Plan(day_of={pk: location.zone for pk, location in locations.items()})
    allowed = _performers(type)
    able = [pk for pk, one in people.items() if one.is_active and (allowed is None or pk in allowed)]
    if type is not None and not type.is_active:
        able = []
    plan.spans = {pk: _span(location.zone, first, last) for pk, location in locations.items()}
    eve = first - timedelta(days=1)  # its night reaches into the first day
    windows = [*_weekly(able, locations, eve, last), *_extra(able, locations, eve, last)]
    plan.windows = [window for window in windows if window.ends.timestamp() > plan.spans[window.location_id][0]]
    if not plan.windows:
        return plan
    # Only a limit per day asks for whole days; buffers never reach further than a few hours.
    margin = timedelta(days=1) if type is not None and type.per_day else LONGEST_BUFFERS
    low, high = min(w.starts for w in plan.windows) - margin, max(w.ends for w in plan.windows) + margin
    blocks: dict[UUID, list[Block]] = defaultdict(list)
    _leave(blocks, able, low, high)
    _bookings(plan, blocks, able, low, high, ignore)
    if type is not None and type.per_day is not None:
        plan.booked_per_day = _count_days(type, able, locations, low, high, ignore)
    if type is not None and type.capacity > 1:
        plan.groups = _groups(type, able, low, high, ignore)
    plan.practitioner_blocks = dict(blocks)
    plan.location_blocks = _closed(locations, first, last + timedelta(days=1))
    if needs is None:
        needs = needs_of(type) if type is not None else ()
    needed = dict.fromkeys(pk for need in needs for pk in need.resources)
    plan.resource_busy = Claims(needed, partial(_claims, low=low, high=high, ignore=ignore))
    return plan


def _span(zone: ZoneInfo, first: date, last: date) -> tuple[float, float]:
    return day_bounds(first, zone)[0].timestamp(), day_bounds(last, zone)[1].timestamp()


def load_hours(practitioners: Iterable[Practitioner], first: date, last: date) -> Plan:
    """Hours, holidays and closing times, of all houses; neither leave nor bookings. Five queries."""
    people = [practitioner.pk for practitioner in practitioners]
    locations = {location.pk: location for location in Location.objects.filter(is_active=True)}
    plan = Plan(day_of={pk: location.zone for pk, location in locations.items()})
    plan.windows = [*_weekly(people, locations, first, last), *_extra(people, locations, first, last)]
    plan.location_blocks = _closed(locations, first, last + timedelta(days=1))
    return plan


def load_frame(practitioners: Sequence[Practitioner], first: date, last: date) -> Plan:
    """`load_hours` and leave, without any booking: what the agenda shades. Six queries."""
    plan = load_hours(practitioners, first, last)
    bounds = [day_bounds(day, zone) for zone in plan.day_of.values() for day in (first, last)]
    blocks: dict[UUID, list[Block]] = defaultdict(list)
    if bounds:
        people = [practitioner.pk for practitioner in practitioners]
        _leave(blocks, people, min(bounds)[0], max(bounds)[1] + timedelta(days=1))
    plan.practitioner_blocks = dict(blocks)
    return plan


def demand_of(type: AppointmentType, *, minutes: int | None = None, self_service: bool = False) -> Demand:
    """What a visit of this type asks for. Lead time and horizon bind patients, not the desk."""
    now = timezone.now()
    return Demand(
        type_id=type.pk,
        minutes=minutes or type.minutes,
        buffer_before=type.buffer_before,
        buffer_after=type.buffer_after,
        needs=tuple(needs_of(type)),
        not_before=now + timedelta(hours=type.lead_hours) if self_service else now,
        not_after=now + timedelta(days=type.horizon_days) if self_service else None,
        per_day=type.per_day,
        capacity=type.capacity,
    )


def needs_of(type: AppointmentType) -> list[Need]:
    """The rooms and devices of all houses each need of a type can be met by, in a fixed order."""
    needs = list(TypeNeed.objects.filter(type=type).order_by("kind", "category"))
    if not needs:
        return []
    resources = list(Resource.objects.filter(is_active=True).order_by("name", "id"))
    places = {resource.pk: resource.location_id for resource in resources}
    return [
        Need(
            category=need.category or str(Resource.Kind(need.kind).label),
            resources=tuple(
                r.pk for r in resources if r.kind == need.kind and (not need.category or r.category == need.category)
            ),
            places=places,
        )
        for need in needs
    ]


def _performers(type: AppointmentType | None) -> set[UUID] | None:
    """Who may do this type; None is everybody."""
    named = set(TypePerformer.objects.filter(type=type).values_list("practitioner_id", flat=True)) if type else set()
    return named or None


def _weekly(people: list[UUID], locations: dict[UUID, Location], first: date, last: date) -> Iterable[Window]:
    rules = WorkingHours.objects.filter(practitioner__in=people, valid_from__lte=last, location__in=locations)
    by_weekday: dict[int, list[WorkingHours]] = defaultdict(list)
    for rule in rules.exclude(valid_until__lt=first):
        by_weekday[rule.weekday].append(rule)
    names = {weekday: str(dict(WorkingHours._meta.get_field("weekday").flatchoices)[weekday]) for weekday in by_weekday}
    for day in _days(first, last):
        for rule in by_weekday.get(day.weekday(), ()):
            if rule.valid_from <= day and (rule.valid_until is None or day <= rule.valid_until):
                words = f"{names[rule.weekday]} {rule.starts:%H:%M}–{rule.ends:%H:%M}"
                types = frozenset([rule.only_type_id]) if rule.only_type_id else None
                yield _window(rule, day, locations, words, types)


def _extra(people: list[UUID], locations: dict[UUID, Location], first: date, last: date) -> Iterable[Window]:
    for row in ExtraHours.objects.filter(practitioner__in=people, day__range=(first, last), location__in=locations):
        words = row.note or _("Extra hours %(from)s–%(until)s") % {
            "from": f"{row.starts:%H:%M}",
            "until": f"{row.ends:%H:%M}",
        }
        yield _window(row, row.day, locations, words, None)


def _window(row, day: date, locations: dict[UUID, Location], words: str, types: frozenset[UUID] | None) -> Window:
    starts, ends = window(day, row.starts, row.ends, locations[row.location_id].zone)
    return Window(starts, ends, row.practitioner_id, row.location_id, row.step, words, types)


def _leave(blocks: dict[UUID, list[Block]], people: list[UUID], low: datetime, high: datetime) -> None:
    away = Leave.objects.filter(practitioner__in=people, cancelled_at=None, starts_at__lt=high, ends_at__gt=low)
    for leave in away:
        words = leave.note or str(leave.get_kind_display())
        blocks[leave.practitioner_id].append(Block(leave.starts_at, leave.ends_at, "leave", words))


def _bookings(
    plan: Plan, blocks: dict[UUID, list[Block]], people: list[UUID], low: datetime, high: datetime, ignore: UUID | None
) -> None:
    rows = Appointment.objects.live().filter(
        practitioner__in=people, session=None, starts_at__gte=low - LONGEST_BUSY, starts_at__lt=high, busy_until__gt=low
    )
    # A hold that is over stands in nobody's way, whether or not the sweeper has come by.
    rows = rows.exclude(state=State.HELD, hold_expires_at__lte=timezone.now())
    called = _("appointment %(number)s")
    held: list[tuple[UUID, UUID, datetime, datetime]] = []
    wanted = ("pk", "practitioner_id", "busy_from", "busy_until", "state", "number")
    for pk, who, busy_from, busy_until, state, number in rows.values_list(*wanted):
        if pk == ignore:
            continue
        if state == State.HELD:
            held.append((pk, who, busy_from, busy_until))
        else:
            blocks[who].append(Block(busy_from, busy_until, "booked", called % {"number": number}))
    if held:
        words = say_holds([pk for pk, *_rest in held])
        for pk, who, busy_from, busy_until in held:
            blocks[who].append(Block(busy_from, busy_until, "held", words.get(pk, "")))


def _count_days(
    type: AppointmentType,
    people: list[UUID],
    locations: dict[UUID, Location],
    low: datetime,
    high: datetime,
    ignore: UUID | None,
) -> dict[tuple[UUID, date], int]:
    """How many visits of a type each practitioner has on each day, by the clock of the place; a group counts once."""
    rows = Appointment.objects.live().filter(
        practitioner__in=people, type=type, session=None, location__in=locations, starts_at__gte=low, starts_at__lt=high
    )
    found = rows.exclude(pk=ignore).values_list("practitioner_id", "location_id", "starts_at")
    return Counter((who, wall_of(starts_at, locations[where].zone).date()) for who, where, starts_at in found)


def say_holds(holds: Iterable[UUID]) -> dict[UUID, str]:
    """Who keeps each of these times, and until when by the clock of its place: "Nora Nurse until 09:50"."""
    rows = Appointment.objects.filter(pk__in=list(holds), hold_expires_at__isnull=False)
    said = {}
    for hold in rows.select_related("location", "created_by__user"):
        until = f"{wall_of(hold.hold_expires_at, hold.location.zone):%H:%M}"
        who = hold.created_by.display_name if hold.created_by else _("somebody on the waiting list")
        said[hold.pk] = _("%(name)s until %(time)s") % {"name": who, "time": until}
    return said


def _groups(
    type: AppointmentType, people: list[UUID], low: datetime, high: datetime, ignore: UUID | None
) -> dict[tuple[UUID, UUID, float], Group]:
    """The sessions of a kind of visit that stand already: whoever books it at their time joins them."""
    found = Appointment.objects.live().filter(
        practitioner__in=people, type=type, patient=None, starts_at__gte=low, starts_at__lt=high
    )
    wanted = ("pk", "practitioner_id", "location_id", "starts_at", "capacity")
    sessions = [row for row in found.values_list(*wanted) if row[0] != ignore]
    places = Appointment.objects.live().filter(session__in=[row[0] for row in sessions]).exclude(pk=ignore)
    taken = Counter(places.values_list("session_id", flat=True)) if sessions else Counter()
    return {
        (who, where, starts_at.timestamp()): Group(pk, max(0, capacity - taken[pk]), capacity)
        for pk, who, where, starts_at, capacity in sessions
    }


class Claims(Mapping[UUID, Busy | None]):
    """When rooms and devices are taken, read a few at a time in the order in which they are tried.

    A visit takes the first free one: of forty rooms mostly eight are looked at, and their claims of a month are
    thousands. The first few are read at once, so that one statement more is needed only where they were all taken.
    """

    def __init__(self, needed: Iterable[UUID], read: Callable[[list[UUID]], dict[UUID, Busy]]):
        self.unread, self.read, self.known = list(needed), read, dict[UUID, Busy | None]()
        self._read(self.unread[:TRIED_FIRST])

    def __getitem__(self, resource: UUID) -> Busy | None:
        if resource in self.unread:
            place = self.unread.index(resource)
            self._read(self.unread[place : place + TRIED_FIRST])
        return self.known.get(resource)

    def __iter__(self) -> Iterator[UUID]:
        return iter([*self.known, *self.unread])

    def __len__(self) -> int:
        return len(self.known) + len(self.unread)

    def _read(self, some: list[UUID]) -> None:
        if some:
            self.known |= dict.fromkeys(some) | self.read(some)
            self.unread = [resource for resource in self.unread if resource not in self.known]


def _claims(needed: list[UUID], *, low: datetime, high: datetime, ignore: UUID | None) -> dict[UUID, Busy]:
    """When those are taken. A month of some rooms is thousands of claims, so they come as two lists a room."""
    claims = AppointmentResource.objects.filter(
        is_live=True, resource__in=needed, busy_from__lt=high, busy_until__gt=low
    )
    taken = (
        claims.exclude(appointment=ignore)
        .order_by()
        .values_list("resource_id")
        .annotate(
            starts=ArrayAgg(_Seconds("busy_from"), order_by="busy_from"),
            ends=ArrayAgg(_Seconds("busy_until"), order_by="busy_from"),
        )
    )
    return {resource: Busy(starts, ends) for resource, starts, ends in taken}


class _Seconds(Func):
    """A moment as whole seconds since 1970."""

    template = "DATE_PART('epoch', %(expressions)s)"  # EXTRACT works out a numeric, which takes twice as long
    output_field = FloatField()


def _closed(locations: dict[UUID, Location], first: date, last: date) -> dict[UUID, list[Block]]:
    """Public holidays, and the hours outside of opening hours, by location."""
    hours: dict[UUID, list[OpeningHours]] = defaultdict(list)
    for row in OpeningHours.objects.filter(location__in=locations):
        hours[row.location_id].append(row)
    closed: dict[UUID, list[Block]] = defaultdict(list)
    for holiday in Holiday.objects.filter(day__range=(first, last)):
        for pk, location in locations.items():
            if holiday.location_id in (None, pk):
                closed[pk].append(Block(*day_bounds(holiday.day, location.zone), "holiday", holiday.name))
    for pk, rows in hours.items():
        closed[pk].extend(_outside(rows, locations[pk].zone, first, last))
    return dict(closed)


def _outside(rows: list[OpeningHours], zone: ZoneInfo, first: date, last: date) -> Iterable[Block]:
    """The gaps between opening hours."""
    opened = sorted(
        window(day, row.opens, row.closes, zone)
        for day in _days(first - timedelta(days=1), last)
        for row in rows
        if row.weekday == day.weekday()
    )
    at, until = day_bounds(first - timedelta(days=1), zone)[0], day_bounds(last, zone)[1]
    for opens, closes in opened:
        if opens > at:
            yield Block(at, opens, "closed", _("closed"))
        at = max(at, closes)
    if at < until:
        yield Block(at, until, "closed", _("closed"))


def _days(first: date, last: date) -> Iterable[date]:
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)
