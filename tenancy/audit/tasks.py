"""The trail's clock: seal reads every minute, anchor every hour. The schedule stands in settings."""

from celery import shared_task

from tenancy.tenants.context import tenant_context
from tenancy.tenants.selectors import list_active_tenants


@shared_task
def seal_reads():
    """Seal the reads of every clinic; each clinic is a transaction of its own."""
    from . import services

    for tenant in list_active_tenants():
        with tenant_context(tenant.id):
            services.seal_reads()


@shared_task
def write_anchors():
    """Write one signed anchor a clinic."""
    from . import anchors

    for tenant in list_active_tenants():
        with tenant_context(tenant.id):
            anchors.write_anchor(tenant.id)
