"""Finding people and memberships."""

from datetime import timedelta
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone

from tenancy.tenants.models import Tenant

from .models import Membership, Session, User, identity_key


def find_user(identifier: str) -> User | None:
    """The person with this e-mail address or user name, in any spelling; None when there is nobody."""
    key = identity_key(identifier)
    if not key or len(key) > 300:
        return None
    return User.objects.filter(Q(email_key=key) | Q(username_key=key)).first()


def list_workplaces(user: User) -> QuerySet[Tenant]:
    """The clinics this person may enter, by name."""
    return Tenant.objects.filter(is_active=True, id__in=user.workplaces.values("tenant_id")).order_by("name")


def get_member(user: User) -> Membership | None:
    """The person's active membership in the current clinic, or None."""
    return Membership.objects.active().select_related("user").filter(user=user).first()


def get_live_session(session_id: UUID | str) -> Session | None:
    """A session of the current clinic that is neither revoked nor expired.

    None also when the person, the membership or the clinic is not active any
    more, and when a browser was idle for longer than the clinic allows.
    """
    return (
        Session.objects.live(timezone.now())
        .select_related("membership__user", "tenant")
        .filter(pk=session_id, membership__in=Membership.objects.active(), tenant__is_active=True)
        .first()
    )


ENDED_SHOWN_FOR = timedelta(days=30)
MOST_ENDED_SHOWN = 50


def list_sign_ins(member: Membership) -> tuple[list[Session], list[Session]]:
    """Where a member is signed in to this clinic, and what ended in the last 30 days; last seen first."""
    now = timezone.now()
    mine = Session.objects.filter(membership=member).select_related("membership__user").order_by("-last_seen_at", "pk")
    live = list(mine.filter(pk__in=Session.objects.live(now).filter(membership=member).values("pk")))
    ended = mine.filter(last_seen_at__gt=now - ENDED_SHOWN_FOR).exclude(pk__in=[session.pk for session in live])
    return live, list(ended[:MOST_ENDED_SHOWN])


def get_sign_in(session_id: UUID | str, *, member: Membership) -> Session:
    """One of a member's own sessions, ended or not. Raises Http404 for anybody else's."""
    return get_object_or_404(
        Session.objects.filter(membership=member).select_related("membership__user"), pk=session_id
    )


def get_page_session(session_id: UUID | str) -> Session | None:
    """A browser's session in the current clinic that nobody has ended, asleep or not; None when it is worthless.

    Asleep is a session that was idle for too long or has come to its end. It
    opens nothing any more, but says whose words are in a form that was sent too
    late (accounts.drafts).
    """
    everywhere = F("membership__user__signed_out_before")
    stays = Q(membership__user__signed_out_before__isnull=True) | Q(valid_from__gte=everywhere)
    return (
        Session.objects.select_related("membership__user", "tenant")
        .filter(stays, pk=session_id, kind=Session.Kind.PAGE, revoked_at__isnull=True, tenant__is_active=True)
        .filter(membership__in=Membership.objects.active())
        .first()
    )


def may_have(permission: str) -> QuerySet[Membership]:
    """Active members to whom a role, a group or a grant gives this permission, denials not looked at; one statement."""
    code = str(permission)
    from_roles = Q(held_roles__role__permissions__contains=[code])
    from_groups = Q(
        group_memberships__ended_at__isnull=True,
        group_memberships__group__is_active=True,
        group_memberships__group__permissions__contains=[code],
    )
    found = Membership.objects.filter(from_roles | from_groups | Q(grants__permission=code, grants__is_denial=False))
    return Membership.objects.active().select_related("user").filter(pk__in=found.values("pk"))


def list_members_who_may(permission: str) -> list[Membership]:
    """Active members who have this permission now. Asks for the rights of each: for the few that are told of things."""
    return [member for member in may_have(permission) if member.may(permission)]
