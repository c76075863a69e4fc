"""Writing the book. One lock order, one check, and the table's own constraints behind both (design/database.md)."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
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
from .states import LIVE, MOVES, NEEDS_REASON, PENDING, UPCOMING, State
from .wall_time import day_bounds, wall_of
from .wordings import say_gap

PAST_GRACE = timedelta(hours=1)  # contract.md 5.2
HOLD_MINUTES = 10
NEAR_DAYS = (1, 14)  # three times are looked for in the days around, and further only where there are none
MOST_LANES = 3
KEPT_FOR_UNDO = ("overbook_reason", "override_reason", "is_exception")


class TimeTaken(RuleBroken):
    """Somebody or something is taken at that time. `nearest` are up to three free times, the nearest first.

    They are looked for when somebody asks, which is after the refused booking
    was rolled back: nobody waits for its locks meanwhile.
    """

    code = "time_taken"

    def __init__(self, sentence: str, *, who: str, nearest: Iterable[Slot] = ()):
        super().__init__(sentence)
        self.who, self._nearest = who, nearest

    @cached_property
    def nearest(self) -> list[Slot]:
        return list(self._nearest)


class TimeNotOffered(TimeTaken):
    """Nobody has the time, but it is not one that is offered: leave, closed, outside of the hours."""

    code = "time_not_offered"


class GroupFull(TimeTaken):
    """The session stands, and somebody has each of its places."""

    code = "group_full"


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
    every press of one button; `hold` is the time the same booker has kept for
    this patient: it becomes the visit, or is let go where another is wanted by now.
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
    hold: uuid.UUID | None = None
    custom_fields: dict[str, Any] = field(default_factory=dict)
    notification_state: str = ""


@transaction.atomic
def book(wanted: Wanted, *, by: Membership | None, state: str = State.BOOKED) -> Appointment:
    """Put a visit into the book: practitioner, rooms, devices and patient, all or nothing.

    `state` is where it begins: booked, confirmed, requested, or held (kept for
    ten minutes while somebody types). The same `submit_key` again gives the
    appointment it made. A kind of visit with places for several people joins
    the session that stands at that time, or begins one. Raises TimeTaken,
    TimeNotOffered, RuleBroken with a sentence for times that make no sense and
    for a key that has booked something else, NotAllowed for overbooking without
    the permission.
    """
    if done := find_pressed(wanted, by=by):
        return done
    if wanted.hold and (kept := _take_hold(wanted, by=by, state=state)):
        return kept
    appointment = _draft(wanted, by=by, state=state)
    _lock(appointment, wanted.resources or ())
    if done := find_pressed(wanted, by=by):
        return done
    _expire_holds(appointment)
    _check_qualified(appointment, wanted, by=by)
    chosen = _claim(appointment, wanted, by=by)
    _enter(appointment, chosen, by=by)
    if wanted.tells_patient and state != State.HELD:
        notices.tell_patient(appointment, notices.CONFIRMATION)
    return appointment


def find_pressed(wanted: Wanted, *, by: Membership | None) -> Appointment | None:
    """The visit an earlier press of the same button has made; None for the first press.

    Raises RuleBroken where that visit is about another patient, practitioner or
    time: a form that was sent, gone back to and changed. Whose visit the caller
    may not see is not talked about; the door finds it missing.
    """
    done = Appointment.objects.filter(submit_key=wanted.submit_key).first() if wanted.submit_key else None
    if done is None or by is None or not Appointment.objects.visible_to(by).filter(pk=done.pk).exists():
        return done
    asked = (wanted.patient.pk if wanted.patient else None, wanted.practitioner.pk, wanted.starts_at)
    if asked != (done.patient_id, done.practitioner_id, done.starts_at) and not done.changes.filter(action="moved"):
        raise RuleBroken(
            _("This form has booked visit %(number)s already. Open a new one for another visit.")
            % {"number": done.number},
            code="sent_before",
        )
    return done


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
    _refuse_over(appointment)
    before, freed = _before(appointment), copy(appointment)
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
    _place(appointment, _draft(wanted, by=by, state=appointment.state))
    _lock(appointment, ())
    _expire_holds(appointment)
    appointment.lane, appointment.overbook_reason = 0, ""
    appointment.session, appointment.place = None, None
    _check_qualified(appointment, wanted, by=by)
    chosen = _claim(appointment, wanted, by=by)
    appointment.sequence += 1
    if appointment.series_id:
        appointment.is_exception = True
    _write(appointment, chosen, is_new=False)
    _note_move(appointment, before, by=by, reason=reason or overbook_reason, batch=batch)
    _after_move(appointment, freed, by=by, reason=reason)
    return appointment


@transaction.atomic
def put_back(appointment: Appointment, change: AppointmentChange, *, by: Membership | None) -> Appointment:
    """Undo a move: the visit stands again where it stood before, an overbooked one in its lane.

    What stood in the book may stand there again, so hours, leave, the past and
    qualifications are not asked about; only who has the time by now is.
    Raises TimeTaken for that, MoveRefused for a visit that is over.
    """
    appointment = _lock_row(appointment, None)
    _refuse_over(appointment)
    before, freed, there = _before(appointment), copy(appointment), change.before
    wanted = Wanted(
        patient=appointment.patient,
        practitioner=Practitioner.objects.get(pk=there["practitioner"]),
        location=Location.objects.get(pk=there["location"]),
        type=appointment.type,
        starts_at=datetime.fromisoformat(there["starts_at"]),
        ends_at=datetime.fromisoformat(there["ends_at"]),
    )
    _place(appointment, _row(wanted, by=by, state=appointment.state))
    appointment.lane = there["lane"]
    for name in KEPT_FOR_UNDO:
        setattr(appointment, name, there.get(name, type(getattr(appointment, name))()))
    _lock(appointment, ())
    _expire_holds(appointment)
    left, appointment.session, appointment.place = appointment.session, None, None
    if left is not None:
        chosen = _take_place(appointment, _as_wanted(appointment), by=by)
    else:
        chosen = _choose_if_free(appointment, wanted) if appointment.lane else _choose(appointment, wanted)
        _refuse_clash(appointment, chosen, by=by, lane=appointment.lane)
    appointment.sequence += 1
    _write(appointment, chosen, is_new=False)
    _note_move(appointment, before, by=by, reason=_("Undone"))
    _after_move(appointment, freed, by=by, reason=_("Undone"))
    return appointment


@transaction.atomic
def shift(appointment: Appointment, starts_at: datetime, *, reason: str) -> Appointment:
    """Put a visit right after the clocks were changed by law: to another moment, or where it is by another clock.

    Length, buffers, rooms and lane stay, places go with their session, hours
    are not asked about. Patients are told when the clock shows another time
    than before. Raises TimeTaken, MoveRefused for a visit that is over.
    """
    appointment = _lock_row(appointment, None)
    _refuse_over(appointment)
    before, clock, delta = _before(appointment), appointment.wall_start, starts_at - appointment.starts_at
    for name in ("starts_at", "ends_at", "busy_from", "busy_until"):
        setattr(appointment, name, getattr(appointment, name) + delta)
    zone = appointment.location.zone
    appointment.wall_start = f"{wall_of(appointment.starts_at, zone):%Y-%m-%dT%H:%M}"
    appointment.time_zone = appointment.location.time_zone
    _lock(appointment, ())
    _expire_holds(appointment)
    claimed = [claim.resource for claim in appointment.resources.select_related("resource")]
    _refuse_clash(appointment, claimed, by=None, lane=appointment.lane)
    appointment.sequence += 1
    _write(appointment, claimed, is_new=False)
    _move_places(appointment, by=None, reason=reason)
    _note_move(appointment, before, by=None, reason=reason)
    if appointment.wall_start != clock:
        for visit in _whole(appointment):
            notices.tell_patient(visit, notices.MOVED)
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
    places = _places(appointment) if to == State.CANCELLED else []
    for place in places:  # before their session, so that taking back, which goes the other way, finds it
        _set_state(place, to, by=by, action="moved_on", reason=reason, batch=batch)
    moved = _set_state(appointment, to, by=by, action="moved_on", reason=reason, batch=batch)
    if to == State.CANCELLED:
        if old != State.HELD:
            for visit in [moved, *places]:
                notices.tell_patient(visit, notices.CANCELLED)
        if moved.session is not None:
            _close_if_empty(moved.session, by=by)
        if moved.patient_id:
            _tell_freed(moved)
    elif old in PENDING:
        notices.tell_patient(moved, notices.CONFIRMATION)
    return moved


@transaction.atomic
def undo_move(appointment: Appointment, *, by: Membership | None, expected_version: int | None = None) -> Appointment:
    """Put the state before the last change back. Taking back is not taken back, and no time is kept a second time.

    Raises MoveRefused when there is nothing to undo, TimeTaken when the time is gone, StaleVersion.
    """
    appointment = _lock_row(appointment, expected_version)
    last = appointment.changes.exclude(new_state="").order_by("-at", "-id").first()
    if last is None or not last.can_be_undone_in(appointment.state):
        raise MoveRefused(_("There is nothing to undo."))
    if last.old_state in LIVE and not appointment.is_live:
        _lock(appointment, ())
        _expire_holds(appointment)
        if appointment.session_id:
            _take_place(appointment, _as_wanted(appointment), by=by)
            appointment.save(update_fields=["session", "place", "lane", "overbook_reason"])
        else:
            claimed = [claim.resource for claim in appointment.resources.select_related("resource")]
            _refuse_clash(appointment, claimed, by=by, lane=appointment.lane)
    back = _set_state(appointment, last.old_state, by=by, action="undone", reason="")
    if last.new_state == State.CANCELLED and notices.was_told(back, notices.CANCELLED):
        notices.tell_patient(back, notices.CONFIRMATION)
    return back


def expire_holds() -> int:
    """Give back every time of this clinic that was kept for somebody who did not come back. Returns how many."""
    late = Appointment.objects.filter(state=State.HELD, hold_expires_at__lte=timezone.now())
    gone = 0
    for appointment in late.select_for_update(of=("self",), skip_locked=True, no_key=True).select_related("location"):
        with transaction.atomic():
            _set_state(appointment, State.CANCELLED, by=None, action="expired", reason="")
        gone += 1
    deserted = Appointment.objects.live().filter(patient=None, capacity__gt=1, starts_at__gt=timezone.now())
    for session in deserted.exclude(places__is_live=True):
        with transaction.atomic():
            _close_if_empty(session, by=None)
    return gone


@transaction.atomic
def release(hold: Appointment, *, by: Membership | None) -> Appointment:
    """Let go of a held time before it is over. Raises MoveRefused for anything else."""
    hold = _lock_row(hold, None)
    if hold.state != State.HELD:
        raise MoveRefused(_("This time is not held."))
    released = _set_state(hold, State.CANCELLED, by=by, action="released", reason="")
    if released.session is not None:
        _close_if_empty(released.session, by=by)
    return released


# --- Parts -----------------------------------------------------------------------------------------------------------


def _draft(wanted: Wanted, *, by: Membership | None, state: str) -> Appointment:
    """The row as it would stand, with times and people checked; nothing is locked or saved."""
    row = _row(wanted, by=by, state=state)
    _check_times(row.starts_at, row.ends_at)
    _check_people(wanted)
    if not row.location.is_active:
        raise RuleBroken(_("Nobody is seen at %(place)s any more.") % {"place": row.location.name}, code="closed_place")
    return row


def _row(wanted: Wanted, *, by: Membership | None, state: str) -> Appointment:
    """The row as it would stand, unchecked."""
    location = wanted.location or usual_location(wanted.practitioner)
    minutes = wanted.type.minutes if wanted.type else 30
    starts_at = wanted.starts_at.astimezone(UTC)
    ends_at = (wanted.ends_at or wanted.starts_at + timedelta(minutes=minutes)).astimezone(UTC)
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


def _place(appointment: Appointment, there: Appointment) -> None:
    """Put a visit where and when another row stands."""
    for name in ("practitioner", "location", "starts_at", "ends_at", "busy_from", "busy_until", "wall_start"):
        setattr(appointment, name, getattr(there, name))
    appointment.time_zone = there.time_zone


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


def _refuse_over(appointment: Appointment) -> None:
    if appointment.state not in UPCOMING:
        raise MoveRefused(
            _("This visit is %(state)s; it can not be moved.") % {"state": appointment.get_state_display()}
        )


def _lock_row(appointment: Appointment, expected_version: int | None) -> Appointment:
    """The row as it is now. Of a group its session comes first, then its places: nobody waits in a circle.

    It is locked alone and read afterwards: a row that another changes while
    PostgreSQL waits for it is compared with what it was joined to before, and
    one that goes to another practitioner would not be found.
    """
    if appointment.session_id:
        list(Appointment.objects.filter(pk=appointment.session_id).select_for_update(of=("self",), no_key=True))
    list(Appointment.objects.filter(pk=appointment.pk).only("pk", "tenant").select_for_update(no_key=True))
    locked = Appointment.objects.select_related("location", "practitioner", "patient", "type", "session").get(
        pk=appointment.pk
    )
    if expected_version is not None and locked.version != expected_version:
        raise StaleVersion(_("Somebody else has changed this visit meanwhile."))
    return locked


def _lock(appointment: Appointment, resources: Iterable[Resource]) -> None:
    """Practitioner, rooms and devices by id, patient: everybody in this order, so nobody waits in a circle."""
    people = Practitioner.objects.select_for_update(of=("self",), no_key=True)
    people.only("pk", "tenant").get(pk=appointment.practitioner_id)
    wanted = {r.pk for r in resources}
    if appointment.type is not None:
        wanted |= {pk for need in plans.needs_of(appointment.type) for pk in need.at(appointment.location_id)}
    if wanted:
        things = Resource.objects.filter(pk__in=wanted).only("pk", "tenant").order_by("pk")
        list(things.select_for_update(of=("self",), no_key=True))
    if appointment.patient_id:
        Patient.objects.select_for_update(of=("self",), no_key=True).only("pk", "tenant").get(pk=appointment.patient_id)


def lock_together(visits: Iterable[Appointment], people: Iterable[uuid.UUID]) -> None:
    """Lock what a change of several visits will need, in the order in which one visit is changed.

    Rows, practitioners (`people` are those the visits may go to), rooms and
    devices, patients; each by id. Whoever locks visit by visit meets somebody
    who has them in another order, and PostgreSQL has to end one of the two.
    """
    visits = list(visits)
    _lock_rows(Appointment, {visit.pk for visit in visits})
    _lock_rows(Practitioner, {*people, *(visit.practitioner_id for visit in visits)})
    types = {visit.type_id: visit.type for visit in visits if visit.type is not None}
    _lock_rows(Resource, {pk for type in types.values() for need in plans.needs_of(type) for pk in need.resources})
    _lock_rows(Patient, {visit.patient_id for visit in visits if visit.patient_id})


def _lock_rows(model: Any, ids: set[uuid.UUID]) -> None:
    rows = model.objects.filter(pk__in=ids).only("pk", "tenant").order_by("pk")
    list(rows.select_for_update(of=("self",), no_key=True))


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
    """Check that everything is free, choosing rooms and devices; an overbooking gets a lane where it is not."""
    overbook = bool(wanted.overbook_reason.strip())
    if overbook and (by is None or not by.may(Permission.APPOINTMENT_OVERBOOK)):
        raise NotAllowed(_("You may not book over other visits."))
    if appointment.patient_id and appointment.type is not None and appointment.type.capacity > 1:
        return _take_place(appointment, wanted, by=by)
    try:
        chosen = _choose(appointment, wanted)
        _refuse_clash(appointment, chosen, by=by)
        _refuse_not_offered(appointment)
    except TimeTaken:
        if overbook:
            return _overbook(appointment, wanted)
        raise
    return chosen


def _enter(appointment: Appointment, chosen: Iterable[Resource], *, by: Membership | None) -> None:
    """Write a new row with its number, its story and the line in the trail."""
    appointment.number = next_number("appointment")
    _write(appointment, chosen, is_new=True)
    action = "held" if appointment.state == State.HELD else "booked"
    why = appointment.overbook_reason
    _note(appointment, action, by=by, new_state=appointment.state, reason=why)
    audit.record(f"appointment_{action}", appointment, by=by, reason=why, details=_facts(appointment))
    if _is_told(appointment):
        events.emit(event_types.CREATED, appointment, by=by)


def _is_told(appointment: Appointment) -> bool:
    """Whether other programs hear of it: somebody's visit, not a time only held, nor the session around several."""
    return appointment.state != State.HELD and appointment.patient_id is not None


def _take_hold(wanted: Wanted, *, by: Membership | None, state: str) -> Appointment | None:
    """The time that was kept, as the visit that is wanted; let go where it is another time by now, or is over."""
    if by is None or wanted.hold is None:
        return None
    hold = Appointment.objects.filter(pk=wanted.hold, created_by=by, patient=wanted.patient).first()
    if hold is None:
        return None
    hold = _lock_row(hold, None)
    if hold.state != State.HELD:
        return hold if hold.submit_key and hold.submit_key == wanted.submit_key else None
    if not is_held_for(hold, wanted):
        release(hold, by=by)
        return None
    if state == State.HELD:
        hold.hold_expires_at = timezone.now() + timedelta(minutes=HOLD_MINUTES)
        hold.save(update_fields=["hold_expires_at"])
        return hold
    hold.reason, hold.notes, hold.submit_key = wanted.reason.strip(), wanted.notes.strip(), wanted.submit_key
    hold.save(update_fields=["reason", "notes", "submit_key"])
    return move(hold, state, by=by, expected_state=State.HELD)


def is_held_for(hold: Appointment, wanted: Wanted) -> bool:
    """Whether a hold still stands, for just this time; whoever books past a rule is judged anew."""
    same = (
        hold.practitioner_id == wanted.practitioner.pk
        and hold.starts_at == wanted.starts_at
        and hold.type_id == (wanted.type.pk if wanted.type else None)
        and (wanted.location is None or hold.location_id == wanted.location.pk)
        and wanted.ends_at in (None, hold.ends_at)
    )
    stands = hold.hold_expires_at is not None and hold.hold_expires_at > timezone.now()
    return same and stands and not wanted.overbook_reason.strip() and not wanted.override_reason.strip()


def _as_wanted(appointment: Appointment) -> Wanted:
    return Wanted(
        patient=appointment.patient,
        practitioner=appointment.practitioner,
        location=appointment.location,
        type=appointment.type,
        starts_at=appointment.starts_at,
        ends_at=appointment.ends_at,
        overbook_reason=appointment.overbook_reason,
    )


# Groups. A session is a row without a patient that claims the practitioner and the rooms; its places are rows of their
# own. Whoever joins, empties, moves or cancels a session holds the practitioner's lock, so nobody joins one that goes.


def _take_place(appointment: Appointment, wanted: Wanted, *, by: Membership | None) -> list[Resource]:
    """Join the session of this kind at this time, or begin one. The rooms are the session's."""
    session = _session_at(appointment)
    if session is None:
        alone = replace(wanted, patient=None, reason="", notes="", submit_key=None, hold=None, custom_fields={})
        session = _draft(alone, by=by, state=State.BOOKED)
        session.capacity = appointment.type.capacity if appointment.type else 1
        session.override_reason = appointment.override_reason
        _enter(session, _claim(session, alone, by=by), by=by)
    over = wanted.overbook_reason.strip()[:300]
    taken = set(_places_of(session).exclude(pk=appointment.pk).values_list("place", flat=True))
    most = session.capacity + (MOST_LANES if over else 0)
    free = next((place for place in range(1, most + 1) if place not in taken), None)
    if free is None:
        raise GroupFull(
            _("All %(count)d places are taken.") % {"count": session.capacity},
            who="practitioner",
            nearest=_nearest(appointment),
        )
    if free > session.capacity:
        appointment.lane, appointment.overbook_reason = free - session.capacity, over
    _refuse_busy_patient(appointment)
    appointment.session, appointment.place = session, free
    return []


def _session_at(appointment: Appointment) -> Appointment | None:
    return (
        Appointment.objects.live()
        .filter(
            practitioner=appointment.practitioner_id,
            location=appointment.location_id,
            type=appointment.type_id,
            starts_at=appointment.starts_at,
            patient=None,
        )
        .select_related("location", "practitioner", "type")
        .first()
    )


def _places_of(session: Appointment) -> QuerySet[Appointment]:
    return Appointment.objects.live().filter(session=session.pk)


def _places(appointment: Appointment) -> list[Appointment]:
    """The places of a session, locked after its practitioner; none for anything else."""
    if appointment.patient_id:
        return []
    Practitioner.objects.select_for_update(of=("self",), no_key=True).get(pk=appointment.practitioner_id)
    rows = _places_of(appointment).select_for_update(of=("self",), no_key=True).order_by("pk")
    return list(rows.select_related("location", "practitioner", "patient", "type"))


def _whole(appointment: Appointment) -> list[Appointment]:
    """A visit, or a session with its places."""
    return (
        [appointment] if appointment.patient_id else [appointment, *_places_of(appointment).select_related("patient")]
    )


def _move_places(session: Appointment, *, by: Membership | None, reason: str) -> None:
    """Those who are in a session go where it goes. Raises TimeTaken when one of them is elsewhere then.

    The move stands in the story of each; it is undone with its session, so the batch is the session's alone.
    """
    for place in _places(session):
        before = _facts(place)
        names = (
            "practitioner",
            "location",
            "starts_at",
            "ends_at",
            "busy_from",
            "busy_until",
            "wall_start",
            "time_zone",
        )
        for name in names:
            setattr(place, name, getattr(session, name))
        _refuse_busy_patient(place)
        place.sequence += 1
        _write(place, (), is_new=False)
        _note_move(place, before, by=by, reason=reason)


def _close_if_empty(session: Appointment, *, by: Membership | None) -> None:
    """A session nobody is in gives its practitioner and rooms back."""
    session = _lock_row(session, None)
    Practitioner.objects.select_for_update(of=("self",), no_key=True).get(pk=session.practitioner_id)
    if session.is_live and not _places_of(session).exists():
        _set_state(session, State.CANCELLED, by=by, action="emptied", reason="")


def _check_qualified(appointment: Appointment, wanted: Wanted, *, by: Membership | None) -> None:
    """Refuse a practitioner who lacks what the type needs, unless somebody who may says why it has to be."""
    appointment.override_reason = ""
    gaps = qualification_gaps(appointment)
    if not gaps:
        return
    reason = wanted.override_reason.strip()
    if not reason:
        raise NotQualified(" ".join(say_gap(appointment.practitioner.name, gap) for gap in gaps), gaps)
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


def _choose(appointment: Appointment, wanted: Wanted) -> list[Resource]:
    if wanted.resources is not None:
        return list(wanted.resources)
    if appointment.type is None:
        return []
    needs = plans.needs_of(appointment.type)
    wanted_here = [pk for need in needs for pk in need.at(appointment.location_id)]
    taken = set(
        AppointmentResource.objects.filter(
            resource__in=wanted_here,
            is_live=True,
            busy_from__lt=appointment.busy_until,
            busy_until__gt=appointment.busy_from,
        )
        .exclude(appointment=appointment.pk)
        .values_list("resource_id", flat=True)
    )
    chosen: list[uuid.UUID] = []
    for need in needs:
        here = need.at(appointment.location_id)
        free = next((pk for pk in here if pk not in taken and pk not in chosen), None)
        if free is None:
            raise TimeTaken(
                _("No %(what)s is free then.") % {"what": need.category}, who="resource", nearest=_nearest(appointment)
            )
        chosen.append(free)
    return list(Resource.objects.filter(pk__in=chosen))


def _choose_if_free(appointment: Appointment, wanted: Wanted) -> list[Resource]:
    """What an overbooked visit needs, as far as it is free."""
    try:
        chosen = _choose(appointment, wanted)
        _refuse_claimed(appointment, chosen)
    except TimeTaken:
        return []
    return chosen


def _others(appointment: Appointment) -> QuerySet[Appointment]:
    """Live visits that share time with this one. The bounds of `starts_at` are what the indexes know."""
    return (
        Appointment.objects.live()
        .exclude(pk=appointment.pk)
        .filter(busy_from__lt=appointment.busy_until, busy_until__gt=appointment.busy_from)
        .filter(starts_at__gt=appointment.busy_from - plans.LONGEST_BUSY)
        .filter(starts_at__lt=appointment.busy_until + plans.LONGEST_BUFFERS)
    )


def _refuse_clash(
    appointment: Appointment, resources: Iterable[Resource], *, by: Membership | None, lane: int | None = None
) -> None:
    """Raise TimeTaken where practitioner, patient, a room or a device is taken; `lane` looks at that lane only."""
    others = _others(appointment)
    if lane is not None:
        others = others.filter(lane=lane)
    clash = others.filter(practitioner=appointment.practitioner_id, session=None).order_by("starts_at").first()
    if clash is not None:
        raise TimeTaken(_say_taken(clash, appointment, by=by), who="practitioner", nearest=_nearest(appointment))
    _refuse_busy_patient(appointment, lane=lane)
    _refuse_claimed(appointment, resources)


def _say_taken(clash: Appointment, appointment: Appointment, *, by: Membership | None) -> str:
    """Who keeps a time is for those to read who may see the book."""
    may_know = by is not None and by.may(Permission.APPOINTMENT_VIEW)
    if may_know and clash.state == State.HELD and (kept := plans.say_holds([clash.pk])):
        return _("This time is kept by %(what)s.") % {"what": kept[clash.pk]}
    return _("%(name)s has another visit then.") % {"name": appointment.practitioner.name}


def _refuse_busy_patient(appointment: Appointment, *, lane: int | None = None) -> None:
    if appointment.patient_id is None:
        return
    others = _others(appointment).filter(
        patient=appointment.patient_id, starts_at__lt=appointment.ends_at, ends_at__gt=appointment.starts_at
    )
    if (others if lane is None else others.filter(lane=lane)).exists():
        raise TimeTaken(_("The patient has another visit then."), who="patient", nearest=_nearest(appointment))


def _refuse_claimed(appointment: Appointment, resources: Iterable[Resource]) -> None:
    """A room or a device is one thing, in whatever lane it is taken."""
    claims = AppointmentResource.objects.filter(
        is_live=True, busy_from__lt=appointment.busy_until, busy_until__gt=appointment.busy_from
    ).exclude(appointment=appointment.pk)
    names = {resource.pk: resource.name for resource in resources}
    taken = claims.filter(resource__in=names).values_list("resource_id", flat=True).first() if names else None
    if taken:
        raise TimeTaken(
            _("%(name)s is taken then.") % {"name": names[taken]}, who="resource", nearest=_nearest(appointment)
        )


def _refuse_not_offered(appointment: Appointment) -> None:
    """Leave and the limit of a day always count; hours where the practitioner has any: who has none is asked."""
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
    _refuse_full_day(appointment)
    if not appointment.practitioner.working_hours.exists():
        return
    if why := _not_offered(appointment):
        raise TimeNotOffered(
            _("This time is not offered: %(why)s.") % {"why": why}, who="hours", nearest=_nearest(appointment)
        )


def _refuse_full_day(appointment: Appointment) -> None:
    """As many visits of a type as its limit allows are enough for one practitioner and day."""
    kind = appointment.type
    if kind is None or kind.per_day is None:
        return
    zone = appointment.location.zone
    low, high = day_bounds(wall_of(appointment.starts_at, zone).date(), zone)
    that_day = Appointment.objects.live().filter(
        practitioner=appointment.practitioner_id, type=kind, session=None, starts_at__gte=low, starts_at__lt=high
    )
    if that_day.exclude(pk=appointment.pk).count() >= kind.per_day:
        raise TimeNotOffered(
            _("No more than %(count)s of these visits a day.") % {"count": kind.per_day},
            who="hours",
            nearest=_nearest(appointment),
        )


def _not_offered(appointment: Appointment) -> str:
    """Why hours, opening hours and holidays do not give a time, in words; "" where they do."""
    day = wall_of(appointment.starts_at, appointment.location.zone).date()
    plan = plans.load_frame([appointment.practitioner], day - timedelta(days=1), day)
    for block in plan.location_blocks.get(appointment.location_id, ()):
        if block.starts < appointment.ends_at and block.ends > appointment.starts_at:
            return block.words
    around = [
        w
        for w in plan.windows
        if w.location_id == appointment.location_id
        and w.starts <= appointment.starts_at
        and appointment.ends_at <= w.ends
    ]
    if any(w.types is None or appointment.type_id in w.types for w in around):
        return ""
    return _("kept for another kind of visit") if around else _("outside of the working hours")


def _nearest(appointment: Appointment) -> Iterator[Slot]:
    """Up to three free times of the same practitioner, the nearest first."""
    type = appointment.type
    zone = appointment.location.zone
    day = wall_of(appointment.starts_at, zone).date()
    # From yesterday on: a night's hours reach into today.
    earliest = wall_of(timezone.now(), zone).date() - timedelta(days=1)
    ignore = None if appointment._state.adding else appointment.pk
    demand = plans.demand_of(type or AppointmentType(minutes=appointment.minutes), minutes=appointment.minutes)
    for days in NEAR_DAYS:
        span = max(day - timedelta(days=days), earliest), day + timedelta(days=days)
        plan = plans.load_plan([appointment.practitioner], *span, type=type, ignore=ignore, needs=demand.needs)
        found = nearest(slots(plan, demand), appointment.starts_at)
        # Outside of these days nothing is nearer than so many hours, however the clocks are changed.
        if len(found) == 3 and abs(found[-1].starts - appointment.starts_at) < timedelta(hours=24 * days - 2):
            break
    yield from found


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
    return _choose_if_free(appointment, wanted)


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
    if to not in PENDING and not (old == State.HELD and to == State.CANCELLED):
        appointment.hold_expires_at = None  # a hold that came to nothing keeps it: it never was a visit
    if State.CANCELLED in (old, to):
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
    if appointment.patient_id is None:
        return
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


def _after_move(moved: Appointment, freed: Appointment, *, by: Membership | None, reason: str) -> None:
    """What follows a move: places go with their session, an empty session closes, people hear of it."""
    _move_places(moved, by=by, reason=reason)
    if freed.session is not None and freed.session_id != moved.session_id:
        _close_if_empty(freed.session, by=by)
    if moved.state != State.HELD:
        for visit in _whole(moved):
            notices.tell_patient(visit, notices.MOVED)
    if moved.patient_id:
        _tell_freed(freed)


def _note_move(
    appointment: Appointment, before: dict[str, Any], *, by: Membership | None, reason: str,
    batch: uuid.UUID | None = None,
) -> None:  # fmt: skip
    """A move in the visit's own story and in the trail, which keeps ids and times only."""
    after = _facts(appointment)
    _note(appointment, "moved", by=by, before=before, after=after, reason=reason, batch=batch)
    changes = {name: (before[name], value) for name, value in after.items() if before[name] != value}
    audit.record("appointment_moved", appointment, by=by, reason=reason, changes=changes)
    if _is_told(appointment):
        events.emit(event_types.UPDATED, appointment, by=by)


def _before(appointment: Appointment) -> dict[str, Any]:
    """Where a visit stands, with what an undo of the move has to bring back."""
    return _facts(appointment) | {name: value for name in KEPT_FOR_UNDO if (value := getattr(appointment, name))}


def _facts(appointment: Appointment) -> dict[str, Any]:
    """What of an appointment stands in histories: ids and times, nothing clinical."""
    return {
        "practitioner": str(appointment.practitioner_id),
        "location": str(appointment.location_id),
        "starts_at": appointment.starts_at.isoformat(),
        "ends_at": appointment.ends_at.isoformat(),
        "lane": appointment.lane,
    }
