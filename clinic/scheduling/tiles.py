"""Free times as the booking page offers them: one day, one clinician or any, each taken one with the reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.users.models import Membership
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner

from . import plans, selectors
from .availability import Slot, slots
from .explaining import Reader, explain
from .models import Appointment, AppointmentType
from .wall_time import wall_of

SEARCH_DAYS = 90
SEARCH_STEP = 14


@dataclass(frozen=True)
class Tile:
    """One time to choose. `value` is what the form sends; `why` says what is in the way, "" for a free one.

    `places` says how many places of a group are left.
    """

    value: str
    clock: str
    day: date
    practitioner: Practitioner
    location: Location
    why: str = ""
    places: str = ""

    @property
    def is_free(self) -> bool:
        return not self.why


def value_of(starts_at: datetime, practitioner: UUID, location: UUID) -> str:
    """A time as one word, whole enough to be booked: moment, practitioner, location."""
    return f"{starts_at:%Y-%m-%dT%H:%M%z}|{practitioner}|{location}"


def read_value(value: str) -> tuple[datetime, UUID, UUID]:
    """What `value_of` wrote. Raises ValueError for anything else."""
    moment, practitioner, location = value.split("|")
    return datetime.strptime(moment, "%Y-%m-%dT%H:%M%z"), UUID(practitioner), UUID(location)


def offer(
    people: list[Practitioner],
    day: date,
    *,
    by: Membership,
    type: AppointmentType | None,
    moving: Appointment | None = None,
    location: Location | None = None,
    hold: UUID | None = None,
) -> list[Tile]:
    """The times of a day. Of one clinician also the taken ones, with the reason; of several each free time once.

    `moving` is a visit whose own time is free to it, `hold` the time this booker keeps.
    """
    is_alone = len(people) == 1
    found = _slots(people, day, day, by=by, type=type, moving=moving, location=location, explain=is_alone, hold=hold)
    return _tiles(found if is_alone else first_of_each(found), people, by=by, type=type)


def next_free_day(
    people: list[Practitioner],
    after: date,
    *,
    by: Membership,
    type: AppointmentType | None,
    moving: Appointment | None = None,
    location: Location | None = None,
) -> date | None:
    """The first day after `after` with a free time, within 90 days."""
    places = _places()
    for offset in range(1, SEARCH_DAYS, SEARCH_STEP):
        first = after + timedelta(days=offset)
        last = first + timedelta(days=SEARCH_STEP - 1)
        found = _slots(people, first, last, by=by, type=type, moving=moving, location=location)
        if found:
            return wall_of(found[0].starts, places[found[0].location_id].zone).date()
    return None


def tiles_of(found: Iterable[Slot], *, by: Membership) -> list[Tile]:
    """Slots a service proposed (`TimeTaken.nearest`) as tiles."""
    found = list(found)
    people = Practitioner.objects.filter(pk__in={slot.practitioner_id for slot in found})
    return _tiles(found, people, by=by, type=None)


def _slots(people, first, last, *, by, type, moving, location, explain=False, hold=None) -> list[Slot]:
    minutes = moving.minutes if moving else None
    kind = type or AppointmentType(minutes=selectors.DEFAULT_MINUTES)
    plan = plans.load_plan(people, first, last, type=type, ignore=moving.pk if moving else hold)
    if location is not None:
        plan.windows = [window for window in plan.windows if window.location_id == location.pk]
    demand = plans.demand_of(kind, minutes=minutes)
    now = timezone.now()
    return [slot for slot in slots(plan, demand, explain=explain) if slot.starts > now]


def first_of_each(found: Iterable[Slot]) -> list[Slot]:
    """Each moment once, with the one who has least to do by then: those offered it rarely come first."""
    given: dict[UUID, int] = {}
    by_moment: dict[datetime, list[Slot]] = {}
    for slot in found:
        by_moment.setdefault(slot.starts, []).append(slot)
    chosen = []
    for candidates in by_moment.values():
        slot = min(candidates, key=lambda slot: (given.get(slot.practitioner_id, 0), str(slot.practitioner_id)))
        given[slot.practitioner_id] = given.get(slot.practitioner_id, 0) + 1
        chosen.append(slot)
    return chosen


def tile_of(starts_at: datetime, practitioner: Practitioner, location: Location) -> Tile:
    """A time that was chosen, as a tile; whether it is free is for the book to say."""
    wall = wall_of(starts_at, location.zone)
    value = value_of(starts_at, practitioner.pk, location.pk)
    return Tile(value, f"{wall:%H:%M}", wall.date(), practitioner, location)


def _tiles(found: Iterable[Slot], people: Iterable[Practitioner], *, by: Membership, type) -> list[Tile]:
    places, named = _places(), {one.pk: one for one in people}
    reader = Reader(is_staff=not selectors.is_for_oneself(by), type=type)
    made = []
    for slot in found:
        place = places[slot.location_id]
        wall = wall_of(slot.starts, place.zone)
        why = "" if slot.is_free else " ".join(reason["text"] for reason in explain(slot, reader)) or _("Not free.")
        value = value_of(slot.starts, slot.practitioner_id, slot.location_id)
        left = "" if slot.places is None else _say_places(slot.places)
        made.append(Tile(value, f"{wall:%H:%M}", wall.date(), named[slot.practitioner_id], place, why, left))
    return made


def _say_places(left: int) -> str:
    return ngettext("%(count)d place left", "%(count)d places left", left) % {"count": left}


def _places() -> dict[UUID, Location]:
    return {location.pk: location for location in Location.objects.all()}
