"""Roles, grants and denials of one member."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.services import notify
from accounts.permissions import PLATFORM_ROLE, ROLE_ALIASES, expand_bundles
from accounts.users.models import Grant, HeldRole, Membership, Role
from accounts.users.rights import changing_rights, refuse_conflicts
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from ..notices import RIGHTS_CHANGED

LONGEST_REASON = 300


@transaction.atomic
def assign_roles(member: Membership, roles: Iterable[str], *, by: Membership | None, reason: str = "") -> Membership:
    """Give a member exactly these roles (codes, or the names the specifications use), instead of the ones held.

    Holds from their next request. Raises RuleBroken for no role at all, one
    that is not there, the platform's, the own ones, conflicting permissions, and
    when the clinic would lose its last administrator. `by` is None for commands.
    """
    _refuse_oneself(member, by)
    _refuse_platform(member)
    with changing_rights():
        wanted = find_roles(roles)
        held = {row.role_id: row for row in HeldRole.objects.filter(membership=member).select_related("role")}
        before = sorted(row.role.code for row in held.values())
        after = sorted(role.code for role in wanted)
        if before == after:
            return member
        kept = {role.pk for role in wanted}
        HeldRole.objects.filter(membership=member).exclude(role__in=kept).delete()
        HeldRole.objects.bulk_create([HeldRole(membership=member, role=role) for role in wanted if role.pk not in held])
        refuse_conflicts([member])
    forget(member)
    audit.record("roles_assigned", member, by=by, changes={"roles": (before, after)}, reason=_cut(reason))
    tell_rights_changed([member], by=by)
    return member


def find_roles(codes: Iterable[str]) -> list[Role]:
    """The clinic's roles of these codes, each once. Raises RuleBroken for none, an unknown one or the platform's."""
    wanted = list(dict.fromkeys(ROLE_ALIASES.get(code, code) for code in codes))
    if not wanted:
        raise RuleBroken(_("Choose at least one role; who should not come in any more is deactivated."))
    found = {role.code: role for role in Role.objects.filter(code__in=wanted)}
    if missing := [code for code in wanted if code not in found or code == PLATFORM_ROLE]:
        raise RuleBroken(_("There is no role %(roles)s.") % {"roles": ", ".join(missing)}, code="unknown_role")
    return [found[code] for code in wanted]


def grant_permission(
    member: Membership,
    permission: str,
    *,
    by: Membership | None,
    reason: str,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> list[Grant]:
    """Give one member a permission beside their roles, with a reason and for a time; a bundle gives all its parts.

    Raises RuleBroken for a code nobody knows, no reason, an end that lies in the
    past or before the beginning, the own rights, and conflicting permissions.
    """
    return _write_grants(member, permission, False, by, reason, valid_from, valid_until)


def deny_permission(
    member: Membership,
    permission: str,
    *,
    by: Membership | None,
    reason: str,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> list[Grant]:
    """Keep a permission from one member whatever their roles, groups and grants say. Refused like `grant_permission`,
    and when the clinic would lose its last administrator."""
    return _write_grants(member, permission, True, by, reason, valid_from, valid_until)


@transaction.atomic
def _write_grants(
    member: Membership,
    permission: str,
    is_denial: bool,
    by: Membership | None,
    reason: str,
    valid_from: datetime | None,
    valid_until: datetime | None,
) -> list[Grant]:
    _refuse_oneself(member, by)
    _refuse_platform(member)
    reason = _cut(reason)
    if not reason:
        raise RuleBroken(_("Say why: the reason is kept with the permission."))
    now = timezone.now()
    begins = valid_from or now
    if valid_until is not None and valid_until <= max(begins, now):
        raise RuleBroken(_("The end has to lie in the future and after the beginning."))
    codes = expand_codes([permission])
    with changing_rights():
        grants = [
            Grant(
                membership=member,
                permission=code,
                is_denial=is_denial,
                reason=reason,
                valid_from=begins,
                valid_until=valid_until,
                granted_by=by,
            )
            for code in codes
        ]
        Grant.objects.bulk_create(grants)
        refuse_conflicts([member])
    forget(member)
    audit.record(
        "permission_denied" if is_denial else "permission_granted",
        member,
        by=by,
        reason=reason,
        details={
            "permissions": codes,
            "valid_from": begins.isoformat(),
            "valid_until": valid_until.isoformat() if valid_until else None,
        },
    )
    tell_rights_changed([member], by=by)
    return grants


@transaction.atomic
def end_grant(grant: Grant, *, by: Membership | None, reason: str = "") -> Grant:
    """Take a grant or a denial back; it stays in the list with who ended it. Ending it twice is no error.

    Raises RuleBroken for the own ones, and where ending a denial brings conflicting
    permissions together, or ending a grant takes the last administrator away.
    """
    member = grant.membership
    _refuse_oneself(member, by)
    with changing_rights():
        grant = Grant.objects.select_for_update(of=("self",)).get(pk=grant.pk)
        if grant.ended_at is not None:
            return grant
        grant.ended_at, grant.ended_by = timezone.now(), by
        grant.save(update_fields=["ended_at", "ended_by"])
        if grant.is_denial:
            refuse_conflicts([member])
    forget(member)
    what = "denial" if grant.is_denial else "grant"
    details = {"permission": grant.permission, "kind": what}
    audit.record("grant_ended", member, by=by, reason=_cut(reason), details=details)
    tell_rights_changed([member], by=by)
    return grant


def expand_codes(codes: Iterable[str]) -> list[str]:
    """Permission codes for codes and the seed's bundle names, sorted. Raises RuleBroken for what is neither."""
    try:
        return sorted(expand_bundles(codes))
    except ValueError as unknown:
        raise RuleBroken(
            _("There is no permission %(permission)s.") % {"permission": unknown}, code="unknown_permission"
        ) from None


def tell_rights_changed(members: Iterable[Membership], *, by: Membership | None) -> None:
    """Tell members that what they may do has changed; nobody can switch this off (quality.md 6.16)."""
    members = list(members)
    if members:
        params = {"by": by.display_name if by else "Carewright", "clinic": members[0].tenant.name}
        notify(RIGHTS_CHANGED, members, params=params)


def forget(member: Membership) -> None:
    """Let an instance in hand read its roles and rights again."""
    for name in ("roles", "rights", "permissions"):
        member.__dict__.pop(name, None)


def _refuse_oneself(member: Membership, by: Membership | None) -> None:
    if by is not None and by.pk == member.pk:
        raise RuleBroken(_("Nobody changes what they may do themselves: ask another administrator."), code="own_rights")


def _refuse_platform(member: Membership) -> None:
    if member.is_platform:
        raise RuleBroken(
            _("%(name)s works here for the platform and holds only its role.") % {"name": member.display_name}
        )


def _cut(reason: str) -> str:
    return reason.strip()[:LONGEST_REASON]
