from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RetriesConfig(AppConfig):
    name = "tenancy.retries"
    label = "retries"
    verbose_name = _("Safe retries")
