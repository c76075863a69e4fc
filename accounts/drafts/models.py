"""One draft: whose, of which page, the fields as the form would send them."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenancy.tenants.models import TenantForeignKey, TenantModel


class Draft(TenantModel):
    """The words of one member in one form. No record of anything: sending the form removes it."""

    membership = TenantForeignKey("users.Membership", related_name="drafts")
    key = models.CharField(_("page"), max_length=300)
    values = models.JSONField(default=dict)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("draft")
        verbose_name_plural = _("drafts")
        constraints = [models.UniqueConstraint(fields=["tenant", "membership", "key"], name="drafts_draft_key_uniq")]
        indexes = [models.Index(fields=["tenant", "updated_at"], name="drafts_draft_age_idx")]

    def __str__(self):
        return self.key
