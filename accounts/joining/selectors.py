"""Reading invitations, and whom a link belongs to."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from accounts.permissions import PLATFORM_ROLE, Permission
from accounts.users.models import Membership, Role, User, identity_key

from . import links
from .links import AddressClaim, InvitationClaim, LinkRefused
from .models import Invitation

PLAIN_ROLES = ("patient", "user")
"""What who may manage people, and not roles, may let others in as."""


def list_open_invitations() -> QuerySet[Invitation]:
    """Invitations nobody has answered, newest first."""
    return Invitation.objects.open().select_related("invited_by__user").order_by("-created_at", "-id")


def get_invitation(pk: UUID) -> Invitation:
    """An open invitation of this clinic, or 404."""
    return get_object_or_404(list_open_invitations(), pk=pk)


def list_roles_to_give(*, by: Membership) -> QuerySet[Role]:
    """The roles this member may let somebody in with, in the clinic's order. The platform's is nobody's to give."""
    roles = Role.objects.exclude(code=PLATFORM_ROLE).order_by("number")
    return roles if by.may(Permission.ROLE_MANAGE) else roles.filter(code__in=PLAIN_ROLES)


def list_roles() -> QuerySet[Role]:
    """All roles of the clinic, in its order."""
    return Role.objects.order_by("number")


def words_for_roles(codes: Iterable[str], labels: Mapping[str, str] | None = None) -> str:
    """Roles in the reader's words, with commas between; a role that is gone by its code."""
    labels = labels or {role.code: role.label for role in list_roles()}
    return ", ".join(str(labels.get(code, code)) for code in codes)


def find_invited(claim: InvitationClaim, *, lock: bool = False) -> Invitation:
    """The invitation a link belongs to, still open. Runs inside the clinic that the link names.

    Raises LinkRefused: unknown or other roles than were offered, withdrawn, used or replaced, too old.
    """
    invitations = Invitation.objects.all()
    if lock:
        invitations = invitations.select_for_update(of=("self",), no_key=True)
    invitation = invitations.filter(pk=claim.invitation_id).first()
    if invitation is None:
        raise links.invalid()
    if invitation.withdrawn_at:
        raise links.withdrawn()
    if invitation.accepted_at or invitation.version != claim.version:
        raise links.used()
    if sorted(invitation.roles) != sorted(claim.roles):
        raise links.invalid()
    if invitation.is_expired:
        raise links.expired()
    return invitation


def find_person(email: str) -> User | None:
    """Who has this very address, in any spelling of it; a user name is no address."""
    return User.objects.filter(email_key=identity_key(email)[:600]).first()


def awaits_confirmation(user: User) -> bool:
    """Registered by themself and never confirmed: nobody has shown yet that the address is theirs."""
    return (
        not user.is_active
        and user.email_confirmed_at is None
        and bool(user.pending_email)
        and identity_key(user.pending_email) == user.email_key
    )


def find_claimant(claim: AddressClaim, *, lock: bool = False) -> User:
    """The person an address was to be confirmed for. Raises LinkRefused where the link is not the latest."""
    users = User.objects.select_for_update(no_key=True) if lock else User.objects.all()
    user = users.filter(pk=claim.user_id).first()
    if user is None:
        raise links.invalid()
    if user.link_version != claim.version or claim.email not in {user.pending_email, user.email}:
        raise links.used()
    if not user.is_active and not awaits_confirmation(user):
        raise LinkRefused(_("This account is closed. Ask your clinic."), code="link_used")
    return user


def find_by_password_link(uid: str, token: str, *, lock: bool = False) -> User:
    """The person who may set a password with this link. Raises LinkRefused; why it does not work stays ours."""
    users = User.objects.select_for_update(no_key=True) if lock else User.objects.all()
    user_id = links.read_user_id(uid)
    user = users.filter(pk=user_id, is_active=True).first() if user_id else None
    if user is None or not links.password_link.check_token(user, token):
        raise LinkRefused(
            _("This link does not work: it is too old, was used already, or a newer one was sent."), code="link_used"
        )
    return user
