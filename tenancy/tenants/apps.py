from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenancy.tenants"
    label = "tenants"

    def ready(self):
        from . import checks, lookups  # noqa: F401  (registers the system checks and the prefix lookup)
