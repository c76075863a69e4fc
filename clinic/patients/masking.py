"""What everybody may see of a restricted chart: name and number, and that it is restricted.

Rows are masked where they come out of the database, so that no page, list or
export has to think of it (docs/decisions/0009).
"""

from collections.abc import Iterator

from django.db.models import Model
from django.db.models.query import ModelIterable

SHOWN = frozenset(
    {"id", "tenant", "number", "title", "first_name", "second_name", "first_last_name", "second_last_name", "sort_name"}
    | {"restricted_at", "archived_at", "created_at"}
)
"""Fields of a patient that stay. Every other one, also one that somebody adds later, is emptied."""


class MaskedRows(ModelIterable):
    """Patients, those masked that the reader of the queryset may not open."""

    def __iter__(self) -> Iterator[Model]:
        opened = None
        for patient in super().__iter__():
            if patient.restricted_at is not None and self.queryset.opened is not None:
                # Asked once, and only where a restricted chart is among the rows.
                opened = self.queryset.opened() if opened is None else opened
                if patient.pk in opened:
                    patient.emergency = opened[patient.pk]
                else:
                    mask(patient)
            yield patient


def mask(patient: Model) -> None:
    """Empty every field that is not SHOWN, those not loaded too, and call it `is_masked`. Never save what is left."""
    unknown_sex = patient._meta.get_field("gender").related_model(id=4, code="N", word="unknown", name="Not known")
    for field in patient._meta.concrete_fields:
        if field.name not in SHOWN:
            setattr(patient, field.attname, None if field.is_relation else field.get_default())
            patient._state.fields_cache.pop(field.name, None)
    patient.gender = unknown_sex
    patient.updated_at = patient.restricted_at
    patient.is_masked = True
