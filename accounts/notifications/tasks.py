"""The clock and the doorbell of mail. Rows say what is to be sent; a task lost or doubled changes nothing."""

import time

import structlog
from celery import current_app as app
from celery import shared_task
from celery.signals import worker_ready
from kombu.pools import producers

from tenancy.tenants.context import NoTenant, tenant_context
from tenancy.tenants.selectors import list_active_tenants

log = structlog.get_logger(__name__)

# Connections of its own: those of Celery's pool try for six seconds to reach a broker that is dead.
IMPATIENT = {"socket_timeout": 1, "socket_connect_timeout": 1, "max_retries": 1, "interval_start": 0}
ONCE_MORE = {"max_retries": 1, "interval_start": 0}  # for a connection that has grown old in the pool
DEAF_SECONDS = 30.0
_deaf_until = 0.0


def wake(tenant_id: str) -> None:
    """Ring for the worker. Nobody has to hear it: the poller looks within seconds.

    After a broker that did not answer nobody rings for half a minute, so that at
    most one request in a while waits for it.
    """
    global _deaf_until
    if time.monotonic() < _deaf_until:
        return
    try:
        to_broker = app.connection_for_write(connect_timeout=1, transport_options=IMPATIENT)
        with producers[to_broker].acquire(block=True, timeout=1) as doorbell:
            deliver.apply_async([tenant_id], producer=doorbell, retry=True, retry_policy=ONCE_MORE)
    except Exception as error:  # whatever a dead broker raises; what the request had to do is committed
        _deaf_until = time.monotonic() + DEAF_SECONDS
        log.warning("broker_not_reached", error=type(error).__name__)


@shared_task
def deliver(tenant_id):
    """Send what is due in one clinic, when that clinic is open for work."""
    from . import sending

    if not tenant_id:
        raise NoTenant("deliver was called without a tenant.")
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
