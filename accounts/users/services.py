"""People and memberships: making them, and letting them in."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.permissions import DEFAULT_ROLES, ROLE_ALIASES
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant

from .models import HeldRole, Membership, Role, User, Workplace, identity_key


@transaction.atomic
def create_user(*, email: str, name: str, password: str | None, username: str = "", **fields: Any) -> User:
    """Make a person, who belongs to no clinic yet.

    Without a password nobody can sign in as them until one is set. Raises
    RuleBroken for an address or user name that is taken in any spelling, and
    for a password that breaks decision X25.
    """
    user = User(email=email.strip(), name=name.strip(), username=(username or email).strip(), **fields)
    user.email_key, user.username_key = identity_key(user.email), identity_key(user.username)
    if User.objects.filter(email_key=user.email_key).exists():
        raise RuleBroken(_("Somebody with this e-mail address exists already."))
    if User.objects.filter(username_key=user.username_key).exists():
        raise RuleBroken(_("Somebody with this user name exists already."))
    if password is None:
        user.set_unusable_password()
    else:
        _check_password(password, user)
        user.set_password(password)
    user.save(force_insert=True)
    return user


def _check_password(password: str, user: User) -> None:
    if len(password) > 256:
        raise RuleBroken(_("This password is longer than 256 characters."))
    try:
        password_validation.validate_password(password, user)
    except ValidationError as error:
        raise RuleBroken(" ".join(error.messages)) from None


@transaction.atomic
def add_member(user: User, *, roles: Iterable[str], by: Membership | None, **fields: Any) -> Membership:
    """Make a person a member of the current clinic with these roles (codes, or names the specifications use).

    Raises RuleBroken for an unknown role or when they are a member already.
    `by` is None for commands.
    """
    wanted = [ROLE_ALIASES.get(code, code) for code in roles]
    found = {role.code: role for role in Role.objects.filter(code__in=wanted)}
    if missing := [code for code in wanted if code not in found]:
        raise RuleBroken(_("There is no role %(roles)s.") % {"roles": ", ".join(missing)})
    if Membership.objects.filter(user=user).exists():
        raise RuleBroken(_("%(name)s is a member of this clinic already.") % {"name": user.name})
    member = Membership.objects.create(user=user, **fields)
    HeldRole.objects.bulk_create([HeldRole(membership=member, role=found[code]) for code in dict.fromkeys(wanted)])
    Workplace.objects.get_or_create(user=user, tenant=member.tenant)
    audit.record("member_added", member, by=by, details={"roles": wanted})
    return member


def copy_default_roles() -> None:
    """Give the current clinic the default roles it does not have yet (decision X8)."""
    Role.objects.bulk_create(
        [
            Role(code=code, name=str(name), permissions=sorted(permissions), is_built_in=True)
            for code, (name, permissions) in DEFAULT_ROLES.items()
            if not Role.objects.filter(code=code).exists()
        ]
    )


def create_tenant(
    *, slug: str, name: str, admin_email: str, admin_password: str | None = None, **fields: Any
) -> tuple[Tenant, Membership]:
    """Open a clinic: the tenant, its default roles and its first administrator, all or nothing.

    An existing person with this e-mail address becomes the administrator and
    keeps their password. Raises RuleBroken or ValidationError with the reason.
    """
    tenant = Tenant(slug=slug, name=name, **fields)
    tenant.full_clean()
    with tenant_context(tenant.id):
        tenant.save(force_insert=True)
        copy_default_roles()
        user = User.objects.filter(email_key=identity_key(admin_email)).first()
        if user is None:
            user = create_user(email=admin_email, name=admin_email.partition("@")[0], password=admin_password)
        member = add_member(user, roles=["admin"], by=None)
        audit.record("tenant_created", None, by=None, details={"slug": slug})
    return tenant, member
