"""What happened to appointments."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.users.models import Membership
from tenancy.tenants.models import TenantForeignKey, TenantModel

from ..states import State
from .appointments import Appointment


class AppointmentChange(TenantModel):
    """What happened to an appointment: who, when, why. `before` and `after` hold the fields that changed."""

    app_privileges = ("SELECT", "INSERT")

    appointment = TenantForeignKey(Appointment, related_name="changes")
    at = models.DateTimeField(default=timezone.now)
    by = TenantForeignKey(Membership, null=True, related_name="+")
    by_label = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text=_("the API key, where it was one")
    )
    action = models.CharField(max_length=20)
    old_state = models.CharField(max_length=10, blank=True)
    new_state = models.CharField(max_length=10, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.CharField(max_length=300, blank=True)
    batch = models.UUIDField(null=True, help_text=_("changes made by one press of a button, undone by one"))

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "appointment", "at"], name="scheduling_apptchange_idx"),
            models.Index(
                fields=["tenant", "batch"], name="scheduling_apptchange_batch", condition=Q(batch__isnull=False)
            ),
        ]

    def __str__(self):
        return f"{self.appointment_id}: {self.action}"

    @property
    def who(self) -> str:
        """Whoever did it by name: a member or an API key; "" for the system."""
        return self.by.display_name if self.by else self.by_label

    def can_be_undone_in(self, state: str) -> bool:
        """Whether taking back this change of state makes sense for a visit that is in `state` now.

        Taking back is not taken back, and a time that was kept for somebody is not kept again.
        """
        return self.new_state == state and self.action != "undone" and self.old_state not in ("", State.HELD)
