from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class EventsConfig(AppConfig):
    name = "tenancy.events"
    label = "events"
    verbose_name = _("Events and webhooks")

    def ready(self):
        from . import checks, held  # noqa: F401  (they register themselves)
