"""Writing the row of a visit and what it claims; the constraints of the tables have the last word."""

import uuid
from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg.errors import ExclusionViolation, UniqueViolation

from accounts.users.models import Membership
from clinic.places.models import Resource
from tenancy.audit import services as audit
from tenancy.events import services as events
from tenancy.tenants.numbering import next_number

from .. import event_types
from ..models import Appointment, AppointmentResource
from ..states import LIVE, PENDING, State
from .histories import facts_of, is_told, note
from .refusals import TimeTaken, nearest_to


def enter(appointment: Appointment, chosen: Iterable[Resource], *, by: Membership | None) -> None:
    """Write a new row with its number, its story and the line in the trail."""
    appointment.number = next_number("appointment")
    write(appointment, chosen, is_new=True)
    action = "held" if appointment.state == State.HELD else "booked"
    why = appointment.overbook_reason
    note(appointment, action, by=by, new_state=appointment.state, reason=why)
    audit.record(f"appointment_{action}", appointment, by=by, reason=why, details=facts_of(appointment))
    if is_told(appointment):
        events.emit(event_types.CREATED, appointment, by=by)


def write(appointment: Appointment, chosen: Iterable[Resource], *, is_new: bool) -> None:
    """Save the row and what it claims; should the constraint know better than the check, it has the last word."""
    appointment.updated_at = timezone.now()
    if not is_new:
        appointment.version += 1
    try:
        with transaction.atomic():
            appointment.save(force_insert=is_new, force_update=not is_new)
            if not is_new:
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
                _("Somebody was faster: this time is taken."), who="practitioner", nearest=nearest_to(appointment)
            ) from None
        raise


def set_state(
    appointment: Appointment,
    to: str,
    *,
    by: Membership | None,
    action: str,
    reason: str,
    batch: uuid.UUID | None = None,
) -> Appointment:
    """Put a locked visit into another state, with all that hangs on it. Raises TimeTaken where its time is gone."""
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
    note(appointment, action, by=by, old_state=old, new_state=to, reason=reason, batch=batch)
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
