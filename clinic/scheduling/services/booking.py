"""Putting a visit into the book."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from tenancy.rules import RuleBroken

from .. import notices
from ..models import Appointment
from ..states import State
from .group_sessions import claim_or_join
from .holds import expire_holds_around, is_held_for, release
from .locking import lock_people_and_rooms, lock_visit
from .moving import move
from .qualification import check_qualified
from .wanted import HOLD_MINUTES, Wanted, checked_row
from .writing import enter


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
    appointment = checked_row(wanted, by=by, state=state)
    lock_people_and_rooms(appointment, wanted.resources or ())
    if done := find_pressed(wanted, by=by):
        return done
    expire_holds_around(appointment)
    check_qualified(appointment, wanted, by=by)
    chosen = claim_or_join(appointment, wanted, by=by)
    enter(appointment, chosen, by=by)
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


def _take_hold(wanted: Wanted, *, by: Membership | None, state: str) -> Appointment | None:
    """The time that was kept, as the visit that is wanted; let go where it is another time by now, or is over."""
    if by is None or wanted.hold is None:
        return None
    hold = Appointment.objects.filter(pk=wanted.hold, created_by=by, patient=wanted.patient).first()
    if hold is None:
        return None
    hold = lock_visit(hold, None)
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
