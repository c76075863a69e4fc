"""Patients for tests, made by the same service as everywhere."""

import factory

from clinic.patients import services
from clinic.patients.models import Gender, Patient

FEMALE, MALE, UNKNOWN = 2, 1, 4
CITIZENSHIP_CARD, PASSPORT = 1, 5


class PatientFactory(factory.Factory):
    """A woman called Aurelia de la Hoz, nothing else is known of her; `by=`, `identifiers=` as the service has them."""

    class Meta:
        model = Patient

    first_name = "Aurelia"
    first_last_name = "de la Hoz"

    @classmethod
    def _create(cls, model_class, *args, by=None, identifiers=(), gender_id=FEMALE, **fields):
        data = {"gender": Gender.objects.get(pk=gender_id)} | fields
        return services.create_patient(by=by, data=data, identifiers=identifiers)
