"""Writing patients: one function for each thing a person can do. Each leaves a line in the audit trail."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from clinic.names import document_key, fold, from_given_and_family
from tenancy.audit import services as audit
from tenancy.events import services as events
from tenancy.rules import RuleBroken, StaleVersion
from tenancy.tenants.creation import Creation, Rows

from . import event_types
from .custom_fields import check_custom_fields, filterable_values, list_defined, store_field_values
from .models import Consent, CustomField, Patient, PatientFieldValue, PatientIdentifier, PatientToken
from .search import store_tokens, tokens_of
from .selectors import TRACKED, require_open

_DERIVED = frozenset({"sort_name", "document_key", "is_deceased", "allergy_status"})
_LOOKUPS = ("gender", "document_type", "insurer")
_HAVING_DEFAULTS = frozenset(
    field.name for field in Patient._meta.concrete_fields if field.blank and field.name not in _DERIVED
)
WRITABLE = frozenset({*TRACKED, "custom_fields", "demographics", "user"})
_STATE = tuple(sorted(WRITABLE - {"user"}))


class DuplicateDocument(RuleBroken):
    """Another patient of this clinic has this identity document."""

    code = "duplicate_document"


def build_patient(data: dict[str, Any], *, fields: Collection[CustomField] | None = None) -> Patient:
    """A patient from field values, checked but not saved. Raises ValidationError by field.

    Keys are field names of Patient (`WRITABLE`); anything else is a bug of the caller. `fields` are the clinic's
    own fields in use, read where they are needed and not given.
    """
    patient = Patient()
    _assign(patient, data, fields)
    return patient


@transaction.atomic
def create_patient(
    *,
    by: Membership | None,
    data: dict[str, Any],
    identifiers: Iterable[dict[str, str]] = (),
    reason: str = "",
) -> Patient:
    """Register a patient: the row, the words to find it by, a consent row where one was given, an audit line.

    `data` as for `build_patient`; `identifiers` are dicts of kind, system and
    value. `by` is None for imports. Raises ValidationError by field,
    DuplicateDocument, or RuleBroken for an identifier somebody else has.
    """
    keys = [_identifier_key(item) for item in identifiers]
    registration = prepare_registration(by=by, data=data, identifier_values=[value for _kind, _system, value in keys])
    patient = cast(Patient, registration.row)
    with _named_duplicate(patient), transaction.atomic():
        registration.write()
    _store_identifiers(patient, keys)
    audit.record("patient_created", patient, by=by, changes=changes_of_new(patient), reason=reason)
    events.emit(event_types.CREATED, patient, by=by)
    return patient


def prepare_registration(
    *,
    by: Membership | None,
    data: dict[str, Any],
    identifier_values: Iterable[str] = (),
    fields: Collection[CustomField] | None = None,
) -> Creation:
    """A new patient with all that is written with it, checked and not written. Raises ValidationError by field.

    Asks the database nothing where lookups come as rows and the clinic's own fields in use come as `fields`.
    """
    if fields is None:
        fields = list_defined() if data.get("custom_fields") else ()
    patient = build_patient(data, fields=fields)
    if by is not None and by._state.fields_cache.get("tenant"):
        patient.tenant = by.tenant  # read with the caller; the words need its country
    patient.updated_by = by.member if by else None
    more = [
        Rows(
            PatientToken,
            {"patient_id": patient.pk},
            each=("token", sorted(tokens_of(patient, identifier_values))),
            numbered=True,
        )
    ]
    more += [
        Rows(PatientFieldValue, {"patient_id": patient.pk, "field_id": field.pk, "value": value})
        for field, value in filterable_values(patient, fields)
    ]
    if patient.habeas_data:
        consent = _consent(patient, by=by, kind=Consent.Kind.DATA_PROCESSING, granted=True)
        names = ("patient_id", "kind", "granted", "note", "recorded_at", "recorded_by_id")
        more.append(Rows(Consent, {name: getattr(consent, name) for name in names}))
    return Creation(patient, counter="patient", more=more)


@transaction.atomic
def update_patient(
    patient: Patient,
    *,
    by: Membership | None,
    changes: dict[str, Any],
    expected_version: int | None = None,
    identifiers: Iterable[dict[str, str]] | None = None,
    reason: str = "",
) -> Patient:
    """Change some fields of a patient; what does not differ writes nothing.

    `expected_version` is the one the caller has seen: when somebody else has
    saved since, StaleVersion is raised and nothing is written. `identifiers`
    replaces the whole list when given. Raises as `create_patient` does, and
    RuleBroken for an archived patient.
    """
    patient = lock_patient(patient, by=by, expected_version=expected_version)
    _refuse_archived(patient)
    if by is not None and by._state.fields_cache.get("tenant"):
        patient.tenant = by.tenant  # read with the caller; the words need its country
    before, agreed = _state(patient), patient.habeas_data
    _assign(patient, changes)
    after = _state(patient)
    # All fields, not only those sent: noting a day of death also says that the patient has died.
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    known = {(i.kind, i.system, i.value) for i in patient.identifiers.all()}
    wanted = known if identifiers is None else {_identifier_key(item) for item in identifiers}
    if wanted != known:
        changed["identifiers"] = (sorted(map(list, known)), sorted(map(list, wanted)))
    if not changed:
        return patient
    patient.version += 1
    patient.updated_at, patient.updated_by = timezone.now(), by.member if by else None
    _save(patient)
    if wanted != known:
        patient.identifiers.all().delete()
        _store_identifiers(patient, sorted(wanted))
    store_tokens(patient, [value for _kind, _system, value in wanted])
    if patient.custom_fields or before["custom_fields"]:
        store_field_values(patient)
    if patient.habeas_data != agreed:
        _add_consent(patient, by=by, kind=Consent.Kind.DATA_PROCESSING, granted=patient.habeas_data)
    audit.record("patient_updated", patient, by=by, changes=_plain(changed), reason=reason)
    events.emit(event_types.UPDATED, patient, by=by)
    return patient


@transaction.atomic
def archive_patient(patient: Patient, *, by: Membership, reason: str, expected_version: int | None = None) -> Patient:
    """Take a patient out of the lists. Nothing is deleted; `restore_patient` puts it back. A reason is required."""
    if not reason.strip():
        raise RuleBroken(_("Say why this chart is archived."))
    patient = lock_patient(patient, by=by, expected_version=expected_version)
    if patient.is_archived:
        raise RuleBroken(_("This patient is archived already."))
    patient.archived_at, patient.archive_reason = timezone.now(), reason.strip()[:300]
    save_state(patient, "patient_archived", by=by, reason=reason)
    events.emit(event_types.DELETED, patient, by=by)
    return patient


@transaction.atomic
def restore_patient(patient: Patient, *, by: Membership, expected_version: int | None = None) -> Patient:
    """Put an archived patient back into the lists."""
    patient = lock_patient(patient, by=by, expected_version=expected_version)
    if not patient.is_archived:
        raise RuleBroken(_("This patient is not archived."))
    patient.archived_at, patient.archive_reason = None, ""
    return save_state(patient, "patient_restored", by=by)


@transaction.atomic
def record_consent(patient: Patient, *, by: Membership, kind: str, granted: bool, note: str = "") -> Consent:
    """Note that a patient agreed or objected.

    Raises RuleBroken for a kind that does not exist and for an archived patient.
    """
    if kind not in Consent.Kind.values:
        raise RuleBroken(_("There is no such kind of consent."))
    patient = lock_patient(patient, by=by)
    _refuse_archived(patient)
    consent = _add_consent(patient, by=by, kind=kind, granted=granted, note=note)
    if kind == Consent.Kind.DATA_PROCESSING and patient.habeas_data != granted:
        patient.habeas_data = granted
        patient.version += 1
        patient.updated_at, patient.updated_by = timezone.now(), by.member if by else None
        patient.save(force_update=True)
        events.emit(event_types.UPDATED, patient, by=by)
    audit.record("consent_recorded", patient, by=by, details={"kind": kind, "granted": granted, "note": note})
    return consent


@transaction.atomic
def replace_demographics(
    patient: Patient, *, by: Membership, data: dict[str, Any], expected_version: int | None = None
) -> Patient:
    """Put a patient's demographics as Quill does: given_name, family_name, date_of_birth, sex, address, contact, meta.

    It replaces the whole: what is absent becomes unknown, except the name and
    the sex, which a patient here always has. `address`, `contact` and `meta`
    are objects and kept as they come. Q16.
    """
    name = from_given_and_family(data.get("given_name") or "", data.get("family_name") or "")
    changes: dict[str, Any] = {
        "birth_date": data.get("date_of_birth"),
        "demographics": {key: data.get(key) for key in ("address", "contact", "meta") if data.get(key) is not None},
    }
    if name.given or name.family:
        changes |= vars(name)
    if data.get("gender") is not None:
        changes["gender"] = data["gender"]
    contact = data.get("contact") or {}
    for field in ("phone", "email"):
        if isinstance(contact.get(field), str):
            changes[field] = contact[field]
    return update_patient(patient, by=by, changes=changes, expected_version=expected_version)


def _assign(patient: Patient, data: dict[str, Any], fields: Collection[CustomField] | None = None) -> None:
    unknown = set(data) - WRITABLE
    if unknown:
        raise TypeError(f"A patient has no field {', '.join(sorted(unknown))}.")
    stored = patient.custom_fields
    for name, value in data.items():
        setattr(patient, name, _tidied(name, value))
    patient.email = patient.email.lower()
    patient.country = patient.country.upper()
    patient.is_deceased = bool(patient.is_deceased or patient.died_on)
    patient.document_key = document_key(patient.document_number)
    if not patient.document_number:
        patient.document_type = None
    if patient.allergies and patient.allergy_status == Patient.AllergyStatus.NOT_ASKED:
        patient.allergy_status = Patient.AllergyStatus.RECORDED
    patient.sort_name = fold(f"{patient.name_parts.family} {patient.name_parts.given}".strip())[:500]
    # A lookup that came as its row was read from its table just now; there is nothing to ask again.
    known = {
        "tenant",
        "number",
        "updated_by",
        "user",
        *(name for name in _LOOKUPS if name in patient._state.fields_cache),
    }
    if patient._state.adding:
        known |= _HAVING_DEFAULTS - data.keys()  # what nobody gave is as empty as the model wants it
    patient.full_clean(exclude=known, validate_unique=False, validate_constraints=False)
    patient.custom_fields = check_custom_fields(patient.custom_fields, stored=stored, fields=fields)


def _tidied(name: str, value: Any) -> Any:
    """Texts without what nobody sees: double spaces in a line, the line ends of one browser or another."""
    if not isinstance(value, str):
        return value
    if Patient._meta.get_field(name).get_internal_type() == "TextField":
        return value.replace("\r\n", "\n").strip()
    return " ".join(value.split())


def _state(patient: Patient) -> dict[str, Any]:
    """What people write about a patient, as it can be compared and kept in the trail."""
    return {name: getattr(patient, name) for name in _STATE} | {"user": patient.user_id}


def lock_patient(
    patient: Patient, *, by: Membership | None, expected_version: int | None = None, whoever: bool = False
) -> Patient:
    """The row as it stands now, locked. Raises StaleVersion, and ChartRestricted unless it does not matter who asks."""
    locked = Patient.objects.select_for_update(of=("self",), no_key=True).with_lookups().get(pk=patient.pk)
    if not whoever:
        require_open(locked, by=by)
    if expected_version is not None and locked.version != expected_version:
        raise StaleVersion(_("Somebody else has changed this patient in the meantime. Nothing was saved."))
    return locked


def _refuse_archived(patient: Patient) -> None:
    if patient.is_archived:
        raise RuleBroken(_("This patient is archived. Restore the chart before changing it."))


def _save(patient: Patient) -> None:
    with _named_duplicate(patient), transaction.atomic():
        patient.save()


@contextmanager
def _named_duplicate(patient: Patient) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if "patients_patient_document_uniq" in str(error):
            raise DuplicateDocument(
                _("Another patient has the document %(number)s already.") % {"number": patient.document_number}
            ) from None
        raise


def save_state(patient: Patient, action: str, *, by: Membership, reason: str = "") -> Patient:
    """Save a locked row in another state, as its next version, with a line in the trail and an event."""
    patient.version += 1
    patient.updated_at, patient.updated_by = timezone.now(), by.member if by else None
    patient.save(force_update=True)
    audit.record(action, patient, by=by, reason=reason)
    events.emit(event_types.STATUS_CHANGED, patient, by=by)
    return patient


def _store_identifiers(patient: Patient, keys: Iterable[tuple[str, str, str]]) -> None:
    keys = list(dict.fromkeys(keys))
    if not keys:
        return
    try:
        with transaction.atomic():
            PatientIdentifier.objects.bulk_create(
                [
                    PatientIdentifier(patient=patient, kind=kind, system=system, value=value)
                    for kind, system, value in keys
                ]
            )
    except IntegrityError as error:
        if "patients_identifier_value_uniq" in str(error):
            raise RuleBroken(_("One of these numbers belongs to another patient.")) from None
        raise


def _identifier_key(item: dict[str, str]) -> tuple[str, str, str]:
    kind = item.get("kind") or PatientIdentifier.Kind.OTHER
    value = " ".join(item.get("value", "").split())
    if kind not in PatientIdentifier.Kind.values or not 0 < len(value) <= 100:
        raise ValidationError({"identifiers": _("A number needs a kind and between 1 and 100 characters.")})
    return str(kind), item.get("system", "")[:200], value


def _add_consent(patient: Patient, *, by: Membership | None, kind: str, granted: bool, note: str = "") -> Consent:
    consent = _consent(patient, by=by, kind=kind, granted=granted, note=note)
    consent.save(force_insert=True)
    return consent


def _consent(patient: Patient, *, by: Membership | None, kind: str, granted: bool, note: str = "") -> Consent:
    return Consent(
        patient=patient,
        kind=kind,
        granted=granted,
        note=" ".join(note.split())[:300],
        recorded_by=by.member if by else None,
    )


def changes_of_new(patient: Patient) -> dict[str, tuple[Any, Any]]:
    """What the trail says about a new patient: each field that is not empty, from nothing to its value."""
    filled = {name: value for name, value in _state(patient).items() if value not in (None, "", {}, False)}
    return _plain({name: (None, value) for name, value in filled.items()})


def _plain(changes: dict[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    """Values as the trail keeps them: codes for lookups, ISO text for days."""
    return {name: (_plain_value(before), _plain_value(after)) for name, (before, after) in changes.items()}


def _plain_value(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "code"):
        return value.code
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
