from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SchedulingConfig(AppConfig):
    name = "clinic.scheduling"
    label = "scheduling"
    verbose_name = _("Appointments")

    def ready(self):
        """The waiting list hears of every time that becomes free."""
        from . import notices, services, waiting  # noqa: F401  (notices registers its mails)

        services.call_when_freed(waiting.offer_freed_time)
