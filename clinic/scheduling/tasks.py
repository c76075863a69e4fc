"""The clock of the book: holds and offers that are over, reminders that are due."""

from celery import shared_task

from tenancy.tenants.context import tenant_context
from tenancy.tenants.selectors import list_active_tenants

from . import lapses, reminders, services, waiting


@shared_task
def let_go():
    """Give back held times, and pass on offers nobody answered, in every clinic."""
    for tenant in list_active_tenants():
        with tenant_context(tenant.id):
            waiting.expire_offers()
            services.expire_holds()


@shared_task
def remind():
    """Send the reminders that are due, in every clinic."""
    for tenant in list_active_tenants():
        with tenant_context(tenant.id):
            reminders.send_due_reminders()


@shared_task
def announce_lapses():
    """Say which qualifications lapse soon, in every clinic."""
    for tenant in list_active_tenants():
        with tenant_context(tenant.id):
            lapses.announce_lapses()
