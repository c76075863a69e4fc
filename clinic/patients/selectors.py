"""Reading patients, always as somebody (`by`): what they may not see is not there.

A restricted chart is there as a masked row; opening it raises ChartRestricted (docs/decisions/0009).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import TruncMonth
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from accounts.users.selectors import list_members_who_may, may_have
from clinic.names import document_key, fold, words_of
from tenancy.audit import selectors as audit_selectors
from tenancy.audit.models import AuditRead
from tenancy.rules import NotAllowed

from .custom_fields import list_defined, patients_with
from .models import (
    ChartAccess,
    ChartRestriction,
    Consent,
    CustomField,
    DocumentType,
    EmergencyAccess,
    Lookup,
    Patient,
    PatientIdentifier,
    PatientVersion,
    open_charts,
)
from .search import find_by_phone, find_patient_ids, patients_under, read_query

Row = TypeVar("Row", bound=Lookup)

MOST_FOUND = 200
REVIEW_WITHIN = timedelta(days=5)
TRACKED = [
    field.name
    for field in Patient._meta.concrete_fields
    if field.editable and field.name not in {"custom_fields", "user"}
]
"""Fields of a patient that people fill in and compare, in the order of the form."""


class ChartRestricted(NotAllowed):
    """This chart is restricted, and whoever asks may not open it just now. Names the chart for the door to go on."""

    code = "chart_restricted"

    def __init__(self, patient: Patient, *, by: Membership):
        if by.may("admin.break_glass"):
            sentence = _("This chart is restricted. In an emergency open it by break-glass, with a reason.")
        else:
            sentence = _("This chart is restricted to the people who treat this patient.")
        super().__init__(sentence)
        self.patient_id = patient.pk


def list_patients(
    *,
    by: Membership,
    search: str = "",
    include_archived: bool = False,
    custom: dict[str, str] | None = None,
    by_birth_date: bool = False,
) -> QuerySet[Patient]:
    """Patients the caller may see, as a queryset with lookups joined; unsorted, the door decides.

    `search` takes name parts in any order, document or patient number, the
    end of a phone number, an e-mail address, a birth date. It finds at most
    200; a search that finds that many wants one more word. `custom` maps keys
    of filterable custom fields to values; RuleBroken for any other field.
    Restricted charts are found by name and number alone, by everybody. Who
    sorts by birth date says so (`by_birth_date`): a masked row's place would tell it.
    """
    patients = Patient.objects.visible_to(by).with_lookups()
    if by_birth_date:
        patients = patients.filter(restricted_at__isnull=True)
    for key, value in (custom or {}).items():
        patients = patients.filter(id__in=patients_with(key, value))
    if not include_archived:
        patients = patients.present()
    asked = read_query(search) if search else None
    if asked is None:
        return patients
    if asked.is_empty:
        return patients.none()
    if not asked.words:
        return patients.filter(birth_date=asked.born_on, restricted_at__isnull=True)
    found = find_patient_ids(asked.words, limit=MOST_FOUND, born_on=asked.born_on, present_only=not include_archived)
    return patients.filter(id__in=found)


def list_patients_with(
    *,
    by: Membership,
    document_type: DocumentType | None = None,
    document_number: str = "",
    email: str = "",
    phone: str = "",
    cell_phone: str = "",
    custom: dict[str, str] | None = None,
) -> QuerySet[Patient]:
    """Patients of whom all of this is so, whole and not only by its beginning (S6); archived ones are left out.

    Separators of a document number, the case of an address and the country's
    code of a phone do not count. Restricted charts are found by none of it.
    RuleBroken for a custom field that can not be searched for.
    """
    patients = list_patients(by=by, custom=custom)
    if not any((document_type, document_number, email, phone, cell_phone, custom)):
        return patients
    patients = patients.filter(restricted_at__isnull=True)
    if document_type:
        patients = patients.filter(document_type=document_type)
    if document_number:
        key = document_key(document_number)
        patients = patients.filter(document_key=key) if key else patients.none()
        if not document_type:  # the index of documents begins with the type
            patients = patients.filter(id__in=patients_under({key}))
    if email:
        patients = patients.filter(email=email.lower(), id__in=patients_under({fold(email)}))
    if phone:
        patients = patients.filter(id__in=find_by_phone(phone, ("phone", "cell_phone")))
    if cell_phone:
        patients = patients.filter(id__in=find_by_phone(cell_phone, ("cell_phone",)))
    return patients


def get_patient_by_document(document_type: DocumentType, document_number: str, *, by: Membership) -> Patient:
    """One patient by their document. Raises Http404 also for one who is archived and for a restricted chart."""
    found = list_patients_with(by=by, document_type=document_type, document_number=document_number).first()
    if found is None or not document_number:
        raise Http404
    return found


def is_archived(document_type: DocumentType, document_number: str) -> bool:
    """Whether the patient with this document is archived; lists and documents do not find them then."""
    key = document_key(document_number)
    return Patient.objects.filter(document_type=document_type, document_key=key, archived_at__isnull=False).exists()


_lookups: dict[type[Lookup], dict[int | str, Any]] = {}


def find_lookup(table: type[Row], key: int | str) -> Row | None:
    """An entry of a list all clinics share: by id, code (`CC`, `cc`), or the word of a gender; else None.

    Read once a process: only a migration changes these lists.
    """
    if not _lookups.get(table):
        _lookups[table] = {
            name: row
            for row in table._default_manager.all()
            for name in (row.pk, row.code, row.code.lower(), getattr(row, "word", row.code))
        }
    return _lookups[table].get(key)


def get_patient(patient_id: UUID | str, *, by: Membership) -> Patient:
    """One patient whole, archived or not.

    Raises Http404 for what is not there, not ours, or not theirs to see, and
    ChartRestricted for a chart they may find and not open.
    """
    patient = get_patient_row(patient_id, by=by)
    if patient.is_masked:
        raise ChartRestricted(patient, by=by)
    return patient


def get_patient_row(patient_id: UUID | str, *, by: Membership) -> Patient:
    """One patient as a list shows them: masked where the chart is restricted. Raises Http404 as `get_patient`."""
    patient = Patient.objects.visible_to(by).with_lookups().filter(pk=patient_id).first()
    if patient is None:
        raise Http404
    return patient


def require_open(patient: Patient, *, by: Membership | None) -> None:
    """Raises ChartRestricted where this member may not open the chart now; for services, under their lock."""
    if by is not None and patient.is_restricted and patient.pk not in open_charts(by):
        raise ChartRestricted(patient, by=by)


def closed_charts(ids: set[str], by: Membership | None) -> set[str]:
    """Of these patients' ids, the restricted charts that this reader may not open; for the audit trail (`veils`)."""
    restricted = Patient.objects.filter(id__in=ids, restricted_at__isnull=False).values_list("id", flat=True)
    return {str(pk) for pk in set(restricted) - (open_charts(by).keys() if isinstance(by, Membership) else set())}


def list_identifiers(patient: Patient) -> list[PatientIdentifier]:
    """Further numbers this patient is known by."""
    return list(patient.identifiers.order_by("kind", "value"))


def list_consents(patient: Patient) -> list[Consent]:
    """What was agreed to and when, newest first."""
    return list(patient.consents.select_related("recorded_by__user").order_by("-recorded_at", "-id"))


def list_custom_fields() -> list[CustomField]:
    """The fields this clinic has added and still uses, in their order."""
    return list_defined()


@dataclass(frozen=True)
class PossibleDuplicate:
    """A patient who may be the one being registered, and why we think so (`reasons`: codes)."""

    patient: Patient
    reasons: tuple[str, ...]


def find_possible_duplicates(candidate: Patient, *, by: Membership) -> list[PossibleDuplicate]:
    """Up to five patients who may be the same person as one who is not saved yet (wish 19).

    Same document; same e-mail or phone with a similar name; same birth date with
    a similar name; the same whole name where the birth date does not contradict.
    Of a restricted chart only the name is compared.
    """
    known = Patient.objects.visible_to(by).with_lookups().exclude(pk=candidate.pk)
    near = Q(sort_name=candidate.sort_name)
    if candidate.birth_date:
        near |= Q(birth_date=candidate.birth_date, restricted_at__isnull=True)
    if candidate.document_key:
        near |= Q(document_key=candidate.document_key, restricted_at__isnull=True)
    contacts = [value for value in (candidate.email, candidate.phone, candidate.cell_phone) if value]
    same_contact = {pk for value in contacts for pk in find_patient_ids(read_query(value).words, limit=20)}
    near |= Q(id__in=same_contact)
    found = []
    for patient in known.filter(near)[:MOST_FOUND]:
        if reasons := _why_alike(candidate, patient, same_contact):
            found.append(PossibleDuplicate(patient, reasons))
    return sorted(found, key=lambda duplicate: -len(duplicate.reasons))[:5]


def _why_alike(candidate: Patient, patient: Patient, same_contact: set[UUID]) -> tuple[str, ...]:
    alike = _similarity(candidate, patient)
    reasons = []
    if candidate.document_key and candidate.document_key == patient.document_key:
        reasons.append("document")
    if alike >= 0.75 and candidate.birth_date and candidate.birth_date == patient.birth_date:
        reasons.append("birth_date")
    if alike >= 0.6 and patient.pk in same_contact:
        reasons.append("contact")
    contradicts = candidate.birth_date and patient.birth_date and candidate.birth_date != patient.birth_date
    if alike >= 0.95 and not contradicts:
        reasons.append("name")
    return tuple(reasons)


def _similarity(one: Patient, other: Patient) -> float:
    """0 to 1, blind to accents and to the order of the names."""
    first, second = (" ".join(sorted(words_of(patient.name))) for patient in (one, other))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


@dataclass(frozen=True)
class VersionChange:
    """One saved version: the row as it was, what differed from the one before (field, before, after), and who
    saved it (a member or an API key; "" for an import)."""

    version: PatientVersion
    changes: tuple[tuple[str, Any, Any], ...]
    who: str = ""


def list_versions(patient: Patient) -> list[VersionChange]:
    """Every version of a patient, newest first, each with what it changed."""
    versions = list(
        PatientVersion.objects.filter(pgh_obj_id=patient.pk)
        .select_related("gender", "document_type", "insurer", "updated_by__user")
        .order_by("pgh_id")
    )
    keys = audit_selectors.keys_by_version(patient) if any(v.updated_by_id is None for v in versions) else {}
    history, before = [], None
    for version in versions:
        who = version.updated_by.display_name if version.updated_by else keys.get(str(version.version), "")
        history.append(VersionChange(version, tuple(_differences(before, version)) if before else (), who))
        before = version
    return history[::-1]


def get_version(patient: Patient, *, at: datetime | None = None, number: int | None = None) -> PatientVersion:
    """The patient as they stood at a moment, or as version `number`. Raises Http404 before there was one."""
    versions = PatientVersion.objects.filter(pgh_obj_id=patient.pk).select_related(
        "gender", "document_type", "insurer", "updated_by__user"
    )
    versions = versions.filter(version=number) if number is not None else versions.filter(pgh_created_at__lte=at)
    found = versions.order_by("-pgh_id").first()
    if found is None:
        raise Http404
    return found


def _differences(before: Any, after: Any) -> Iterable[tuple[str, Any, Any]]:
    for name in [*TRACKED, "archived_at", "archive_reason"]:
        attname = Patient._meta.get_field(name).attname  # type: ignore[union-attr]  # TRACKED names columns
        if getattr(before, attname) != getattr(after, attname):
            yield name, getattr(before, name), getattr(after, name)
    if before.custom_fields != after.custom_fields:
        yield from _custom_differences(before.custom_fields, after.custom_fields)


def _custom_differences(before: dict, after: dict) -> Iterable[tuple[str, Any, Any]]:
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield f"custom:{key}", before.get(key), after.get(key)


@dataclass(frozen=True)
class Look:
    """Somebody opened a chart: who (a name), when, what, and why where a reason was given."""

    name: str
    at: datetime
    kind: str
    reason: str


def list_looks(patient: Patient, *, limit: int = 200) -> list[Look]:
    """Who opened this chart, newest first (wish 23)."""
    reads = list(audit_selectors.list_reads(patient)[:limit])
    actors = audit_selectors.actors_by_id({read.actor_ref for read in reads})
    return [
        Look(actors[read.actor_ref].label if read.actor_ref in actors else "", read.at, read.kind, read.reason)
        for read in reads
    ]


def list_recent_patients(*, by: Membership, limit: int = 8) -> list[Patient]:
    """The patients whose charts this member opened last, newest first."""
    reads: Iterable[AuditRead] = audit_selectors.list_reads_by(by).filter(
        object_type="patient", kind__in=["chart", "edit", "break_glass"]
    )[: limit * 5]
    newest = list(dict.fromkeys(UUID(read.object_id) for read in reads))[:limit]
    found = Patient.objects.visible_to(by).with_lookups().in_bulk(newest)
    return [found[pk] for pk in newest if pk in found]


def count_patients(*, by: Membership, limit: int = 10_000) -> int:
    """How many patients the caller may see, not counting past `limit` + 1."""
    return Patient.objects.visible_to(by).present().order_by()[: limit + 1].count()


def demographics_text(patient: Patient) -> str:
    """The patient's demographics as Quill stores them: JSON text, two spaces, `updated_at_utc` first."""
    kept = patient.demographics or {}
    content = {
        "updated_at_utc": patient.updated_at.strftime("%Y-%m-%dT%H%M%SZ"),
        "given_name": patient.name_parts.given,
        "family_name": patient.name_parts.family,
        "date_of_birth": patient.birth_date.isoformat() if patient.birth_date else None,
        "sex": patient.gender.word,
        "address": kept.get("address") or ({"text": patient.full_address} if patient.full_address else None),
        "contact": kept.get("contact") or _contact(patient),
        "meta": kept.get("meta"),
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _contact(patient: Patient) -> dict[str, str] | None:
    given = {"phone": patient.phone, "cell_phone": patient.cell_phone, "email": patient.email}
    return {name: value for name, value in given.items() if value} or None


# --- Restricted charts and break-glass -------------------------------------------------------------------------------


def get_restriction(patient: Patient) -> ChartRestriction | None:
    """Why and by whom a chart is restricted now; None for one that is not."""
    in_force = ChartRestriction.objects.filter(patient=patient, lifted_at__isnull=True)
    return in_force.select_related("restricted_by__user").first()


def list_allowed(patient: Patient) -> list[ChartAccess]:
    """Who opens this restricted chart as usual, the first on the list first."""
    listed = ChartAccess.objects.filter(patient=patient, ended_at__isnull=True)
    return list(listed.select_related("member__user", "added_by__user").order_by("added_at", "id"))


def is_listed(patient: Patient, *, member: Membership) -> bool:
    """Whether this member is on the list of a restricted chart, and so may decide who else is."""
    return ChartAccess.objects.filter(patient=patient, member=member, ended_at__isnull=True).exists()


def list_may_be_allowed(patient: Patient) -> QuerySet[Membership]:
    """Members who could be put on the list, by name: those with a right to see patients who are not on it."""
    listed = ChartAccess.objects.filter(patient=patient, ended_at__isnull=True)
    return may_have("patients.view").exclude(pk__in=listed.values("member_id")).order_by("user__name")


def may_take_over(patient: Patient, *, by: Membership) -> bool:
    """Whether nobody on the list works here any more, and this member may restrict charts."""
    if not by.may("patients.restrict"):
        return False
    listed = ChartAccess.objects.filter(patient=patient, ended_at__isnull=True)
    return not Membership.objects.active().filter(pk__in=listed.values("member_id")).exists()


def list_reviewers(*, but: Membership) -> list[Membership]:
    """Who reviews an emergency access of this member: the reviewers, or where there are none the administrators."""
    for permission in ("audit.review", "admin.users"):
        if found := [member for member in list_members_who_may(permission) if member.user_id != but.user_id]:
            return found
    return []


def may_review(by: Membership) -> bool:
    """Reviewers may; administrators only where the clinic has nobody else for it."""
    return by.may("audit.review") or (by.may("admin.users") and not list_members_who_may("audit.review"))


def list_emergency_accesses(*, reviewed: bool | None = None) -> QuerySet[EmergencyAccess]:
    """Every break-glass of this clinic, oldest first; or those that were reviewed, or wait for it."""
    rows = EmergencyAccess.objects.select_related("member__user", "reviewed_by__user", "patient")
    rows = rows if reviewed is None else rows.filter(reviewed_at__isnull=not reviewed)
    return rows.order_by("opened_at", "id")


def get_emergency_access(access_id: UUID | str, *, by: Membership) -> EmergencyAccess:
    """One break-glass, for reviewers and for who did it. Raises Http404 for everybody else."""
    found = list_emergency_accesses().filter(pk=access_id).first()
    if found is None or not (found.member_id == by.pk or may_review(by)):
        raise Http404
    return found


def count_open_reviews(by: Membership) -> int:
    """How many wait for a review by this member; those of their own wait for somebody else."""
    return EmergencyAccess.objects.not_reviewed().exclude(member=by).count()


def list_seen(access: EmergencyAccess) -> list[AuditRead]:
    """What somebody opened of the chart while the glass was broken, oldest first."""
    reads = audit_selectors.list_reads_by(access.member).filter(
        object_type="patient",
        object_id=str(access.patient_id),
        at__gte=access.opened_at,
        at__lt=access.until,
        kind__startswith="break_glass",
    )
    return list(reads.order_by("at", "id")[:500])


@dataclass(frozen=True)
class MonthOfReviews:
    """Break-glass in one month (its first day): how often, how many reviewed, how many of them not justified."""

    month: datetime
    opened: int
    reviewed: int
    not_justified: int


def count_by_month(*, months: int = 3) -> list[MonthOfReviews]:
    """The last months that had any, newest first, in the clinic's own time."""
    counted = (
        EmergencyAccess.objects.annotate(month=TruncMonth("opened_at", tzinfo=timezone.get_current_timezone()))
        .values("month")
        .annotate(
            opened=Count("id"),
            reviewed=Count("id", filter=Q(reviewed_at__isnull=False)),
            not_justified=Count("id", filter=Q(verdict=EmergencyAccess.Verdict.NOT_JUSTIFIED)),
        )
        .order_by("-month")[:months]
    )
    return [MonthOfReviews(**row) for row in counted]
