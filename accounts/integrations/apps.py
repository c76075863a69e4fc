from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    name = "accounts.integrations"
    label = "integrations"
    verbose_name = _("Integrations")

    def ready(self):
        """Administrators hear of every webhook that stops by itself."""
        from tenancy.events import registry

        from . import notices

        registry.call_when_stopped(notices.tell_of_stopped_endpoint)
