"""Free times, worked out from hours, leave, holidays and bookings, with the reason for each time that is not free.

Nothing here reads the database: `selectors.load_plan` brings what is needed in
a handful of queries, so a month for one doctor or a day for twenty is one call
each (wishes 11 and 17). Moments are whole seconds since 1970 inside, aware
datetimes at the edges.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import accumulate
from math import ceil, inf
from uuid import UUID

EVER = (-inf, inf)


@dataclass(frozen=True)
class Window:
    """When a practitioner works at a location, by one rule. `types` are the appointment types it is for; None: all."""

    starts: datetime
    ends: datetime
    practitioner_id: UUID
    location_id: UUID
    step: int  # minutes between two offered times
    rule: str  # in words: "Mondays 09:00–12:00"
    types: frozenset[UUID] | None = None


@dataclass(frozen=True)
class Block:
    """A stretch in which something can not be had, and why: `kind` is a code, `words` is for people."""

    starts: datetime
    ends: datetime
    kind: str
    words: str


class Busy:
    """When one room or device is taken, as seconds since 1970, rising by start; nobody asks by what."""

    def __init__(self, starts: Sequence[float], ends: Sequence[float]):
        self.starts, self.reach = starts, list(accumulate(ends, max))

    def is_free(self, low: float, high: float) -> bool:
        """Whether nothing shares time with [low, high)."""
        place = bisect_left(self.starts, high) - 1
        return place < 0 or self.reach[place] <= low


@dataclass(frozen=True)
class Need:
    """One of these resources has to be free for the whole visit.

    `places` says at which location each stands: a visit takes none of another house. Without it they are anywhere.
    """

    category: str
    resources: tuple[UUID, ...]
    places: Mapping[UUID, UUID] | None = field(default=None, compare=False)

    def at(self, location_id: UUID) -> tuple[UUID, ...]:
        """Those a visit at this location can have."""
        if self.places is None:
            return self.resources
        return tuple(resource for resource in self.resources if self.places[resource] == location_id)


@dataclass(frozen=True)
class Demand:
    """What is looked for: a visit of so many minutes with its buffers, and the clinic's rules for it."""

    type_id: UUID
    minutes: int
    buffer_before: int = 0
    buffer_after: int = 0
    needs: tuple[Need, ...] = ()
    not_before: datetime | None = None  # lead time
    not_after: datetime | None = None  # how far ahead the book is open
    per_day: int | None = None
    capacity: int = 1


@dataclass(frozen=True)
class Group:
    """A group session that stands in the book, and how many of its places nobody has."""

    session_id: UUID
    left: int
    capacity: int


@dataclass
class Plan:
    """Everything that decides about some practitioners in some days."""

    windows: list[Window] = field(default_factory=list)
    practitioner_blocks: dict[UUID, list[Block]] = field(default_factory=dict)
    location_blocks: dict[UUID, list[Block]] = field(default_factory=dict)
    resource_blocks: dict[UUID, list[Block]] = field(default_factory=dict)
    resource_busy: Mapping[UUID, Busy | None] = field(default_factory=dict)
    booked_per_day: dict[tuple[UUID, date], int] = field(default_factory=dict)
    groups: dict[tuple[UUID, UUID, float], Group] = field(default_factory=dict)  # practitioner, location, beginning
    day_of: dict[UUID, object] = field(default_factory=dict)  # location: its zone
    spans: dict[UUID, tuple[float, float]] = field(default_factory=dict)  # location: when the days asked for begin, end


@dataclass(frozen=True)
class Reason:
    """Why a time is not free."""

    kind: str
    words: str


@dataclass(frozen=True)
class Slot:
    """One time: free when `reasons` is empty; then `resources` names one choice for each need.

    Of a group `places` says how many are left, and `group` which session one would join, if it stands already.
    """

    starts: datetime
    ends: datetime
    practitioner_id: UUID
    location_id: UUID
    rule: str
    resources: tuple[UUID, ...] = ()
    reasons: tuple[Reason, ...] = ()
    places: int | None = None
    group: UUID | None = None

    @property
    def is_free(self) -> bool:
        return not self.reasons


class Calendar:
    """Blocks of one subject, sorted; asked in turn for rising times it never looks at a block twice in vain."""

    def __init__(self, blocks: Iterable[Block]):
        self.blocks = sorted(((b.starts.timestamp(), b.ends.timestamp(), b) for b in blocks), key=lambda item: item[:2])
        self.starts = [item[0] for item in self.blocks]
        self.reach: list[float] = []  # the latest end of all blocks up to here
        for _start, end, _block in self.blocks:
            self.reach.append(max(end, self.reach[-1]) if self.reach else end)

    def overlapping(self, low: float, high: float) -> Iterator[Block]:
        """Blocks that share time with [low, high)."""
        place = bisect_left(self.starts, high) - 1
        while place >= 0 and self.reach[place] > low:
            if self.blocks[place][1] > low:
                yield self.blocks[place][2]
            place -= 1

    def is_free(self, low: float, high: float) -> bool:
        return next(self.overlapping(low, high), None) is None


class Calendars(dict[UUID, Calendar]):
    """The calendar of each subject, made when it is first asked for: most rooms of a house are never looked at."""

    def __init__(self, blocks: dict[UUID, list[Block]]):
        super().__init__()
        self.blocks = blocks

    def __missing__(self, subject: UUID) -> Calendar:
        self[subject] = calendar = Calendar(self.blocks.get(subject, ()))
        return calendar


def slots(plan: Plan, demand: Demand, *, explain: bool = False) -> list[Slot]:
    """Every time the windows of a plan offer for a demand, in order of time; only free ones unless `explain`.

    With `explain` each time that is taken away carries every reason for it.
    There is no cap: what a window offers is here, free or explained.
    """
    search = _Search(plan, demand, explain)
    found: list[Slot] = []
    for offered in plan.windows:
        found.extend(search.within(offered))
    found.sort(key=lambda slot: (slot.starts, str(slot.practitioner_id)))
    return _without_repetition(found)


def _without_repetition(found: list[Slot]) -> list[Slot]:
    """Two rules may offer the same time; the free one stands for both."""
    best: dict[tuple, Slot] = {}
    for slot in found:
        key = (slot.starts, slot.practitioner_id, slot.location_id)
        if key not in best or (slot.is_free and not best[key].is_free):
            best[key] = slot
    return list(best.values())


class _Search:
    def __init__(self, plan: Plan, demand: Demand, explain: bool):
        self.plan, self.demand, self.explain = plan, demand, explain
        self.practitioners = Calendars(plan.practitioner_blocks)
        self.locations = Calendars(plan.location_blocks)
        self.resources = Calendars(plan.resource_blocks)
        self.needs: dict[UUID, list[tuple[Need, tuple[UUID, ...]]]] = {}
        self.low = demand.not_before.timestamp() if demand.not_before else float("-inf")
        self.high = demand.not_after.timestamp() if demand.not_after else float("inf")

    def within(self, offered: Window) -> Iterator[Slot]:
        demand = self.demand
        if offered.types is not None and demand.type_id not in offered.types:
            return
        length, step = demand.minutes * 60, offered.step * 60
        start, last = offered.starts.timestamp(), offered.ends.timestamp() - length
        low, high = self.plan.spans.get(offered.location_id, EVER)
        if start < low:
            start += ceil((low - start) / step) * step
        while start <= last and start < high:
            group = self.plan.groups.get((offered.practitioner_id, offered.location_id, start))
            if group is not None:
                reasons, resources = list(self._against_joining(group, start)), ()
            else:
                reasons, resources = self._judge(offered, start, start + length)
            if not reasons or self.explain:
                yield Slot(
                    datetime.fromtimestamp(start, UTC),
                    datetime.fromtimestamp(start + length, UTC),
                    offered.practitioner_id,
                    offered.location_id,
                    offered.rule,
                    resources,
                    tuple(reasons),
                    group.left if group is not None else demand.capacity if demand.capacity > 1 else None,
                    group.session_id if group is not None else None,
                )
            start += step

    def _against_joining(self, group: Group, start: float) -> Iterator[Reason]:
        """A session that stands has its practitioner and its rooms; only its places and the clinic's rules count."""
        if start < self.low:
            yield Reason("lead_time", "")
        if start > self.high:
            yield Reason("horizon", "")
        if group.left < 1:
            yield Reason("full", str(group.capacity))

    def _judge(self, offered: Window, start: float, end: float) -> tuple[list[Reason], tuple[UUID, ...]]:
        """Every reason against a time, or the first one only where nobody asks for words."""
        reasons: list[Reason] = []
        for reason in self._against(offered, start, end):
            reasons.append(reason)
            if not self.explain:
                return reasons, ()
        low, high = start - self.demand.buffer_before * 60, end + self.demand.buffer_after * 60
        resources: list[UUID] = []
        for need, candidates in self._needs_at(offered.location_id):
            free = next((r for r in candidates if r not in resources and self._is_free(r, low, high)), None)
            if free is None:
                reasons.append(Reason("resource", need.category))
            else:
                resources.append(free)
        return reasons, () if reasons else tuple(resources)

    def _needs_at(self, location_id: UUID) -> list[tuple[Need, tuple[UUID, ...]]]:
        if location_id not in self.needs:
            self.needs[location_id] = [(need, need.at(location_id)) for need in self.demand.needs]
        return self.needs[location_id]

    def _is_free(self, resource: UUID, low: float, high: float) -> bool:
        busy = self.plan.resource_busy.get(resource)
        return (busy is None or busy.is_free(low, high)) and self.resources[resource].is_free(low, high)

    def _against(self, offered: Window, start: float, end: float) -> Iterator[Reason]:
        demand = self.demand
        if start < self.low:
            yield Reason("lead_time", "")
        if start > self.high:
            yield Reason("horizon", "")
        if demand.per_day is not None:
            day = datetime.fromtimestamp(start, self.plan.day_of[offered.location_id]).date()  # type: ignore[arg-type]
            if self.plan.booked_per_day.get((offered.practitioner_id, day), 0) >= demand.per_day:
                yield Reason("per_day", str(demand.per_day))
        low, high = start - demand.buffer_before * 60, end + demand.buffer_after * 60
        for block in self.practitioners[offered.practitioner_id].overlapping(low, high):
            yield Reason(block.kind, block.words)
        for block in self.locations[offered.location_id].overlapping(start, end):
            yield Reason(block.kind, block.words)


def nearest(found: Iterable[Slot], wanted: datetime, count: int = 3) -> list[Slot]:
    """The free slots nearest to a moment, the nearest first; of two equally near the earlier."""
    ranked: list[tuple[float, datetime, int, Slot]] = []
    for place, slot in enumerate(found):
        if slot.is_free:
            insort(ranked, (abs((slot.starts - wanted).total_seconds()), slot.starts, place, slot))
            del ranked[count:]
    return [slot for *_rank, slot in ranked]
