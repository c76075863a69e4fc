from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenancy.tenants.models import TenantModel


class SourceRecord(TenantModel):
    """Which foreign resource became which row here, and what it looked like when it was last read."""

    app_privileges = ("SELECT", "INSERT", "UPDATE")

    resource_type = models.CharField(max_length=40)
    resource_id = models.CharField(max_length=64, db_collation="C", help_text=_("the resource's own id"))
    object_id = models.UUIDField(help_text=_("the row here"))
    content_hash = models.CharField(max_length=64)
    imported_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "resource_type", "resource_id"], name="fhir_sourcerecord_uniq")
        ]
        indexes = [models.Index(fields=["tenant", "object_id"], name="fhir_sourcerecord_object_idx")]

    def __str__(self):
        return f"{self.resource_type}/{self.resource_id}"
