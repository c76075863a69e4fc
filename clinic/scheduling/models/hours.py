"""When practitioners work, and when they are away."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.users.models import Membership
from clinic.places.models import WEEKDAYS, Location
from clinic.practitioners.models import Practitioner
from tenancy.tenants.models import TenantForeignKey, TenantModel

from .appointment_types import AppointmentType


class WorkingHours(TenantModel):
    """When a practitioner works at a location, week by week, by that location's clock.

    `ends` at or before `starts` means the next day. `valid_until` is the last day.
    """

    app_privileges = ("SELECT", "INSERT", "UPDATE", "DELETE")

    practitioner = TenantForeignKey(Practitioner, related_name="working_hours", verbose_name=_("practitioner"))
    location = TenantForeignKey(Location, related_name="working_hours", verbose_name=_("location"))
    weekday = models.PositiveSmallIntegerField(_("weekday"), choices=WEEKDAYS)
    starts = models.TimeField(_("from"))
    ends = models.TimeField(_("until"))
    step = models.PositiveSmallIntegerField(
        _("a time every so many minutes"), default=15, validators=[MinValueValidator(5), MaxValueValidator(480)]
    )
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("valid until"), null=True, blank=True)
    only_type = TenantForeignKey(AppointmentType, null=True, blank=True, related_name="+", verbose_name=_("only for"))

    class Meta:
        verbose_name = _("working hours")
        verbose_name_plural = _("working hours")
        constraints = [
            models.CheckConstraint(condition=Q(weekday__lte=6), name="scheduling_workinghours_weekday_chk"),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gte=models.F("valid_from")),
                name="scheduling_workinghours_dates_chk",
            ),
            models.UniqueConstraint(
                fields=["tenant", "practitioner", "location", "weekday", "starts", "valid_from"],
                name="scheduling_workinghours_uniq",
            ),
        ]

    def __str__(self):
        return f"{self.get_weekday_display()} {self.starts:%H:%M}–{self.ends:%H:%M}"


class ExtraHours(TenantModel):
    """One day on which a practitioner works beside the usual hours."""

    practitioner = TenantForeignKey(Practitioner, related_name="extra_hours", verbose_name=_("practitioner"))
    location = TenantForeignKey(Location, related_name="+", verbose_name=_("location"))
    day = models.DateField(_("day"))
    starts = models.TimeField(_("from"))
    ends = models.TimeField(_("until"))
    step = models.PositiveSmallIntegerField(_("a time every so many minutes"), default=15)
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("extra hours")
        verbose_name_plural = _("extra hours")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "practitioner", "day", "starts"], name="scheduling_extrahours_uniq"
            )
        ]

    def __str__(self):
        return f"{self.day} {self.starts:%H:%M}–{self.ends:%H:%M}"


class Leave(TenantModel):
    """Time a practitioner is away, whatever the working hours say."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Kind(models.TextChoices):
        HOLIDAY = "holiday", _("Holiday")
        ILLNESS = "illness", _("Ill")
        TRAINING = "training", _("Training")
        MEETING = "meeting", _("Meeting")
        OTHER = "other", _("Away")

    practitioner = TenantForeignKey(Practitioner, related_name="leave", verbose_name=_("practitioner"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    note = models.CharField(_("note"), max_length=200, blank=True)
    batch = models.UUIDField(
        null=True, editable=False, help_text=_("the changes of visits made with it, undone with it")
    )
    created_by = TenantForeignKey(Membership, null=True, related_name="+", verbose_name=_("written by"))
    created_at = models.DateTimeField(_("written at"), default=timezone.now, editable=False)
    cancelled_at = models.DateTimeField(_("taken back at"), null=True, editable=False)

    class Meta:
        verbose_name = _("leave")
        verbose_name_plural = _("leave")
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=models.F("starts_at")), name="scheduling_leave_order_chk")
        ]
        indexes = [models.Index(fields=["tenant", "practitioner", "ends_at"], name="scheduling_leave_idx")]

    def __str__(self):
        return f"{self.get_kind_display()} {self.starts_at:%Y-%m-%d}"
