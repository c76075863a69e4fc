from django.apps import AppConfig


class PractitionersConfig(AppConfig):
    name = "clinic.practitioners"
    label = "practitioners"
