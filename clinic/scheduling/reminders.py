"""Reminders: planned by the clock from how the book stands, once each, logged with the visit (wish 14)."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.services import send_mail
from accounts.users.models import Membership
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from .models import Appointment, Reminder, ReminderRule
from .notices import REMINDER, wants_messages
from .states import State

LATEST_MINUTES = 30  # a visit that is nearer than this needs no reminder


def send_due_reminders() -> int:
    """Write the reminders of this clinic that are due now. Safe to run twice at once. Returns how many mails leave.

    The mail itself looks at the book again when it leaves: a visit that was
    cancelled or moved by then is not reminded of.
    """
    now, sent = timezone.now(), 0
    for rule in ReminderRule.objects.filter(is_active=True).order_by("hours_before"):
        due = (
            Appointment.objects.filter(
                state__in=[State.BOOKED, State.CONFIRMED],
                starts_at__gt=now + timedelta(minutes=LATEST_MINUTES),
                starts_at__lte=now + timedelta(hours=rule.hours_before),
                patient__isnull=False,
            )
            .exclude(created_at__gt=now - timedelta(hours=1))  # who has just booked knows
            .exclude(
                Exists(Reminder.objects.filter(rule=rule, appointment=OuterRef("pk"), starts_at=OuterRef("starts_at")))
            )
            .select_related("patient")
            .order_by("starts_at", "id")
        )
        for visit in due:
            sent += _remind(visit, rule)
    return sent


@transaction.atomic
def _remind(visit: Appointment, rule: ReminderRule) -> bool:
    patient = visit.patient
    assert patient is not None
    outcome = "planned" if wants_messages(patient) else "opted_out" if patient.email else "no_address"
    made = Reminder(appointment=visit, rule=rule, starts_at=visit.starts_at, outcome=outcome)
    Reminder.objects.bulk_create([made], ignore_conflicts=True)
    if outcome != "planned" or not Reminder.objects.filter(pk=made.pk).exists():
        return False
    send_mail(REMINDER, to=patient.email, about_id=str(made.pk))
    return True


@transaction.atomic
def save_rule(
    rule: ReminderRule | None,
    *,
    by: Membership | None,
    hours_before: int,
    subject: str = "",
    text: str = "",
    is_active: bool = True,
) -> ReminderRule:
    """Make a rule (`rule` None) or change one. What was sent by it before stays as it was sent.

    Raises ValidationError by field; RuleBroken where another rule has these hours.
    """
    changed = rule or ReminderRule()
    given = {"hours_before": hours_before, "subject": subject.strip(), "text": text.strip(), "is_active": is_active}
    before = {name: getattr(changed, name) for name in given}
    for name, value in given.items():
        setattr(changed, name, value)
    changed.full_clean(exclude=["tenant"], validate_unique=False, validate_constraints=False)
    try:
        with transaction.atomic():
            changed.save(force_insert=rule is None, force_update=rule is not None)
    except IntegrityError as error:
        if "scheduling_reminderrule_uniq" in str(error):
            raise RuleBroken(_("There is a reminder at this time already."), code="duplicate") from None
        raise
    if rule is None:
        audit.record("reminder_rule_created", changed, by=by, details=given)
    elif differences := {name: (before[name], value) for name, value in given.items() if before[name] != value}:
        audit.record("reminder_rule_updated", changed, by=by, changes=differences)
    return changed
