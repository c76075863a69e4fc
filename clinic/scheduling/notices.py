"""What patients are told of their visits by mail. Composed when it leaves, from how the book stands then (wish 14).

The texts name the place, the practitioner and the time by the place's clock;
never the kind of visit or its reason.
"""

from collections.abc import Mapping

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from accounts.notifications.kinds import Composed, MailKind, register_mail
from accounts.notifications.models import Delivery
from accounts.notifications.services import send_mail
from clinic.patients.models import Consent, Patient

from .calendars import calendar_of
from .models import Appointment, Offer, Reminder, ReminderRule
from .states import UPCOMING, State
from .wall_time import wall_of

CALENDAR_TYPE = "text/calendar"


def wants_messages(patient: Patient) -> bool:
    """Whether we may write: there is an address, and the last word about messages is not no."""
    last = patient.consents.filter(kind=Consent.Kind.MESSAGES).order_by("-recorded_at", "-id").first()
    return bool(patient.email) and (last is None or last.granted)


def tell_patient(appointment: Appointment, kind: MailKind) -> bool:
    """Have a mail about a visit sent to its patient, if they want any. Says whether one is on its way."""
    patient = appointment.patient
    if patient is None or not wants_messages(patient):
        return False
    send_mail(kind, to=patient.email, about_id=str(appointment.pk), params={"version": appointment.version})
    return True


def was_told(appointment: Appointment, kind: MailKind) -> bool:
    """Whether a mail of this kind about a visit has left; one that still waits looks at the book before it does."""
    sent = Delivery.objects.filter(kind=kind.code, about_id=str(appointment.pk), state=Delivery.State.SENT)
    return sent.exists()


def values_of(appointment: Appointment) -> dict[str, str]:
    """What a text may say: name, date, time with its zone, practitioner, location."""
    wall = wall_of(appointment.starts_at, appointment.location.zone)
    patient = appointment.patient
    return {
        "name": patient.name if patient else "",
        "date": date_format(wall.date(), pgettext("the day of an agenda", "l j F Y")),
        "time": f"{wall:%H:%M} ({appointment.time_zone.replace('_', ' ')})",
        "practitioner": appointment.practitioner.name,
        "location": ", ".join(part for part in (appointment.location.name, appointment.location.address) if part),
    }


def _visit(delivery: Delivery) -> Appointment | None:
    return (
        Appointment.objects.select_related("patient", "practitioner", "location").filter(pk=delivery.about_id).first()
    )


def _file(appointment: Appointment, name: str, *, method: str = "PUBLISH") -> tuple[str, bytes, str]:
    content = calendar_of([appointment], name=name, for_patient=True, method=method)
    return ("appointment.ics", content, CALENDAR_TYPE)


def _body(lead: str, values: Mapping[str, str]) -> str:
    greeting = _("Dear %(name)s,") % values
    facts = _("%(date)s at %(time)s\nwith %(practitioner)s\n%(location)s") % values
    return f"{greeting}\n\n{lead}\n\n{facts}"


def _confirmation(delivery: Delivery) -> Composed | None:
    visit = _visit(delivery)
    if visit is None or visit.state not in UPCOMING or visit.starts_at < timezone.now():
        return None
    values = values_of(visit)
    if visit.state == State.REQUESTED:
        lead = _("We have received your request for this time. It is yours when we confirm it.")
        return Composed(_("Your request for an appointment"), _body(lead, values))
    lead = _("your appointment is booked:")
    return Composed(
        _("Your appointment on %(date)s") % values, _body(lead, values), (_file(visit, values["location"]),)
    )


def _moved(delivery: Delivery) -> Composed | None:
    visit = _visit(delivery)
    if visit is None or visit.state not in UPCOMING:
        return None
    values = values_of(visit)
    text = _body(_("your appointment has been moved. It is now:"), values)
    return Composed(_("Your appointment was moved to %(date)s") % values, text, (_file(visit, values["location"]),))


def _cancelled(delivery: Delivery) -> Composed | None:
    visit = _visit(delivery)
    if visit is None or visit.state != State.CANCELLED or visit.starts_at < timezone.now():
        return None  # it was taken back: nobody needs to hear of it
    values = values_of(visit)
    text = _body(_("this appointment has been cancelled:"), values)
    files = (_file(visit, values["location"], method="CANCEL"),)
    return Composed(_("Your appointment on %(date)s is cancelled") % values, text, files)


def _reminder(delivery: Delivery) -> Composed | None:
    reminder = Reminder.objects.select_related("rule").filter(pk=delivery.about_id).first()
    if reminder is None:
        return None
    visit = (
        Appointment.objects.select_related("patient", "practitioner", "location")
        .filter(pk=reminder.appointment_id, state__in=[State.BOOKED, State.CONFIRMED], starts_at=reminder.starts_at)
        .first()
    )
    late = reminder.starts_at <= timezone.now()
    if visit is None or visit.patient is None or late or not wants_messages(visit.patient):
        Reminder.objects.filter(pk=reminder.pk).update(outcome="pointless")
        return None
    Reminder.objects.filter(pk=reminder.pk).update(outcome="sent")
    return reminder_words(reminder.rule, values_of(visit))


def reminder_words(rule: ReminderRule, values: Mapping[str, str]) -> Composed:
    """The mail a rule makes of a visit: the clinic's own words where it has any, else ours."""
    subject = _fill(rule.subject, values) or _("Reminder: your appointment on %(date)s") % values
    text = _fill(rule.text, values) or _body(_("this is to remind you of your appointment:"), values)
    return Composed(subject, text)


def _offer(delivery: Delivery) -> Composed | None:
    offer = Offer.objects.filter(pk=delivery.about_id, state=Offer.State.OPEN).select_related("appointment").first()
    if offer is None or offer.expires_at <= timezone.now():
        return None
    visit = Appointment.objects.select_related("patient", "practitioner", "location").get(pk=offer.appointment_id)
    values = values_of(visit)
    until = wall_of(offer.expires_at, visit.location.zone)
    lead = _("a time has become free that you were waiting for. It is kept for you until %(until)s:") % {
        "until": f"{date_format(until.date(), pgettext('a day in a mail', 'j F'))} {until:%H:%M}"
    }
    text = _body(lead, values) + "\n\n" + _("Answer on our page under “My appointments”, or call us.")
    return Composed(_("A time has become free: %(date)s") % values, text)


def _fill(template: str, values: Mapping[str, str]) -> str:
    """A clinic's own words with their places filled; a place it does not know stays as it is written."""
    for name, value in values.items():
        template = template.replace(f"%({name})s", value)
    return template


CONFIRMATION = register_mail(MailKind("appointment_booked", _confirmation, gettext_lazy("Appointment booked")))
MOVED = register_mail(MailKind("appointment_moved", _moved, gettext_lazy("Appointment moved")))
CANCELLED = register_mail(MailKind("appointment_cancelled", _cancelled, gettext_lazy("Appointment cancelled")))
REMINDER = register_mail(MailKind("appointment_reminder", _reminder, gettext_lazy("Appointment reminder")))
OFFER = register_mail(MailKind("time_offered", _offer, gettext_lazy("Time offered from the waiting list")))
