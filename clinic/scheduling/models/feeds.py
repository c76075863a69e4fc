"""Calendar addresses."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.practitioners.models import Practitioner
from tenancy.tenants.models import TenantForeignKey, TenantModel


class CalendarFeed(TenantModel):
    """A private address under which a calendar program reads somebody's visits. Only a hash of the secret is kept."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    practitioner = TenantForeignKey(Practitioner, null=True, related_name="feeds", verbose_name=_("practitioner"))
    patient = TenantForeignKey(Patient, null=True, related_name="feeds", verbose_name=_("patient"))
    secret_hash = models.CharField(max_length=64, db_collation="C")
    created_at = models.DateTimeField(_("given out at"), default=timezone.now, editable=False)
    created_by = TenantForeignKey(Membership, null=True, related_name="+", verbose_name=_("given out by"))
    revoked_at = models.DateTimeField(_("closed at"), null=True)

    class Meta:
        verbose_name = _("calendar address")
        verbose_name_plural = _("calendar addresses")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "secret_hash"], name="scheduling_calendarfeed_secret_uniq"),
            models.CheckConstraint(
                condition=Q(practitioner__isnull=True, patient__isnull=False)
                | Q(practitioner__isnull=False, patient__isnull=True),
                name="scheduling_calendarfeed_whose_chk",
            ),
        ]

    def __str__(self):
        return f"{self.practitioner_id or self.patient_id}"
