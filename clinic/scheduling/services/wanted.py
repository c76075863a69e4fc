"""What somebody asks for, and the row it would make: nothing here is locked or saved."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.places.models import Location, Resource
from clinic.places.services import create_location
from clinic.practitioners.models import Practitioner
from tenancy.rules import RuleBroken

from ..models import LONGEST_VISIT_MINUTES, Appointment, AppointmentType, Modality, TypePerformer
from ..states import State
from ..wall_time import wall_of

PAST_GRACE = timedelta(hours=1)  # contract.md 5.2
HOLD_MINUTES = 10


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


def as_wanted(appointment: Appointment) -> Wanted:
    """What somebody would ask for to get this visit as it stands."""
    return Wanted(
        patient=appointment.patient,
        practitioner=appointment.practitioner,
        location=appointment.location,
        type=appointment.type,
        starts_at=appointment.starts_at,
        ends_at=appointment.ends_at,
        overbook_reason=appointment.overbook_reason,
    )


def checked_row(wanted: Wanted, *, by: Membership | None, state: str) -> Appointment:
    """The row as it would stand, with times and people checked; nothing is locked or saved."""
    row = unchecked_row(wanted, by=by, state=state)
    _check_times(row.starts_at, row.ends_at)
    _check_people(wanted)
    if not row.location.is_active:
        raise RuleBroken(_("Nobody is seen at %(place)s any more.") % {"place": row.location.name}, code="closed_place")
    return row


def unchecked_row(wanted: Wanted, *, by: Membership | None, state: str) -> Appointment:
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
