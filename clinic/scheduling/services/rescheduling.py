"""From one time to another: moved by somebody, put back, or shifted with the clocks."""

import uuid
from copy import copy
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner

from .. import notices
from ..models import Appointment, AppointmentChange, AppointmentType
from ..states import UPCOMING, State
from ..wall_time import wall_of
from .claims import choose, choose_if_free
from .freed_times import tell_freed
from .group_sessions import claim_or_join, close_if_empty, move_places, take_place, with_places
from .histories import facts_of, note_move
from .holds import expire_holds_around
from .locking import lock_people_and_rooms, lock_visit
from .qualification import check_qualified
from .refusals import MoveRefused, refuse_clash
from .wanted import Wanted, as_wanted, checked_row, unchecked_row
from .writing import write

KEPT_FOR_UNDO = ("overbook_reason", "override_reason", "is_exception")


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
    appointment = lock_visit(appointment, expected_version)
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
    _place(appointment, checked_row(wanted, by=by, state=appointment.state))
    lock_people_and_rooms(appointment, ())
    expire_holds_around(appointment)
    appointment.lane, appointment.overbook_reason = 0, ""
    appointment.session, appointment.place = None, None
    check_qualified(appointment, wanted, by=by)
    chosen = claim_or_join(appointment, wanted, by=by)
    appointment.sequence += 1
    if appointment.series_id:
        appointment.is_exception = True
    write(appointment, chosen, is_new=False)
    note_move(appointment, before, by=by, reason=reason or overbook_reason, batch=batch)
    _after_move(appointment, freed, by=by, reason=reason)
    return appointment


@transaction.atomic
def put_back(appointment: Appointment, change: AppointmentChange, *, by: Membership | None) -> Appointment:
    """Undo a move: the visit stands again where it stood before, an overbooked one in its lane.

    What stood in the book may stand there again, so hours, leave, the past and
    qualifications are not asked about; only who has the time by now is.
    Raises TimeTaken for that, MoveRefused for a visit that is over.
    """
    appointment = lock_visit(appointment, None)
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
    _place(appointment, unchecked_row(wanted, by=by, state=appointment.state))
    appointment.lane = there["lane"]
    for name in KEPT_FOR_UNDO:
        setattr(appointment, name, there.get(name, type(getattr(appointment, name))()))
    lock_people_and_rooms(appointment, ())
    expire_holds_around(appointment)
    left, appointment.session, appointment.place = appointment.session, None, None
    if left is not None:
        chosen = take_place(appointment, as_wanted(appointment), by=by)
    else:
        chosen = choose_if_free(appointment, wanted) if appointment.lane else choose(appointment, wanted)
        refuse_clash(appointment, chosen, by=by, lane=appointment.lane)
    appointment.sequence += 1
    write(appointment, chosen, is_new=False)
    note_move(appointment, before, by=by, reason=_("Undone"))
    _after_move(appointment, freed, by=by, reason=_("Undone"))
    return appointment


@transaction.atomic
def shift(appointment: Appointment, starts_at: datetime, *, reason: str) -> Appointment:
    """Put a visit right after the clocks were changed by law: to another moment, or where it is by another clock.

    Length, buffers, rooms and lane stay, places go with their session, hours
    are not asked about. Patients are told when the clock shows another time
    than before. Raises TimeTaken, MoveRefused for a visit that is over.
    """
    appointment = lock_visit(appointment, None)
    _refuse_over(appointment)
    before, clock, delta = _before(appointment), appointment.wall_start, starts_at - appointment.starts_at
    for name in ("starts_at", "ends_at", "busy_from", "busy_until"):
        setattr(appointment, name, getattr(appointment, name) + delta)
    zone = appointment.location.zone
    appointment.wall_start = f"{wall_of(appointment.starts_at, zone):%Y-%m-%dT%H:%M}"
    appointment.time_zone = appointment.location.time_zone
    lock_people_and_rooms(appointment, ())
    expire_holds_around(appointment)
    claimed = [claim.resource for claim in appointment.resources.select_related("resource")]
    refuse_clash(appointment, claimed, by=None, lane=appointment.lane)
    appointment.sequence += 1
    write(appointment, claimed, is_new=False)
    move_places(appointment, by=None, reason=reason)
    note_move(appointment, before, by=None, reason=reason)
    if appointment.wall_start != clock:
        for visit in with_places(appointment):
            notices.tell_patient(visit, notices.MOVED)
    return appointment


def _refuse_over(appointment: Appointment) -> None:
    if appointment.state not in UPCOMING:
        raise MoveRefused(
            _("This visit is %(state)s; it can not be moved.") % {"state": appointment.get_state_display()}
        )


def _place(appointment: Appointment, there: Appointment) -> None:
    """Put a visit where and when another row stands."""
    for name in ("practitioner", "location", "starts_at", "ends_at", "busy_from", "busy_until", "wall_start"):
        setattr(appointment, name, getattr(there, name))
    appointment.time_zone = there.time_zone


def _after_move(moved: Appointment, freed: Appointment, *, by: Membership | None, reason: str) -> None:
    """What follows a move: places go with their session, an empty session closes, people hear of it."""
    move_places(moved, by=by, reason=reason)
    if freed.session is not None and freed.session_id != moved.session_id:
        close_if_empty(freed.session, by=by)
    if moved.state != State.HELD:
        for visit in with_places(moved):
            notices.tell_patient(visit, notices.MOVED)
    if moved.patient_id:
        tell_freed(freed)


def _before(appointment: Appointment) -> dict[str, Any]:
    """Where a visit stands, with what an undo of the move has to bring back."""
    return facts_of(appointment) | {name: value for name in KEPT_FOR_UNDO if (value := getattr(appointment, name))}
