"""Fields a clinic adds to its patients: defining them, checking values, and the index that filters use.

Values live in `Patient.custom_fields` by key. A key the clinic has defined is
checked by its type; a key it has not is kept as it comes, within the limits of
Secre 5.2, because other systems keep their own data there.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken
from tenancy.tenants.context import current_tenant_id

from .models import CustomField, Patient, PatientFieldValue

MOST_KEYS = 50
LONGEST_KEY = 100
LONGEST_TEXT = 1_000
DEEPEST = 3


@transaction.atomic
def define_custom_field(
    *,
    by: Membership,
    key: str,
    label: str,
    type: str,
    choices: list[str] | None = None,
    is_filterable: bool = False,
    position: int = 0,
) -> CustomField:
    """Add a field to the patients of this clinic. Raises ValidationError by field, RuleBroken for a key in use."""
    if CustomField.objects.filter(key=key).exists():
        raise RuleBroken(_("There is a field with the key %(key)s already.") % {"key": key})
    field = CustomField(key=key, label=label, type=type, is_filterable=is_filterable, position=position)
    field.choices = [text for text in dict.fromkeys(" ".join(c.split()) for c in choices or []) if text]
    field.full_clean(exclude=["tenant"], validate_unique=False, validate_constraints=False)
    if field.type == CustomField.Type.CHOICE and len(field.choices) < 2:
        raise ValidationError({"choices": _("Give at least two words to choose from.")})
    field.save(force_insert=True)
    audit.record("custom_field_defined", field, by=by, details={"key": key, "type": type})
    return field


@transaction.atomic
def relabel_custom_field(field: CustomField, *, by: Membership) -> CustomField:
    """Change what people read: label, choices, position. Key and type stay what they were."""
    field.full_clean(exclude=["tenant"], validate_unique=False, validate_constraints=False)
    field.save(update_fields=["label", "choices", "position"])
    audit.record("custom_field_relabelled", field, by=by, details={"key": field.key, "label": field.label})
    return field


@transaction.atomic
def retire_custom_field(field: CustomField, *, by: Membership) -> CustomField:
    """Stop asking for a field. The values patients have stay where they are."""
    field.is_active = False
    field.save(update_fields=["is_active"])
    audit.record("custom_field_retired", field, by=by, details={"key": field.key})
    return field


def list_defined() -> list[CustomField]:
    """The fields in use, in the clinic's order."""
    return list(CustomField.objects.filter(is_active=True))


@dataclass(frozen=True)
class KnownFields:
    """The fields in use at one moment, and the digest PostgreSQL makes of them."""

    defined: Sequence[CustomField]
    digest: str


_DIGEST = f"""
    (SELECT coalesce(md5(string_agg(f::text, ',' ORDER BY f.id)), '')
     FROM {CustomField._meta.db_table} f WHERE f.tenant_id = %s::uuid AND f.is_active)
"""  # noqa: S608


def look_at_fields() -> KnownFields:
    """The fields in use now, for who prepares patients outside of a transaction (`are_as_known`)."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_DIGEST}", [current_tenant_id()])
        (digest,) = cursor.fetchone()
    return KnownFields(list_defined(), digest)


def are_as_known(known: KnownFields, patient: Patient) -> tuple[str, list[Any]] | None:
    """The condition, with its values, that the fields are still those; None for a patient without any."""
    return (f"{_DIGEST} = %s::text", [patient.tenant_id, known.digest]) if patient.custom_fields else None


def check_custom_fields(
    values: Any, *, stored: dict[str, Any] | None = None, fields: Collection[CustomField] | None = None
) -> dict[str, Any]:
    """The values by key, those of defined fields as their type wants them.

    What is `stored` already stays as it is: a field defined or changed since
    must not stand in the way of a new phone number. `fields` are those in use,
    read where they are needed and not given. Raises ValidationError on
    `custom_fields`.
    """
    if not isinstance(values, dict):
        raise ValidationError({"custom_fields": _("Custom fields are an object.")})
    if len(values) > MOST_KEYS:
        raise ValidationError({"custom_fields": _("Too many custom fields (max 50)")})
    stored = stored or {}
    same = {key: stored[key] for key in values if key in stored and stored[key] == values[key]}
    if len(same) == len(values):
        return same
    defined = {field.key: field for field in (list_defined() if fields is None else fields)}
    return {
        key: same[key] if key in same else _check_value(key, value, defined.get(key)) for key, value in values.items()
    }


def check_sizes(values: dict[str, Any]) -> dict[str, Any]:
    """The same values, within the limits of Secre 5.2; for things without fields a clinic defines.

    Raises ValidationError on `custom_fields`.
    """
    if len(values) > MOST_KEYS:
        raise ValidationError({"custom_fields": _("Too many custom fields (max 50)")})
    return {key: _check_value(key, value, None) for key, value in values.items()}


def store_field_values(patient: Patient) -> None:
    """Bring the index of filterable custom fields up to date for one patient; a restricted chart is not in it."""
    if not patient.custom_fields and patient.version == 1:
        return
    rows = [
        PatientFieldValue(patient=patient, field=field, value=value)
        for field, value in filterable_values(patient, list_defined())
    ]
    PatientFieldValue.objects.filter(patient=patient).delete()
    PatientFieldValue.objects.bulk_create(rows)


def filterable_values(patient: Patient, fields: Collection[CustomField]) -> list[tuple[CustomField, str]]:
    """What stands in the index for a patient, by field: nothing for a restricted chart."""
    if patient.is_restricted:
        return []
    values = patient.custom_fields
    filterable = [field for field in fields if field.is_filterable and values.get(field.key) not in (None, "")]
    return [(field, index_text(values[field.key])) for field in filterable]


def patients_with(key: str, value: Any):
    """Ids of the patients whose filterable field `key` has this value. Raises RuleBroken for any other field."""
    field = CustomField.objects.filter(key=key, is_active=True, is_filterable=True).first()
    if field is None:
        raise RuleBroken(_("Patients can not be searched by the field %(key)s.") % {"key": key})
    return PatientFieldValue.objects.filter(field=field, value=index_text(value)).values("patient_id")


def index_text(value: Any) -> str:
    """How a value stands in the index: one spelling, at most 200 characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip().casefold()[:200]


def _check_value(key: str, value: Any, field: CustomField | None) -> Any:
    if not 0 < len(str(key)) <= LONGEST_KEY:
        raise ValidationError({"custom_fields": _("A key has between 1 and 100 characters.")})
    if field is not None and value not in (None, ""):
        value = _TYPES[field.type](field, value)
    _check_size(value, 1)
    return value


def _check_size(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValidationError({"custom_fields": _("Custom fields nested too deeply (max depth 3)")})
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise ValidationError({"custom_fields": _("A text in a custom field has at most 1,000 characters.")})
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_size(item, depth + 1)


def _wrong(field: CustomField, sentence: str) -> ValidationError:
    return ValidationError({"custom_fields": f"{field.label}: {sentence}"})


def _text(field: CustomField, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(field, _("Enter a text."))
    return value.strip()


def _number(field: CustomField, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _wrong(field, _("Enter a number."))
    try:
        number = float(value)
    except ValueError:
        raise _wrong(field, _("Enter a number.")) from None
    if not math.isfinite(number) or abs(number) > 1e15:
        raise _wrong(field, _("Enter a number."))
    return int(number) if number.is_integer() else number


def _date(field: CustomField, value: Any) -> str:
    try:
        return (value if isinstance(value, date) else date.fromisoformat(value)).isoformat()
    except (TypeError, ValueError):
        raise _wrong(field, _("Enter a date such as 2026-03-14.")) from None


def _yes_no(field: CustomField, value: Any) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise _wrong(field, _("Answer yes or no."))
    return value


def _choice(field: CustomField, value: Any) -> str:
    if value not in field.choices:
        raise _wrong(field, _("Choose one of: %(choices)s.") % {"choices": ", ".join(field.choices)})
    return str(value)


_TYPES = {
    CustomField.Type.TEXT: _text,
    CustomField.Type.NUMBER: _number,
    CustomField.Type.DATE: _date,
    CustomField.Type.YES_NO: _yes_no,
    CustomField.Type.CHOICE: _choice,
}
