"""When patients are reminded of their visits, and that they were."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenancy.tenants.models import TenantForeignKey, TenantModel

from .appointments import Appointment


class ReminderRule(TenantModel):
    """When patients are reminded, and in which words.

    Places: %(name)s, %(date)s, %(time)s, %(practitioner)s, %(location)s.
    """

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    hours_before = models.PositiveSmallIntegerField(
        _("hours before"), validators=[MinValueValidator(1), MaxValueValidator(24 * 30)]
    )
    subject = models.CharField(_("subject"), max_length=150, blank=True, help_text=_("empty: our own words"))
    text = models.TextField(_("text"), max_length=2000, blank=True)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("reminder rule")
        verbose_name_plural = _("reminder rules")
        constraints = [models.UniqueConstraint(fields=["tenant", "hours_before"], name="scheduling_reminderrule_uniq")]

    def __str__(self):
        return f"{self.hours_before} h"


class Reminder(TenantModel):
    """One reminder of one visit at one time. Moved to another time, the visit is reminded of anew."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    appointment = TenantForeignKey(Appointment, related_name="reminders")
    rule = TenantForeignKey(ReminderRule, models.PROTECT, related_name="+", verbose_name=_("reminder rule"))
    starts_at = models.DateTimeField(_("visit at"))
    created_at = models.DateTimeField(_("written at"), default=timezone.now)
    # planned, sent, opted_out, no_address, pointless
    outcome = models.CharField(_("outcome"), max_length=12, default="planned")

    class Meta:
        verbose_name = _("reminder")
        verbose_name_plural = _("reminders")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "appointment", "rule", "starts_at"], name="scheduling_reminder_once_uniq"
            )
        ]

    def __str__(self):
        return f"{self.appointment_id} {self.outcome}"
