from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "accounts.notifications"
    label = "notifications"
    verbose_name = _("Notifications")

    def ready(self):
        from . import (
            held,  # noqa: F401  (says what waits after a restore)
            notices,  # noqa: F401  (makes the kinds of this room known)
        )
