"""The cookies of the API, set and cleared with the very same attributes (decisions X4, X6; security.md AU-25).

The cookie flavour (/api/auth) has three of them, as MediSecure lists them. The
token flavour (/api/v1/auth) keeps only its refresh token in one, on a path of
its own, so that the two never overwrite each other.
"""

from django.conf import settings
from django.http import HttpResponseBase

from .authentication import csrf_token_for
from .credentials import ACCESS_COOKIE, CSRF_COOKIE, REFRESH_COOKIE
from .models import Session
from .tokens import access_seconds, issue_tokens, refresh_seconds

REFRESH_PATH = "/api/auth/refresh"
TOKEN_REFRESH_PATH = "/api/v1/auth/refresh"  # noqa: S105  (a path)


def set_cookies(response: HttpResponseBase, session: Session) -> None:
    """Fresh tokens of a session as the three cookies. Runs inside the session's clinic."""
    access, refresh = issue_tokens(session)
    _set(response, ACCESS_COOKIE, access, access_seconds())
    _set(response, REFRESH_COOKIE, refresh, refresh_seconds(), path=REFRESH_PATH)
    _set(response, CSRF_COOKIE, csrf_token_for(session), refresh_seconds(), httponly=False)


def clear_cookies(response: HttpResponseBase) -> None:
    """Make a browser forget the three."""
    _set(response, ACCESS_COOKIE, "", 0)
    _set(response, REFRESH_COOKIE, "", 0, path=REFRESH_PATH)
    _set(response, CSRF_COOKIE, "", 0, httponly=False)


def set_refresh_cookie(response: HttpResponseBase, refresh: str) -> None:
    """The one cookie of the token flavour."""
    _set(response, REFRESH_COOKIE, refresh, refresh_seconds(), path=TOKEN_REFRESH_PATH)


def clear_refresh_cookie(response: HttpResponseBase) -> None:
    _set(response, REFRESH_COOKIE, "", 0, path=TOKEN_REFRESH_PATH)


def _set(response, name, value, max_age, *, path="/", httponly=True):
    response.set_cookie(
        name, value, max_age=max_age, path=path, httponly=httponly, secure=settings.TOKEN_COOKIES_SECURE,
        samesite="Strict",
    )  # fmt: skip
