"""When the day does not go as planned: somebody is ill, a time becomes free (wishes 12 and 13)."""

import heapq
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from clinic.practitioners.models import Practitioner
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from . import plans, series, services
from .availability import Block, Plan, Slot, slots
from .models import Appointment, AppointmentType, Leave
from .states import UPCOMING, State
from .wall_time import wall_of

LOOK_AHEAD_DAYS = 21
OTHER_TIMES = 5


@dataclass(frozen=True)
class Proposal:
    """What may become of one visit that a leave would break; `slot` None means that nothing suitable is free.

    `others` are further free times, the nearest first, for the one who decides.
    """

    appointment: Appointment
    slot: Slot | None
    other_practitioner: bool
    others: tuple[Slot, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What shall become of one visit: moved to a slot, cancelled, or left as it is for somebody to sort out."""

    appointment_id: uuid.UUID
    action: str  # move, cancel, leave
    starts_at: datetime | None = None
    practitioner: Practitioner | None = None


def affected_by(practitioner: Practitioner, starts_at: datetime, ends_at: datetime) -> list[Appointment]:
    """The visits to come that a leave would break, in order of time."""
    return list(
        Appointment.objects.filter(
            practitioner=practitioner, state__in=UPCOMING, starts_at__lt=ends_at, ends_at__gt=starts_at, session=None
        )
        .select_related("patient", "location", "type", "practitioner")
        .order_by("starts_at", "id")
    )


def propose(practitioner: Practitioner, starts_at: datetime, ends_at: datetime) -> list[Proposal]:
    """A new time or practitioner for every visit a leave would break. Writes nothing: this is the dry run.

    Best is a colleague at the same time, then the colleague or practitioner
    with the next free time. No time is proposed twice.
    """
    affected = affected_by(practitioner, starts_at, ends_at)
    if not affected:
        return []
    everybody = list(Practitioner.objects.filter(is_active=True).order_by("id"))
    given: list[Slot] = []
    return [_proposal(visit, practitioner, everybody, (starts_at, ends_at), given) for visit in affected]


def _proposal(
    visit: Appointment,
    away: Practitioner,
    everybody: list[Practitioner],
    span: tuple[datetime, datetime],
    given: list[Slot],
) -> Proposal:
    """The best slot for one visit; it is added to `given`, so that the next visit gets another."""
    day = wall_of(visit.starts_at, visit.location.zone).date()
    first = max(day, timezone.localdate(timezone=visit.location.zone))
    plan = plans.load_plan(everybody, first, first + timedelta(days=LOOK_AHEAD_DAYS), type=visit.type, ignore=visit.pk)
    plan.practitioner_blocks.setdefault(away.pk, []).append(Block(*span, "leave", ""))
    for slot in given:
        _block(plan, slot)
    plan.windows = [w for w in plan.windows if w.location_id == visit.location_id]
    demand = plans.demand_of(visit.type or AppointmentType(minutes=visit.minutes), minutes=visit.minutes)
    elsewhere = _times_of_patient(visit)
    joins = visit.patient_id is not None  # one session can not go into another
    found = [slot for slot in slots(plan, demand) if not any(a < slot.ends and b > slot.starts for a, b in elsewhere)]
    found = [slot for slot in found if joins or slot.group is None]
    ranked = heapq.nsmallest(OTHER_TIMES + 1, found, key=lambda slot: _distance(visit, slot, away))
    best = ranked[0] if ranked else None
    if best is not None:
        given.append(best)
    return Proposal(visit, best, best is not None and best.practitioner_id != away.pk, tuple(ranked[1:]))


def _block(plan: Plan, slot: Slot) -> None:
    taken = Block(slot.starts, slot.ends, "booked", "")
    plan.practitioner_blocks.setdefault(slot.practitioner_id, []).append(taken)
    for resource in slot.resources:
        plan.resource_blocks.setdefault(resource, []).append(taken)


def _distance(visit: Appointment, slot: Slot, away: Practitioner) -> tuple[float, bool]:
    """Nearer in time is better; at the same distance the patient keeps the practitioner."""
    return abs((slot.starts - visit.starts_at).total_seconds()), slot.practitioner_id != away.pk


def _times_of_patient(visit: Appointment) -> list[tuple[datetime, datetime]]:
    """When the patient of a visit, or anybody in a group, is elsewhere in this clinic from that day on."""
    live = Appointment.objects.live()
    in_it = [visit.patient_id] if visit.patient_id else live.filter(session=visit.pk).values("patient")
    others = live.filter(patient__in=in_it, ends_at__gt=timezone.now()).exclude(session=visit.pk)
    return list(others.exclude(pk=visit.pk).values_list("starts_at", "ends_at"))


@transaction.atomic
def take_leave(
    practitioner: Practitioner,
    *,
    by: Membership,
    kind: str,
    starts_at: datetime,
    ends_at: datetime,
    note: str = "",
    decisions: Iterable[Decision] = (),
) -> tuple[Leave, uuid.UUID]:
    """Write a leave down and do what was decided for the visits it breaks, all or nothing.

    Every visit it breaks needs a decision: raises RuleBroken naming how many
    have none. The second part of the answer undoes all of it (`undo_leave`).
    """
    if ends_at <= starts_at:
        raise RuleBroken(_("End time must be after start time"), code="end_before_start")
    decisions = list(decisions)
    others = [decision.practitioner.pk for decision in decisions if decision.practitioner is not None]
    services.lock_together(affected_by(practitioner, starts_at, ends_at), [practitioner.pk, *others])
    broken = {visit.pk: visit for visit in affected_by(practitioner, starts_at, ends_at)}
    decided = {decision.appointment_id: decision for decision in decisions}
    if missing := len(broken.keys() - decided.keys()):
        raise RuleBroken(_("Decide about %(count)d visits first.") % {"count": missing}, code="undecided")
    batch = uuid.uuid4()
    leave = Leave.objects.create(
        practitioner=practitioner, kind=kind, starts_at=starts_at, ends_at=ends_at,
        note=note.strip(), batch=batch, created_by=by,
    )  # fmt: skip
    for pk, visit in broken.items():
        _carry_out(visit, decided[pk], by=by, batch=batch, note=note or str(leave.get_kind_display()))
    audit.record("leave_taken", leave, by=by, details={"batch": str(batch), "visits": len(broken)})
    return leave, batch


def _carry_out(visit: Appointment, decision: Decision, *, by: Membership, batch: uuid.UUID, note: str) -> None:
    if decision.action == "move":
        if decision.starts_at is None:
            raise RuleBroken(_("Say where the visit is moved to."), code="undecided")
        services.reschedule(
            visit,
            by=by,
            starts_at=decision.starts_at,
            practitioner=decision.practitioner,
            location=visit.location,
            reason=note,
            batch=batch,
        )
    elif decision.action == "cancel":
        services.move(visit, State.CANCELLED, by=by, reason=note, batch=batch)
    elif decision.action != "leave":
        raise RuleBroken(_("Move it, cancel it, or leave it as it is."), code="bad_decision")


@transaction.atomic
def end_leave(leave: Leave, *, by: Membership) -> None:
    """Take a leave back and leave the visits where they are now. Raises RuleBroken when that was done before."""
    closed = Leave.objects.filter(pk=leave.pk, cancelled_at=None).update(cancelled_at=timezone.now())
    if not closed:
        raise RuleBroken(_("This leave was taken back already."), code="nothing_to_undo")
    audit.record("leave_ended", leave, by=by)


@transaction.atomic
def undo_leave(leave: Leave, batch: uuid.UUID, *, by: Membership) -> int:
    """Take a leave back and put its visits where they were. Raises as `series.undo_batch`. Returns how many visits."""
    closed = Leave.objects.filter(pk=leave.pk, cancelled_at=None).update(cancelled_at=timezone.now())
    if not closed:
        raise RuleBroken(_("This leave was taken back already."), code="nothing_to_undo")
    audit.record("leave_undone", leave, by=by)
    if not Appointment.objects.filter(changes__batch=batch).exists():
        return 0
    return series.undo_batch(batch, by=by)
