"""The rows a resource may become: finding the one it is already, making it, bringing it up to date.

A resource is known by its type and id (`SourceRecord`), else by a number that
stands for one person: system and value of an identifier, or an identity
document. Driver's licences and insurance numbers do not stand for one person
(families share them, and samples repeat them).
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Q

from clinic.names import document_key, words_of
from clinic.patients import services as patients
from clinic.patients.models import DocumentType, Gender, Patient, PatientIdentifier
from clinic.practitioners import services as practitioners
from clinic.practitioners.models import Organization, Practitioner

from .mapping import Mapped, Number
from .readers import Refused

SHARED_KINDS = frozenset({PatientIdentifier.Kind.DRIVERS_LICENSE, PatientIdentifier.Kind.INSURANCE})
SOMEBODY_ELSE = "It would overwrite somebody else: neither the name nor the birth date is that of the patient here."
TAKEN = "A number of it belongs to a patient here with another name or birth date."
LEFT_OUT = "Its number of kind {kind} belongs to another patient here and was left out."


class PatientTarget:
    """Patients. Made for one batch: knows who owns the numbers that occur in it."""

    def __init__(self, batch: Iterable[Mapped]):
        batch = list(batch)
        self._owners = _owners_of_numbers([number for mapped in batch for number in mapped.numbers])
        self._documents = _owners_of_documents(batch)
        self._genders = {gender.word: gender for gender in Gender.objects.all()}
        self._document_types = {kind.code: kind for kind in DocumentType.objects.all()}

    def get(self, pk: UUID, mapped: Mapped) -> Patient:
        """The patient a resource of this id became. Raises Refused when the id now means another person."""
        patient = Patient.objects.with_lookups().get(pk=pk)
        shares_number = any(self._owners.get(_key(number)) == pk for number in _own_numbers(mapped))
        if not shares_number and _differ(patient, mapped) and not _name_in_common(patient, mapped):
            raise Refused(SOMEBODY_ELSE)
        return patient

    def find(self, mapped: Mapped) -> Patient | None:
        """The patient who has one of its numbers. Raises Refused when that is clearly another person, or two."""
        owners = {self._owners[_key(number)] for number in _own_numbers(mapped) if _key(number) in self._owners}
        if document := self._documents.get(_document_key(mapped)):
            owners.add(document)
        if not owners:
            return None
        if len(owners) > 1:
            raise Refused("Its numbers belong to two different patients here.")
        patient = Patient.objects.with_lookups().get(pk=owners.pop())
        if _differ(patient, mapped) or not _name_in_common(patient, mapped):
            raise Refused(TAKEN)
        return patient

    def create(self, mapped: Mapped, *, reason: str) -> tuple[Patient, list[str]]:
        """A new patient, archived at once when the resource is not active, and warnings about what was left out."""
        numbers, warnings = self._free_numbers(mapped, None)
        data = self._data(mapped)
        data.setdefault("gender", self._genders["unknown"])
        if mapped.partial:
            data["custom_fields"] = dict(mapped.partial)
        patient = patients.create_patient(by=None, data=data, identifiers=map(vars, numbers), reason=reason)
        if not mapped.is_active:
            patients.archive_patient(patient, by=None, reason="Not active in the system it came from")
        self._remember(patient, mapped, numbers)
        return patient, warnings

    def update(self, patient: Patient, mapped: Mapped, *, reason: str) -> tuple[bool, list[str]]:
        """Whether anything differed, and warnings. Numbers are added, none is taken away; never un-archives."""
        numbers, warnings = self._free_numbers(mapped, patient)
        changes = self._data(mapped)
        partial = {key: text for key, text in mapped.partial.items() if not getattr(patient, key[: -len("_partial")])}
        whole = {f"{name}_partial" for name in ("birth_date", "died_on") if changes.get(name)}
        custom = {key: value for key, value in patient.custom_fields.items() if key not in whole} | partial
        if custom != patient.custom_fields:
            changes["custom_fields"] = custom
        kept = [Number(item.kind, item.system, item.value) for item in patient.identifiers.all()]
        known = {_key(number) for number in kept}
        wanted = kept + [number for number in numbers if _key(number) not in known]
        after = patients.update_patient(
            patient, by=None, changes=changes, identifiers=list(map(vars, wanted)), reason=reason
        )
        self._remember(patient, mapped, numbers)
        return after.version != patient.version, warnings

    def _data(self, mapped: Mapped) -> dict[str, Any]:
        data = dict(mapped.values)
        if "gender" in data:
            data["gender"] = self._genders[data["gender"]]
        if "document_type" in data:
            data["document_type"] = self._document_types[data["document_type"]]
        return data

    def _free_numbers(self, mapped: Mapped, patient: Patient | None) -> tuple[list[Number], list[str]]:
        """Its numbers without the shared kind that another patient has already, and a warning for each of those."""
        own = patient.pk if patient else None
        taken = [
            number
            for number in mapped.numbers
            if number.kind in SHARED_KINDS and self._owners.get(_key(number), own) != own
        ]
        return (
            [number for number in mapped.numbers if number not in taken],
            [LEFT_OUT.format(kind=number.kind) for number in taken],
        )

    def _remember(self, patient: Patient, mapped: Mapped, numbers: Iterable[Number]) -> None:
        self._owners |= {_key(number): patient.pk for number in numbers}
        if (key := _document_key(mapped)) != ("", ""):
            self._documents[key] = patient.pk


class PractitionerTarget:
    """Practitioners, known by the one identifier they keep (their NPI, where they have one)."""

    model: Any = Practitioner

    def __init__(self, batch: Iterable[Mapped]):
        pairs = [(number.system, number.value) for mapped in batch for number in mapped.numbers]
        known = self.model.objects.filter(
            identifier_system__in={system for system, _value in pairs},
            identifier__in={value for _system, value in pairs},
        )
        self._rows = {(row.identifier_system, row.identifier): row for row in known}

    def get(self, pk: UUID, mapped: Mapped) -> Any:
        return self.model.objects.get(pk=pk)

    def find(self, mapped: Mapped) -> Any:
        """Who has its identifier. Raises Refused when no part of the name is the same."""
        row = next((self._rows[key] for n in mapped.numbers if (key := (n.system, n.value)) in self._rows), None)
        if row is not None and not self.is_same(row, mapped):
            raise Refused("Its identifier belongs to somebody here with another name.")
        return row

    def create(self, mapped: Mapped, *, reason: str) -> tuple[Any, list[str]]:
        row = self.add(mapped, reason)
        self._remember(row)
        return row, []

    def update(self, row: Any, mapped: Mapped, *, reason: str) -> tuple[bool, list[str]]:
        changed = self.change(row, mapped, reason)
        self._remember(row)
        return changed, []

    def is_same(self, row: Any, mapped: Mapped) -> bool:
        return bool(set(words_of(row.name)) & set(words_of(mapped.name.whole)))

    def add(self, mapped: Mapped, reason: str) -> Any:
        return practitioners.create_practitioner(by=None, data=mapped.values, reason=reason)

    def change(self, row: Any, mapped: Mapped, reason: str) -> bool:
        return practitioners.update_practitioner(row, by=None, changes=mapped.values, reason=reason)

    def _remember(self, row: Any) -> None:
        if row.identifier:
            self._rows[row.identifier_system, row.identifier] = row


class OrganizationTarget(PractitionerTarget):
    """Organisations: as practitioners, but they may change their whole name."""

    model = Organization

    def is_same(self, row: Any, mapped: Mapped) -> bool:
        return True

    def add(self, mapped: Mapped, reason: str) -> Any:
        return practitioners.create_organization(by=None, data=mapped.values, reason=reason)

    def change(self, row: Any, mapped: Mapped, reason: str) -> bool:
        return practitioners.update_organization(row, by=None, changes=mapped.values, reason=reason)


Target = PatientTarget | PractitionerTarget
TARGETS: dict[str, type[Target]] = {
    "Patient": PatientTarget,
    "Practitioner": PractitionerTarget,
    "Organization": OrganizationTarget,
}


def _key(number: Number) -> tuple[str, str]:
    return (number.system, number.value)


def _own_numbers(mapped: Mapped) -> list[Number]:
    """Numbers that stand for one person: with an issuer, and of no kind that people share."""
    return [number for number in mapped.numbers if number.system and number.kind not in SHARED_KINDS]


def _document_key(mapped: Mapped) -> tuple[str, str]:
    number = document_key(mapped.values.get("document_number", ""))
    return (mapped.values.get("document_type", ""), number) if number else ("", "")


def _owners_of_numbers(numbers: list[Number]) -> dict[tuple[str, str], UUID]:
    if not numbers:
        return {}
    by_system: dict[str, set[str]] = {}
    for number in numbers:
        by_system.setdefault(number.system, set()).add(number.value)
    meant = Q()
    for system, values in by_system.items():
        # All kinds named, so that every column of the index (tenant, system, kind, value) has its value.
        meant |= Q(system=system, kind__in=PatientIdentifier.Kind.values, value__in=values)
    known = PatientIdentifier.objects.filter(meant).values_list("system", "value", "patient_id")
    return {(system, value): pk for system, value, pk in known}


def _owners_of_documents(batch: list[Mapped]) -> dict[tuple[str, str], UUID]:
    keys = {key for mapped in batch if (key := _document_key(mapped)) != ("", "")}
    if not keys:
        return {}
    known = Patient.objects.filter(
        document_type__code__in={kind for kind, _number in keys}, document_key__in={number for _kind, number in keys}
    )
    return {(kind, number): pk for kind, number, pk in known.values_list("document_type__code", "document_key", "id")}


def _differ(patient: Patient, mapped: Mapped) -> bool:
    """Whether both birth dates are known and not the same."""
    born = mapped.values.get("birth_date")
    return bool(born and patient.birth_date and born != patient.birth_date)


def _name_in_common(patient: Patient, mapped: Mapped) -> bool:
    """Whether a word of the names is the same, previous names included; a resource without a name contradicts none."""
    theirs = words_of(f"{mapped.name.given} {mapped.name.family} {mapped.values.get('previous_names', '')}")
    ours = words_of(f"{patient.name_parts.given} {patient.name_parts.family} {patient.previous_names}")
    return not theirs or bool(set(theirs) & set(ours))
