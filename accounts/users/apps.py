from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.utils.translation import gettext_lazy as _


class UsersConfig(AppConfig):
    name = "accounts.users"
    label = "users"
    verbose_name = _("Staff")
    default = True

    def ready(self):
        from . import (
            ended,  # noqa: F401  (says what ends with a restore)
            notices,  # noqa: F401  (makes its kinds known)
        )


class CarewrightAdminConfig(admin_apps.AdminConfig):
    """Django admin with our site: a second factor at the door, no deleting."""

    default = False
    default_site = "accounts.users.admin_site.CarewrightAdminSite"
