"""Access and refresh tokens: made and read here, so that every claim is checked in one place (decision X7)."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

from django.conf import settings
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from .models import Session


class TokenRefused(Exception):
    """A token that is altered, expired, of the wrong kind or incomplete. The message says nothing of which."""


@dataclass(frozen=True)
class Claims:
    """What a token says, after its signature, times, issuer, audience and type have been checked."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    tenant_id: uuid.UUID
    jti: uuid.UUID
    issued_at: datetime


def issue_tokens(session: Session) -> tuple[str, str]:
    """An access and a refresh token for a session; the refresh token's jti is the session's `refresh_jti`."""
    access, refresh = AccessToken(), RefreshToken()
    member = session.membership
    for token in (access, refresh):
        token["sub"] = str(member.user_id)
        token["sid"] = str(session.pk)
        token["tenant"] = str(session.tenant_id)
    refresh["jti"] = str(session.refresh_jti)
    access["jti"] = str(uuid.uuid4())
    # For reading only: what somebody may do is asked of the database at every request.
    access["role"] = member.roles[0].code if member.roles else ""
    access["email"] = member.user.email
    return str(access), str(refresh)


def read_token(text: str, *, kind: str) -> Claims:
    """The claims of an access or refresh token (`kind`). Raises TokenRefused."""
    if len(text) > 4096:
        raise TokenRefused
    try:
        token = (AccessToken if kind == "access" else RefreshToken)(text)  # type: ignore[arg-type]
        return Claims(
            user_id=uuid.UUID(token["sub"]),
            session_id=uuid.UUID(token["sid"]),
            tenant_id=uuid.UUID(token["tenant"]),
            jti=uuid.UUID(token["jti"]),
            issued_at=datetime.fromtimestamp(token["iat"], timezone.utc),
        )
    except (TokenError, KeyError, ValueError, TypeError, AttributeError, OverflowError):
        raise TokenRefused from None


def access_seconds() -> int:
    """Life of an access token, also the Max-Age of its cookie."""
    return int(settings.ACCESS_TOKEN_LIFETIME.total_seconds())


def refresh_seconds() -> int:
    """Life of a refresh token, also the Max-Age of its cookie."""
    return int(settings.REFRESH_TOKEN_LIFETIME.total_seconds())
