"""What a FHIR resource says, in the words of our own tables. Nothing here touches the database.

Only what a resource carries is in `values`; what it leaves out is not, so that
an update never empties a field somebody filled in here. Decisions:

- A birth date or day of death without a day is never completed: the field stays
  empty and the text goes into the custom field `birth_date_partial` or
  `died_on_partial`.
- Of several names the official one counts, then the usual one. Old and maiden
  names become previous names. A suffix has no place here and is left out.
- Social security numbers, licences and passports are identifiers. An identity
  document of Colombia (CC, CE, TI …) is the patient's document.
- A marital status without an equal here (annulled, unmarried, UNK …) is not taken.
- Of an address the lines, or else its text; a country we do not know stands behind the lines.
- An e-mail address or phone number that can not be kept is left out with a warning.
- `active: false` archives a patient that is new here; a chart that is here already stays as it is.
- Extensions, photos, contacts, links and multiple births are not read.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import orjson
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from clinic.names import Name, from_given_and_family, split_name

from .countries import country_code
from .readers import Found

VERSION = 1
"""Raise it when the mapping changes: what was imported before is then looked at again."""

LONGEST_PHONE = 30
PHONE_LEFT_OUT = "A phone number longer than 30 characters was left out."
EMAIL_LEFT_OUT = "An e-mail address that mail programs would refuse was left out."
NAME_FIELDS = ("first_name", "second_name", "first_last_name", "second_last_name")
NPI = "http://hl7.org/fhir/sid/us-npi"
_SSN = "http://hl7.org/fhir/sid/us-ssn"
_V2_TYPES = "v2-0203"
_COLOMBIA = "minsalud.gov.co"

_KINDS = {
    "MR": "MR",
    "SS": "SS",
    "DL": "DL",
    "PPN": "PPN",
    "NI": "NI",
    "NIIP": "SN",
    "SN": "SN",
    "MB": "SN",
    "MC": "SN",
    "HC": "SN",
}
"""HL7 v2-0203 codes to the kinds of PatientIdentifier; any other is XX."""
_DOCUMENTS = frozenset(["CC", "CE", "TI", "RC", "PA", "PEP", "PSI", "CD", "SC", "PT", "PE", "CN", "DE"])
_MARITAL = frozenset("SMDWTL")
_NAME_ORDER = ("official", "usual", None, "temp", "nickname", "anonymous", "maiden", "old")
_FORMER = ("maiden", "old")


@dataclass(frozen=True)
class Number:
    """One identifier: kind as in PatientIdentifier, who issued it, the number itself."""

    kind: str
    system: str
    value: str


@dataclass
class Mapped:
    """One resource in our words. `values` by field name; lookups as their words, days as dates."""

    type: str
    id: str
    values: dict[str, Any]
    numbers: list[Number] = field(default_factory=list)
    partial: dict[str, str] = field(default_factory=dict)
    is_active: bool = True
    references: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def name(self) -> Name:
        return Name(*(self.values.get(part, "") for part in NAME_FIELDS))

    @property
    def content_hash(self) -> str:
        """The same for resources that say the same to us, whatever else is in them."""
        said = [VERSION, self.values, [vars(number) for number in self.numbers], self.partial, self.is_active]
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def map_resource(found: Found) -> Mapped:
    """A valid Patient, Practitioner or Organization in our words."""
    return _MAPPERS[found.type](found)


def _map_patient(found: Found) -> Mapped:
    resource = found.resource
    values, partial = _names(resource.get("name")), {}
    for element, target in (("birthDate", "birth_date"), ("deceasedDateTime", "died_on")):
        day, text = _day(resource.get(element))
        if day:
            values[target] = day
        elif text:
            partial[f"{target}_partial"] = text
    if resource.get("deceasedDateTime"):
        values["is_deceased"] = True
    elif resource.get("deceasedBoolean") is not None:
        values["is_deceased"] = resource["deceasedBoolean"]
        if not resource["deceasedBoolean"]:
            values["died_on"] = None
    if resource.get("gender"):
        values["gender"] = resource["gender"]
    marital = _code(resource.get("maritalStatus"))
    if marital in _MARITAL:
        values["marital_status"] = marital
    told, left_out = _telecom(resource.get("telecom"))
    values |= told
    values |= _address(resource.get("address"))
    if language := _language(resource.get("communication")):
        values["language"] = language
    numbers, document = _numbers(resource.get("identifier"))
    references = [resource.get("managingOrganization"), *(resource.get("generalPractitioner") or [])]
    return Mapped(
        "Patient",
        found.id,
        values | document,
        numbers,
        partial,
        resource.get("active") is not False,
        [reference for reference in references if reference],
        left_out,
    )


def _map_practitioner(found: Found) -> Mapped:
    resource = found.resource
    values = _names(resource.get("name"))
    values.pop("previous_names", None)
    told, left_out = _telecom(resource.get("telecom"))
    if phone := told.get("phone") or told.get("cell_phone"):
        values["phone"] = phone
    if "email" in told:
        values["email"] = told["email"]
    issued = [item.get("issuer") for item in resource.get("qualification") or []]
    return _with_identifier(found, values, [reference for reference in issued if reference], left_out)


def _map_organization(found: Found) -> Mapped:
    resource = found.resource
    values = {"name": resource["name"]} if resource.get("name") else {}
    told, left_out = _telecom(resource.get("telecom"))
    values |= {name: told[name] for name in ("phone", "email") if name in told}
    values |= _address(resource.get("address"))
    part_of = resource.get("partOf")
    return _with_identifier(found, values, [part_of] if part_of else [], left_out)


_MAPPERS = {"Patient": _map_patient, "Practitioner": _map_practitioner, "Organization": _map_organization}
READ_TYPES = frozenset(_MAPPERS)


def _with_identifier(
    found: Found, values: dict[str, Any], references: list[dict[str, Any]], left_out: list[str]
) -> Mapped:
    """Practitioners and organisations keep one identifier: the NPI, or else the first that names its issuer."""
    if found.resource.get("active") is not None:
        values["is_active"] = found.resource["active"]
    items = [item for item in found.resource.get("identifier") or [] if item.get("system") and item.get("value")]
    items.sort(key=lambda item: item["system"] != NPI)
    numbers = [Number("XX", item["system"].strip(), item["value"].strip()) for item in items[:1]]
    for number in numbers:
        values |= {"identifier_system": number.system, "identifier": number.value}
    return Mapped(found.type, found.id, values, numbers, references=references, left_out=left_out)


def _names(names: list[dict[str, Any]] | None) -> dict[str, str]:
    told = [name for name in names or [] if name.get("family") or _words(name.get("given")) or name.get("text")]
    told.sort(key=lambda name: _NAME_ORDER.index(name.get("use")) if name.get("use") in _NAME_ORDER else 3)
    if not told:
        return {}
    first, *others = told
    values = dict(vars(_name(first)))
    if title := _words(first.get("prefix")):
        values["title"] = title
    former = [_name(name).whole for name in others if name.get("use") in _FORMER]
    if former := [name for name in dict.fromkeys(former) if name != _name(first).whole]:
        values["previous_names"] = "; ".join(former)
    return values


def _name(name: dict[str, Any]) -> Name:
    given, family = _words(name.get("given")), name.get("family") or ""
    return from_given_and_family(given, family) if given or family else split_name(name["text"])


def _words(parts: list[str | None] | None) -> str:
    return " ".join(part for part in parts or [] if part)


def _day(text: str | None) -> tuple[date | None, str]:
    """The day a FHIR date or dateTime names, as written in its own zone; or the text when it names no day."""
    if not text:
        return None, ""
    return (date.fromisoformat(text[:10]), "") if len(text) >= 10 else (None, text)


def _telecom(points: list[dict[str, Any]] | None) -> tuple[dict[str, str], list[str]]:
    """Phones and e-mail, and what is said of those that can not be kept: one is no reason to refuse a person."""
    told = [point for point in points or [] if point.get("value") and point.get("use") != "old"]
    told.sort(key=lambda point: (point.get("use") != "home", point.get("rank") or 99))
    found: dict[str, str] = {}
    left_out = []
    for point in told:
        value = point["value"].strip()
        if point.get("system") in {"phone", "sms"}:
            is_mobile = point.get("use") == "mobile" or point["system"] == "sms"
            value = value.removeprefix("tel:")
            if len(value) <= LONGEST_PHONE:
                found.setdefault("cell_phone" if is_mobile else "phone", value)
            else:
                left_out.append(PHONE_LEFT_OUT)
        elif point.get("system") == "email":
            value = value.removeprefix("mailto:")
            if _is_email(value):
                found.setdefault("email", value)
            else:
                left_out.append(EMAIL_LEFT_OUT)
    return found, left_out


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return len(text) <= 254


def _address(addresses: list[dict[str, Any]] | None) -> dict[str, str]:
    told = [address for address in addresses or [] if address.get("use") not in {"old", "billing"}]
    told.sort(key=lambda address: address.get("use") != "home")
    if not told:
        return {}
    address = told[0]
    lines = [line for line in address.get("line") or [] if line]
    country = address.get("country") or ""
    code = country_code(country)
    if country and not code:
        lines.append(country)
    found = {"address": ", ".join(lines) or address.get("text") or "", "country": code}
    found |= {"city": address.get("city"), "region": address.get("state"), "postal_code": address.get("postalCode")}
    return {name: value for name, value in found.items() if value}


def _language(communication: list[dict[str, Any]] | None) -> str:
    told = sorted(communication or [], key=lambda item: item.get("preferred") is not True)
    concept = told[0].get("language") if told else None
    return _code(concept) or (concept or {}).get("text", "")


def _code(concept: dict[str, Any] | None) -> str:
    codings = (concept or {}).get("coding") or []
    return next((coding["code"] for coding in codings if coding.get("code")), "")


def _numbers(identifiers: list[dict[str, Any]] | None) -> tuple[list[Number], dict[str, str]]:
    numbers: list[Number] = []
    document: dict[str, str] = {}
    for item in identifiers or []:
        value, system = " ".join((item.get("value") or "").split()), (item.get("system") or "").strip()[:200]
        if not value:
            continue
        kind = _document_type(item)
        if kind and not document:
            document = {"document_type": kind, "document_number": value}
        else:
            numbers.append(Number(_kind(item, system), system, value))
    return list(dict.fromkeys(numbers)), document


def _document_type(item: dict[str, Any]) -> str:
    codings = (item.get("type") or {}).get("coding") or []
    issuer = item.get("system") or ""
    for coding in codings:
        if _COLOMBIA in (coding.get("system") or issuer) and coding.get("code") in _DOCUMENTS:
            return str(coding["code"])
    return ""


def _kind(item: dict[str, Any], system: str) -> str:
    codings = (item.get("type") or {}).get("coding") or []
    for coding in codings:
        if (coding.get("system") or "").endswith(_V2_TYPES) and coding.get("code") in _KINDS:
            return _KINDS[coding["code"]]
    if system == _SSN:
        return "SS"
    return "PPN" if "/passport-" in system else "XX"
