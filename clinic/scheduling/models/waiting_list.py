"""Who waits for an earlier time, and what they were offered."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from tenancy.tenants.models import TenantForeignKey, TenantModel

from .appointment_types import AppointmentType
from .appointments import Appointment


class WaitingEntry(TenantModel):
    """Somebody who wants an earlier time, and what would suit them."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        OFFERED = "offered", _("Offered a time")
        BOOKED = "booked", _("Booked")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    patient = TenantForeignKey(Patient, related_name="waiting_entries", verbose_name=_("patient"))
    type = TenantForeignKey(AppointmentType, related_name="+", verbose_name=_("type"))
    practitioner = TenantForeignKey(
        Practitioner, null=True, blank=True, related_name="+", verbose_name=_("practitioner")
    )
    location = TenantForeignKey(Location, null=True, blank=True, related_name="+", verbose_name=_("location"))
    instead_of = TenantForeignKey(
        Appointment, null=True, blank=True, related_name="+", verbose_name=_("instead of"), editable=False
    )
    earliest = models.DateField(_("from"))
    latest = models.DateField(_("until"))
    is_urgent = models.BooleanField(_("urgent"), default=False)
    note = models.CharField(_("note"), max_length=300, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    created_by = TenantForeignKey(Membership, null=True, related_name="+", editable=False)

    class Meta:
        verbose_name = _("waiting list entry")
        verbose_name_plural = _("waiting list")
        constraints = [
            models.CheckConstraint(condition=Q(latest__gte=models.F("earliest")), name="scheduling_waiting_dates_chk")
        ]
        indexes = [
            models.Index(
                fields=["tenant", "type", "created_at"],
                name="scheduling_waiting_idx",
                condition=Q(state="waiting"),
            )
        ]

    def __str__(self):
        return f"{self.patient_id} waits for {self.type_id}"


class Offer(TenantModel):
    """A freed time offered to one waiting person. The time is kept by a held appointment, so no two ever get it."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        ACCEPTED = "accepted", _("Accepted")
        DECLINED = "declined", _("Declined")
        EXPIRED = "expired", _("Expired")

    entry = TenantForeignKey(WaitingEntry, related_name="offers")
    appointment = TenantForeignKey(Appointment, related_name="offers")
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    expires_at = models.DateTimeField(_("until"))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    answered_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "entry"], name="scheduling_offer_open_uniq", condition=Q(state="open")
            ),
            models.UniqueConstraint(fields=["tenant", "appointment"], name="scheduling_offer_appointment_uniq"),
        ]

    def __str__(self):
        return f"{self.appointment_id} to {self.entry_id}"
