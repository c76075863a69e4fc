"""Opening and closing clinics, as the operator does it with a platform key."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts.api_keys.models import PlatformKey
from accounts.joining import notices
from accounts.joining.services import passwords
from accounts.users import services as users
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant

LONGEST_SLUG = 40


def list_clinics(*, is_active: bool | None = None) -> QuerySet[Tenant]:
    """Every clinic of the installation; with `is_active` the open or the closed ones."""
    clinics = Tenant.objects.all()
    return clinics if is_active is None else clinics.filter(is_active=is_active)


def get_clinic(pk: Any, *, lock: bool = False) -> Tenant:
    """One clinic. Raises Http404. With `lock` nobody else changes it until the transaction ends."""
    clinics = Tenant.objects.select_for_update(no_key=True) if lock else Tenant.objects.all()
    clinic = clinics.filter(pk=pk).first()
    if clinic is None:
        raise Http404
    return clinic


@transaction.atomic
def open_clinic(*, by: PlatformKey | None, name: str, slug: str = "", admin_email: str = "", **fields: Any) -> Tenant:
    """A new clinic. Its administrator, if one is named and new, is mailed the link that sets a password.

    Without a slug one is made from the name. Raises RuleBroken for a name that
    is taken (contract.md 5.1) and ValidationError by field.
    """
    name = " ".join(name.split())
    _refuse_taken(name)
    clinic, member = users.create_tenant(
        slug=slug or _free_slug(name), name=name, admin_email=admin_email or None, opened_by=by, **fields
    )
    if member is not None and not member.user.has_usable_password():
        with tenant_context(clinic.pk):
            passwords.send_password_link(member.user, notices.FIRST_PASSWORD)
    return clinic


@transaction.atomic
def change_clinic(
    clinic: Tenant, *, by: PlatformKey | None, name: str | None = None, is_active: bool | None = None
) -> Tenant:
    """Rename a clinic, close it (nobody comes in from the next request on, no webhook leaves) or open it again."""
    clinic = Tenant.objects.select_for_update(no_key=True).get(pk=clinic.pk)
    wanted: dict[str, Any] = {}
    if name is not None and (name := " ".join(name.split())) != clinic.name:
        _refuse_taken(name)
        wanted["name"] = name
    if is_active is not None and is_active != clinic.is_active:
        wanted["is_active"] = is_active
    changes = {field: (getattr(clinic, field), value) for field, value in wanted.items()}
    for field, value in wanted.items():
        setattr(clinic, field, value)
    if wanted:
        clinic.full_clean()
        clinic.save(update_fields=list(wanted))
        with tenant_context(clinic.pk):
            audit.record("tenant_changed", None, by=by, changes=changes)
    return clinic


def _refuse_taken(name: str) -> None:
    if Tenant.objects.filter(name__iexact=name).exists():
        raise RuleBroken(_("Tenant with this name already exists"), code="duplicate")


def _free_slug(name: str) -> str:
    slug = slugify(name)[:LONGEST_SLUG].strip("-") or "clinic"
    taken = set(Tenant.objects.filter(slug__startswith=slug[: LONGEST_SLUG - 4]).values_list("slug", flat=True))
    numbered = (f"{slug[: LONGEST_SLUG - 4].rstrip('-')}-{number}" for number in range(2, 1000))
    return next(candidate for candidate in (slug, *numbered) if candidate not in taken)
