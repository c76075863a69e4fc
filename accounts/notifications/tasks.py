"""The clock and the doorbell of mail. Rows say what is to be sent; a task lost or doubled changes nothing."""

import structlog
from celery import shared_task
from celery.signals import worker_ready

from tenancy.tenants import doorbell
from tenancy.tenants.context import NoTenant, tenant_context
from tenancy.tenants.selectors import list_active_tenants

log = structlog.get_logger(__name__)


def wake(tenant_id: str) -> None:
    """Ring for the worker. Nobody has to hear it: the poller looks within seconds."""
    doorbell.ring_once(deliver, tenant_id)


@shared_task
def deliver(tenant_id):
    """Send what is due in one clinic, when that clinic is open for work."""
    from . import sending

    if not tenant_id:
        raise NoTenant("deliver was called without a tenant.")
    doorbell.answered(deliver.name, tenant_id)
    if list_active_tenants().filter(pk=tenant_id).exists():
        sending.deliver_due(tenant_id)


@shared_task
def deliver_everywhere():
    """Send what is due in every clinic: the digest of the morning, tries put off, what no doorbell announced."""
    from . import sending

    for tenant in list_active_tenants():
        with tenant_context(tenant.id):
            has_due = sending.has_due()
        if has_due:
            sending.deliver_due(tenant.id)


@worker_ready.connect
def look_at_once(**_kwargs):
    """A worker that comes back does not wait for the clock."""
    try:
        deliver_everywhere.apply_async(retry=False)
    except Exception as error:
        log.warning("broker_not_reached", error=type(error).__name__)
