"""Which credential an API request carries (decision X1: exactly one counts)."""

from dataclasses import dataclass

from .tokens import Claims, TokenRefused, read_token

ACCESS_COOKIE = "access_token"
REFRESH_COOKIE = "refresh_token"
CSRF_COOKIE = "XSRF-TOKEN"


class TwoCallers(Exception):
    """Two credentials in one request that name different callers."""


@dataclass(frozen=True)
class Credential:
    """How the caller proved who they are. `claims` is None where the token was refused."""

    kind: str
    claims: Claims | None


def read_credential(request) -> Credential | None:
    """The one credential of a request: Bearer, else the access cookie, else None.

    Both may come along when they name the same session. Raises TwoCallers otherwise.
    """
    found = []
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found.append(_read("bearer", token.strip(" ")))
    if cookie := request.COOKIES.get(ACCESS_COOKIE):
        found.append(_read("cookie", cookie))
    if len(found) == 2 and not _same_caller(*found):
        raise TwoCallers
    return found[0] if found else None


def _read(kind: str, token: str) -> Credential:
    try:
        return Credential(kind, read_token(token, kind="access"))
    except TokenRefused:
        return Credential(kind, None)


def _same_caller(first: Credential, second: Credential) -> bool:
    # A stale cookie beside a good token names nobody; it is not a second caller.
    if first.claims is None or second.claims is None:
        return second.claims is None
    return first.claims.session_id == second.claims.session_id
