"""Kinds of qualifications of a clinic, and who holds which."""

from datetime import date

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.users.models import Membership
from tenancy.tenants.models import TenantForeignKey, TenantModel, TenantQuerySet, scoped_manager


class QualificationKind(TenantModel):
    """A licence, privilege or training that work may depend on."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class Group(models.TextChoices):
        LICENCE = "licence", _("Licence")
        PRIVILEGE = "privilege", _("Privilege")
        TRAINING = "training", _("Training")

    code = models.SlugField(_("code"), max_length=60, db_index=False)
    name = models.CharField(_("name"), max_length=150)
    group = models.CharField(_("group"), max_length=10, choices=Group.choices, default=Group.LICENCE)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("kind of qualification")
        verbose_name_plural = _("kinds of qualifications")
        constraints = [models.UniqueConstraint(fields=["tenant", "code"], name="qualifications_kind_code_uniq")]

    def __str__(self):
        return self.name


class QualificationQuerySet(TenantQuerySet):
    def valid_on(self, day: date):
        """Begun, not lapsed and not withdrawn on a day; the last day counts."""
        still = Q(valid_until__isnull=True) | Q(valid_until__gte=day)
        return self.filter(still, valid_from__lte=day, withdrawn_at__isnull=True)


class Qualification(TenantModel):
    """One qualification of one member. A renewal is another row; what was stays readable."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    membership = TenantForeignKey(Membership, related_name="qualifications", verbose_name=_("member"))
    kind = TenantForeignKey(QualificationKind, related_name="holders", verbose_name=_("kind"))
    number = models.CharField(_("number"), max_length=80, blank=True)
    issuer = models.CharField(_("issued by"), max_length=150, blank=True)
    valid_from = models.DateField(_("valid from"))
    valid_until = models.DateField(_("valid until"), null=True, blank=True, help_text=_("the last day"))
    recorded_by = TenantForeignKey(
        Membership, null=True, related_name="+", editable=False, verbose_name=_("recorded by")
    )
    recorded_at = models.DateTimeField(_("recorded at"), default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(_("taken back at"), null=True, editable=False)
    withdrawn_reason = models.CharField(_("why taken back"), max_length=300, blank=True, editable=False)

    objects = scoped_manager(QualificationQuerySet)

    class Meta:
        verbose_name = _("qualification")
        verbose_name_plural = _("qualifications")
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gte=models.F("valid_from")),
                name="qualifications_qualification_dates_chk",
            )
        ]
        indexes = [
            models.Index(fields=["tenant", "membership", "kind"], name="qualifications_member_idx"),
            models.Index(fields=["tenant", "valid_until"], name="qualifications_until_idx"),
        ]

    def __str__(self):
        return f"{self.kind} {self.valid_from}"
