"""What every command that works inside a clinic begins with."""

from django.core.management.base import BaseCommand, CommandError

from .context import tenant_context
from .models import Tenant


class TenantCommand(BaseCommand):
    """A command with `--tenant SLUG`; its `handle_tenant(tenant, **options)` runs inside that clinic.

    Without the option it refuses, or, where `all_tenants` is set, runs once
    for each clinic in turn, closed ones too. Each run is a transaction of its own
    unless the command opens its own (`own_transactions`).
    """

    all_tenants = False
    own_transactions = False

    def add_arguments(self, parser):
        parser.add_argument(
            "--tenant", required=not self.all_tenants, metavar="SLUG", help="the short name of the clinic"
        )

    def handle(self, *args, tenant=None, **options):
        for clinic in self._clinics(tenant):
            if self.own_transactions:
                self.handle_tenant(clinic, *args, **options)
            else:
                with tenant_context(clinic.id):
                    self.handle_tenant(clinic, *args, **options)

    def _clinics(self, slug):
        clinics = Tenant.objects.order_by("slug")
        if slug is None:
            return list(clinics)
        found = list(clinics.filter(slug=slug))
        if not found:
            known = ", ".join(clinics.values_list("slug", flat=True)[:10]) or "none yet"
            raise CommandError(f"There is no clinic {slug!r}. Known: {known}.")
        return found
