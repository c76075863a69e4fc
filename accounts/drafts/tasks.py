"""The clock of drafts; the schedule stands in settings."""

from celery import shared_task
from django.utils import timezone

from tenancy.tenants.context import tenant_context
from tenancy.tenants.selectors import list_active_tenants


@shared_task
def purge_drafts():
    """Remove what is older than a week, clinic by clinic."""
    from . import services

    for tenant in list_active_tenants():
        with tenant_context(tenant.id):
            services.purge_drafts(now=timezone.now())
