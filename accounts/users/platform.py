"""The platform administrator works inside one clinic at a time, for an hour, with a reason (issue 3, section 6).

A visit is a membership like any other, so that every guard, row policy and
audit line knows it; it is marked `is_platform`, holds the one role the
platform has, and ends by itself. It makes no workplace: nobody signs in to it.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.services import notify
from accounts.permissions import PLATFORM_ROLE, Permission
from tenancy.audit import services as audit
from tenancy.rules import NotAllowed, RuleBroken
from tenancy.tenants.models import Tenant

from .models import HeldRole, Membership, Role, User
from .notices import PLATFORM_ENTERED
from .selectors import list_members_who_may

VISIT = timedelta(hours=1)
SHORTEST_REASON = 10


def list_clinics(search: str = "") -> QuerySet[Tenant]:
    """Every open clinic whose name or short name holds these words, by name."""
    words = search.strip()[:100].replace("\x00", "")
    return Tenant.objects.filter(Q(name__icontains=words) | Q(slug__icontains=words), is_active=True).order_by("name")


@transaction.atomic
def begin_visit(user: User, *, reason: str) -> Membership:
    """Let a platform administrator into the current clinic until an hour from now; the trail says why.

    Raises NotAllowed for anybody else, RuleBroken without a reason and for
    somebody who is a member of this clinic anyway, active or not.
    """
    if not (user.is_platform_admin and user.is_active):
        raise NotAllowed(_("You may not do this."))
    reason = " ".join(reason.replace("\x00", "").split())[:300]
    if len(reason) < SHORTEST_REASON:
        raise RuleBroken(_("Say in a few words why you enter this clinic."))
    now = timezone.now()
    member, _made = Membership.objects.get_or_create(user=user, defaults={"is_platform": True, "ends_at": now + VISIT})
    member = Membership.objects.select_for_update(of=("self",)).select_related("user").get(pk=member.pk)
    if not member.is_platform:
        raise RuleBroken(_("You are a member of this clinic. Enter it as such."))
    member.is_active, member.ends_at = True, now + VISIT
    member.save(update_fields=["is_active", "ends_at"])
    role = Role.objects.get(code=PLATFORM_ROLE)
    HeldRole.objects.filter(membership=member).exclude(role=role).delete()
    HeldRole.objects.get_or_create(membership=member, role=role)
    audit.record("platform_entered", member, by=member, reason=reason, details={"until": member.ends_at.isoformat()})
    _tell_administrators(member, reason)
    return member


def _tell_administrators(member: Membership, reason: str) -> None:
    assert member.ends_at is not None
    told = [one for one in list_members_who_may(Permission.USER_MANAGE) if one.pk != member.pk]
    until = timezone.localtime(member.ends_at, member.tenant.zone).strftime("%H:%M")
    params = {"name": member.display_name, "clinic": member.tenant.name, "until": until, "reason": reason}
    notify(PLATFORM_ENTERED, told, params=params, about=member)


@transaction.atomic
def end_visit(member: Membership) -> None:
    """The platform administrator leaves the current clinic; sessions here are over. Ending it twice is no error."""
    now = timezone.now()
    if Membership.objects.filter(pk=member.pk, is_platform=True, ends_at__gt=now).update(ends_at=now):
        audit.record("platform_left", member, by=member)
