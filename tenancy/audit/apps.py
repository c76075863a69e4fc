from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "tenancy.audit"
    label = "audit"
