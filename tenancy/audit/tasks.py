"""The trail's clock: seal reads every minute, anchor every hour. The schedule stands in settings."""

from uuid import UUID

from celery import shared_task

from tenancy.tenants.context import tenant_context
from tenancy.tenants.selectors import list_active_tenants

MOST_BATCHES = 50
"""Of one clinic in one go, each of `services.SEAL_BATCH` reads."""


@shared_task
def seal_reads():
    """Seal the reads of every clinic; each batch is a transaction of its own."""
    for tenant in list_active_tenants():
        _seal_reads_of(tenant.id)


def _seal_reads_of(tenant_id: UUID) -> None:
    """All that wait, but for a clinic that reads faster than this seals: it goes on in a minute, after the others."""
    from . import services

    for _batch in range(MOST_BATCHES):
        with tenant_context(tenant_id):
            if services.seal_reads() < services.SEAL_BATCH:
                return


@shared_task
def write_anchors():
    """Write one signed anchor a clinic."""
    from . import anchors

    for tenant in list_active_tenants():
        with tenant_context(tenant.id):
            anchors.write_anchor(tenant.id)
