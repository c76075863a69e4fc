"""Changing a visit as programs ask for it: time, state and texts in one go, all or nothing (MediSecure's PATCH)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from tenancy.audit import services as audit
from tenancy.events import services as events
from tenancy.rules import StaleVersion

from . import event_types, services
from .models import Appointment, AppointmentChange, AppointmentType
from .states import MOVES, State

WRITTEN = {"reason", "notes", "modality", "custom_fields", "notification_state"}
"""What of a visit changes without asking who else has the time."""


@dataclass(frozen=True)
class Amendment:
    """What shall be different. None and "" leave things as they are.

    `texts` by field of Appointment: reason, notes, and what a program writes beside them (WRITTEN).
    """

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    practitioner: Practitioner | None = None
    location: Location | None = None
    state: str = ""
    why: str = ""
    type: AppointmentType | None = None
    overbook_reason: str = ""
    override_reason: str = ""
    texts: dict[str, Any] = field(default_factory=dict)

    def moves(self, appointment: Appointment) -> bool:
        """Whether a visit would stand elsewhere afterwards: at another time, with somebody else, as another kind."""
        wanted = {name: getattr(self, name) for name in ("starts_at", "ends_at", "practitioner", "location", "type")}
        return any(value is not None and value != getattr(appointment, name) for name, value in wanted.items())


@transaction.atomic
def amend(
    appointment: Appointment, amendment: Amendment, *, by: Membership | None, expected_version: int | None = None
) -> Appointment:
    """Move, edit and change the state of a visit, in this order. Raises as `reschedule` and `move` do."""
    seen = expected_version
    if amendment.moves(appointment):
        appointment = services.reschedule(
            appointment,
            by=by,
            starts_at=amendment.starts_at or appointment.starts_at,
            ends_at=amendment.ends_at,
            practitioner=amendment.practitioner,
            location=amendment.location or appointment.location,
            type=amendment.type,
            reason=amendment.why,
            overbook_reason=amendment.overbook_reason,
            override_reason=amendment.override_reason,
            expected_version=seen,
        )
        seen = appointment.version
    if amendment.texts:
        appointment = edit_texts(appointment, by=by, texts=amendment.texts, expected_version=seen)
        seen = appointment.version
    if amendment.state and amendment.state != appointment.state:
        if amendment.state == State.IN_ROOM and State.ARRIVED in MOVES[appointment.state]:
            # Who says "in progress" has said "arrived".
            appointment = services.move(appointment, State.ARRIVED, by=by, expected_version=seen)
            seen = appointment.version
        appointment = change_state(appointment, amendment.state, by=by, reason=amendment.why, expected_version=seen)
    return appointment


def change_state(
    appointment: Appointment, to: str, *, by: Membership | None, reason: str = "", expected_version: int | None = None
) -> Appointment:
    """As `services.move`, for documents that cancel without a word: the history then says that none was given."""
    if to == State.CANCELLED and not reason.strip():
        reason = _("No reason was given.")
    return services.move(appointment, to, by=by, reason=reason, expected_version=expected_version)


@transaction.atomic
def edit_texts(
    appointment: Appointment, *, by: Membership | None, texts: dict[str, Any], expected_version: int | None = None
) -> Appointment:
    """Change what is written about a visit (WRITTEN). The trail says which, never what stands in them.

    Raises StaleVersion.
    """
    if unknown := set(texts) - WRITTEN:
        raise TypeError(f"Nobody writes {', '.join(sorted(unknown))} by itself.")
    locked = Appointment.objects.select_for_update(of=("self",), no_key=True).get(pk=appointment.pk)
    if expected_version is not None and locked.version != expected_version:
        raise StaleVersion(_("Somebody else has changed this visit meanwhile."))
    texts = {name: text.strip() if isinstance(text, str) else text for name, text in texts.items()}
    changed = sorted(name for name, text in texts.items() if getattr(locked, name) != text)
    if not changed:
        return locked
    for name in changed:
        setattr(locked, name, texts[name])
    locked.version += 1
    locked.updated_at = timezone.now()
    locked.save(update_fields=[*changed, "version", "updated_at"])
    AppointmentChange.objects.create(
        appointment=locked,
        by=by.member if by else None,
        by_label=services.label_of(by),
        action="edited",
        before={"fields": changed},
        after={"fields": changed},
    )
    audit.record("appointment_edited", locked, by=by, details={"fields": changed})
    events.emit(event_types.UPDATED, locked, by=by)
    return locked
