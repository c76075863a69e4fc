from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TenantsConfig(AppConfig):
    name = "tenancy.tenants"
    label = "tenants"
    verbose_name = _("Clinics")

    def ready(self):
        from . import checks, lookups  # noqa: F401  (registers the system checks and the prefix lookup)
