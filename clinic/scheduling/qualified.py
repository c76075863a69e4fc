"""Free times of those who lack what a kind of visit needs on that day: none, and the reason in words."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from uuid import UUID

from accounts.qualifications.selectors import read_holdings
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner

from .availability import Reason, Slot
from .models import AppointmentType
from .wall_time import wall_of
from .wordings import say_gap


def only_qualified(
    found: list[Slot], people: Iterable[Practitioner], type: AppointmentType | None, *, explain: bool = False
) -> list[Slot]:
    """The slots without those for which somebody is not qualified; with `explain` they stay, and say so."""
    kinds = [need.kind for need in type.qualifications.select_related("kind")] if type is not None else []
    if not kinds or not found:
        return found
    named = {one.pk: one for one in people}
    holdings = read_holdings([one.member_id for one in named.values() if one.member_id], kinds)
    zones = {location.pk: location.zone for location in Location.objects.all()}
    against: dict[tuple[UUID, date], tuple[Reason, ...]] = {}
    kept = []
    for slot in found:
        who, day = named[slot.practitioner_id], wall_of(slot.starts, zones[slot.location_id]).date()
        if (who.pk, day) not in against:
            gaps = holdings.gaps(who.member_id, day)
            against[who.pk, day] = tuple(Reason("unqualified", say_gap(who.name, gap)) for gap in gaps)
        reasons = against[who.pk, day]
        if not reasons:
            kept.append(slot)
        elif explain:
            kept.append(replace(slot, reasons=slot.reasons + reasons, resources=()))
    return kept
