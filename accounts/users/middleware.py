"""One request, one clinic, one transaction."""

import re

import structlog
from django.db import transaction
from django.utils import timezone

from tenancy.tenants.context import tenant_context

from . import selectors, sessions
from .credentials import TwoCallers, read_credential
from .entering import is_own_session, speak_language_of
from .recognition import recognise_session

API = re.compile(r"^/(api|v1|fhir)(/|$)")
# These choose the clinic themselves, from what the body, a mailed link or the refresh token says.
# Registering does only without a credential: an administrator works inside the clinic they are in.
CHOOSES_TENANT = re.compile(
    r"^/(sign-in|join|password-reset|confirm-email|clinics/enter|calendar)(/|$)"
    r"|^/api(/v1)?/auth/(login|token|refresh|password/reset(/confirm)?|confirm-email)/?$"
)

# Sent by our own script with what it asks for by itself: looking at a page that refreshes is no activity.
BACKGROUND_HEADER = "X-Background"


class MemberMiddleware:
    """Sets `request.member` and `request.tenant`, and runs the request inside that clinic's transaction.

    Pages and admin bring a Django session, the API a token; both name a
    `Session` row, which is checked at every request. A request that names
    nobody runs without a clinic. `request.must_enrol` says that nothing but
    setting up a second factor is open to the member. `request.asleep` is the
    member whose browser sends a form after its session was idle for too long:
    good for keeping their words as a draft, and for nothing else. Times are the clinic's while it is answered.
    An answer of 500 or more rolls back.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.member = request.tenant = request.sign_in = request.credential = request.asleep = None
        request.two_callers = request.must_enrol = False
        request.other_clinics = ()
        tenant_id, session_id = self._claimed(request)
        if tenant_id is None:
            return self.get_response(request)
        with tenant_context(tenant_id):
            self._recognise(request, session_id)
            with timezone.override(request.tenant.zone if request.tenant else None):
                response = self.get_response(request)
            if response.status_code >= 500:
                transaction.set_rollback(True)
            return response

    def _claimed(self, request):
        """The clinic and session the request says it belongs to, not checked yet."""
        if CHOOSES_TENANT.match(request.path_info):
            return None, None
        if not API.match(request.path_info):
            return request.session.get("tenant_id"), request.session.get("sid")
        try:
            request.credential = read_credential(request)
        except TwoCallers:
            request.two_callers = True
        claims = request.credential.claims if request.credential else None
        return (claims.tenant_id, claims.session_id) if claims else (None, None)

    def _recognise(self, request, session_id):
        session = recognise_session(session_id)
        if session is None or not self._belongs(request, session):
            if request.method == "POST" and not API.match(request.path_info):
                request.asleep = self._asleep(request, session_id)
            return
        tenant = session.tenant
        request.tenant, request.sign_in, request.member = tenant, session, session.membership
        request._cached_user = session.membership.user
        request.other_clinics = session.other_clinics
        due = session.membership.second_factor_due
        request.must_enrol = due is not None and due <= timezone.now()
        if BACKGROUND_HEADER not in request.headers:
            sessions.touch_session(session)
        structlog.contextvars.bind_contextvars(tenant_id=str(tenant.id), actor_id=str(session.membership_id))
        # Programs say themselves which language they read; people without a choice read the clinic's.
        speak_language_of(request, session.membership.user, None if API.match(request.path_info) else tenant)

    def _asleep(self, request, session_id):
        session = selectors.get_page_session(session_id)
        return session.membership if session and is_own_session(request, session) else None

    def _belongs(self, request, session):
        if request.credential:
            claims = request.credential.claims
            is_of_session = claims.issued_at >= session.created_at.replace(microsecond=0)  # tokens know whole seconds
            return is_of_session and claims.user_id == session.membership.user.id
        return is_own_session(request, session)
