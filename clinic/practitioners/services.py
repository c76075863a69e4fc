"""Writing practitioners and organisations. Each change leaves a line in the audit trail."""

from collections.abc import Iterable
from typing import Any, TypeVar

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from clinic.names import document_key, fold, split_name
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from .models import Organization, Practitioner, PractitionerSpecialty, Specialty

DOCTOR = "doctor"

Row = TypeVar("Row", Organization, Practitioner)


class DuplicateIdentifier(RuleBroken):
    """Somebody else in this clinic has this identifier from the same issuer."""

    code = "duplicate_identifier"


@transaction.atomic
def create_practitioner(*, by: Membership | None, data: dict[str, Any], reason: str = "") -> Practitioner:
    """Add somebody who treats patients. `data` by field of Practitioner; `by` is None for imports.

    Raises ValidationError by field, and DuplicateIdentifier.
    """
    return _create(Practitioner(), "practitioner_created", by=by, data=data, reason=reason)


@transaction.atomic
def update_practitioner(
    practitioner: Practitioner, *, by: Membership | None, changes: dict[str, Any], reason: str = ""
) -> bool:
    """Change some fields; says whether anything differed. Raises as `create_practitioner` does."""
    return _update(practitioner, "practitioner_updated", by=by, changes=changes, reason=reason)


@transaction.atomic
def create_organization(*, by: Membership | None, data: dict[str, Any], reason: str = "") -> Organization:
    """Add a hospital, practice or insurer. Raises as `create_practitioner` does."""
    return _create(Organization(), "organization_created", by=by, data=data, reason=reason)


@transaction.atomic
def update_organization(
    organization: Organization, *, by: Membership | None, changes: dict[str, Any], reason: str = ""
) -> bool:
    """Change some fields; says whether anything differed. Raises as `create_practitioner` does."""
    return _update(organization, "organization_updated", by=by, changes=changes, reason=reason)


@transaction.atomic
def bring_doctors() -> int:
    """Give every active member with the role doctor a practitioner (decision X31); returns how many were missing."""
    doctors = Membership.objects.active().filter(held_roles__role__code=DOCTOR, practitioners=None)
    missing = list(doctors.select_related("user").distinct())
    if missing:
        Membership.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=[m.pk for m in missing]).first()
        missing = list(doctors.select_related("user").distinct())
    for member in missing:
        name = vars(split_name(member.user.name[:480]))
        data = {key: value[:120] for key, value in name.items()} | {"member": member, "email": member.user.email}
        practitioner = create_practitioner(by=None, data=data, reason=_("This member is a doctor here."))
        fields = [word for word in (member.specialization, *member.specialties) if str(word).strip()]
        known = [_specialty_called(str(word)[:120]) for word in dict.fromkeys(fields)]
        set_specialties(practitioner, by=None, specialties=known)
    return len(missing)


@transaction.atomic
def create_specialty(*, by: Membership | None, name: str, description: str = "", is_active: bool = True) -> Specialty:
    """Add a field of medicine. Raises ValidationError by field; RuleBroken for a name in use."""
    specialty = Specialty(name=name, description=description, is_active=is_active)
    return _save_specialty(specialty, "specialty_created", by=by, before={})


@transaction.atomic
def update_specialty(specialty: Specialty, *, by: Membership | None, changes: dict[str, Any]) -> Specialty:
    """Change name, description, or whether it is still used. Raises as `create_specialty` does."""
    locked = Specialty.objects.select_for_update(of=("self",), no_key=True).get(pk=specialty.pk)
    before = {name: getattr(locked, name) for name in changes}
    for name, value in changes.items():
        setattr(locked, name, value)
    return _save_specialty(locked, "specialty_updated", by=by, before=before)


@transaction.atomic
def set_specialties(
    practitioner: Practitioner, *, by: Membership | None, specialties: Iterable[Specialty], also: str = ""
) -> None:
    """Replace the specialties of somebody; the first is the one that stands beside the name.

    `also` names one more, which joins the list of the clinic where it is new.
    """
    wanted = list(dict.fromkeys([*specialties, *([_specialty_called(also, by=by)] if also.strip() else [])]))
    before = [row.specialty.name for row in practitioner.specialties.select_related("specialty").order_by("rank")]
    after = [specialty.name for specialty in wanted]
    if before == after:
        return
    practitioner.specialties.all().delete()
    for rank, specialty in enumerate(wanted):
        PractitionerSpecialty.objects.create(practitioner=practitioner, specialty=specialty, rank=rank)
    audit.record("specialties_set", practitioner, by=by, changes={"specialties": (before, after)})


def _specialty_called(name: str, *, by: Membership | None = None) -> Specialty:
    key = fold(" ".join(name.split()))[:240]
    return Specialty.objects.filter(name_key=key).first() or create_specialty(by=by, name=name)


def _save_specialty(specialty: Specialty, action: str, *, by: Membership | None, before: dict[str, Any]) -> Specialty:
    is_new = specialty._state.adding
    specialty.name, specialty.description = " ".join(specialty.name.split()), specialty.description.strip()
    specialty.name_key = fold(specialty.name)[:240]
    specialty.full_clean(exclude=["tenant", "name_key"], validate_unique=False, validate_constraints=False)
    try:
        with transaction.atomic():
            specialty.save(force_insert=is_new, force_update=not is_new)
    except IntegrityError as error:
        if "specialty_name_uniq" in str(error):
            raise RuleBroken(_("There is a specialty of this name already."), code="duplicate") from None
        raise
    changes = {name: (old, getattr(specialty, name)) for name, old in before.items() if old != getattr(specialty, name)}
    if is_new or changes:
        audit.record(action, specialty, by=by, changes=changes)
    return specialty


def _create(row: Row, action: str, *, by: Membership | None, data: dict[str, Any], reason: str) -> Row:
    _assign(row, data)
    _save(row, is_new=True)
    filled = {name: (None, _plain(getattr(row, name))) for name in sorted(data) if getattr(row, name) not in ("", None)}
    audit.record(action, row, by=by, changes=filled, reason=reason)
    return row


def _update(row: Row, action: str, *, by: Membership | None, changes: dict[str, Any], reason: str) -> bool:
    locked = type(row).objects.select_for_update(of=("self",), no_key=True).get(pk=row.pk)
    before = {name: getattr(locked, name) for name in changes}
    _assign(locked, changes)
    changed = {
        name: (_plain(before[name]), _plain(getattr(locked, name)))
        for name in changes
        if before[name] != getattr(locked, name)
    }
    if changed:
        _save(locked, is_new=False)
        audit.record(action, locked, by=by, changes=changed, reason=reason)
    return bool(changed)


def _assign(row: Organization | Practitioner, data: dict[str, Any]) -> None:
    for name, value in data.items():
        field = row._meta.get_field(name)
        is_line = isinstance(value, str) and isinstance(field, models.CharField)
        setattr(row, name, " ".join(value.split()) if is_line else value)
    row.email = row.email.lower()
    if isinstance(row, Practitioner):
        row.document_key = document_key(row.document_number) if row.document_type_id else ""
    # Somebody known by a family name only is fine; somebody without any name is not.
    optional = ["first_name"] if getattr(row, "first_last_name", "") else []
    row.full_clean(exclude=["tenant", "member", *optional], validate_unique=False, validate_constraints=False)


def _save(row: Organization | Practitioner, *, is_new: bool) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=is_new, force_update=not is_new)
    except IntegrityError as error:
        if "_ident_uniq" in str(error):
            raise DuplicateIdentifier(_("This identifier belongs to somebody else already.")) from None
        if "practitioner_document_uniq" in str(error):
            raise DuplicateIdentifier(_("This document belongs to another practitioner already.")) from None
        raise


def _plain(value: Any) -> Any:
    """As the trail keeps it: the id of a member, anything else as it is."""
    return str(value.pk) if isinstance(value, models.Model) else value
