"""Where a FHIR reference points: at which row here, if any.

`target_of` reads a reference in every form R4 allows (2.3.0.1): the fullUrl of
a neighbour in the bundle, `Type/id`, an address ending in that, conditional
`Type?identifier=system|value`, or only an identifier. `find_rows` then finds
the rows, whatever import they came with. No table keeps these links yet.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from clinic.patients.models import PatientIdentifier
from clinic.practitioners.models import Organization, Practitioner

from .models import SourceRecord

_TYPE_AND_ID = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})(?:/_history/[A-Za-z0-9.\-]{1,64})?$")
_AT_ONCE = 500


@dataclass(frozen=True)
class ReferenceTarget:
    """What is meant: a type with an id, or a type with an identifier. With neither it can be found nowhere."""

    type: str
    id: str = ""
    system: str = ""
    value: str = ""


def target_of(reference: dict[str, Any], siblings: dict[str, tuple[str, str]]) -> ReferenceTarget | None:
    """What a Reference element means; None for one that only displays a text.

    `siblings` maps the fullUrl of each resource of the same bundle to its type and id.
    """
    text = reference.get("reference") or ""
    if text in siblings:
        return ReferenceTarget(*siblings[text])
    kind, question, query = text.partition("?")
    if question:
        system, _, value = parse_qs(query).get("identifier", [""])[0].rpartition("|")
        return ReferenceTarget(kind.rpartition("/")[2], system=system, value=value)
    if match := _TYPE_AND_ID.search(text):
        return ReferenceTarget(match[1], id=match[2])
    if (identifier := reference.get("identifier") or {}).get("value"):
        return ReferenceTarget(
            reference.get("type") or "", system=identifier.get("system") or "", value=identifier["value"]
        )
    return ReferenceTarget("", id=text) if text else None


def find_rows(targets: Iterable[ReferenceTarget]) -> dict[ReferenceTarget, UUID]:
    """The ids of the rows of the current clinic that these targets mean; those not found are left out."""
    wanted = list(dict.fromkeys(targets))
    found: dict[ReferenceTarget, UUID] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        found |= _by_id([target for target in some if target.id])
        found |= _by_identifier([target for target in some if target.system and target.value])
    return found


def _by_id(targets: list[ReferenceTarget]) -> dict[ReferenceTarget, UUID]:
    if not targets:
        return {}
    records = SourceRecord.objects.filter(
        resource_type__in={target.type for target in targets}, resource_id__in={target.id for target in targets}
    )
    rows = {(kind, own_id): pk for kind, own_id, pk in records.values_list("resource_type", "resource_id", "object_id")}
    return {target: rows[key] for target in targets if (key := (target.type, target.id)) in rows}


def _by_identifier(targets: list[ReferenceTarget]) -> dict[ReferenceTarget, UUID]:
    if not targets:
        return {}
    systems, values = {target.system for target in targets}, {target.value for target in targets}
    rows: dict[tuple[str, str, str], UUID] = {}
    for kind, model in (("Organization", Organization), ("Practitioner", Practitioner)):
        known = model.objects.filter(identifier_system__in=systems, identifier__in=values)
        rows |= {(kind, *key): pk for *key, pk in known.values_list("identifier_system", "identifier", "id")}
    known = PatientIdentifier.objects.filter(system__in=systems, kind__in=PatientIdentifier.Kind.values)
    known = known.filter(value__in=values).values_list("system", "value", "patient_id")
    rows |= {("Patient", *key): pk for *key, pk in known}
    found = {}
    for target in targets:
        kinds = [target.type] if target.type else ["Organization", "Practitioner", "Patient"]
        hits = [rows[key] for kind in kinds if (key := (kind, target.system, target.value)) in rows]
        if len(hits) == 1:
            found[target] = hits[0]
    return found
