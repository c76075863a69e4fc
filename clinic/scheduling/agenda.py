"""The book as people look at it: a day in columns, a week of one clinician, and who is here today.

Every view takes the same number of queries for five visits and for five hundred.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Min, Model, Prefetch, Q, QuerySet
from django.db.models.functions import Greatest, Substr
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.permissions import Permission
from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.places.models import Location, Resource
from clinic.places.selectors import list_locations
from clinic.practitioners.models import Practitioner

from . import plans, selectors
from .availability import Block, Plan, Window
from .models import (
    LONGEST_VISIT_MINUTES,
    Appointment,
    AppointmentChange,
    AppointmentResource,
    AppointmentType,
    WorkingHours,
)
from .states import State
from .stretches import Stretch, begin, take
from .wall_time import day_bounds, wall_of

MOST_WAITING, MOST_IN_ROOM, MOST_EXPECTED, MOST_FINISHED = 15, 10, 20, 10
LATE_SHOWN = 6  # of those who should be here by now, so many stand above those who come next
MOST_LISTED = 60
NAMED = ("id", "tenant", "title", "first_name", "second_name", "first_last_name", "second_last_name", "restricted_at")
SHOWN = (
    *("id", "tenant", "version", "patient", "practitioner", "location", "type", "capacity", "starts_at", "ends_at"),
    *("busy_from", "busy_until", "time_zone", "state", "is_live", "lane", "overbook_reason", "override_reason"),
    *("arrived_at", "updated_at"),
)
"""What a row or a card is made of."""
NAMES = {
    "practitioner": (Practitioner, (*NAMED[:-1], "colour")),
    "location": (Location, ("id", "tenant", "name", "time_zone")),
    "type": (AppointmentType, ("id", "tenant", "name", "colour")),
}
HERE = (State.ARRIVED, State.IN_ROOM)
EXPECTED = (State.REQUESTED, State.BOOKED, State.CONFIRMED)
FINISHED = (State.COMPLETED, State.NO_SHOW, State.CANCELLED)


@dataclass
class Column:
    """One column of the agenda: a clinician, a room (None: visits without one) or a day.

    `windows` None means that nobody has written down any hours: every time may be asked for.
    """

    day: date
    practitioner: Practitioner | None = None
    room: Resource | None = None
    visits: list[Appointment] = field(default_factory=list)
    windows: list[Window] | None = None
    blocks: list[Block] = field(default_factory=list)
    notes: dict[UUID, str] = field(default_factory=dict)  # note_visits


@dataclass
class Board:
    """Who is here and who is expected, today. `counts` says how many there are of each state, shown here or not."""

    waiting: Stretch
    in_room: Stretch
    expected: Stretch
    finished: Stretch
    counts: dict[str, int]
    undoable: set[UUID]

    def count(self, states: Iterable[str]) -> int:
        return sum(self.counts.get(state, 0) for state in states)


@dataclass(frozen=True)
class Part:
    """One list of the board: which states, in which order for PostgreSQL and for Python, how many rows."""

    name: str
    states: tuple[str, ...]
    size: int
    order: tuple[Any, ...]
    key: Callable[[Appointment], Any]


def _by_time(visit: Appointment) -> tuple[datetime, UUID]:
    return visit.starts_at, visit.pk


def _by_wait(visit: Appointment) -> tuple[datetime, UUID]:
    return max(visit.arrived_at or visit.starts_at, visit.starts_at), visit.pk


def _by_change(visit: Appointment) -> tuple[float, UUID]:
    return -visit.updated_at.timestamp(), visit.pk


PARTS = (
    Part("waiting", (State.ARRIVED,), MOST_WAITING, (Greatest("arrived_at", "starts_at"),), _by_wait),
    Part("in_room", (State.IN_ROOM,), MOST_IN_ROOM, ("starts_at",), _by_time),
    Part("expected", EXPECTED, MOST_EXPECTED, ("starts_at",), _by_time),
    Part("finished", FINISHED, MOST_FINISHED, ("-updated_at",), _by_change),
)


# --- Who ------------------------------------------------------------------------------------------------------------


def find_own_practitioner(member: Membership) -> Practitioner | None:
    """The column that is this member's own, where they see patients."""
    return Practitioner.objects.filter(member=member, is_active=True).order_by("id").first()


def find_usual_location(*, by: Membership, practitioner: Practitioner | None = None) -> Location | None:
    """Where this clinician, or most of the clinic, works; None where there is no location yet."""
    places = list_locations(by=by)
    if practitioner and (row := practitioner.working_hours.filter(location__in=places).order_by("id").first()):
        return row.location
    return places.annotate(hours=Count("working_hours")).order_by("-hours", "name", "id").first()


def list_bookable(*, by: Membership) -> QuerySet[Practitioner]:
    """Everybody with a column in the book, by name; nobody for those who may not see the book."""
    people = Practitioner.objects.filter(is_active=True).order_by("first_last_name", "first_name", "id")
    return people if by.may(Permission.APPOINTMENT_VIEW) else people.none()


# --- Today ----------------------------------------------------------------------------------------------------------


def load_board(
    day: date, now: datetime, *, by: Membership, practitioner: Practitioner | None = None,
    first: Mapping[str, int | None] | None = None,
) -> Board:  # fmt: skip
    """The visits of a day for the first page: who is here, who is expected next, what was finished last.

    Who waits longest stands first. `first` says from which row on "waiting",
    "in_room" and "expected" are shown; who is expected begins, unless it says
    so, with a few of those who are late.
    """
    rows = selectors.list_appointments(
        by=by, first=day, last=day, practitioner=practitioner.pk if practitioner else None
    ).exclude(patient=None)
    rows, first = _light(rows), first or {}
    is_late = Q(state__in=EXPECTED, starts_at__lt=now)
    counted = rows.order_by().values("state").annotate(number=Count("pk"), late=Count("pk", filter=is_late))
    counts, late = {}, 0
    for row in counted:
        counts[row["state"]] = row["number"]
        late += row["late"]

    parts: list[tuple[Part, int, int]] = []
    for part in PARTS:
        total, asked = sum(counts.get(state, 0) for state in part.states), first.get(part.name)
        usual = late - LATE_SHOWN if part.name == "expected" else 0
        parts.append((part, total, begin(total, usual if asked is None else asked, part.size)))
    shown = _read_parts(rows, parts)
    bring_names([visit for visits in shown.values() for visit in visits], by=by)
    stretches = {part.name: Stretch(shown[part.name], at, total, part.size) for part, total, at in parts}
    undoable = list_undoable(visit for visits in shown.values() for visit in visits)
    return Board(**stretches, counts=counts, undoable=undoable)


def _read_parts(rows: QuerySet[Appointment], parts: Iterable[tuple["Part", int, int]]) -> dict[str, list[Appointment]]:
    """The rows of each part, in its order; all of them by one statement."""
    asked = [
        rows.filter(state__in=part.states).order_by(*part.order, "id")[first : first + part.size]
        for part, total, first in parts
        if total
    ]
    found = list(asked[0].union(*asked[1:], all=True)) if asked else []
    return {
        part.name: sorted((visit for visit in found if visit.state in part.states), key=part.key)
        for part, _total, _first in parts
    }


def _light(rows: QuerySet[Appointment]) -> QuerySet[Appointment]:
    """Without what neither a row nor a card shows; the names come by `bring_names`."""
    return rows.prefetch_related(None).select_related(None).only(*SHOWN)


def bring_names(visits: Iterable[Appointment], *, by: Membership, known: Iterable[Model] = ()) -> None:
    """Whose visits, with whom, where and what: of each row no more than its name, and each read once.

    `known` are practitioners or locations that were read already. As `prefetch_related`, at a fifth of its cost.
    """
    visits = list(visits)
    _bring(visits, "patient", Patient.objects.visible_to(by).only(*NAMED), {})
    for name, (model, fields) in NAMES.items():
        _bring(visits, name, model.objects.only(*fields), {row.pk: row for row in known if isinstance(row, model)})


def _bring(visits: list[Appointment], name: str, rows: QuerySet, found: dict[UUID, Model]) -> None:
    to = Appointment._meta.get_field(name)
    missing = {key for visit in visits if (key := getattr(visit, to.attname)) is not None} - found.keys()
    if missing:
        found |= rows.in_bulk(missing)
    for visit in visits:
        to.set_cached_value(visit, found.get(getattr(visit, to.attname)))


def list_undoable(visits: Iterable[Appointment]) -> set[UUID]:
    """Those whose last change of state can be taken back (`services.undo_move`)."""
    states = {visit.pk: visit.state for visit in visits}
    last = (
        AppointmentChange.objects.filter(appointment__in=states)
        .exclude(new_state="")
        .order_by("appointment", "-at", "-id")
        .distinct("appointment")
        .only("tenant", "appointment", "action", "old_state", "new_state")
    )
    return {change.appointment_id for change in last if change.can_be_undone_in(states[change.appointment_id])}


def note_visits(visits: Iterable[Appointment]) -> dict[UUID, str]:
    """What else is to be said of visits: how many places of a group are left, who keeps a time until when."""
    visits = list(visits)
    groups = {visit.pk: visit for visit in visits if visit.patient_id is None and visit.is_live}
    held = plans.say_holds([visit.pk for visit in visits if visit.state == State.HELD])
    notes = {pk: _("Kept by %(what)s") % {"what": words} for pk, words in held.items()}
    if groups:
        places = Appointment.objects.live().filter(session__in=groups)
        taken = Counter(places.values_list("session_id", flat=True))
        notes |= {pk: say_places(group.capacity, taken[pk]) for pk, group in groups.items()}
    return notes


def say_places(capacity: int, taken: int) -> str:
    """ "2 of 8 places left", "Full"."""
    left = max(0, capacity - taken)
    if not left:
        return _("Full: all %(count)d places are taken") % {"count": capacity}
    return ngettext("%(left)d of %(count)d place left", "%(left)d of %(count)d places left", capacity) % {
        "left": left,
        "count": capacity,
    }


# --- Agenda ---------------------------------------------------------------------------------------------------------


@dataclass
class DayList:
    """A stretch of a day's visits, and for each hour of the day at which row it begins."""

    shown: Stretch
    hours: dict[str, int]


def load_list(
    location: Location, day: date, now: datetime, *, by: Membership, practitioner: Practitioner | None = None,
    first: int | None = None,
) -> DayList:  # fmt: skip
    """The visits of a day at a place in order of time, also those that were cancelled.

    From row `first` on; without it a long list of today begins with the hour that is now.
    """
    rows = selectors.list_appointments(
        by=by, first=day, last=day, location=location.pk, practitioner=practitioner.pk if practitioner else None
    )
    rows = _light(rows.filter(session=None).exclude(state=State.HELD))
    counted = rows.order_by().values(hour=Substr("wall_start", 12, 2))
    hours, total = {}, 0
    for row in counted.annotate(number=Count("pk"), begins=Min("starts_at")).order_by("begins"):
        hours[row["hour"]] = total
        total += row["number"]
    if first is None:
        wall = wall_of(now, location.zone)
        begun = [place for hour, place in hours.items() if hour <= f"{wall:%H}"]
        first = begun[-1] if begun and wall.date() == day else 0
    shown = take(rows.order_by("starts_at", "id"), total, first, MOST_LISTED)
    bring_names(shown.rows, by=by, known=[location])
    return DayList(shown, hours)


def load_day(location: Location, day: date, *, by: Membership, people: list[Practitioner]) -> list[Column]:
    """A column for each of these who has hours or a visit that day at this place; leave stands in it as a block."""
    plan = plans.load_frame(people, day - timedelta(days=1), day)
    low, high = day_bounds(day, location.zone)
    found = list(_visits(low, high, by=by, people=people))
    bring_names(found, by=by, known=[*people, location])
    visits = _by(found, lambda visit: [visit.practitioner_id])
    with_hours = _with_hours(people)
    columns = [
        _column(Column(day, one), location, plan, visits[one.pk], low, high, one.pk in with_hours) for one in people
    ]
    present = [column for column in columns if column.windows or column.visits]
    return _noted(present or [column for column in columns if column.windows is None] or columns)


def load_week(location: Location, monday: date, *, by: Membership, practitioner: Practitioner) -> list[Column]:
    """Seven days of one clinician."""
    days = [monday + timedelta(days=offset) for offset in range(7)]
    plan = plans.load_frame([practitioner], monday - timedelta(days=1), days[-1])
    low, high = day_bounds(monday, location.zone)[0], day_bounds(days[-1], location.zone)[1]
    visits = list(_visits(low, high, by=by, people=[practitioner]))
    bring_names(visits, by=by, known=[practitioner, location])
    has_hours = practitioner.pk in _with_hours([practitioner])
    return _noted(
        [
            _column(Column(day, practitioner), location, plan, visits, *day_bounds(day, location.zone), has_hours)
            for day in days
        ]
    )


def load_rooms(location: Location, day: date, *, by: Membership) -> list[Column]:
    """A column for each room of a place, and one for visits without a room where there are any."""
    rooms = list(Resource.objects.filter(location=location, kind=Resource.Kind.ROOM, is_active=True).order_by("name"))
    known = {room.pk for room in rooms}
    low, high = day_bounds(day, location.zone)
    closed = plans.load_hours([], day - timedelta(days=1), day).location_blocks.get(location.pk, ())
    claims = Prefetch("resources", AppointmentResource.objects.order_by("id").only("appointment", "resource", "tenant"))
    here = list(_visits(low, high, by=by).filter(location=location.pk).prefetch_related(claims))
    bring_names(here, by=by, known=[location])
    visits = _by(here, lambda visit: [c.resource_id for c in visit.resources.all() if c.resource_id in known] or [None])
    columns = [Column(day, room=room, visits=visits[room.pk]) for room in rooms]
    if visits[None]:
        columns.append(Column(day, visits=visits[None]))
    for column in columns:
        column.blocks = [block for block in closed if block.starts < high and block.ends > low]
    return _noted(columns)


def _noted(columns: list[Column]) -> list[Column]:
    notes = note_visits({visit.pk: visit for column in columns for visit in column.visits}.values())
    for column in columns:
        column.notes = notes
    return columns


def _visits(
    low: datetime, high: datetime, *, by: Membership, people: Iterable[Practitioner] | None = None
) -> QuerySet[Appointment]:
    """What stands in the book between two moments, at any place; a group's places stand in its one card."""
    rows = selectors.list_appointments(by=by).filter(session=None).exclude(state=State.CANCELLED).between(low, high)
    rows = _light(rows).exclude(state=State.HELD, hold_expires_at__lte=timezone.now())
    # No visit is longer, so the index on the beginning finds them all.
    rows = rows.filter(starts_at__gte=low - timedelta(minutes=LONGEST_VISIT_MINUTES)).order_by("starts_at", "id")
    return rows if people is None else rows.filter(practitioner__in=people)


def _column(
    column: Column, location: Location, plan: Plan, visits: list[Appointment], low: datetime, high: datetime,
    has_hours: bool,
) -> Column:  # fmt: skip
    who = column.practitioner.pk if column.practitioner else None
    inside = [visit for visit in visits if visit.starts_at < high and visit.ends_at > low]
    column.visits = [visit for visit in inside if visit.location_id == location.pk]
    mine = [w for w in plan.windows if w.practitioner_id == who and w.starts < high and w.ends > low]
    column.windows = [w for w in mine if w.location_id == location.pk] if has_hours else None
    blocks = [block for block in plan.practitioner_blocks.get(who, ()) if block.kind == "leave"] if who else []
    blocks += plan.location_blocks.get(location.pk, ())
    blocks += [_elsewhere(visit) for visit in inside if visit.location_id != location.pk]
    column.blocks = [block for block in blocks if block.starts < high and block.ends > low]
    return column


def _elsewhere(visit: Appointment) -> Block:
    return Block(visit.starts_at, visit.ends_at, "elsewhere", _("At %(place)s") % {"place": visit.location.name})


def _with_hours(people: Iterable[Practitioner]) -> set[UUID]:
    return set(WorkingHours.objects.filter(practitioner__in=people).values_list("practitioner_id", flat=True))


def _by(visits: Iterable[Appointment], keys) -> dict:
    found: dict = defaultdict(list)
    for visit in visits:
        for key in keys(visit):
            found[key].append(visit)
    return found
