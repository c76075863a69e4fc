from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TeamConfig(AppConfig):
    name = "accounts.team"
    label = "team"
    verbose_name = _("Staff")

    def ready(self):
        from . import notices  # noqa: F401  (registers them)
