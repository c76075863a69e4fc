"""Writing what a clinic offers: kinds of visits, and the weekly hours of those who see patients."""

from collections.abc import Iterable
from datetime import date, time, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts.qualifications.models import QualificationKind
from accounts.users.models import Membership
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from .models import AppointmentType, ExtraHours, TypeNeed, TypePerformer, TypeQualification, WorkingHours
from .wall_time import window

DAY = 24 * 60
WEEK = 7 * DAY


# --- Kinds of visits -------------------------------------------------------------------------------------------------


@transaction.atomic
def create_type(
    *,
    by: Membership | None,
    data: dict[str, Any],
    performers: Iterable[Practitioner] = (),
    needs: Iterable[tuple[str, str]] = (),
    qualifications: Iterable[QualificationKind] = (),
) -> AppointmentType:
    """Offer a new kind of visit. `data` by field of AppointmentType; the code comes from the name where none is given.

    `performers` are those who may do it (none named: everybody), `needs` pairs
    of kind and category of rooms and devices, `qualifications` what they have
    to hold on the day. Raises ValidationError by field; RuleBroken for a code in use.
    """
    type = AppointmentType(**{"code": _free_code(data.get("name", ""))} | data)
    _save_type(type)
    _set_performers(type, performers)
    _set_needs(type, needs)
    _set_qualifications(type, qualifications)
    audit.record("appointment_type_created", type, by=by, details=_facts_of(type))
    return type


@transaction.atomic
def update_type(
    type: AppointmentType,
    *,
    by: Membership | None,
    changes: dict[str, Any],
    performers: Iterable[Practitioner] | None = None,
    needs: Iterable[tuple[str, str]] | None = None,
    qualifications: Iterable[QualificationKind] | None = None,
) -> AppointmentType:
    """Change a kind of visit, or take it out of use; visits that stand keep their length. Raises as `create_type`."""
    type = AppointmentType.objects.select_for_update(of=("self",), no_key=True).get(pk=type.pk)
    before = _facts_of(type)
    for name, value in changes.items():
        setattr(type, name, value)
    _save_type(type)
    if performers is not None:
        _set_performers(type, performers)
    if needs is not None:
        _set_needs(type, needs)
    if qualifications is not None:
        _set_qualifications(type, qualifications)
    after = _facts_of(type)
    changed = {name: (before[name], value) for name, value in after.items() if before[name] != value}
    if changed:
        audit.record("appointment_type_updated", type, by=by, changes=changed)
    return type


def _save_type(type: AppointmentType) -> None:
    type.name = " ".join(type.name.split())
    type.full_clean(exclude=["tenant"], validate_unique=False, validate_constraints=False)
    try:
        with transaction.atomic():
            type.save()
    except IntegrityError as error:
        if "scheduling_type_code_uniq" in str(error):
            raise RuleBroken(_("There is a kind of visit with this code already."), code="duplicate") from None
        raise


def _free_code(name: str) -> str:
    """The name as a code; a name that leaves no letter, or whose code is in use, gets a number."""
    stem = slugify(name)[:34] or "visit"
    taken = set(AppointmentType.objects.filter(code__startswith=stem).values_list("code", flat=True))
    return next(
        code for number in range(1, len(taken) + 2) if (code := f"{stem}-{number}" if number > 1 else stem) not in taken
    )


def _set_performers(type: AppointmentType, performers: Iterable[Practitioner]) -> None:
    wanted = {practitioner.pk: practitioner for practitioner in performers}
    type.performers.exclude(practitioner__in=wanted).delete()
    known = set(type.performers.values_list("practitioner_id", flat=True))
    for pk, practitioner in wanted.items():
        if pk not in known:
            TypePerformer.objects.create(type=type, practitioner=practitioner)


def _set_needs(type: AppointmentType, needs: Iterable[tuple[str, str]]) -> None:
    type.needs.all().delete()
    for kind, category in dict.fromkeys((kind, category.strip().lower()) for kind, category in needs):
        TypeNeed.objects.create(type=type, kind=kind, category=category)


def _set_qualifications(type: AppointmentType, kinds: Iterable[QualificationKind]) -> None:
    wanted = {kind.pk: kind for kind in kinds}
    type.qualifications.exclude(kind__in=wanted).delete()
    known = set(type.qualifications.values_list("kind_id", flat=True))
    for pk, kind in wanted.items():
        if pk not in known:
            TypeQualification.objects.create(type=type, kind=kind)


def _facts_of(type: AppointmentType) -> dict[str, Any]:
    """What a kind of visit is, as the trail keeps it."""
    plain = {
        field.name: value if isinstance(value := getattr(type, field.name), int | str | bool | None) else str(value)
        for field in type._meta.concrete_fields
        if field.name not in {"id", "tenant"}
    }
    performers = TypePerformer.objects.filter(type=type).order_by("practitioner").values_list("practitioner", flat=True)
    needs = TypeNeed.objects.filter(type=type).order_by("kind", "category").values_list("kind", "category")
    kinds = TypeQualification.objects.filter(type=type).order_by("kind__code").values_list("kind__code", flat=True)
    return plain | {
        "performers": [str(pk) for pk in performers],
        "needs": [list(need) for need in needs],
        "qualifications": list(kinds),
    }


# --- Weekly hours ----------------------------------------------------------------------------------------------------


@transaction.atomic
def create_hours(
    *,
    by: Membership | None,
    practitioner: Practitioner,
    location: Location,
    weekday: int,
    starts: time,
    ends: time,
    step: int = 15,
    valid_from: date | None = None,
    valid_until: date | None = None,
    only_type: AppointmentType | None = None,
) -> WorkingHours:
    """Let somebody work every week at a location, by its clock; `ends` at or before `starts` is the next day.

    Valid from today where no day is named. Raises ValidationError by field;
    RuleBroken for hours that are empty, exist already, or overlap others of the same person.
    """
    hours = WorkingHours(
        practitioner=practitioner,
        location=location,
        weekday=weekday,
        starts=starts,
        ends=ends,
        step=step,
        valid_from=valid_from or timezone.now().astimezone(location.zone).date(),
        valid_until=valid_until,
        only_type=only_type,
    )
    _save_hours(hours)
    audit.record("working_hours_created", hours, by=by, details=_facts_of_hours(hours))
    return hours


@transaction.atomic
def update_hours(hours: WorkingHours, *, by: Membership | None, changes: dict[str, Any]) -> WorkingHours:
    """Change weekly hours; visits that stand outside of them afterwards stay. Raises as `create_hours`."""
    hours = (
        WorkingHours.objects.select_for_update(of=("self",), no_key=True)
        .select_related("practitioner", "location")
        .get(pk=hours.pk)
    )
    before = _facts_of_hours(hours)
    for name, value in changes.items():
        setattr(hours, name, value)
    _save_hours(hours)
    after = _facts_of_hours(hours)
    changed = {name: (before[name], value) for name, value in after.items() if before[name] != value}
    if changed:
        audit.record("working_hours_updated", hours, by=by, changes=changed)
    return hours


@transaction.atomic
def delete_hours(hours: WorkingHours, *, by: Membership | None) -> None:
    """Take weekly hours away; visits that stand in them stay. The trail keeps what they were."""
    audit.record("working_hours_deleted", hours, by=by, details=_facts_of_hours(hours))
    hours.delete()


@transaction.atomic
def add_extra_hours(
    *,
    by: Membership | None,
    practitioner: Practitioner,
    location: Location,
    day: date,
    starts: time,
    ends: time,
    step: int = 15,
    note: str = "",
) -> ExtraHours:
    """Let somebody work on one day beside the usual hours; `ends` at or before `starts` is the next day.

    Raises RuleBroken for a day that is over, for hours that are empty, and for hours that overlap others of that day.
    """
    Practitioner.objects.select_for_update(of=("self",), no_key=True).get(pk=practitioner.pk)
    if starts == ends:
        raise RuleBroken(_("End time must be after start time"), code="end_before_start")
    if day < timezone.now().astimezone(location.zone).date():
        raise RuleBroken(_("This day is over."), code="in_the_past")
    begin, end = window(day, starts, ends, location.zone)
    near = ExtraHours.objects.filter(
        practitioner=practitioner, day__range=(day - timedelta(days=1), day + timedelta(days=1))
    )
    for other in near.select_related("location"):
        other_begin, other_end = window(other.day, other.starts, other.ends, other.location.zone)
        if begin < other_end and other_begin < end:
            raise RuleBroken(
                _("%(name)s works at %(place)s then already: %(hours)s.")
                % {"name": practitioner.name, "place": other.location.name, "hours": other},
                code="overlap",
            )
    extra = ExtraHours.objects.create(
        practitioner=practitioner, location=location, day=day, starts=starts, ends=ends, step=step, note=note.strip()
    )
    audit.record("extra_hours_added", extra, by=by, details=_facts_of_extra(extra))
    return extra


@transaction.atomic
def remove_extra_hours(extra: ExtraHours, *, by: Membership | None) -> None:
    """Take extra hours away; visits that stand in them stay. The trail keeps what they were."""
    audit.record("extra_hours_removed", extra, by=by, details=_facts_of_extra(extra))
    extra.delete()


def _facts_of_extra(extra: ExtraHours) -> dict[str, Any]:
    return {
        "practitioner": str(extra.practitioner_id),
        "location": str(extra.location_id),
        "day": str(extra.day),
        "starts": f"{extra.starts:%H:%M}",
        "ends": f"{extra.ends:%H:%M}",
        "note": extra.note,
    }


def _save_hours(hours: WorkingHours) -> None:
    Practitioner.objects.select_for_update(of=("self",), no_key=True).get(pk=hours.practitioner_id)
    relations = ["tenant", "practitioner", "location", "only_type"]
    hours.full_clean(exclude=relations, validate_unique=False, validate_constraints=False)
    if hours.starts == hours.ends:
        raise RuleBroken(_("End time must be after start time"), code="end_before_start")
    if hours.valid_until is not None and hours.valid_until < hours.valid_from:
        raise RuleBroken(_("The last day lies before the first."), code="end_before_start")
    _refuse_two_places(hours)
    try:
        with transaction.atomic():
            hours.save()
    except IntegrityError as error:
        if "scheduling_workinghours_uniq" in str(error):
            raise RuleBroken(_("These hours exist already."), code="duplicate") from None
        raise


def _refuse_two_places(hours: WorkingHours) -> None:
    """Nobody works at two places at once, nor twice at one; hours kept for one kind of visit may lie over open ones."""
    others = WorkingHours.objects.filter(practitioner=hours.practitioner_id).exclude(pk=hours.pk)
    others = others.exclude(valid_until__lt=hours.valid_from)
    if hours.valid_until is not None:
        others = others.exclude(valid_from__gt=hours.valid_until)
    for other in others.select_related("location"):
        is_layer = other.location_id == hours.location_id and other.only_type_id != hours.only_type_id
        if not is_layer and _share_time(hours, other):
            raise RuleBroken(
                _("%(name)s works at %(place)s then already: %(hours)s.")
                % {"name": hours.practitioner.name, "place": other.location.name, "hours": other},
                code="overlap",
            )


def _share_time(one: WorkingHours, other: WorkingHours) -> bool:
    """Whether two weekly rules meet, over midnight and over the end of the week, too."""
    start, length = _minutes_of(one)
    other_start, other_length = _minutes_of(other)
    return (other_start - start) % WEEK < length or (start - other_start) % WEEK < other_length


def _minutes_of(hours: WorkingHours) -> tuple[int, int]:
    """Begin within the week, and length, in minutes."""
    starts, ends = (clock.hour * 60 + clock.minute for clock in (hours.starts, hours.ends))
    return hours.weekday * DAY + starts, (ends - starts - 1) % DAY + 1


def _facts_of_hours(hours: WorkingHours) -> dict[str, Any]:
    return {
        "practitioner": str(hours.practitioner_id),
        "location": str(hours.location_id),
        "weekday": hours.weekday,
        "starts": f"{hours.starts:%H:%M}",
        "ends": f"{hours.ends:%H:%M}",
        "step": hours.step,
        "valid_from": str(hours.valid_from),
        "valid_until": str(hours.valid_until or ""),
        "only_type": str(hours.only_type_id or ""),
    }
