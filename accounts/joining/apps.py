from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JoiningConfig(AppConfig):
    name = "accounts.joining"
    label = "joining"
    verbose_name = _("Joining")

    def ready(self):
        from . import notices  # noqa: F401  (declares what this room says)
