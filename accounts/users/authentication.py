"""How the API learns who is calling. The middleware has read the token; this says so to DRF."""

from django.core import signing
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import ParseError

from accounts.guards import FOR_SERVERS
from tenancy.doors.origins import is_cross_site
from tenancy.rules import NotAllowed

from .credentials import ACCESS_COOKIE, CSRF_COOKIE, REFRESH_COOKIE

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_CSRF_SALT = "carewright.csrf"


class OneCredential(BaseAuthentication):
    """Access cookie or Bearer, never two callers in one request (decision X1).

    A refused token gives nobody, and the guard answers 401 where somebody is
    needed: a stale cookie must not keep anyone from signing in again.
    """

    def authenticate(self, request):
        if request._request.two_callers:
            raise ParseError(_("This request carries two credentials that name different callers."))
        if request.member is None:
            return None
        if request.credential.kind == "cookie":
            refuse_cross_site(request)
        # A key is no person; nothing in the house asks DRF who it is.
        return getattr(request.member, "user", request.member), request.credential

    def authenticate_header(self, request):
        return 'ApiKey realm="carewright"' if FOR_SERVERS.match(request.path_info) else 'Bearer realm="carewright"'


def refuse_cross_site(request, *, header_required: bool = False) -> None:
    """Decision X5, for a request that a cookie vouches for. Raises NotAllowed ("CSRF failed")."""
    if request.method in SAFE_METHODS:
        return
    header = request.headers.get("X-CSRF-Token")
    if is_cross_site(request) or _came_twice(request) or (header is None and header_required):
        raise NotAllowed(_("CSRF failed"), code="csrf_failed")
    if header is not None and not _csrf_token_holds(request, header):
        raise NotAllowed(_("CSRF failed"), code="csrf_failed")


def _came_twice(request) -> bool:
    """Whether one of our cookies is there more than once: another site of the same domain has planted its own."""
    names = [pair.partition("=")[0].strip() for pair in request.META.get("HTTP_COOKIE", "").split(";")]
    return any(names.count(name) > 1 for name in (ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE))


def csrf_token_for(session) -> str:
    """The value of the XSRF-TOKEN cookie: signed, and good for this one session only."""
    return signing.Signer(salt=_CSRF_SALT).sign(str(session.pk))


def _csrf_token_holds(request, header: str) -> bool:
    cookie = request.COOKIES.get(CSRF_COOKIE, "")
    try:
        session_id = signing.Signer(salt=_CSRF_SALT).unsign(header)
    except signing.BadSignature:
        return False
    mine = request.sign_in is None or constant_time_compare(session_id, str(request.sign_in.pk))
    return mine and constant_time_compare(cookie.encode(), header.encode())
