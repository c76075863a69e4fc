"""Finding people and memberships."""

from uuid import UUID

from django.db.models import Q, QuerySet
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
