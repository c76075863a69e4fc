from django.apps import AppConfig


class BackupsConfig(AppConfig):
    name = "tenancy.backups"
    label = "backups"
