from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApiKeysConfig(AppConfig):
    name = "accounts.api_keys"
    label = "api_keys"
    verbose_name = _("API keys")
