from django.apps import AppConfig


class FHIRConfig(AppConfig):
    name = "clinic.fhir"
    label = "fhir"
