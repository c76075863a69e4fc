"""Access and refresh tokens: made and read here, so that every claim is checked in one place (decision X7)."""

import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

from django.conf import settings
from jwt.utils import base64url_decode, base64url_encode
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from .models import Session

LONGEST_TOKEN = 4096
CLAIM_TYPES = {"sub": str, "sid": str, "tenant": str, "type": str, "jti": str, "iss": str, "iat": int, "exp": int}
_THREE_PARTS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


class TokenRefused(Exception):
    """A token that is altered, of the wrong kind or incomplete. The message says nothing of which."""


class TokenExpired(TokenRefused):
    """A token of ours whose time is over."""


class SessionOver(TokenRefused):
    """A token of ours whose session has ended, or whose person may not come in any more."""


@dataclass(frozen=True)
class Claims:
    """What a token says, after its signature, times, issuer, audience and type have been checked."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    tenant_id: uuid.UUID
    jti: uuid.UUID
    issued_at: datetime


def issue_tokens(session: Session) -> tuple[str, str]:
    """An access and a refresh token for a session; the refresh token's jti is the session's `refresh_jti`.

    Neither says it lives longer than the session does (security.md AU-34).
    """
    access, refresh = AccessToken(), RefreshToken()
    member = session.membership
    for token in (access, refresh):
        token["sub"] = str(member.user_id)
        token["sid"] = str(session.pk)
        token["tenant"] = str(session.tenant_id)
        token["exp"] = min(token["exp"], int(session.expires_at.timestamp()))
    refresh["jti"] = str(session.refresh_jti)
    access["jti"] = str(uuid.uuid4())
    # For reading only: what somebody may do is asked of the database at every request.
    access["role"] = member.roles[0].code if member.roles else ""
    access["email"] = member.user.email
    return str(access), str(refresh)


def read_token(text: str, *, kind: str) -> Claims:
    """The claims of an access or refresh token (`kind`). Raises TokenRefused or TokenExpired.

    The library checks signature, times, issuer, audience and type (RFC 8725).
    Before that the text has to be in the one form we write tokens in, which
    leaves no header for anybody to choose a key or an algorithm by; after it
    the claims have to be of the types we write.
    """
    if len(text) > LONGEST_TOKEN or not _is_our_form(text):
        raise TokenRefused
    try:
        (AccessToken if kind == "access" else RefreshToken)(text)  # type: ignore[arg-type]
        claims = _read_strictly(text)
        return Claims(
            user_id=uuid.UUID(claims["sub"]),
            session_id=uuid.UUID(claims["sid"]),
            tenant_id=uuid.UUID(claims["tenant"]),
            jti=uuid.UUID(claims["jti"]),
            issued_at=datetime.fromtimestamp(claims["iat"], timezone.utc),
        )
    except ExpiredTokenError:
        raise TokenExpired from None
    except (TokenError, KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise TokenRefused from None


def _is_our_form(text: str) -> bool:
    """Three parts of canonical base64url, and the header that we write ourselves."""
    found = _THREE_PARTS.fullmatch(text)
    return found is not None and found[1] == _our_header() and all(_is_canonical(part) for part in found.groups())


def _is_canonical(part: str) -> bool:
    """Whether this is the one way to write these bytes: no padding, no spare bits."""
    try:
        return base64url_encode(base64url_decode(part)).decode() == part
    except ValueError:
        return False


@lru_cache(maxsize=1)
def _our_header() -> str:
    return str(AccessToken()).partition(".")[0]


def _read_strictly(text: str) -> dict[str, Any]:
    """The claims of a token whose signature holds, each named once and of the type we write it in."""
    claims = dict(json.loads(base64url_decode(text.split(".")[1]), object_pairs_hook=_without_duplicates))
    if any(type(claims[name]) is not kind for name, kind in CLAIM_TYPES.items()) or claims["exp"] <= claims["iat"]:
        raise TokenRefused
    return claims


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _value in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


def access_seconds() -> int:
    """Life of an access token, also the Max-Age of its cookie."""
    return int(settings.ACCESS_TOKEN_LIFETIME.total_seconds())


def refresh_seconds() -> int:
    """Life of a refresh token, also the Max-Age of its cookie."""
    return int(settings.REFRESH_TOKEN_LIFETIME.total_seconds())
