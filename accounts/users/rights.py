"""What members may do, looked at before a change of it is kept: no conflicts, and never the last administrator lost.

Every change of roles, grants, groups and activity goes through
`changing_rights`, so that two administrators who take each other's rights at
the same moment do it one after the other.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.permission_words import conflict_sentence, words_for
from accounts.permissions import CONFLICTS, Permission, conflicts_in
from tenancy.rules import RuleBroken
from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.models import Tenant

from .models import Grant, Group, GroupMember, HeldRole, Membership, Role

MANAGING = (Permission.USER_MANAGE, Permission.ROLE_MANAGE)
"""What a clinic may never be without: somebody who can let others in and give them rights."""

_IN_CONFLICTS = frozenset(code for pair in CONFLICTS for code in pair)
_BATCH = 500


class RightsConflict(RuleBroken):
    """Two permissions that nobody may hold together (quality.md 6.15)."""

    code = "conflicting_permissions"


@dataclass(frozen=True)
class Reach:
    """What a member may do at `most` by all that is written already, and what is sure to stay (`least`).

    A grant that begins tomorrow counts for most, a denial that begins tomorrow
    against least; what ends some day is not sure.
    """

    most: frozenset[str]
    least: frozenset[str]


def lock_rights() -> None:
    """One change of rights at a time in this clinic; nobody who only reads or adds rows waits."""
    Tenant.objects.select_for_update(no_key=True).get(pk=current_tenant_id())


@contextmanager
def changing_rights() -> Iterator[None]:
    """Around a change of what members may do, inside the caller's transaction.

    Raises RuleBroken when the clinic had somebody to manage people and roles
    before and would be left without.
    """
    lock_rights()
    had = [permission for permission in MANAGING if _has_keeper(permission)]
    yield
    for permission in had:
        if not _has_keeper(permission):
            raise RuleBroken(
                _("Somebody in this clinic has to stay who may “%(permission)s”: this is the last one.")
                % {"permission": words_for(permission)},
                code="last_administrator",
            )


def refuse_conflicts(members: Iterable[Membership]) -> None:
    """Raise RightsConflict for the first of these members who would hold two permissions that exclude each other."""
    members = list(members)
    for start in range(0, len(members), _BATCH):
        batch = members[start : start + _BATCH]
        reach = reach_of([member.pk for member in batch])
        for member in batch:
            if pairs := conflicts_in(reach[member.pk].most):
                raise RightsConflict(conflict_sentence(pairs[0], member.display_name))


def refuse_conflicting_codes(codes: Collection[str]) -> None:
    """Raise RightsConflict when two of these permissions exclude each other."""
    if pairs := conflicts_in(codes):
        raise RightsConflict(conflict_sentence(pairs[0]))


def may_conflict(codes: Collection[str]) -> bool:
    """Whether any of these permissions is part of a refused pair: nobody needs to be looked at where none is."""
    return not _IN_CONFLICTS.isdisjoint(codes)


def reach_of(member_ids: Collection[UUID]) -> dict[UUID, Reach]:
    """The reach of members, three queries for any number of them."""
    now = timezone.now()
    held: dict[UUID, set[str]] = {pk: set() for pk in member_ids}
    roles = HeldRole.objects.filter(membership__in=member_ids).values_list("membership_id", "role__permissions")
    groups = GroupMember.objects.filter(
        membership__in=member_ids, ended_at__isnull=True, group__is_active=True
    ).values_list("membership_id", "group__permissions")
    for member_id, codes in [*roles, *groups]:
        held[member_id].update(codes)
    most = {pk: set(codes) for pk, codes in held.items()}
    least = {pk: set(codes) for pk, codes in held.items()}
    current = Q(valid_until__isnull=True) | Q(valid_until__gt=now)
    grants = list(Grant.objects.filter(current, membership__in=member_ids, ended_at__isnull=True))
    for grant in (grant for grant in grants if not grant.is_denial):
        most[grant.membership_id].add(grant.permission)
        if _is_sure(grant, now):
            least[grant.membership_id].add(grant.permission)
    for denial in (grant for grant in grants if grant.is_denial):
        least[denial.membership_id].discard(denial.permission)
        if _is_sure(denial, now):
            most[denial.membership_id].discard(denial.permission)
    return {pk: Reach(frozenset(most[pk]), frozenset(least[pk])) for pk in held}


def _is_sure(grant: Grant, now: datetime) -> bool:
    return grant.valid_from <= now and grant.valid_until is None


def _has_keeper(permission: Permission) -> bool:
    """Whether an active member of the clinic's own holds this permission for good."""
    roles = [role.pk for role in Role.objects.all() if permission in role.permissions]
    groups = [group.pk for group in Group.objects.filter(is_active=True) if permission in group.permissions]
    held = Membership.objects.active().filter(is_platform=False, ends_at__isnull=True)
    candidates = [
        held.filter(held_roles__role__in=roles),
        held.filter(grants__permission=permission, grants__is_denial=False, grants__ended_at__isnull=True),
        held.filter(group_memberships__group__in=groups, group_memberships__ended_at__isnull=True),
    ]
    for found in candidates:
        for batch in _batches(found.order_by("id").values_list("id", flat=True).distinct()):
            if any(permission in reach.least for reach in reach_of(batch).values()):
                return True
    return False


def _batches(ids: Iterable[UUID]) -> Iterator[list[UUID]]:
    ids = list(ids)
    for start in range(0, len(ids), _BATCH):
        yield ids[start : start + _BATCH]


def refuse_above(member: Membership, *, by: Membership | None) -> None:
    """Who may change roles is shut out, let in or freed of a second factor only by somebody who may change roles, too.

    Otherwise `admin.users` alone could remove every administrator but the last. Raises RuleBroken.
    """
    if by is not None and member.may(Permission.ROLE_MANAGE) and not by.may(Permission.ROLE_MANAGE):
        raise RuleBroken(
            _("%(name)s may change roles; somebody who may do so as well has to do this.")
            % {"name": member.display_name},
            code="above_you",
        )
