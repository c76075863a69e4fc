from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PatientsConfig(AppConfig):
    name = "clinic.patients"
    label = "patients"
    verbose_name = _("Patients")

    def ready(self):
        import_module("clinic.patients.notices")
        import_module("clinic.patients.event_types")
        veils, selectors = import_module("tenancy.audit.veils"), import_module("clinic.patients.selectors")
        veils.register_veil("patient", selectors.closed_charts)
