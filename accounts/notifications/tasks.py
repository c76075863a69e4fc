"""The clock and the doorbell of mail. Rows say what is to be sent; a task lost or doubled changes nothing."""

import structlog
from celery import shared_task

log = structlog.get_logger(__name__)


def wake(tenant_id: str) -> None:
    """Ring for the worker. Nobody has to hear it: the poller looks soon."""
    try:
        deliver.apply_async([tenant_id], retry=False)
    except Exception as error:  # whatever a dead broker raises; the request it happens in has already done its work
        log.warning("broker_not_reached", error=type(error).__name__)


@shared_task
def deliver(tenant_id):
    """Send what is due in one clinic."""
