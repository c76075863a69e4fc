"""Reading the people of a clinic, their roles and groups: lists, single ones, and what each of them may do."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import CharField, Count, Exists, F, Func, Max, OuterRef, Prefetch, Q, QuerySet, Value
from django.db.models.functions import Concat, Lower
from django.shortcuts import get_object_or_404
from django.utils import timezone

from accounts.permissions import PLATFORM_ROLE, ROLE_ALIASES, Permission
from accounts.users.models import Grant, Group, GroupMember, HeldRole, Membership, Role, Session, User, identity_key
from tenancy.tenants.numbering import by_number_or_id

_ACCENTED = [chr(code) for code in range(0xC0, 0x180) if len(unicodedata.normalize("NFKD", chr(code))) == 2]
_WITH_ACCENTS = "".join(_ACCENTED) + "łŁøØđĐı"
_WITHOUT_ACCENTS = "".join(unicodedata.normalize("NFKD", letter)[0] for letter in _ACCENTED) + "lLoOdDi"


# --- People ----------------------------------------------------------------------------------------------------------


def list_members(
    *, by: Membership, search: str = "", full_name: str = "", role: str = "", is_active: bool | None = None
) -> QuerySet[Membership]:
    """Members of the clinic whom the caller may see, with `user` and `held` (their HeldRole rows with the role).

    `search` takes words that begin any part of the name, or the beginning of the
    e-mail address or user name; `full_name` only the name (Doctolib's
    `search_full_name`). Capitals and accents do not matter. `role` is a code or
    a name the specifications use.
    """
    held = Prefetch("held_roles", HeldRole.objects.select_related("role"), to_attr="held")
    found = Membership.objects.seen_by(by).select_related("user").prefetch_related(held)
    if search.strip() or full_name.strip():
        found = found.annotate(_folded_name=_folded_name())
    if search.strip():
        key = identity_key(search)
        by_account = Q(user__email_key__startswith=key) | Q(user__username_key__startswith=key) if key else Q()
        found = found.filter(_name_begins(search) | by_account)
    if full_name.strip():
        found = found.filter(_name_begins(full_name))
    if role:
        of_role = HeldRole.objects.filter(membership=OuterRef("pk"), role__code=ROLE_ALIASES.get(role, role))
        found = found.filter(Exists(of_role))
    if is_active is not None:
        found = found.filter(is_active=is_active)
    return found


def _folded_name() -> Concat:
    """A person's name in small letters without accents, with a space before each of its words."""
    plain = Func(
        F("user__name"),
        Value(_WITH_ACCENTS),
        Value(_WITHOUT_ACCENTS),
        function="translate",
        output_field=CharField(),
    )
    spaced = Func(Lower(plain), Value("[-'’.]"), Value(" "), Value("g"), function="regexp_replace")
    return Concat(Value(" "), spaced, output_field=CharField())


def _name_begins(words: str) -> Q:
    folded = words.translate(str.maketrans(_WITH_ACCENTS, _WITHOUT_ACCENTS)).lower()
    query = Q()
    for word in re.split(r"[-'’.\s]+", folded):
        if word:
            query &= Q(_folded_name__contains=f" {word}")
    return query


def get_member(user_id: UUID | str, *, by: Membership) -> Membership:
    """The member of this clinic with this person's id. Raises Http404 for an unknown id and for a stranger's."""
    return get_object_or_404(Membership.objects.seen_by(by).select_related("user", "tenant"), user_id=user_id)


def lock_person(member: Membership) -> None:
    """Whoever changes this person, or what they are here, waits until this transaction ends."""
    User.objects.select_for_update().filter(pk=member.user_id).values_list("pk").first()


def get_member_by_id(member_id: UUID | str, *, by: Membership) -> Membership:
    """The member of this clinic with this membership's id, as pages name people. Raises Http404."""
    return get_object_or_404(Membership.objects.seen_by(by).select_related("user", "tenant"), pk=member_id)


def hold_roles(members: Iterable[Membership]) -> None:
    """Let members of `list_members` know their roles from what was read with them."""
    for member in members:
        member.hold_roles(row.role for row in getattr(member, "held", []))


def last_seen(members: Iterable[Membership]) -> dict[UUID, datetime]:
    """When each of these members was last seen here; who never came in is missing."""
    seen = Session.objects.filter(membership__in=[member.pk for member in members])
    rows = seen.values("membership_id").annotate(at=Max("last_seen_at")).values_list("membership_id", "at")
    return dict(rows)


def list_live_sessions(member: Membership) -> QuerySet[Session]:
    """Where a member is signed in now, the latest first."""
    return Session.objects.live(timezone.now()).filter(membership=member).order_by("-last_seen_at")


def get_session(member: Membership, session_id: UUID | str) -> Session:
    """A sign-in of this member. Raises Http404."""
    return get_object_or_404(Session, pk=session_id, membership=member)


# --- Rights ----------------------------------------------------------------------------------------------------------


def list_grants(member: Membership) -> QuerySet[Grant]:
    """Grants and denials of a member, the latest first, those that are over included."""
    people = ("granted_by__user", "ended_by__user")
    return Grant.objects.filter(membership=member).select_related(*people).order_by("-created_at", "-id")


def get_grant(member: Membership, grant_id: UUID | str) -> Grant:
    """A grant of this member. Raises Http404."""
    grants = Grant.objects.select_related("membership__user", "membership__tenant")
    return get_object_or_404(grants, pk=grant_id, membership=member)


# --- Roles -----------------------------------------------------------------------------------------------------------


def list_roles() -> QuerySet[Role]:
    """The clinic's roles, the built-in ones first in their order; the platform's is nobody's to give."""
    return Role.objects.exclude(code=PLATFORM_ROLE).order_by("-is_built_in", "number")


def with_holders(roles: QuerySet[Role]) -> QuerySet[Role]:
    """Roles with `holders`, how many active members have them."""
    return roles.annotate(holders=Count("held_by", filter=Q(held_by__membership__is_active=True)))


def get_role(key: str) -> Role:
    """A role by its number in this clinic or by its uuid. Raises Http404."""
    return get_object_or_404(list_roles(), **by_number_or_id(key))


def list_holders(role: Role) -> QuerySet[Membership]:
    """Active members who have a role, by name."""
    held = HeldRole.objects.filter(role=role).values("membership")
    return Membership.objects.filter(pk__in=held, is_active=True).select_related("user").order_by("user__name", "id")


# --- Groups ----------------------------------------------------------------------------------------------------------


def list_groups(*, by: Membership, include_ended: bool = False) -> QuerySet[Group]:
    """All groups for who manages them, the own ones for everybody else, with `size`, how many are in them."""
    found = Group.objects.annotate(size=Count("members", filter=Q(members__ended_at__isnull=True)))
    if not by.may(Permission.GROUP_MANAGE):
        mine = GroupMember.objects.filter(membership=by, ended_at__isnull=True).values("group")
        found = found.filter(pk__in=mine, is_active=True)
    return found if include_ended else found.filter(is_active=True)


def list_groups_of(member: Membership) -> QuerySet[Group]:
    """The active groups a member is in now, by name."""
    mine = GroupMember.objects.filter(membership=member, ended_at__isnull=True).values("group")
    return Group.objects.filter(pk__in=mine, is_active=True).order_by("name", "id")


def get_group(key: str, *, by: Membership) -> Group:
    """A group by its number in this clinic or by its uuid; one that `by` may not see is not there. Raises Http404."""
    return get_object_or_404(list_groups(by=by, include_ended=True), **by_number_or_id(key))


def list_group_members(group: Group) -> QuerySet[GroupMember]:
    """Who is in a group now, by name."""
    rows = GroupMember.objects.filter(group=group, ended_at__isnull=True)
    return rows.select_related("membership__user").order_by("membership__user__name", "id")
