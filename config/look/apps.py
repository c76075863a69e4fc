from django.apps import AppConfig


class LookConfig(AppConfig):
    name = "config.look"
    label = "look"
