"""The clock and the doorbell of events. Rows say what is to be sent; a task lost or doubled changes nothing."""

import structlog
from celery import shared_task
from celery.signals import worker_ready
from django.utils import timezone

from tenancy.tenants import doorbell
from tenancy.tenants.context import NoTenant, tenant_context
from tenancy.tenants.selectors import list_active_tenants

log = structlog.get_logger(__name__)


@shared_task
def deliver(tenant_id):
    """Send what is due in one clinic."""
    from . import sending

    if not tenant_id:
        raise NoTenant("deliver was called without a tenant.")
    doorbell.answered(deliver.name, tenant_id)
    sending.deliver_due([tenant_id])


@shared_task
def deliver_everywhere():
    """Send what is due in every clinic: tries put off, what a dead worker held, what no doorbell announced."""
    from . import sending

    sending.deliver_due(sending.list_clinics_with_due())


@shared_task
def purge():
    """Remove what is older than 30 days, clinic by clinic."""
    from . import services

    for tenant in list_active_tenants():
        with tenant_context(tenant.id):
            services.purge(now=timezone.now())


@worker_ready.connect
def look_at_once(**_kwargs):
    """A worker that comes back does not wait for the clock."""
    try:
        deliver_everywhere.apply_async(retry=False)
    except Exception as error:
        log.warning("broker_not_reached", error=type(error).__name__)
