"""The clinic's roles: its own are written here, the built-in ones come with the release and stay as they are."""

from collections.abc import Iterable

from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts.permissions import DEFAULT_ROLES, PLATFORM_ROLE, ROLE_ALIASES
from accounts.users.models import HeldRole, Membership, Role
from accounts.users.rights import changing_rights, lock_rights, may_conflict, refuse_conflicting_codes, refuse_conflicts
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken, StaleVersion
from tenancy.tenants.numbering import next_number

from .rights import expand_codes, tell_rights_changed

_TAKEN = frozenset({*DEFAULT_ROLES, PLATFORM_ROLE, *ROLE_ALIASES})


@transaction.atomic
def create_role(
    *, name: str, by: Membership | None, permissions: Iterable[str] = (), description: str = "", reason: str = ""
) -> Role:
    """Make a role of the clinic's own out of permission codes and bundle names.

    Raises RuleBroken for a name that is taken, a code nobody knows, and two
    permissions that nobody may hold together.
    """
    lock_rights()
    name = _checked_name(name)
    codes = expand_codes(permissions)
    refuse_conflicting_codes(codes)
    number = next_number("role")
    role = Role.objects.create(
        number=number,
        code=_free_code(name, number),
        name=name,
        description=description.strip(),
        permissions=codes,
    )
    changes = {"name": ("", name), "description": ("", role.description), "permissions": ([], codes)}
    audit.record("role_created", role, by=by, changes=changes, reason=reason.strip())
    return role


def copy_role(role: Role, *, name: str, by: Membership | None, reason: str = "") -> Role:
    """A role of the clinic's own with the permissions of another, which may be a built-in one."""
    if role.code == PLATFORM_ROLE:
        raise RuleBroken(_("The platform's role can not be copied."))
    return create_role(name=name, by=by, permissions=role.permissions, description=role.description, reason=reason)


@transaction.atomic
def update_role(
    role: Role,
    *,
    by: Membership | None,
    name: str | None = None,
    description: str | None = None,
    permissions: Iterable[str] | None = None,
    reason: str = "",
    expected_version: int | None = None,
) -> Role:
    """Change a role of the clinic's own; None leaves a value as it is. Holds for everybody who has it at once.

    Raises StaleVersion when somebody saved meanwhile; RuleBroken for a built-in
    role, a role that `by` holds, a taken name, an unknown code, conflicting
    permissions in the role or with what a holder has besides, and when the clinic
    would lose its last administrator.
    """
    with changing_rights():
        role = _locked(role)
        _refuse_built_in(role)
        if expected_version is not None and expected_version != role.version:
            raise StaleVersion(_("Somebody else has changed this role in the meantime."))
        if by is not None and by.held_roles.filter(role=role).exists():
            raise RuleBroken(_("You hold this role yourself: somebody else has to change it."), code="own_rights")
        new_name = role.name if name is None else _checked_name(name, role)
        new_description = role.description if description is None else description.strip()
        codes = list(role.permissions) if permissions is None else expand_codes(permissions)
        both = {
            "name": (role.name, new_name),
            "description": (role.description, new_description),
            "permissions": (list(role.permissions), codes),
        }
        changes = {field: values for field, values in both.items() if values[0] != values[1]}
        if not changes:
            return role
        refuse_conflicting_codes(codes)
        role.name, role.description, role.permissions = new_name, new_description, codes
        role.version += 1
        role.save(update_fields=["name", "description", "permissions", "version"])
        holders = list(Membership.objects.filter(held_roles__role=role).select_related("user", "tenant"))
        if may_conflict(codes):
            refuse_conflicts(holders)
    audit.record("role_updated", role, by=by, changes=changes, reason=reason.strip())
    if "permissions" in changes:
        tell_rights_changed((member for member in holders if member.is_active), by=by)
    return role


@transaction.atomic
def delete_role(role: Role, *, by: Membership | None, reason: str = "", expected_version: int | None = None) -> None:
    """Delete a role of the clinic's own.

    Raises StaleVersion when somebody saved meanwhile, RuleBroken for a built-in role and for one that somebody holds.
    """
    lock_rights()
    role = _locked(role)
    _refuse_built_in(role)
    if expected_version is not None and expected_version != role.version:
        raise StaleVersion(_("Somebody else has changed this role in the meantime."))
    held = HeldRole.objects.filter(role=role).count()
    if held:
        raise RuleBroken(
            _("%(count)d people still hold this role. Give them another one first.") % {"count": held}, code="role_held"
        )
    changes = {"name": (role.name, ""), "permissions": (role.permissions, [])}
    audit.record("role_deleted", role, by=by, changes=changes, reason=reason.strip())
    role.delete()


def _locked(role: Role) -> Role:
    found = Role.objects.select_for_update(of=("self",)).filter(pk=role.pk).first()
    if found is None:
        raise RuleBroken(_("This role has been deleted in the meantime."))
    return found


def _refuse_built_in(role: Role) -> None:
    if role.is_built_in:
        raise RuleBroken(
            _("This role comes with Carewright and stays as it is. Copy it to have one of your own."), code="built_in"
        )


def _checked_name(name: str, role: Role | None = None) -> str:
    name = " ".join(name.split())
    if not name:
        raise RuleBroken(_("Give the role a name."))
    others = Role.objects.exclude(pk=role.pk) if role else Role.objects.all()
    taken = {str(label).casefold() for other in others for label in (other.name, other.code, other.label)}
    if name.casefold() in taken | {code.casefold() for code in _TAKEN}:
        raise RuleBroken(_("There is a role of this name already."), code="duplicate")
    return name


def _free_code(name: str, number: int) -> str:
    code = slugify(name).replace("-", "_")[:30] or "role"
    return code if not Role.objects.filter(code=code).exists() and code not in _TAKEN else f"{code}_{number}"
