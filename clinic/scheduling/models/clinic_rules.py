"""What a clinic decides for itself, at most one row each."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenancy.tenants.models import TenantModel


class SelfServicePolicy(TenantModel):
    """What patients of this clinic do by themselves, and until when (wish 15). A clinic without a row has the defaults.

    A kind of visit says more narrowly what it allows (`AppointmentType.self_service`);
    the narrower of both holds. Cut-offs are hours before the visit begins.
    """

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Level(models.TextChoices):
        VIEW = "view", _("See their appointments")
        REQUEST = "request", _("See them and ask for a time")
        BOOK = "book", _("See them, ask for a time and book")

    level = models.CharField(_("patients may"), max_length=10, choices=Level.choices, default=Level.BOOK)
    may_cancel = models.BooleanField(_("patients may cancel"), default=True)
    cancel_hours = models.PositiveSmallIntegerField(
        _("cancel until so many hours before"), default=24, validators=[MaxValueValidator(24 * 30)]
    )
    may_move = models.BooleanField(_("patients may move to another time"), default=True)
    move_hours = models.PositiveSmallIntegerField(
        _("move until so many hours before"), default=24, validators=[MaxValueValidator(24 * 30)]
    )
    phone = models.CharField(
        _("telephone for patients"), max_length=30, blank=True, help_text=_("Empty: that of the place of the visit")
    )

    class Meta:
        verbose_name = _("policy for patients")
        verbose_name_plural = _("policy for patients")
        constraints = [models.UniqueConstraint(fields=["tenant"], name="scheduling_policy_one_uniq")]

    def __str__(self):
        return self.get_level_display()


class WaitLimits(TenantModel):
    """From how many minutes of waiting on somebody is marked on Today. A clinic without a row has the defaults."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    long_minutes = models.PositiveSmallIntegerField(
        _("long from minutes on"), default=15, validators=[MinValueValidator(1), MaxValueValidator(240)]
    )
    too_long_minutes = models.PositiveSmallIntegerField(
        _("too long from minutes on"), default=30, validators=[MinValueValidator(2), MaxValueValidator(480)]
    )

    class Meta:
        verbose_name = _("limits of waiting")
        verbose_name_plural = _("limits of waiting")
        constraints = [
            models.UniqueConstraint(fields=["tenant"], name="scheduling_waitlimits_one_uniq"),
            models.CheckConstraint(
                condition=Q(too_long_minutes__gt=models.F("long_minutes")), name="scheduling_waitlimits_order_chk"
            ),
        ]

    def __str__(self):
        return f"{self.long_minutes}/{self.too_long_minutes}"
