"""Writing the book. One lock order, one check, and the table's own constraints behind both (design/database.md)."""

import uuid
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from psycopg.errors import ExclusionViolation, UniqueViolation

from accounts.permissions import Permission
from accounts.qualifications.selectors import Gap, gaps_of
from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.places.models import Location, Resource
from clinic.places.services import create_location
from clinic.practitioners.models import Practitioner
from tenancy.audit import services as audit
from tenancy.events import services as events
from tenancy.rules import NotAllowed, RuleBroken, StaleVersion
from tenancy.tenants.numbering import next_number

from . import event_types, notices, plans
from .availability import Slot, nearest, slots
from .models import (
    LONGEST_VISIT_MINUTES,
    Appointment,
    AppointmentChange,
    AppointmentResource,
    AppointmentType,
    Modality,
    TypePerformer,
)
from .states import LIVE, MOVES, NEEDS_REASON, PENDING, State
from .wall_time import wall_of

PAST_GRACE = timedelta(hours=1)  # contract.md 5.2
HOLD_MINUTES = 10
NEAR_DAYS = 14
MOST_LANES = 3


class TimeTaken(RuleBroken):
    """Somebody or something is taken at that time. `nearest` are up to three free times, the nearest first."""

    code = "time_taken"

    def __init__(self, sentence: str, *, who: str, nearest: Iterable[Slot] = ()):
        super().__init__(sentence)
        self.who, self.nearest = who, list(nearest)


class TimeNotOffered(TimeTaken):
    """Nobody has the time, but it is not one that is offered: leave, closed, outside of the hours."""

    code = "time_not_offered"


class MoveRefused(RuleBroken):
    """This may not follow that (states.MOVES)."""

    code = "move_refused"


_when_freed: list[Callable[[Appointment], object]] = []


def call_when_freed(function: Callable[[Appointment], object]) -> None:
    """Have a function called, in the same transaction, with each appointment whose time somebody else may have now.

    It gets the appointment as it stood before it was moved away. The waiting list registers itself by this.
    """
    if function not in _when_freed:
        _when_freed.append(function)


def _tell_freed(freed: Appointment) -> None:
    for function in _when_freed:
        function(freed)


class NotQualified(RuleBroken):
    """The practitioner lacks what the type of visit needs on that day. `gaps` names each and when it lapsed."""

    code = "not_qualified"

    def __init__(self, sentence: str, gaps: list[Gap]):
        super().__init__(sentence)
        self.gaps = gaps


@dataclass(frozen=True)
class Wanted:
    """A visit somebody asks for. Moments are aware; `ends_at` None takes the length of the type.

    `resources` None lets the book choose what the type needs; `overbook_reason`
    books over others, `override_reason` in spite of a qualification that is
    missing, each with the permission for it. `submit_key` is the same for
    every press of one button.
    """

    patient: Patient | None
    practitioner: Practitioner
    starts_at: datetime
    location: Location | None = None
    type: AppointmentType | None = None
    ends_at: datetime | None = None
    modality: str = ""
    reason: str = ""
    notes: str = ""
    resources: tuple[Resource, ...] | None = None
    overbook_reason: str = ""
    override_reason: str = ""
    submit_key: uuid.UUID | None = None
    source: str = Appointment.Source.STAFF
    tells_patient: bool = True
    custom_fields: dict[str, Any] = field(default_factory=dict)
    notification_state: str = ""


@transaction.atomic
def book(wanted: Wanted, *, by: Membership | None, state: str = State.BOOKED) -> Appointment:
    """Put a visit into the book: practitioner, rooms, devices and patient, all or nothing.

    `state` is where it begins: booked, confirmed, requested, or held (kept for
    ten minutes while somebody types). The same `submit_key` again gives the
    appointment it made. Raises TimeTaken, TimeNotOffered, RuleBroken with a
    sentence for times that make no sense, NotAllowed for overbooking without
    the permission.
    """
    if wanted.submit_key and (done := Appointment.objects.filter(submit_key=wanted.submit_key).first()):
        return done
    appointment = _draft(wanted, by=by, state=state)
    _lock(appointment, wanted.resources or ())
    if wanted.submit_key and (done := Appointment.objects.filter(submit_key=wanted.submit_key).first()):
        return done
    _expire_holds(appointment)
    _check_qualified(appointment, wanted, by=by)
    chosen = _claim(appointment, wanted, by=by)
    appointment.number = next_number("appointment")
    _write(appointment, chosen, is_new=True)
    _note(appointment, "booked", by=by, new_state=state, reason=wanted.overbook_reason)
    audit.record("appointment_booked", appointment, by=by, reason=wanted.overbook_reason, details=_facts(appointment))
    if state != State.HELD:
        events.emit(event_types.CREATED, appointment, by=by)
    if wanted.tells_patient and state != State.HELD:
        notices.tell_patient(appointment, notices.CONFIRMATION)
    return appointment


@transaction.atomic
def reschedule(
    appointment: Appointment,
    *,
    by: Membership | None,
    starts_at: datetime,
    ends_at: datetime | None = None,
    practitioner: Practitioner | None = None,
    location: Location | None = None,
    type: AppointmentType | None = None,
    reason: str = "",
    overbook_reason: str = "",
    override_reason: str = "",
    expected_version: int | None = None,
    batch: uuid.UUID | None = None,
) -> Appointment:
    """Move a visit to another time, practitioner, house or kind; it stays the same appointment.

    Raises as `book`, StaleVersion, and MoveRefused for one that is over.
    """
    appointment = _lock_row(appointment, expected_version)
    if appointment.state not in {State.REQUESTED, State.HELD, State.BOOKED, State.CONFIRMED}:
        raise MoveRefused(
            _("This visit is %(state)s; it can not be moved.") % {"state": appointment.get_state_display()}
        )
    before, freed = _facts(appointment), copy(appointment)
    length = appointment.ends_at - appointment.starts_at
    wanted = Wanted(
        patient=appointment.patient,
        practitioner=practitioner or appointment.practitioner,
        location=location or (None if practitioner else appointment.location),
        type=type or appointment.type,
        starts_at=starts_at,
        ends_at=ends_at or starts_at + length,
        modality=appointment.modality,
        overbook_reason=overbook_reason,
        override_reason=override_reason,
    )
    moved = _draft(wanted, by=by, state=appointment.state)
    for name in (
        "practitioner",
        "location",
        "type",
        "starts_at",
        "ends_at",
        "busy_from",
        "busy_until",
        "wall_start",
        "time_zone",
    ):
        setattr(appointment, name, getattr(moved, name))
    _lock(appointment, ())
    _expire_holds(appointment)
    appointment.lane, appointment.overbook_reason = 0, ""
    _check_qualified(appointment, wanted, by=by)
    chosen = _claim(appointment, wanted, by=by)
    appointment.sequence += 1
    if appointment.series_id:
        appointment.is_exception = True
    _write(appointment, chosen, is_new=False)
    _note(appointment, "moved", by=by, before=before, after=_facts(appointment), reason=reason, batch=batch)
    audit.record(
        "appointment_moved", appointment, by=by, reason=reason or overbook_reason,
        changes={name: (before[name], after) for name, after in _facts(appointment).items() if before[name] != after},
    )  # fmt: skip
    if appointment.state != State.HELD:
        events.emit(event_types.UPDATED, appointment, by=by)
        notices.tell_patient(appointment, notices.MOVED)
    _tell_freed(freed)
    return appointment


@transaction.atomic
def move(
    appointment: Appointment,
    to: str,
    *,
    by: Membership | None,
    reason: str = "",
    expected_state: str | None = None,
    expected_version: int | None = None,
    batch: uuid.UUID | None = None,
) -> Appointment:
    """Let an appointment go to another state by the table of moves.

    `expected_state` makes it compare-and-set: a request that was confirmed or
    withdrawn meanwhile is not confirmed again (wish 3). Raises MoveRefused,
    StaleVersion, RuleBroken where a reason is missing.
    """
    appointment = _lock_row(appointment, expected_version)
    old = appointment.state
    if expected_state is not None and old != expected_state:
        raise MoveRefused(_("This visit is %(state)s by now.") % {"state": appointment.get_state_display()})
    if to not in MOVES[old]:
        raise MoveRefused(
            _("A visit that is “%(old)s” can not become “%(new)s”.")
            % {"old": appointment.get_state_display(), "new": State(to).label}
        )
    if old == State.HELD and appointment.hold_expires_at and appointment.hold_expires_at <= timezone.now():
        raise MoveRefused(
            _("The time was kept until %(time)s and is free again.")
            % {"time": f"{wall_of(appointment.hold_expires_at, appointment.location.zone):%H:%M}"}
        )
    if to in NEEDS_REASON and not reason.strip():
        raise RuleBroken(_("Say why the visit is cancelled."), code="reason_required")
    moved = _set_state(appointment, to, by=by, action="moved_on", reason=reason, batch=batch)
    if to == State.CANCELLED:
        if old != State.HELD:
            notices.tell_patient(moved, notices.CANCELLED)
        _tell_freed(moved)
    elif old in PENDING:
        notices.tell_patient(moved, notices.CONFIRMATION)
    return moved


@transaction.atomic
def undo_move(appointment: Appointment, *, by: Membership | None) -> Appointment:
    """Put the state before the last change back. Raises MoveRefused when there is none, TimeTaken when it is gone."""
    appointment = _lock_row(appointment, None)
    last = appointment.changes.exclude(new_state="").order_by("-at", "-id").first()
    if last is None or not last.old_state or last.new_state != appointment.state:
        raise MoveRefused(_("There is nothing to undo."))
    if last.old_state in LIVE and not appointment.is_live:
        _lock(appointment, ())
        _expire_holds(appointment)
        _refuse_clash(appointment, [claim.resource for claim in appointment.resources.select_related("resource")])
    return _set_state(appointment, last.old_state, by=by, action="undone", reason="")


def expire_holds() -> int:
    """Give back every time of this clinic that was kept for somebody who did not come back. Returns how many."""
    late = Appointment.objects.filter(state=State.HELD, hold_expires_at__lte=timezone.now())
    gone = 0
    for appointment in late.select_for_update(of=("self",), skip_locked=True, no_key=True).select_related("location"):
        with transaction.atomic():
            _set_state(appointment, State.CANCELLED, by=None, action="expired", reason="")
        gone += 1
    return gone


@transaction.atomic
def release(hold: Appointment, *, by: Membership | None) -> Appointment:
    """Let go of a held time before it is over. Raises MoveRefused for anything else."""
    hold = _lock_row(hold, None)
    if hold.state != State.HELD:
        raise MoveRefused(_("This time is not held."))
    return _set_state(hold, State.CANCELLED, by=by, action="released", reason="")


# --- Parts -----------------------------------------------------------------------------------------------------------


def _draft(wanted: Wanted, *, by: Membership | None, state: str) -> Appointment:
    """The row as it would stand, with its times checked; nothing is locked or saved."""
    location = wanted.location or usual_location(wanted.practitioner)
    minutes = wanted.type.minutes if wanted.type else 30
    starts_at = wanted.starts_at.astimezone(UTC)
    ends_at = (wanted.ends_at or wanted.starts_at + timedelta(minutes=minutes)).astimezone(UTC)
    _check_times(starts_at, ends_at)
    _check_people(wanted)
    before, after = (wanted.type.buffer_before, wanted.type.buffer_after) if wanted.type else (0, 0)
    return Appointment(
        patient=wanted.patient,
        practitioner=wanted.practitioner,
        location=location,
        type=wanted.type,
        starts_at=starts_at,
        ends_at=ends_at,
        busy_from=starts_at - timedelta(minutes=before),
        busy_until=ends_at + timedelta(minutes=after),
        wall_start=f"{wall_of(starts_at, location.zone):%Y-%m-%dT%H:%M}",
        time_zone=location.time_zone,
        state=state,
        hold_expires_at=timezone.now() + timedelta(minutes=HOLD_MINUTES) if state == State.HELD else None,
        modality=wanted.modality or (wanted.type.modality if wanted.type else Modality.IN_PERSON),
        reason=wanted.reason.strip(),
        notes=wanted.notes.strip(),
        custom_fields=wanted.custom_fields,
        notification_state=wanted.notification_state,
        source=wanted.source,
        submit_key=wanted.submit_key,
        created_by=by.member if by else None,
    )


def _check_times(starts_at: datetime, ends_at: datetime) -> None:
    if ends_at <= starts_at:
        raise RuleBroken(_("End time must be after start time"), code="end_before_start")
    if ends_at - starts_at > timedelta(minutes=LONGEST_VISIT_MINUTES):
        raise RuleBroken(_("A visit lasts at most 8 hours."), code="too_long")
    if starts_at < timezone.now() - PAST_GRACE:
        raise RuleBroken(_("This time has passed."), code="in_the_past")


def _check_people(wanted: Wanted) -> None:
    if wanted.patient is not None and wanted.patient.is_archived:
        raise RuleBroken(_("This chart is archived; restore it first."), code="archived_patient")
    if wanted.patient is not None and wanted.patient.is_deceased:
        raise RuleBroken(_("This patient has died."), code="deceased_patient")
    if not wanted.practitioner.is_active:
        raise RuleBroken(_("%(name)s does not work here any more.") % {"name": wanted.practitioner.name})
    if wanted.type is None:
        return
    if not wanted.type.is_active:
        raise RuleBroken(_("“%(type)s” is not offered any more.") % {"type": wanted.type.name})
    performers = set(TypePerformer.objects.filter(type=wanted.type).values_list("practitioner_id", flat=True))
    if performers and wanted.practitioner.pk not in performers:
        raise RuleBroken(
            _("%(name)s does not do “%(type)s”.") % {"name": wanted.practitioner.name, "type": wanted.type.name}
        )


def usual_location(practitioner: Practitioner) -> Location:
    """Where the practitioner works most, else the first location of the clinic; a clinic without any gets its first."""
    hours = practitioner.working_hours.filter(location__is_active=True).select_related("location").order_by("id")
    if row := hours.first():
        return row.location
    location = Location.objects.filter(is_active=True).order_by("id").first()
    return location or create_location(
        by=None, name=practitioner.tenant.name[:120], time_zone=practitioner.tenant.time_zone
    )


def _lock_row(appointment: Appointment, expected_version: int | None) -> Appointment:
    locked = (
        Appointment.objects.select_for_update(of=("self",), no_key=True)
        .select_related("location", "practitioner", "patient", "type")
        .get(pk=appointment.pk)
    )
    if expected_version is not None and locked.version != expected_version:
        raise StaleVersion(_("Somebody else has changed this visit meanwhile."))
    return locked


def _lock(appointment: Appointment, resources: Iterable[Resource]) -> None:
    """Practitioner, rooms and devices by id, patient: everybody in this order, so nobody waits in a circle."""
    Practitioner.objects.select_for_update(of=("self",), no_key=True).get(pk=appointment.practitioner_id)
    if appointment.type_id or resources:
        wanted = {r.pk for r in resources}
        if appointment.type is not None:
            wanted |= {pk for need in plans.needs_of(appointment.type) for pk in need.resources}
        list(Resource.objects.filter(pk__in=wanted).select_for_update(of=("self",), no_key=True).order_by("pk"))
    if appointment.patient_id:
        Patient.objects.select_for_update(of=("self",), no_key=True).only("pk", "tenant").get(pk=appointment.patient_id)


def _expire_holds(appointment: Appointment) -> None:
    """Let go of holds that are over and in the way; the sweeper may not have come by yet."""
    late = Appointment.objects.filter(
        state=State.HELD,
        hold_expires_at__lte=timezone.now(),
        busy_from__lt=appointment.busy_until,
        busy_until__gt=appointment.busy_from,
    )
    for hold in late.select_for_update(of=("self",), skip_locked=True, no_key=True).select_related("location"):
        _set_state(hold, State.CANCELLED, by=None, action="expired", reason="")


def _claim(appointment: Appointment, wanted: Wanted, *, by: Membership | None) -> list[Resource]:
    """Check that everything is free, choosing rooms and devices; an overbooking gets a lane instead."""
    overbook = bool(wanted.overbook_reason.strip())
    if overbook and (by is None or not by.may(Permission.APPOINTMENT_OVERBOOK)):
        raise NotAllowed(_("You may not book over other visits."))
    if overbook:
        return _overbook(appointment, wanted)
    chosen = _choose(appointment, wanted)
    _refuse_clash(appointment, chosen)
    _refuse_not_offered(appointment)
    return chosen


def _check_qualified(appointment: Appointment, wanted: Wanted, *, by: Membership | None) -> None:
    """Refuse a practitioner who lacks what the type needs, unless somebody who may says why it has to be."""
    appointment.override_reason = ""
    gaps = qualification_gaps(appointment)
    if not gaps:
        return
    reason = wanted.override_reason.strip()
    if not reason:
        raise NotQualified(" ".join(_say_gap(appointment.practitioner, gap) for gap in gaps), gaps)
    if by is None or not by.may(Permission.QUALIFICATION_OVERRIDE):
        raise NotAllowed(_("You may not book without the qualification."))
    appointment.override_reason = reason[:300]


def qualification_gaps(appointment: Appointment) -> list[Gap]:
    """What the practitioner of a visit lacks on its day, of what its type needs."""
    if appointment.type is None:
        return []
    kinds = [need.kind for need in appointment.type.qualifications.select_related("kind")]
    day = wall_of(appointment.starts_at, appointment.location.zone).date()
    return gaps_of(appointment.practitioner.member_id, kinds, day)


def _say_gap(practitioner: Practitioner, gap: Gap) -> str:
    if gap.lapsed_on is None:
        return _("%(name)s does not hold “%(kind)s”.") % {"name": practitioner.name, "kind": gap.kind.name}
    return _("“%(kind)s” of %(name)s lapsed on %(day)s.") % {
        "name": practitioner.name,
        "kind": gap.kind.name,
        "day": date_format(gap.lapsed_on, pgettext("a day in a sentence", "j F Y")),
    }


def _choose(appointment: Appointment, wanted: Wanted) -> list[Resource]:
    if wanted.resources is not None:
        return list(wanted.resources)
    if appointment.type is None:
        return []
    taken = set(
        AppointmentResource.objects.filter(
            is_live=True, busy_from__lt=appointment.busy_until, busy_until__gt=appointment.busy_from
        )
        .exclude(appointment=appointment.pk)
        .values_list("resource_id", flat=True)
    )
    chosen: list[uuid.UUID] = []
    for need in plans.needs_of(appointment.type):
        free = next((pk for pk in need.resources if pk not in taken and pk not in chosen), None)
        if free is None:
            raise TimeTaken(
                _("No %(what)s is free then.") % {"what": need.category}, who="resource", nearest=_nearest(appointment)
            )
        chosen.append(free)
    return list(Resource.objects.filter(pk__in=chosen))


def _others(appointment: Appointment) -> QuerySet[Appointment]:
    return (
        Appointment.objects.live()
        .exclude(pk=appointment.pk)
        .filter(busy_from__lt=appointment.busy_until, busy_until__gt=appointment.busy_from)
    )


def _refuse_clash(appointment: Appointment, resources: Iterable[Resource]) -> None:
    others = _others(appointment)
    if others.filter(practitioner=appointment.practitioner_id, session=None).exists():
        raise TimeTaken(
            _("%(name)s has another visit then.") % {"name": appointment.practitioner.name},
            who="practitioner",
            nearest=_nearest(appointment),
        )
    if appointment.patient_id and (
        others.filter(
            patient=appointment.patient_id, starts_at__lt=appointment.ends_at, ends_at__gt=appointment.starts_at
        ).exists()
    ):
        raise TimeTaken(_("The patient has another visit then."), who="patient", nearest=_nearest(appointment))
    claims = AppointmentResource.objects.filter(
        is_live=True, busy_from__lt=appointment.busy_until, busy_until__gt=appointment.busy_from
    ).exclude(appointment=appointment.pk)
    for resource in resources:
        if claims.filter(resource=resource).exists():
            raise TimeTaken(
                _("%(name)s is taken then.") % {"name": resource.name}, who="resource", nearest=_nearest(appointment)
            )


def _refuse_not_offered(appointment: Appointment) -> None:
    """Leave always counts; hours count where the practitioner has any: one without hours is asked, not barred."""
    away = appointment.practitioner.leave.filter(
        cancelled_at=None, starts_at__lt=appointment.ends_at, ends_at__gt=appointment.starts_at
    ).first()
    if away:
        raise TimeNotOffered(
            _("%(name)s is away then: %(why)s.")
            % {"name": appointment.practitioner.name, "why": away.note or away.get_kind_display()},
            who="practitioner",
            nearest=_nearest(appointment),
        )
    if not appointment.practitioner.working_hours.exists():
        return
    day = wall_of(appointment.starts_at, appointment.location.zone).date()
    plan = plans.load_plan([appointment.practitioner], day - timedelta(days=1), day, type=appointment.type)
    inside = any(
        w.starts <= appointment.starts_at and appointment.ends_at <= w.ends and w.location_id == appointment.location_id
        for w in plan.windows
    )
    closed = [
        block
        for block in plan.location_blocks.get(appointment.location_id, ())
        if block.starts < appointment.ends_at and block.ends > appointment.starts_at
    ]
    if not inside or closed:
        words = closed[0].words if closed else _("outside of the working hours")
        raise TimeNotOffered(
            _("This time is not offered: %(why)s.") % {"why": words}, who="hours", nearest=_nearest(appointment)
        )


def _nearest(appointment: Appointment) -> list[Slot]:
    """Up to three free times of the same practitioner, the nearest first."""
    type = appointment.type
    day = wall_of(appointment.starts_at, appointment.location.zone).date()
    first = max(day - timedelta(days=NEAR_DAYS), timezone.now().date())
    ignore = None if appointment._state.adding else appointment.pk
    plan = plans.load_plan([appointment.practitioner], first, day + timedelta(days=NEAR_DAYS), type=type, ignore=ignore)
    demand = plans.demand_of(type or AppointmentType(minutes=appointment.minutes), minutes=appointment.minutes)
    return nearest(slots(plan, demand), appointment.starts_at)


def _overbook(appointment: Appointment, wanted: Wanted) -> list[Resource]:
    """A deliberate overbooking takes the first lane that is free: recorded, bounded, seen by the constraint."""
    appointment.overbook_reason = wanted.overbook_reason.strip()[:300]
    taken = set(_others(appointment).filter(practitioner=appointment.practitioner_id).values_list("lane", flat=True))
    if appointment.patient_id:
        taken |= set(_others(appointment).filter(patient=appointment.patient_id).values_list("lane", flat=True))
    lane = next((lane for lane in range(1, MOST_LANES + 1) if lane not in taken), None)
    if lane is None:
        raise TimeTaken(_("This time is overbooked as far as it may be."), who="practitioner")
    appointment.lane = lane
    return list(wanted.resources or ())


def _write(appointment: Appointment, chosen: Iterable[Resource], *, is_new: bool) -> None:
    """Save the row and what it claims; should the constraint know better than the check, it has the last word."""
    appointment.updated_at = timezone.now()
    if not is_new:
        appointment.version += 1
    try:
        with transaction.atomic():
            appointment.save(force_insert=is_new, force_update=not is_new)
            appointment.resources.all().delete()
            AppointmentResource.objects.bulk_create(
                [
                    AppointmentResource(
                        appointment=appointment,
                        resource=resource,
                        busy_from=appointment.busy_from,
                        busy_until=appointment.busy_until,
                        is_live=appointment.is_live,
                        lane=appointment.lane,
                    )
                    for resource in chosen
                ]
            )
    except IntegrityError as error:
        if isinstance(error.__cause__, ExclusionViolation | UniqueViolation):
            raise TimeTaken(
                _("Somebody was faster: this time is taken."), who="practitioner", nearest=_nearest(appointment)
            ) from None
        raise


def _set_state(
    appointment: Appointment,
    to: str,
    *,
    by: Membership | None,
    action: str,
    reason: str,
    batch: uuid.UUID | None = None,
) -> Appointment:
    old, appointment.state = appointment.state, to
    appointment.is_live = to in LIVE
    appointment.version += 1
    appointment.updated_at = timezone.now()
    if to == State.ARRIVED:
        appointment.arrived_at = appointment.arrived_at or timezone.now()
    elif to not in {State.IN_ROOM, State.COMPLETED}:
        appointment.arrived_at = None
    if to not in PENDING:
        appointment.hold_expires_at = None
    if to == State.CANCELLED:
        appointment.sequence += 1
    try:
        with transaction.atomic():
            appointment.save(
                update_fields=[
                    *["state", "is_live", "version", "updated_at", "arrived_at", "hold_expires_at", "sequence"]
                ]
            )
            appointment.resources.update(is_live=appointment.is_live)
    except IntegrityError as error:
        if isinstance(error.__cause__, ExclusionViolation):
            raise TimeTaken(_("The time of this visit is taken by now."), who="practitioner") from None
        raise
    _note(appointment, action, by=by, old_state=old, new_state=to, reason=reason, batch=batch)
    audit.record(f"appointment_{action}", appointment, by=by, reason=reason, changes={"state": (str(old), str(to))})
    _tell_listeners(appointment, old, by=by)
    return appointment


def _tell_listeners(appointment: Appointment, old: str, *, by: Membership | None) -> None:
    """A time that is only held is nobody's visit yet: programs hear of it when it is booked, and never if it is not."""
    if old == State.HELD:
        if appointment.state != State.CANCELLED:
            events.emit(event_types.CREATED, appointment, by=by)
        return
    events.emit(event_types.STATUS_CHANGED, appointment, by=by)
    if appointment.state == State.CANCELLED:
        events.emit(event_types.DELETED, appointment, by=by)


def _note(
    appointment: Appointment, action: str, *, by: Membership | None, old_state: str = "", new_state: str = "",
    before: dict[str, Any] | None = None, after: dict[str, Any] | None = None, reason: str = "",
    batch: uuid.UUID | None = None,
) -> None:  # fmt: skip
    AppointmentChange.objects.create(
        appointment=appointment, by=by.member if by else None, by_label=label_of(by),
        action=action, old_state=old_state, new_state=new_state,
        before=before or {}, after=after or {}, reason=reason[:300], batch=batch,
    )  # fmt: skip


def label_of(by: Membership | None) -> str:
    """How a history names a caller that is no member, an API key; "" for members and for the system."""
    return by.display_name[:200] if by is not None and by.member is None else ""


def _facts(appointment: Appointment) -> dict[str, Any]:
    """What of an appointment stands in histories: ids and times, nothing clinical."""
    return {
        "practitioner": str(appointment.practitioner_id),
        "location": str(appointment.location_id),
        "starts_at": appointment.starts_at.isoformat(),
        "ends_at": appointment.ends_at.isoformat(),
        "lane": appointment.lane,
    }
