"""Groups of members: made, changed, joined, left. Nothing is deleted; a group that is over is deactivated (K43)."""

import unicodedata
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.services import notify
from accounts.permissions import Permission
from accounts.users.models import Group, GroupMember, Membership
from accounts.users.rights import changing_rights, lock_rights, may_conflict, refuse_conflicting_codes, refuse_conflicts
from tenancy.audit import services as audit
from tenancy.rules import NotAllowed, RuleBroken, StaleVersion
from tenancy.tenants.numbering import next_number

from ..notices import GROUP_CHANGED
from .rights import expand_codes, tell_rights_changed


@transaction.atomic
def create_group(
    *, name: str, by: Membership, description: str = "", kind: str = "", permissions: Iterable[str] = ()
) -> Group:
    """Make a group. Permissions it brings need somebody who may manage roles.

    Raises RuleBroken (`duplicate`) for a name an active group has already, in
    any spelling; for unknown and for conflicting permissions.
    """
    lock_rights()
    codes = expand_codes(permissions)
    if codes:
        _need_role_manager(by)
        refuse_conflicting_codes(codes)
    name = _checked_name(name)
    group = Group.objects.create(
        number=next_number("group"),
        name=name,
        name_key=name_key(name),
        description=description.strip(),
        kind=kind.strip(),
        permissions=codes,
    )
    changes = {"name": ("", name), "type": ("", group.kind), "permissions": ([], codes)}
    audit.record("group_created", group, by=by, changes=changes)
    return group


@transaction.atomic
def update_group(
    group: Group,
    *,
    by: Membership,
    name: str | None = None,
    description: str | None = None,
    kind: str | None = None,
    permissions: Iterable[str] | None = None,
    expected_version: int | None = None,
) -> Group:
    """Change a group; None leaves a value as it is.

    Raises StaleVersion when somebody saved meanwhile; RuleBroken for a taken
    name, a group that is over, unknown or conflicting permissions (of any
    member), permissions of a group that `by` is in, and the last administrator;
    NotAllowed where permissions change and `by` may not manage roles.
    """
    with changing_rights():
        group = _locked_active(group)
        if expected_version is not None and expected_version != group.version:
            raise StaleVersion(_("Somebody else has changed this group in the meantime."))
        before = {"name": group.name, "description": group.description, "type": group.kind}
        after = {
            "name": group.name if name is None else _checked_name(name, group),
            "description": group.description if description is None else description.strip(),
            "type": group.kind if kind is None else kind.strip(),
        }
        codes = group.permissions if permissions is None else expand_codes(permissions)
        changes: dict[str, tuple] = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
        members: list[Membership] = []
        if codes != group.permissions:
            changes["permissions"] = (group.permissions, codes)
            _need_role_manager(by)
            members = list(_members_of(group))
            if by.pk in {member.pk for member in members}:
                raise RuleBroken(_("You are in this group: somebody else has to change what it may do."))
        if not changes:
            return group
        group.name, group.name_key = after["name"], name_key(after["name"])
        group.description, group.kind, group.permissions = after["description"], after["type"], codes
        group.version += 1
        group.save()
        refuse_conflicting_codes(codes)
        if members and may_conflict(codes):
            refuse_conflicts(members)
    audit.record("group_updated", group, by=by, changes=changes)
    tell_rights_changed(members, by=by)
    return group


@transaction.atomic
def deactivate_group(group: Group, *, by: Membership, reason: str = "", expected_version: int | None = None) -> Group:
    """End a group: it leaves the lists, its permissions end, and its name is free again. Twice is no error.

    Raises StaleVersion when somebody saved meanwhile.
    """
    with changing_rights():
        group = Group.objects.select_for_update(of=("self",)).get(pk=group.pk)
        if expected_version is not None and expected_version != group.version:
            raise StaleVersion(_("Somebody else has changed this group in the meantime."))
        if not group.is_active:
            return group
        if group.permissions:
            _need_role_manager(by)
        members = list(_members_of(group)) if group.permissions else []
        group.is_active, group.version = False, group.version + 1
        group.save(update_fields=["is_active", "version"])
    audit.record("group_deactivated", group, by=by, changes={"is_active": (True, False)}, reason=reason.strip())
    tell_rights_changed(members, by=by)
    return group


@transaction.atomic
def add_group_member(group: Group, member: Membership, *, by: Membership) -> GroupMember:
    """Put a member into a group, from now on.

    Raises RuleBroken (`duplicate`) for somebody who is in it; for a member who is
    not active; and where the group brings permissions: oneself, conflicts, and
    NotAllowed for who may not manage roles.
    """
    with changing_rights():
        group = _locked_active(group)
        if not member.is_active:
            raise RuleBroken(_("%(name)s is not active any more.") % {"name": member.display_name})
        if GroupMember.objects.filter(group=group, membership=member, ended_at__isnull=True).exists():
            raise RuleBroken(_("%(name)s is in this group already.") % {"name": member.display_name}, code="duplicate")
        if group.permissions:
            _need_role_manager(by)
            if by.pk == member.pk:
                raise RuleBroken(
                    _("Nobody changes what they may do themselves: ask another administrator."), code="own_rights"
                )
        row = GroupMember.objects.create(group=group, membership=member, added_by=by)
        if may_conflict(group.permissions):
            refuse_conflicts([member])
    audit.record("group_member_added", group, by=by, details={"member": str(member.pk), "name": member.display_name})
    _tell(group, member, by)
    return row


@transaction.atomic
def remove_group_member(group: Group, member: Membership, *, by: Membership) -> bool:
    """End somebody's time in a group; joining again makes another row. False for somebody who is not in it."""
    with changing_rights():
        rows = GroupMember.objects.select_for_update(of=("self",))
        row = rows.filter(group=group, membership=member, ended_at__isnull=True).first()
        if row is None:
            return False
        if group.permissions:
            _need_role_manager(by)
        row.ended_at, row.ended_by = timezone.now(), by
        row.save(update_fields=["ended_at", "ended_by"])
    audit.record("group_member_removed", group, by=by, details={"member": str(member.pk), "name": member.display_name})
    _tell(group, member, by)
    return True


def name_key(name: str) -> str:
    """One spelling for all spellings of a group's name."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _tell(group: Group, member: Membership, by: Membership) -> None:
    if member.pk == by.pk:
        return
    if group.permissions:
        tell_rights_changed([member], by=by)
    else:
        notify(GROUP_CHANGED, [member], params={"by": by.display_name, "group": group.name})


def _members_of(group: Group) -> Iterable[Membership]:
    inside = GroupMember.objects.filter(group=group, ended_at__isnull=True).values("membership")
    return Membership.objects.active().filter(pk__in=inside).select_related("user", "tenant")


def _locked_active(group: Group) -> Group:
    group = Group.objects.select_for_update(of=("self",)).get(pk=group.pk)
    if not group.is_active:
        raise RuleBroken(_("This group is over."))
    return group


def _need_role_manager(by: Membership) -> None:
    if not by.may(Permission.ROLE_MANAGE):
        raise NotAllowed(_("This group brings permissions: only somebody who manages roles may do this."))


def _checked_name(name: str, group: Group | None = None) -> str:
    name = " ".join(name.split())
    if not name:
        raise RuleBroken(_("Give the group a name."))
    same = Group.objects.filter(name_key=name_key(name), is_active=True)
    if (same.exclude(pk=group.pk) if group else same).exists():
        raise RuleBroken(_("There is a group of this name already."), code="duplicate")
    return name
