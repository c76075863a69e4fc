"""The outermost layers: an id and a log line for every request, health probes, and headers on every answer."""

import re
import time
import uuid
from datetime import UTC, datetime
from functools import lru_cache

import structlog
from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.conf import settings
from django.utils.translation import gettext as _

from tenancy.doors.addresses import client_address
from tenancy.doors.limits import headers_for

from . import metrics
from .errors import Problem, is_api, not_found, respond
from .health import PROBES
from .logs import write_access

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer", "browsing-topics", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer",
        "microphone", "midi", "payment", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
    )
)  # fmt: skip


class RequestLogMiddleware:
    """Names the request, and writes one line about it when it is answered.

    A caller's `X-Request-ID` is kept when it is plain, else replaced; the
    answer carries it, error answers repeat it as `trace_id`. The line holds
    the route as a pattern, never the address that was asked for.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        started = time.perf_counter()
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        request.request_id = sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id, ip=client_address(request))
        with metrics.IN_FLIGHT.track_inprogress():
            response = self.get_response(request)
        response["X-Request-ID"] = request.request_id
        for name, value in headers_for(request).items():
            response[name] = value
        self.write(request, response, time.perf_counter() - started)
        structlog.contextvars.clear_contextvars()
        return response

    def write(self, request, response, seconds):
        """The line, and the metrics, of a request that was answered in so many seconds."""
        route = route_of(request)
        metrics.observe(request.method, route, response.status_code, seconds)
        if request.path_info.rstrip("/") in PROBES:
            return
        bound = structlog.contextvars.get_contextvars()
        caller, tenant = getattr(request, "member", None), getattr(request, "tenant", None)
        is_key = getattr(caller, "audit_kind", "") == "api_key"
        write_access(
            {
                "timestamp": datetime.now(UTC),
                "event": "request",
                "level": "info",
                "request_id": request.request_id,
                "method": request.method if request.method in metrics.METHODS else "OTHER",
                "route": route,
                "status": response.status_code,
                "ms": round(seconds * 1000, 1),
                "tenant_id": str(tenant.pk) if tenant else bound.get("tenant_id"),
                "actor_id": str(caller.pk) if caller and not is_key else bound.get("actor_id"),
                "key_id": str(caller.pk) if is_key else bound.get("key_id"),
            }
        )


def route_of(request) -> str:
    """The pattern that answered, such as `/api/patients/{pk}`; probes by their own name, the rest `unmatched`."""
    if request.resolver_match is not None:
        return pattern_name(request.resolver_match.route)
    path = request.path_info.rstrip("/")
    if path in PROBES:
        return path
    return "/static" if path.startswith(settings.STATIC_URL.rstrip("/")) else "unmatched"


@lru_cache(maxsize=2048)
def pattern_name(route: str) -> str:
    """A URL pattern in readable form: groups and converters become `{name}`, the optional slash goes."""
    named = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"{\1}", route)
    named = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", named)
    return "/" + re.sub(r"/\?$|[\^$\\]", "", named.removesuffix("$")).strip("/")


class BodyLengthMiddleware:
    """411 for a chunked body: WSGI tells Django no length, and Django would read it as empty without a word."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
        if chunked and not request.META.get("CONTENT_LENGTH"):
            return respond(request, Problem(411, "length_required", _("Send the body with a Content-Length.")))
        return self.get_response(request)


class HealthMiddleware:
    """Answers the probes of `config.health` before hosts, sessions or the database are looked at."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        probe = PROBES.get(request.path_info.rstrip("/") if request.path_info.count("/") < 4 else "")
        if probe is None or request.path_info.endswith("//"):
            return self.get_response(request)
        if request.method not in {"GET", "HEAD"}:
            return respond(request, Problem(405, "method_not_allowed", _("Only GET and HEAD."), {"Allow": "GET, HEAD"}))
        response = probe(request) or respond(request, not_found(None))
        response["Content-Length"] = str(len(response.content))
        return response


class MethodPageMiddleware:
    """A page with a way back for who opens the address of a button: Django's own 405 is a blank sheet."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if response.status_code != 405 or is_api(request.path_info) or response.content:
            return response
        sentence = _("Nothing can be opened at this address; it belongs to a button on another page.")
        return respond(request, Problem(405, "method_not_allowed", sentence, {"Allow": response["Allow"]}))


class ContentPolicyMiddleware(CSPMiddleware):
    """django-csp, with the policy put together once instead of at every answer (50 microseconds each)."""

    def __init__(self, get_response):
        super().__init__(get_response)
        self.policy = build_policy()

    def process_response(self, request, response):
        changed = any(name.startswith("_csp") for name in vars(response)) or hasattr(request, "_csp_nonce")
        if changed or settings.DEBUG or HEADER in response:
            return super().process_response(request, response)
        response[HEADER] = self.policy
        return response


class SecurityHeadersMiddleware:
    """Headers that Django and django-csp do not set; see docs/architecture.md and security.md CF-01.

    `Cache-Control: no-store` on everything but static files, so that the back
    button after signing out shows nothing; a view may only loosen it for
    documents that are public (`response.is_public_document = True`).
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        response["Permissions-Policy"] = PERMISSIONS_POLICY
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        # The web server would write its own name here.
        response["Server"] = "carewright"
        if not request.path_info.startswith(settings.STATIC_URL) and not getattr(response, "is_public_document", False):
            response["Cache-Control"] = "no-store"
        if request.path_info.startswith("/admin/"):
            # The stock admin's forms carry two style attributes (design/libraries.md, pitfall 9).
            response._csp_update = {"style-src": ["'unsafe-inline'"]}
        return response
