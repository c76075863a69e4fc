"""Private, revocable addresses of calendars. The address names the clinic and a secret; the secret is kept hashed."""

import hashlib
import secrets
import uuid
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.practitioners.models import Practitioner
from tenancy.audit import services as audit
from tenancy.tenants.context import current_tenant_id

from .calendars import calendar_of
from .models import Appointment, CalendarFeed
from .states import LIVE, State

PAST_DAYS, FUTURE_DAYS = 30, 400
SECRET_BYTES = 24


@transaction.atomic
def open_feed(
    *, by: Membership, practitioner: Practitioner | None = None, patient: Patient | None = None
) -> tuple[CalendarFeed, str]:
    """A new address for one practitioner or one patient; the token is told once and is not kept.

    Addresses that were given out before stay good until they are revoked.
    """
    secret = secrets.token_urlsafe(SECRET_BYTES)
    feed = CalendarFeed.objects.create(
        practitioner=practitioner, patient=patient, secret_hash=_hash(secret), created_by=by
    )
    audit.record("calendar_feed_opened", feed, by=by)
    return feed, f"{current_tenant_id().hex}.{secret}"


@transaction.atomic
def revoke_feed(feed: CalendarFeed, *, by: Membership) -> None:
    """Close an address; it answers 404 from the next request on. Closing it twice is no error."""
    closed = CalendarFeed.objects.filter(pk=feed.pk, revoked_at=None).update(revoked_at=timezone.now())
    if closed:
        audit.record("calendar_feed_revoked", feed, by=by)


def split_token(token: str) -> tuple[uuid.UUID, str] | None:
    """The clinic and the secret of a token; None for what is none. Nothing is looked up."""
    clinic, dot, secret = token.partition(".")
    try:
        return (uuid.UUID(hex=clinic), secret) if dot and secret and len(secret) <= 64 else None
    except ValueError:
        return None


def read_feed(secret: str) -> bytes | None:
    """The calendar behind a secret of the current clinic; None where it was revoked or never given out."""
    feed = (
        CalendarFeed.objects.filter(secret_hash=_hash(secret), revoked_at=None)
        .select_related("practitioner", "patient", "tenant", "created_by__user")
        .first()
    )
    if feed is None or _is_somebody_elses(feed):
        return None
    now = timezone.now()
    visits = Appointment.objects.filter(
        starts_at__gt=now - timedelta(days=PAST_DAYS),
        starts_at__lt=now + timedelta(days=FUTURE_DAYS),
        state__in=[*LIVE, State.CANCELLED],
        patient__isnull=False,
    ).exclude(state=State.HELD)
    visits = visits.filter(patient=feed.patient) if feed.patient_id else visits.filter(practitioner=feed.practitioner)
    visits = visits.select_related("location", "practitioner").order_by("starts_at", "id")
    return calendar_of(visits, name=feed.tenant.name, for_patient=bool(feed.patient_id))


def _is_somebody_elses(feed: CalendarFeed) -> bool:
    """Whether a patient gave this address out who does not have the chart any more, or may not sign in."""
    by = feed.created_by
    if feed.patient is None or by is None or by.is_staff:
        return False
    return feed.patient.user_id != by.user_id or not (by.is_active and by.user.is_active)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
