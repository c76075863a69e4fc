"""What patients find when they look for a time: kinds, people and free times, within lead time and horizon.

Everything here is for somebody who books for themselves, whatever else they may do in this clinic.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.practitioners.models import Practitioner

from . import plans
from .availability import Slot, nearest, slots
from .models import Appointment, AppointmentType, ExtraHours, SelfServicePolicy, TypePerformer, WorkingHours
from .policy import read_policy
from .qualified import only_qualified
from .states import State

NEAR_DAYS = 14
SEARCH_STEP = 14
DEFAULT_MINUTES = 30
LONGEST_SEARCH_DAYS = 366


def list_own_types(policy: SelfServicePolicy | None = None) -> QuerySet[AppointmentType]:
    """Kinds of visits patients may book or ask for, by name; none where the clinic lets them only look."""
    types = AppointmentType.objects.filter(is_active=True).order_by("name", "id")
    if (policy or read_policy()).level == SelfServicePolicy.Level.VIEW:
        return types.none()
    return types.exclude(self_service=AppointmentType.SelfService.NONE)


def list_people(type: AppointmentType | None) -> list[Practitioner]:
    """Who can be chosen for a kind of visit, by name: those named for it, else every doctor (decision X31).

    Only who has hours: without any there is no time to choose.
    """
    works = Q(Exists(WorkingHours.objects.filter(practitioner=OuterRef("pk"))))
    works |= Q(Exists(ExtraHours.objects.filter(practitioner=OuterRef("pk"))))
    people = Practitioner.objects.filter(works, is_active=True).order_by("first_last_name", "first_name", "id")
    named = TypePerformer.objects.filter(type=type).values("practitioner") if type is not None else None
    if named is not None and named.exists():
        return list(people.filter(pk__in=named))
    doctors = Membership.objects.active().filter(held_roles__role__code="doctor")
    return list(people.filter(Q(member=None) | Q(member__in=doctors)))


def find_own_times(
    people: Iterable[Practitioner],
    first: date,
    last: date,
    *,
    type: AppointmentType | None,
    patient: Patient | None = None,
    moving: Appointment | None = None,
) -> list[Slot]:
    """Free times patients may take from `first` to `last`, both included, in order of time.

    `moving` is a visit whose own time is free to it, and whose length counts.
    Whoever lacks what the kind of visit needs on that day is not offered, nor
    is a time at which the `patient` is expected elsewhere.
    """
    people = list(people)
    kind = type or AppointmentType(minutes=DEFAULT_MINUTES)
    minutes = moving.minutes if moving else None
    demand = plans.demand_of(kind, minutes=minutes, self_service=True)
    plan = plans.load_plan(people, first, last, type=type, ignore=moving.pk if moving else None, needs=demand.needs)
    now = timezone.now()
    found = [slot for slot in slots(plan, demand) if slot.starts > now]
    if moving is not None:
        found = [slot for slot in found if (slot.starts, slot.practitioner_id) != _place_of(moving)]
    return only_qualified(_without_own(found, patient, moving), people, type)


def _without_own(found: list[Slot], patient: Patient | None, moving: Appointment | None) -> list[Slot]:
    """Those at which the patient has no other visit; times they keep while they book are given back, and no visit."""
    if patient is None or not found:
        return found
    visits = Appointment.objects.live().filter(patient=patient.pk).between(found[0].starts, found[-1].ends)
    is_kept = Q(state=State.HELD, source=Appointment.Source.PATIENT)
    busy = list(visits.exclude(is_kept).exclude(pk=moving.pk if moving else None).values_list("starts_at", "ends_at"))
    return [slot for slot in found if not any(low < slot.ends and slot.starts < high for low, high in busy)]


def _place_of(visit: Appointment) -> tuple[datetime, UUID]:
    return visit.starts_at, visit.practitioner_id


def bounds_of(type: AppointmentType | None) -> tuple[date, date]:
    """The first and the last day patients may choose, wide by a day on either side for the zones of the locations."""
    demand = plans.demand_of(type or AppointmentType(minutes=DEFAULT_MINUTES), self_service=True)
    day = timedelta(days=1)
    first = (demand.not_before or timezone.now()).date() - day
    last = demand.not_after.date() + day if demand.not_after else first + timedelta(days=LONGEST_SEARCH_DAYS)
    return first, min(last, first + timedelta(days=LONGEST_SEARCH_DAYS))


def first_free(
    people: Iterable[Practitioner],
    after: date,
    *,
    type: AppointmentType | None,
    patient: Patient | None = None,
    moving: Appointment | None = None,
) -> Slot | None:
    """The first time patients may take on `after` or later; None where there is none up to the horizon."""
    low, last = bounds_of(type)
    people, first = list(people), max(after, low)
    while first <= last:
        until = min(first + timedelta(days=SEARCH_STEP - 1), last)
        if found := find_own_times(people, first, until, type=type, patient=patient, moving=moving):
            return found[0]
        first = until + timedelta(days=1)
    return None


def nearest_times(
    people: Iterable[Practitioner],
    wanted: datetime,
    *,
    type: AppointmentType | None,
    patient: Patient | None = None,
    moving: Appointment | None = None,
) -> list[Slot]:
    """Up to three times patients may take, the nearest to `wanted` first; near the lead time where it lies before."""
    low, high = bounds_of(type)
    middle = min(max(wanted.date(), low), high)
    first, last = max(low, middle - timedelta(days=NEAR_DAYS)), min(high, middle + timedelta(days=NEAR_DAYS))
    return nearest(find_own_times(people, first, last, type=type, patient=patient, moving=moving), wanted)
