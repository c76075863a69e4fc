"""Changing a visit as programs ask for it: time, state and texts in one go, all or nothing (MediSecure's PATCH)."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from tenancy.audit import services as audit
from tenancy.rules import StaleVersion

from . import services
from .models import Appointment, AppointmentChange
from .states import State


@dataclass(frozen=True)
class Amendment:
    """What shall be different. None and "" leave things as they are; `texts` by field: reason, notes."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    practitioner: Practitioner | None = None
    location: Location | None = None
    state: str = ""
    why: str = ""
    overbook_reason: str = ""
    override_reason: str = ""
    texts: dict[str, str] = field(default_factory=dict)

    def moves(self, appointment: Appointment) -> bool:
        """Whether a visit would stand elsewhere afterwards: at another time, with somebody else, in another house."""
        return (
            self.starts_at not in (None, appointment.starts_at)
            or self.ends_at not in (None, appointment.ends_at)
            or self.practitioner is not None
            or self.location is not None
        )


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
    appointment: Appointment, *, by: Membership | None, texts: dict[str, str], expected_version: int | None = None
) -> Appointment:
    """Change reason and notes of a visit. The trail says which, never what stands in them. Raises StaleVersion."""
    locked = Appointment.objects.select_for_update(of=("self",), no_key=True).get(pk=appointment.pk)
    if expected_version is not None and locked.version != expected_version:
        raise StaleVersion(_("Somebody else has changed this visit meanwhile."))
    texts = {name: text.strip() for name, text in texts.items()}
    changed = sorted(name for name, text in texts.items() if getattr(locked, name) != text)
    if not changed:
        return locked
    for name in changed:
        setattr(locked, name, texts[name])
    locked.version += 1
    locked.updated_at = timezone.now()
    locked.save(update_fields=[*changed, "version", "updated_at"])
    AppointmentChange.objects.create(
        appointment=locked, by=by, action="edited", before={"fields": changed}, after={"fields": changed}
    )
    audit.record("appointment_edited", locked, by=by, details={"fields": changed})
    return locked
