"""What patients may do with their own visits (wish 15): ask, book, keep a time, cancel, move.

The clinic's policy and the type of a visit say whether patients may ask for it
or book it, how far ahead and until when; the narrower of both holds. A visit
without a type is always asked for. A cancellation in time asks for nothing
else: whoever may cancel can, whatever has become of the type, the practitioner
or the chart meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from tenancy.rules import NotAllowed, RuleBroken, StaleVersion

from . import own_times, plans, services, waiting
from .amending import Amendment, edit_texts
from .models import Appointment, AppointmentType, Offer, SelfServicePolicy
from .policy import call_us, read_policy
from .services import NotQualified, TimeNotOffered, TimeTaken, Wanted
from .states import UPCOMING, State
from .wordings import say_when

PROMISED = (State.BOOKED, State.CONFIRMED)
"""Visits both sides count on: cut-offs hold for them. What was only asked for is withdrawn at any time."""


class TooLate(RuleBroken):
    """The clinic's cut-off has passed: it can only be done by telephone now."""

    code = "too_late"


@transaction.atomic
def book_own(wanted: Wanted, *, by: Membership, hold: bool = False) -> Appointment:
    """Ask for a visit or book it, as policy and type allow; `hold` keeps the time for ten minutes.

    A patient keeps one time: keeping another lets go of the one before, and
    keeping the same one again gives it back. Raises as `services.book`,
    NotAllowed for what only the clinic decides, and TimeNotOffered before the
    lead time and after the horizon; `nearest` are times patients may take.
    """
    if wanted.overbook_reason.strip():
        raise NotAllowed(_("You may not book over other visits."))
    if wanted.ends_at is not None:
        raise RuleBroken(_("How long a visit lasts is decided by the clinic."), code="length_fixed")
    state = first_state(wanted.type)
    if hold and state != State.BOOKED:
        raise RuleBroken(_("This time can be asked for, not kept."), code="not_bookable")
    wanted = replace(wanted, source=Appointment.Source.PATIENT)
    with _in_words_for_patients(wanted):
        refuse_too_soon_or_late(wanted.type, wanted.starts_at)
        if not hold:
            return services.book(wanted, by=by, state=state)
        return _keep(wanted, by=by)


def _keep(wanted: Wanted, *, by: Membership) -> Appointment:
    """Keep a time and give back what was kept before; a second press of the same button gets the same."""
    for hold in list_own_holds(wanted.patient):
        if _is_same(hold, wanted):
            return hold
        services.release(hold, by=by)
    try:
        with transaction.atomic():
            return services.book(wanted, by=by, state=State.HELD)
    except TimeTaken:
        # Two presses at once: the other one was faster, and it was ours.
        ours = [hold for hold in list_own_holds(wanted.patient) if _is_same(hold, wanted)]
        if not ours:
            raise
        return ours[0]


def _is_same(hold: Appointment, wanted: Wanted) -> bool:
    type_id = wanted.type.pk if wanted.type else None
    mine = hold.starts_at, hold.practitioner_id, hold.type_id
    return mine == (wanted.starts_at, wanted.practitioner.pk, type_id)


def list_own_holds(patient: Patient | None) -> list[Appointment]:
    """The times a patient keeps while they book; offers of the waiting list are none."""
    holds = Appointment.objects.filter(
        patient=patient, state=State.HELD, source=Appointment.Source.PATIENT, hold_expires_at__gt=timezone.now()
    )
    return list(holds.exclude(offers__isnull=False).order_by("id"))


@transaction.atomic
def book_kept(
    hold: Appointment, *, by: Membership, reason: str = "", expected_version: int | None = None
) -> Appointment:
    """Book the time that was kept, with what it is about; booked already, it is given back as it stands.

    Raises MoveRefused when the time was kept too long and is free again.
    """
    hold = _locked(hold)
    if hold.state in PROMISED:
        return hold
    visit = change_own(hold, State.BOOKED, by=by, expected_version=expected_version)
    reason = reason.strip()
    return edit_texts(visit, by=by, texts={"reason": reason}) if reason and reason != visit.reason else visit


@transaction.atomic
def change_own(
    appointment: Appointment, to: str, *, by: Membership, reason: str = "", expected_version: int | None = None
) -> Appointment:
    """Cancel a visit of one's own, give back a time that was kept, or book the time that was kept or offered.

    Raises TooLate after the cut-off, NotAllowed where the policy says no and for any other state.
    """
    if offer := Offer.objects.filter(appointment=appointment.pk, state=Offer.State.OPEN).first():
        return _answer_offer(offer, to, by=by)
    appointment = _locked(appointment)
    if expected_version is not None and appointment.version != expected_version:
        raise StaleVersion(_("Somebody else has changed this visit meanwhile."))
    if to == State.BOOKED and appointment.state == State.HELD and first_state(appointment.type) == State.BOOKED:
        return services.move(appointment, to, by=by)
    if to != State.CANCELLED:
        raise NotAllowed(_("Only the clinic can change this visit now."))
    if appointment.state == State.HELD:
        return services.release(appointment, by=by)
    if refusal := why_not_cancelled(appointment, read_policy()):
        raise refusal
    reason = reason.strip() or _("Cancelled by the patient.")
    return services.move(appointment, to, by=by, reason=reason)


def _answer_offer(offer: Offer, to: str, *, by: Membership) -> Appointment:
    """A time the waiting list offers is taken, or passed on; the clinic has offered it, so no policy asks."""
    if to == State.BOOKED:
        return waiting.accept_offer(offer, by=by)
    if to != State.CANCELLED:
        raise NotAllowed(_("Only the clinic can change this visit now."))
    waiting.decline_offer(offer, by=by)
    return Appointment.objects.select_related("location", "practitioner", "type").get(pk=offer.appointment_id)


@transaction.atomic
def move_own(
    appointment: Appointment,
    starts_at: datetime,
    *,
    by: Membership,
    practitioner: Practitioner | None = None,
    location: Location | None = None,
    expected_version: int | None = None,
) -> Appointment:
    """Take another time for a visit of one's own, where policy and type allow. Raises as `book_own`, and TooLate."""
    appointment = _locked(appointment)
    if expected_version is not None and appointment.version != expected_version:
        raise StaleVersion(_("Somebody else has changed this visit meanwhile."))
    if refusal := why_not_moved(appointment, read_policy()):
        raise refusal
    person, place = practitioner or appointment.practitioner, location or appointment.location
    wanted = Wanted(appointment.patient, person, starts_at, location=place, type=appointment.type)
    with _in_words_for_patients(wanted, moving=appointment):
        refuse_too_soon_or_late(appointment.type, starts_at)
        return services.reschedule(
            appointment, by=by, starts_at=starts_at, practitioner=practitioner, location=location
        )


def _locked(appointment: Appointment) -> Appointment:
    """The row, locked alone and read afterwards, as in services: joined while it is moved it would not be found."""
    list(Appointment.objects.filter(pk=appointment.pk).only("pk", "tenant").select_for_update(no_key=True))
    return Appointment.objects.select_related("location", "practitioner", "type").get(pk=appointment.pk)


# --- What the policy says --------------------------------------------------------------------------------------------


def first_state(type: AppointmentType | None, policy: SelfServicePolicy | None = None) -> str:
    """Where a visit begins that a patient wants. Raises NotAllowed where only the clinic books."""
    policy = policy or read_policy()
    if policy.level == SelfServicePolicy.Level.VIEW:
        raise NotAllowed(f"{_('This clinic books appointments itself.')} {call_us(None, policy)}")
    if type is None:
        return State.REQUESTED
    if type.self_service == AppointmentType.SelfService.NONE:
        raise NotAllowed(_("Only the clinic books “%(type)s”.") % {"type": type.name})
    may_book = policy.level == type.self_service == "book"
    return State.BOOKED if may_book else State.REQUESTED


def why_not_cancelled(visit: Appointment, policy: SelfServicePolicy) -> RuleBroken | NotAllowed | None:
    """The refusal of a cancellation by the patient now; None where it may be. Asks for nothing but state and time."""
    if refusal := _why_not_changed(visit, policy):
        return refusal
    if visit.state not in PROMISED:
        return None
    if not policy.may_cancel:
        sentence = _("Appointments can not be cancelled online here.")
        return NotAllowed(f"{sentence} {call_us(visit.location, policy)}")
    if timezone.now() > cancel_until(visit, policy):
        sentence = ngettext(
            "Online you can cancel until %(hours)d hour before the appointment, which was %(when)s.",
            "Online you can cancel until %(hours)d hours before the appointment, which was %(when)s.",
            policy.cancel_hours,
        )
        return _too_late(sentence, policy.cancel_hours, cancel_until(visit, policy), visit, policy)
    return None


def why_not_moved(visit: Appointment, policy: SelfServicePolicy) -> RuleBroken | NotAllowed | None:
    """The refusal of moving by the patient now, before any time is chosen; None where it may be."""
    if refusal := _why_not_changed(visit, policy):
        return refusal
    try:
        state = first_state(visit.type, policy)
    except NotAllowed as refusal:
        return refusal
    if not policy.may_move or visit.state == State.HELD or (visit.state in PROMISED and state != State.BOOKED):
        sentence = _("This appointment can not be moved online.")
        return NotAllowed(f"{sentence} {call_us(visit.location, policy)}")
    if visit.state in PROMISED and timezone.now() > move_until(visit, policy):
        sentence = ngettext(
            "Online you can take another time until %(hours)d hour before the appointment, which was %(when)s.",
            "Online you can take another time until %(hours)d hours before the appointment, which was %(when)s.",
            policy.move_hours,
        )
        return _too_late(sentence, policy.move_hours, move_until(visit, policy), visit, policy)
    return None


def _why_not_changed(visit: Appointment, policy: SelfServicePolicy) -> NotAllowed | None:
    if visit.state in UPCOMING and visit.starts_at > timezone.now():
        return None
    return NotAllowed(f"{_('Only the clinic can change this visit now.')} {call_us(visit.location, policy)}")


def _too_late(sentence: str, hours: int, until: datetime, visit: Appointment, policy: SelfServicePolicy) -> TooLate:
    said = sentence % {"hours": hours, "when": say_when(until, visit.location.zone)}
    return TooLate(f"{said} {call_us(visit.location, policy)}")


def cancel_until(visit: Appointment, policy: SelfServicePolicy) -> datetime:
    """The last moment at which the patient may cancel; real hours before, whatever the clocks do meanwhile."""
    return visit.starts_at - timedelta(hours=policy.cancel_hours)


def move_until(visit: Appointment, policy: SelfServicePolicy) -> datetime:
    """The last moment at which the patient may take another time."""
    return visit.starts_at - timedelta(hours=policy.move_hours)


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


# --- Refusals as patients read them ----------------------------------------------------------------------------------


@contextmanager
def _in_words_for_patients(wanted: Wanted, *, moving: Appointment | None = None) -> Iterator[None]:
    """Say a refusal without other people's affairs, and propose only times that patients may take."""
    try:
        with transaction.atomic():
            yield
    except TimeTaken as refused:
        about = {"type": wanted.type, "patient": wanted.patient, "moving": moving}
        near = own_times.nearest_times([wanted.practitioner], wanted.starts_at, **about)
        near = near or own_times.nearest_times(own_times.list_people(wanted.type), wanted.starts_at, **about)
        raise refused.__class__(_sentence_of(refused), who=refused.who, nearest=near) from None
    except NotQualified:
        sentence = _("%(name)s can not be booked for this online.") % {"name": wanted.practitioner.name}
        raise NotQualified(f"{sentence} {call_us(wanted.location)}", []) from None
    except RuleBroken as refused:
        if refused.code not in {"archived_patient", "deceased_patient"}:
            raise
        raise RuleBroken(f"{_('Your chart is closed.')} {call_us(wanted.location)}", code=refused.code) from None


def _sentence_of(refused: TimeTaken) -> str:
    if refused.who == "patient":
        return _("You have another appointment then.")
    if refused.who == "hours":
        return refused.sentence
    return _("This time is not offered.") if isinstance(refused, TimeNotOffered) else _("This time is taken.")


@transaction.atomic
def amend_own(
    appointment: Appointment, amendment: Amendment, *, by: Membership, expected_version: int | None = None
) -> Appointment:
    """What a patient changes about one visit in one go: another time, or none. Notes belong to the clinic."""
    is_fixed = amendment.ends_at is not None or amendment.practitioner is not None or amendment.location is not None
    if amendment.texts or is_fixed or amendment.overbook_reason.strip():
        raise NotAllowed(_("Only the clinic can change this visit now."))
    if amendment.starts_at is not None and amendment.starts_at != appointment.starts_at:
        appointment = move_own(appointment, amendment.starts_at, by=by, expected_version=expected_version)
        expected_version = appointment.version
    if amendment.state:
        appointment = change_own(
            appointment, amendment.state, by=by, reason=amendment.why, expected_version=expected_version
        )
    return appointment
