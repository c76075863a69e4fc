"""From one state to another, by the table of moves, and back."""

import uuid

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from tenancy.rules import RuleBroken

from .. import notices
from ..models import Appointment
from ..states import LIVE, MOVES, NEEDS_REASON, PENDING, State
from ..wall_time import wall_of
from .freed_times import tell_freed
from .group_sessions import close_if_empty, lock_places, take_place
from .holds import expire_holds_around
from .locking import lock_people_and_rooms, lock_visit
from .refusals import MoveRefused, refuse_clash
from .wanted import as_wanted
from .writing import set_state


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
    appointment = lock_visit(appointment, expected_version)
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
    places = lock_places(appointment) if to == State.CANCELLED else []
    for place in places:  # before their session, so that taking back, which goes the other way, finds it
        set_state(place, to, by=by, action="moved_on", reason=reason, batch=batch)
    moved = set_state(appointment, to, by=by, action="moved_on", reason=reason, batch=batch)
    if to == State.CANCELLED:
        if old != State.HELD:
            for visit in [moved, *places]:
                notices.tell_patient(visit, notices.CANCELLED)
        if moved.session is not None:
            close_if_empty(moved.session, by=by)
        if moved.patient_id:
            tell_freed(moved)
    elif old in PENDING:
        notices.tell_patient(moved, notices.CONFIRMATION)
    return moved


@transaction.atomic
def undo_move(appointment: Appointment, *, by: Membership | None, expected_version: int | None = None) -> Appointment:
    """Put the state before the last change back. Taking back is not taken back, and no time is kept a second time.

    Raises MoveRefused when there is nothing to undo, TimeTaken when the time is gone, StaleVersion.
    """
    appointment = lock_visit(appointment, expected_version)
    last = appointment.changes.exclude(new_state="").order_by("-at", "-id").first()
    if last is None or not last.can_be_undone_in(appointment.state):
        raise MoveRefused(_("There is nothing to undo."))
    if last.old_state in LIVE and not appointment.is_live:
        lock_people_and_rooms(appointment, ())
        expire_holds_around(appointment)
        if appointment.session_id:
            take_place(appointment, as_wanted(appointment), by=by)
            appointment.save(update_fields=["session", "place", "lane", "overbook_reason"])
        else:
            claimed = [claim.resource for claim in appointment.resources.select_related("resource")]
            refuse_clash(appointment, claimed, by=by, lane=appointment.lane)
    back = set_state(appointment, last.old_state, by=by, action="undone", reason="")
    if last.new_state == State.CANCELLED and notices.was_told(back, notices.CANCELLED):
        notices.tell_patient(back, notices.CONFIRMATION)
    return back
