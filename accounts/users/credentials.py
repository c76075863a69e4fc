"""Which credential an API request carries (decision X1: exactly one counts)."""

from dataclasses import dataclass

from accounts.api_keys.key_text import SentKey, read_key
from accounts.guards import FOR_SERVERS

from .tokens import Claims, TokenRefused, read_token

ACCESS_COOKIE = "access_token"
REFRESH_COOKIE = "refresh_token"
CSRF_COOKIE = "XSRF-TOKEN"
KEY_HEADER = "X-Api-Key"


class TwoCallers(Exception):
    """Two credentials in one request that name different callers."""


@dataclass(frozen=True)
class Credential:
    """How the caller proved who they are. `claims` is None where the token was refused, and always for a key.

    `key` is what an API key claims, None where no key of ours looks like that
    or this door takes none; whether it is true is looked up inside its clinic.
    """

    kind: str
    claims: Claims | None
    key: SentKey | None = None


def read_credential(request) -> Credential | None:
    """The one credential of a request: API key, else Bearer, else the access cookie, else None.

    Bearer and cookie may come along when they name the same session. Raises
    TwoCallers for everything else that comes together.
    """
    for_servers = FOR_SERVERS.match(request.path_info) is not None
    found = []
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found.append(_read("bearer", token.strip(" ")))
    if cookie := request.COOKIES.get(ACCESS_COOKIE):
        found.append(_read("cookie", cookie))
    if text := request.headers.get(KEY_HEADER, ""):
        if any(other.claims for other in found):
            raise TwoCallers
        return Credential("key", None, read_key(text) if for_servers else None)
    if len(found) == 2 and not _same_caller(*found):
        raise TwoCallers
    if not found or (for_servers and found[0].kind == "cookie"):
        return None
    return found[0]


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
