"""Links that mails carry. Each is signed, says what it is good for, and is made when the mail leaves.

Whoever holds a link has the mailbox; so every link works once, and a newer one
of the same kind makes it worthless: the number it carries (`version`) is that of
the row it belongs to, or it is not.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core import signing
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from django.utils.translation import gettext as _

from accounts.users.models import User
from tenancy.rules import RuleBroken

from .models import INVITATION_LIFETIME, Invitation

CONFIRMATION_LIFETIME = timedelta(days=3)
_INVITATION, _ADDRESS = "carewright.invitation", "carewright.address"


class LinkRefused(RuleBroken):
    """A link that opens nothing (any more). `code`: link_invalid, link_expired, link_used or link_withdrawn."""

    code = "link_invalid"

    @property
    def is_gone(self) -> bool:
        """It was good once."""
        return self.code != "link_invalid"


def invalid() -> LinkRefused:
    return LinkRefused(_("This link is not complete, or it was changed. Open it from the mail again."))


def expired() -> LinkRefused:
    return LinkRefused(_("This link is too old. Ask for a new one."), code="link_expired")


def used() -> LinkRefused:
    return LinkRefused(_("This link was used already, or a newer one was sent."), code="link_used")


def withdrawn() -> LinkRefused:
    return LinkRefused(
        _("This invitation was withdrawn. Ask the clinic if you did not expect that."), code="link_withdrawn"
    )


# --- Invitations -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InvitationClaim:
    """What an invitation's link says. The row decides whether it is so."""

    tenant_id: UUID
    invitation_id: UUID
    roles: tuple[str, ...]
    version: int


def sign_invitation(invitation: Invitation) -> str:
    """The token in the link of an invitation; the roles are in it, so that nobody can accept with other ones."""
    return signing.TimestampSigner(salt=_INVITATION).sign_object(
        {
            "tenant": str(invitation.tenant_id),
            "invitation": str(invitation.pk),
            "roles": sorted(invitation.roles),
            "version": invitation.version,
        }
    )


def read_invitation(token: str) -> InvitationClaim:
    """What a token claims. Raises LinkRefused where we have not signed it, or more than a week ago."""
    claims = _read(token, _INVITATION, INVITATION_LIFETIME)
    try:
        return InvitationClaim(
            UUID(claims["tenant"]), UUID(claims["invitation"]), tuple(claims["roles"]), int(claims["version"])
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise invalid() from None


# --- E-mail addresses ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AddressClaim:
    """Somebody reads mail at this address, and it belongs to this person. `tenant_id`: the clinic it was asked in."""

    tenant_id: UUID
    user_id: UUID
    email: str
    version: int


def sign_address(user: User, *, email: str, tenant_id: UUID) -> str:
    """The token that proves somebody reads mail at this address."""
    return signing.TimestampSigner(salt=_ADDRESS).sign_object(
        {"tenant": str(tenant_id), "user": str(user.pk), "email": email, "version": user.link_version}
    )


def read_address(token: str) -> AddressClaim:
    """What a token claims. Raises LinkRefused where we have not signed it, or too long ago."""
    claims = _read(token, _ADDRESS, CONFIRMATION_LIFETIME)
    try:
        return AddressClaim(UUID(claims["tenant"]), UUID(claims["user"]), str(claims["email"]), int(claims["version"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise invalid() from None


def _read(token: str, salt: str, lifetime: timedelta) -> Any:
    try:
        return signing.TimestampSigner(salt=salt).unsign_object(token, max_age=lifetime)
    except signing.SignatureExpired:
        raise expired() from None
    except (signing.BadSignature, ValueError, UnicodeError):
        raise invalid() from None


# --- Passwords -------------------------------------------------------------------------------------------------------


class PasswordLink(PasswordResetTokenGenerator):
    """Django's token of PASSWORD_RESET_TIMEOUT; a new password, another address or a newer link makes it worthless."""

    key_salt = "carewright.password"

    def _make_hash_value(self, user, timestamp):
        return f"{user.pk}{user.password}{timestamp}{user.email_key}{user.link_version}"


password_link = PasswordLink()


def sign_password(user: User) -> tuple[str, str]:
    """Who, and the token: the two parts of the address where a password is set."""
    return urlsafe_base64_encode(force_bytes(user.pk)), password_link.make_token(user)


def read_user_id(uid: str) -> UUID | None:
    """The id in the first part of such an address; None where it is none."""
    try:
        return UUID(urlsafe_base64_decode(uid).decode())
    except (ValueError, UnicodeError):
        return None
