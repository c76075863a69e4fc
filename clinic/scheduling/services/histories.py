"""What a change leaves behind: a line in the visit's own story, one in the trail, and an event for other programs."""

import uuid
from typing import Any

from accounts.users.models import Membership
from tenancy.audit import services as audit
from tenancy.events import services as events

from .. import event_types
from ..models import Appointment, AppointmentChange
from ..states import State


def note(
    appointment: Appointment, action: str, *, by: Membership | None, old_state: str = "", new_state: str = "",
    before: dict[str, Any] | None = None, after: dict[str, Any] | None = None, reason: str = "",
    batch: uuid.UUID | None = None,
) -> None:  # fmt: skip
    """Write a line into the visit's own story."""
    AppointmentChange.objects.create(
        appointment=appointment, by=by.member if by else None, by_label=label_of(by),
        action=action, old_state=old_state, new_state=new_state,
        before=before or {}, after=after or {}, reason=reason[:300], batch=batch,
    )  # fmt: skip


def label_of(by: Membership | None) -> str:
    """How a history names a caller that is no member, an API key; "" for members and for the system."""
    return by.display_name[:200] if by is not None and by.member is None else ""


def note_move(
    appointment: Appointment, before: dict[str, Any], *, by: Membership | None, reason: str,
    batch: uuid.UUID | None = None,
) -> None:  # fmt: skip
    """A move in the visit's own story and in the trail, which keeps ids and times only."""
    after = facts_of(appointment)
    note(appointment, "moved", by=by, before=before, after=after, reason=reason, batch=batch)
    changes = {name: (before[name], value) for name, value in after.items() if before[name] != value}
    audit.record("appointment_moved", appointment, by=by, reason=reason, changes=changes)
    if is_told(appointment):
        events.emit(event_types.UPDATED, appointment, by=by)


def facts_of(appointment: Appointment) -> dict[str, Any]:
    """What of an appointment stands in histories: ids and times, nothing clinical."""
    return {
        "practitioner": str(appointment.practitioner_id),
        "location": str(appointment.location_id),
        "starts_at": appointment.starts_at.isoformat(),
        "ends_at": appointment.ends_at.isoformat(),
        "lane": appointment.lane,
    }


def is_told(appointment: Appointment) -> bool:
    """Whether other programs hear of it: somebody's visit, not a time only held, nor the session around several."""
    return appointment.state != State.HELD and appointment.patient_id is not None
