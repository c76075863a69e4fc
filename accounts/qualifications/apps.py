from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class QualificationsConfig(AppConfig):
    name = "accounts.qualifications"
    label = "qualifications"
    verbose_name = _("Qualifications")

    def ready(self):
        from . import notices  # noqa: F401  (registers what this room tells)
