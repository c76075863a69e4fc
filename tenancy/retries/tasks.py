"""The clock of kept answers; the schedule stands in settings."""

from celery import shared_task
from django.utils import timezone

from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant


@shared_task
def purge_answers():
    """Remove what is older than a day: of every clinic, closed ones too, and of the platform."""
    from . import services

    now = timezone.now()
    for tenant_id in Tenant.objects.values_list("id", flat=True):
        with tenant_context(tenant_id):
            services.purge_answers(now=now)
    services.purge_answers(now=now)
