"""People and memberships: making them, and letting them in."""

from collections.abc import Iterable
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.permissions import DEFAULT_ROLES, PLATFORM_PERMISSIONS, PLATFORM_ROLE, ROLE_ALIASES
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.numbering import next_number

from .models import HeldRole, Membership, Role, User, Workplace, identity_key
from .passwords import find_problems
from .rights import refuse_conflicts

log = structlog.get_logger(__name__)


@transaction.atomic
def create_user(*, email: str, name: str, password: str | None, username: str = "", **fields: Any) -> User:
    """Make a person, who belongs to no clinic yet.

    Without a password nobody can sign in as them until one is set. Raises
    RuleBroken for an address or user name that is taken in any spelling, and
    for a password that breaks decision X25.
    """
    user = User(email=email.strip(), name=name.strip(), username=(username or email).strip(), **fields)
    user.email_key, user.username_key = identity_key(user.email), identity_key(user.username)
    if _is_known(user.email_key):
        raise Taken(_("Somebody with this e-mail address exists already."), field="email")
    if _is_known(user.username_key):
        raise Taken(_("Somebody with this user name exists already."), field="username")
    if password is None:
        user.set_unusable_password()
    else:
        if problems := find_problems(password, user):
            raise RuleBroken(" ".join(problems))
        user.set_password(password)
    user.save(force_insert=True)
    return user


class Taken(RuleBroken):
    """A person needs an address or user name of their own. `field` says which of the two is taken."""

    def __init__(self, sentence: str, *, field: str):
        super().__init__(sentence)
        self.field = field


def _is_known(key: str) -> bool:
    """Whether a key is anybody's address or user name: both sign in, so no name may be another person's address."""
    return User.objects.filter(Q(email_key=key) | Q(username_key=key)).exists()


@transaction.atomic
def add_member(user: User, *, roles: Iterable[str], by: Membership | None, **fields: Any) -> Membership:
    """Make a person a member of the current clinic with these roles (codes, or names the specifications use).

    Raises RuleBroken for an unknown role, for the platform's, for permissions that
    nobody may hold together, and when they are a member already. Somebody who was
    here as platform administrator becomes an ordinary member. `by` is None for commands.
    """
    wanted = [ROLE_ALIASES.get(code, code) for code in roles]
    found = {role.code: role for role in Role.objects.filter(code__in=wanted)}
    if missing := [code for code in wanted if code not in found or code == PLATFORM_ROLE]:
        raise RuleBroken(_("There is no role %(roles)s.") % {"roles": ", ".join(missing)})
    known = Membership.objects.select_for_update(of=("self",)).filter(user=user).first()
    if known is not None and not known.is_platform:
        raise RuleBroken(_("%(name)s is a member of this clinic already.") % {"name": user.name})
    member = known or Membership(user=user)
    member.is_active, member.is_platform, member.ends_at, member.created_at = True, False, None, timezone.now()
    for name, value in fields.items():
        setattr(member, name, value)
    member.save()
    HeldRole.objects.filter(membership=member).delete()
    HeldRole.objects.bulk_create([HeldRole(membership=member, role=found[code]) for code in dict.fromkeys(wanted)])
    refuse_conflicts([member])
    Workplace.objects.get_or_create(user=user, tenant=member.tenant)
    audit.record("member_added", member, by=by, details={"roles": wanted})
    return member


def bring_built_in_roles() -> None:
    """Give the current clinic the built-in roles as this release has them (decision X8); its own roles stay."""
    built_in = DEFAULT_ROLES | {PLATFORM_ROLE: (gettext_noop("Platform administrator"), PLATFORM_PERMISSIONS)}
    known = {role.code: role for role in Role.objects.select_for_update()}
    for code, (name, permissions) in built_in.items():
        wanted = sorted(str(permission) for permission in permissions)
        if code not in known:
            number = next_number("role")
            Role.objects.create(number=number, code=code, name=str(name), permissions=wanted, is_built_in=True)
        elif known[code].is_built_in and known[code].permissions != wanted:
            known[code].permissions = wanted
            known[code].save(update_fields=["permissions"])


def create_tenant(
    *,
    slug: str,
    name: str,
    admin_email: str | None,
    admin_password: str | None = None,
    opened_by: Any = None,
    **fields: Any,
) -> tuple[Tenant, Membership | None]:
    """Open a clinic: the tenant, its default roles and its first administrator, all or nothing.

    An existing person with this e-mail address becomes the administrator and
    keeps their password; without an address there is none yet. `opened_by` is
    the platform key behind it, None for commands. Raises RuleBroken or
    ValidationError with the reason.
    """
    tenant = Tenant(slug=slug, name=name, **fields)
    tenant.full_clean()
    with tenant_context(tenant.id):
        tenant.save(force_insert=True)
        bring_built_in_roles()
        member = _first_administrator(admin_email, admin_password) if admin_email else None
        audit.record("tenant_created", None, by=opened_by, details={"slug": slug})
    return tenant, member


def _first_administrator(email: str, password: str | None) -> Membership:
    user = User.objects.filter(email_key=identity_key(email)).first()
    if user is None:
        user = create_user(email=email, name=email.partition("@")[0], password=password)
    return add_member(user, roles=["admin"], by=None)


@transaction.atomic
def make_platform_admin(*, email: str, name: str, password: str | None) -> User:
    """Make somebody a platform administrator; a person who exists already keeps their name and password.

    They belong to no clinic by it and see no patients (platform.py). Raises
    RuleBroken for an address that somebody has as a user name, and for a
    password that breaks decision X25.
    """
    user = User.objects.select_for_update().filter(email_key=identity_key(email)).first()
    user = user or create_user(email=email, name=name, password=password)
    user.is_platform_admin = True
    user.save(update_fields=["is_platform_admin"])
    log.warning("platform_admin_made", user_id=str(user.pk))
    return user
