"""The waiting list: a freed time is offered to one person after the other, in order, and to nobody twice (wish 13).

An offer keeps its time by a held appointment, which the table's own constraint
sees: while it is open nobody else can get the time, and two can never be
offered the same.
"""

from datetime import date, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.services import send_mail
from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from . import notices, services
from .models import Appointment, AppointmentType, Offer, WaitingEntry
from .services import TimeTaken, Wanted
from .states import State
from .wall_time import wall_of

OFFER_HOURS = 4
SHORTEST_NOTICE = timedelta(hours=2)


@transaction.atomic
def join_waiting_list(
    *,
    by: Membership | None,
    patient: Patient,
    type: AppointmentType,
    earliest: date,
    latest: date,
    practitioner: Practitioner | None = None,
    location: Location | None = None,
    instead_of: Appointment | None = None,
    is_urgent: bool = False,
    note: str = "",
) -> WaitingEntry:
    """Put somebody on the list. Raises RuleBroken for days that make no sense and for a second entry of the same kind.

    `instead_of` is the visit they have: it is cancelled when they accept an offer.
    """
    if latest < earliest:
        raise RuleBroken(_("The last day comes before the first."), code="end_before_start")
    if patient.is_archived:
        raise RuleBroken(_("This chart is archived; restore it first."), code="archived_patient")
    Patient.objects.select_for_update(of=("self",), no_key=True).only("pk", "tenant").get(pk=patient.pk)
    waiting = WaitingEntry.objects.filter(
        patient=patient, type=type, state__in=[WaitingEntry.State.WAITING, WaitingEntry.State.OFFERED]
    )
    if waiting.exists():
        raise RuleBroken(_("%(name)s is waiting for this already.") % {"name": patient.name}, code="duplicate")
    entry = WaitingEntry.objects.create(
        patient=patient, type=type, practitioner=practitioner, location=location, instead_of=instead_of,
        earliest=earliest, latest=latest, is_urgent=is_urgent, note=note.strip(), created_by=by,
    )  # fmt: skip
    audit.record("waiting_list_joined", entry, by=by)
    return entry


@transaction.atomic
def leave_waiting_list(entry: WaitingEntry, *, by: Membership | None) -> WaitingEntry:
    """Take somebody off the list; an open offer is declined with it."""
    entry = WaitingEntry.objects.select_for_update(of=("self",), no_key=True).get(pk=entry.pk)
    if offer := entry.offers.filter(state=Offer.State.OPEN).first():
        _close(offer, Offer.State.DECLINED, by=by)
    _set(entry, WaitingEntry.State.WITHDRAWN)
    audit.record("waiting_list_left", entry, by=by)
    return entry


@transaction.atomic
def offer_freed_time(freed: Appointment) -> Offer | None:
    """Offer the time of a visit that was cancelled or moved away to the first on the list whom it suits.

    Urgent ones first, then who has waited longest; whoever let this very time
    pass is not asked again. None when it suits nobody, is too soon, or is taken.
    """
    if freed.type_id is None or freed.starts_at < timezone.now() + SHORTEST_NOTICE:
        return None
    for entry in _suitable(freed):
        wanted = Wanted(
            patient=entry.patient,
            practitioner=freed.practitioner,
            location=freed.location,
            type=freed.type,
            starts_at=freed.starts_at,
            ends_at=freed.ends_at,
        )
        try:
            with transaction.atomic():
                hold = services.book(wanted, by=None, state=State.HELD)
        except TimeTaken as taken:
            if taken.who == "patient":  # this one is elsewhere then; the next may not be
                continue
            return None
        except RuleBroken:
            continue  # somebody has died, left or lacks a qualification: no reason to keep a visit from being cancelled
        expires_at = min(timezone.now() + timedelta(hours=OFFER_HOURS), freed.starts_at - timedelta(hours=1))
        Appointment.objects.filter(pk=hold.pk).update(hold_expires_at=expires_at)
        _set(entry, WaitingEntry.State.OFFERED)
        offer = Offer.objects.create(entry=entry, appointment=hold, expires_at=expires_at)
        audit.record("time_offered", offer, by=None)
        if notices.wants_messages(entry.patient):
            send_mail(notices.OFFER, to=entry.patient.email, about_id=str(offer.pk))
        return offer
    return None


def _suitable(freed: Appointment):
    day = wall_of(freed.starts_at, freed.location.zone).date()
    passed = Offer.objects.filter(
        appointment__starts_at=freed.starts_at, appointment__practitioner=freed.practitioner_id
    ).values("entry")
    return (
        WaitingEntry.objects.filter(
            Q(practitioner=None) | Q(practitioner=freed.practitioner_id),
            Q(location=None) | Q(location=freed.location_id),
            state=WaitingEntry.State.WAITING,
            type=freed.type_id,
            earliest__lte=day,
            latest__gte=day,
            patient__archived_at=None,
        )
        .exclude(pk__in=passed)
        .select_for_update(of=("self",), skip_locked=True, no_key=True)
        .select_related("patient")
        .order_by("-is_urgent", "created_at", "id")
    )


@transaction.atomic
def accept_offer(offer: Offer, *, by: Membership | None) -> Appointment:
    """Take the offered time; the visit it stands for is cancelled. Raises RuleBroken when the offer is over."""
    offer = _open(offer)
    visit = services.move(offer.appointment, State.BOOKED, by=by, expected_state=State.HELD)
    Offer.objects.filter(pk=offer.pk).update(state=Offer.State.ACCEPTED, answered_at=timezone.now())
    _set(offer.entry, WaitingEntry.State.BOOKED)
    audit.record("offer_accepted", offer, by=by)
    before = offer.entry.instead_of
    if before is not None and before.is_live:
        services.move(before, State.CANCELLED, by=by, reason=_("Moved to an earlier time from the waiting list"))
        offer_freed_time(before)
    return visit


@transaction.atomic
def decline_offer(offer: Offer, *, by: Membership | None) -> Offer | None:
    """Let an offered time pass; it goes to the next. Returns that offer, if there is one."""
    offer = _open(offer)
    return _pass_on(offer, Offer.State.DECLINED, by=by)


def expire_offers() -> int:
    """Pass on every offer of this clinic nobody answered in time. Returns how many had expired."""
    late = Offer.objects.filter(state=Offer.State.OPEN, expires_at__lte=timezone.now())
    gone = 0
    for offer in late.select_for_update(of=("self",), skip_locked=True, no_key=True).select_related("entry"):
        with transaction.atomic():
            _pass_on(offer, Offer.State.EXPIRED, by=None)
        gone += 1
    return gone


def _pass_on(offer: Offer, state: str, *, by: Membership | None) -> Offer | None:
    held = _close(offer, state, by=by)
    _set(offer.entry, WaitingEntry.State.WAITING)
    return offer_freed_time(held)


def _open(offer: Offer) -> Offer:
    found = (
        Offer.objects.select_for_update(of=("self",), no_key=True)
        .select_related("entry__instead_of__location", "appointment")
        .get(pk=offer.pk)
    )
    if found.state != Offer.State.OPEN or found.expires_at <= timezone.now():
        raise RuleBroken(_("This offer is over."), code="offer_over")
    return found


def _close(offer: Offer, state: str, *, by: Membership | None) -> Appointment:
    """End an offer and let go of the time it kept."""
    Offer.objects.filter(pk=offer.pk).update(state=state, answered_at=timezone.now())
    audit.record(f"offer_{state}", offer, by=by)
    held = Appointment.objects.select_related("location", "practitioner", "type").get(pk=offer.appointment_id)
    if held.state == State.HELD:
        services.release(held, by=by)
        held.refresh_from_db(fields=["state", "is_live"])
    return held


def _set(entry: WaitingEntry, state: str) -> None:
    entry.state = state
    WaitingEntry.objects.filter(pk=entry.pk).update(state=state)
