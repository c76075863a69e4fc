"""What a person has set up, and who may hear of it."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django_otp_webauthn.models import WebAuthnCredential

from accounts.permissions import Permission
from accounts.users.models import Membership, Session, User

from .models import Authenticator, RecoveryCode, RecoveryCodes

RECENTLY = timedelta(minutes=5)
AFTER_SIGN_IN = timedelta(minutes=15)


def get_authenticator(user: User) -> Authenticator | None:
    """The person's authenticator that is in use, or None."""
    return Authenticator.objects.filter(user=user, confirmed=True).first()


def list_passkeys(user: User) -> QuerySet[WebAuthnCredential]:
    """The person's passkeys, the oldest first."""
    return WebAuthnCredential.objects.filter(user=user, confirmed=True).order_by("created_at", "pk")


def get_recovery_codes(user: User) -> RecoveryCodes | None:
    """The person's sheet of codes, or None."""
    return RecoveryCodes.objects.filter(user=user).first()


def count_recovery_codes(user: User) -> int:
    """How many recovery codes are left."""
    return RecoveryCode.objects.filter(sheet__user=user, used_at__isnull=True).count()


def has_second_factor(user: User) -> bool:
    """Whether anything is set up that a sign-in asks for. Recovery codes alone are none."""
    return get_authenticator(user) is not None or list_passkeys(user).exists()


def was_recently_proved(session: Session) -> bool:
    """Whether this sign-in itself has just proved everything its person has, so that they need not again (ASVS 7.5.1).

    Five minutes where a second factor was proved, fifteen after a password where
    there is none yet: enrolling follows signing in. A session that goes on from
    another clinic has proved nothing itself; it is known by its shorter life.
    """
    user = session.membership.user
    if session.kind == Session.Kind.PAGE:
        whole = timedelta(hours=session.tenant.session_hours)
        if session.expires_at - session.created_at < whole - timedelta(minutes=1):
            return False
    if user.has_second_factor:
        return bool(session.second_factor) and timezone.now() - session.valid_from < RECENTLY
    return timezone.now() - session.valid_from < AFTER_SIGN_IN


def list_user_admins() -> QuerySet[Membership]:
    """The members of this clinic who manage its people by one of their roles."""
    manages = Q(held_roles__role__permissions__contains=[str(Permission.USER_MANAGE)])
    return Membership.objects.active().filter(manages, is_platform=False).select_related("user").distinct()


def works_elsewhere(member: Membership) -> bool:
    """Whether the person also belongs to another clinic that is open."""
    return member.user.workplaces.filter(tenant__is_active=True).exclude(tenant=member.tenant_id).exists()


def get_member(pk: UUID | str) -> Membership:
    """A member of this clinic, active or not. Raises Http404, for strangers as for nobody."""
    return get_object_or_404(Membership.objects.select_related("user"), pk=pk)


def get_member_of(user_id: UUID | str) -> Membership:
    """The member of this clinic with this person's id, as the API names people. Raises Http404 as `get_member`."""
    return get_object_or_404(Membership.objects.select_related("user"), user_id=user_id)


def get_passkey(pk: int, *, user: User) -> WebAuthnCredential:
    """A passkey of this person. Raises Http404."""
    return get_object_or_404(list_passkeys(user), pk=pk)
