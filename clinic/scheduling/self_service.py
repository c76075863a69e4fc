"""What patients may do with their own visits (wish 15): ask, book, keep a time, cancel, move.

The type of a visit says whether patients may ask for it or book it, how far
ahead and until when. A visit without a type is always asked for.
"""

from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from tenancy.rules import NotAllowed, RuleBroken

from . import plans, services
from .amending import Amendment
from .models import Appointment, AppointmentType
from .services import TimeNotOffered, Wanted
from .states import UPCOMING, State


@transaction.atomic
def book_own(wanted: Wanted, *, by: Membership, hold: bool = False) -> Appointment:
    """Ask for a visit or book it, as its type allows; `hold` keeps the time for ten minutes.

    Raises as `services.book`, NotAllowed for what only the clinic decides, and
    TimeNotOffered before the lead time and after the horizon.
    """
    if wanted.overbook_reason.strip():
        raise NotAllowed(_("You may not book over other visits."))
    if wanted.ends_at is not None:
        raise RuleBroken(_("How long a visit lasts is decided by the clinic."), code="length_fixed")
    state = first_state(wanted.type)
    if hold and state != State.BOOKED:
        raise RuleBroken(_("This time can be asked for, not kept."), code="not_bookable")
    refuse_too_soon_or_late(wanted.type, wanted.starts_at)
    source = Appointment.Source.PATIENT
    return services.book(replace(wanted, source=source), by=by, state=State.HELD if hold else state)


@transaction.atomic
def change_own(
    appointment: Appointment, to: str, *, by: Membership, reason: str = "", expected_version: int | None = None
) -> Appointment:
    """Cancel a visit of one's own, or book the time that was kept. Raises NotAllowed for any other state."""
    if to == State.BOOKED and appointment.state == State.HELD and first_state(appointment.type) == State.BOOKED:
        return services.move(appointment, to, by=by, expected_version=expected_version)
    if to != State.CANCELLED or appointment.state not in UPCOMING:
        raise NotAllowed(_("Only the clinic can change this visit now."))
    reason = reason.strip() or _("Cancelled by the patient.")
    return services.move(appointment, to, by=by, reason=reason, expected_version=expected_version)


@transaction.atomic
def move_own(
    appointment: Appointment, starts_at: datetime, *, by: Membership, expected_version: int | None = None
) -> Appointment:
    """Take another time for a visit of one's own, where its type may be booked. Raises as `book_own`."""
    if appointment.state not in UPCOMING or first_state(appointment.type) != State.BOOKED:
        raise NotAllowed(_("Only the clinic can change this visit now."))
    refuse_too_soon_or_late(appointment.type, starts_at)
    return services.reschedule(appointment, by=by, starts_at=starts_at, expected_version=expected_version)


def first_state(type: AppointmentType | None) -> str:
    """Where a visit begins that a patient wants. Raises NotAllowed where only the clinic books."""
    if type is None:
        return State.REQUESTED
    if type.self_service == AppointmentType.SelfService.NONE:
        raise NotAllowed(_("Only the clinic books “%(type)s”.") % {"type": type.name})
    return State.BOOKED if type.self_service == AppointmentType.SelfService.BOOK else State.REQUESTED


def refuse_too_soon_or_late(type: AppointmentType | None, starts_at: datetime) -> None:
    """Raise TimeNotOffered outside of lead time and horizon."""
    if type is None:
        return
    demand = plans.demand_of(type, self_service=True)
    if demand.not_before and starts_at < demand.not_before and type.lead_hours:
        sentence = _("Book at least %(hours)d hours ahead.") % {"hours": type.lead_hours}
        raise TimeNotOffered(sentence, who="hours")
    if demand.not_after and starts_at > demand.not_after:
        sentence = _("The book is open for the next %(days)d days.") % {"days": type.horizon_days}
        raise TimeNotOffered(sentence, who="hours")


@transaction.atomic
def amend_own(
    appointment: Appointment, amendment: Amendment, *, by: Membership, expected_version: int | None = None
) -> Appointment:
    """What a patient changes about one visit in one go: another time, or none. Notes belong to the clinic."""
    if amendment.texts or amendment.ends_at is not None:
        raise NotAllowed(_("Only the clinic can change this visit now."))
    if amendment.starts_at is not None and amendment.starts_at != appointment.starts_at:
        appointment = move_own(appointment, amendment.starts_at, by=by, expected_version=expected_version)
        expected_version = appointment.version
    if amendment.state:
        appointment = change_own(
            appointment, amendment.state, by=by, reason=amendment.why, expected_version=expected_version
        )
    return appointment
