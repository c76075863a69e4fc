from django.apps import AppConfig


class DoorsConfig(AppConfig):
    name = "tenancy.doors"
    label = "doors"
