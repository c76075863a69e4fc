"""Writing practitioners and organisations. Each change leaves a line in the audit trail."""

from typing import Any, TypeVar

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from accounts.users.models import Membership
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from .models import Organization, Practitioner

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
        raise


def _plain(value: Any) -> Any:
    """As the trail keeps it: the id of a member, anything else as it is."""
    return str(value.pk) if isinstance(value, models.Model) else value
