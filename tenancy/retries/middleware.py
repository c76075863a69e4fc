"""POSTs with an `Idempotency-Key`, at every door of the API. No room has to do anything for it."""

import re
from collections.abc import Callable
from functools import cache

from django.db import transaction
from django.http import HttpResponse
from rest_framework.exceptions import APIException
from rest_framework.views import APIView

from tenancy.doors.refusals import error_body
from tenancy.doors.renderers import to_json
from tenancy.doors.retry_keys import HEADER, REPLAYED, why_keyless
from tenancy.tenants.context import get_current_tenant_id

from . import services
from .refusals import KeyInUse, KeyReused, check_key
from .services import OtherRequest, Reply, StillRunning

API = re.compile(r"^/(api|v1|fhir)(/|$)")
META = "HTTP_" + HEADER.upper().replace("-", "_")


class RetryMiddleware:
    """Stands behind MemberMiddleware: inside the transaction of the request, after the caller is known.

    When the view is known, the key is claimed. Is there an answer already, or a
    reason against, then the view runs with all its checks (who, may they, how
    often), and only its action is replaced: a replay tells nobody what they
    could not ask for themselves now. Else the view runs, and what it answers
    with 2xx is kept before the transaction ends. Refusals are not kept: nothing
    happened, so the same key may try again with a better body.

    Nobody is asked who calls without credentials, so their keys are ignored.
    """

    def __init__(self, get_response: Callable):
        self.get_response = get_response

    def __call__(self, request):
        request.attempt = None
        if not _is_meant(request):
            return self.get_response(request)
        if get_current_tenant_id() is None:
            with transaction.atomic():  # a platform key; MemberMiddleware opens a transaction for a clinic only
                return self._answer(request)
        return self._answer(request)

    def process_view(self, request, view, args, kwargs):
        if not _is_meant(request):
            return None
        view_class = getattr(view, "cls", None)
        action = getattr(view, "actions", {"post": "post"}).get("post")
        if view_class is None or action is None or why_keyless(view_class, action):
            return None
        try:
            reply = self._claim(request)
        except APIException as refused:
            outcome: Reply | APIException | None = refused
        else:
            outcome = reply
        if outcome is None:
            return None
        request.attempt, request.outcome = None, outcome
        actions = [{"post": action}] if hasattr(view, "actions") else []
        return _with_outcome(view_class, action).as_view(*actions, **view.initkwargs)(request, *args, **kwargs)

    def _claim(self, request) -> Reply | None:
        key = request.META[META]
        check_key(key)
        attempt = services.attempt_of(
            request.member,
            services.route_of(request.resolver_match.route),
            key,
            address=request.path_info,
            query=request.META.get("QUERY_STRING", ""),
            body=request.body,
        )
        try:
            reply = services.claim(attempt)
        except StillRunning:
            raise KeyInUse from None
        except OtherRequest:
            raise KeyReused from None
        request.attempt = attempt
        return reply

    def _answer(self, request):
        response = self.get_response(request)
        if response.status_code >= 500:
            transaction.set_rollback(True)
        if request.attempt is None or not 200 <= response.status_code < 300 or transaction.get_rollback():
            return response
        headers = {name: response[name] for name in services.KEPT_HEADERS if name in response}
        try:
            services.keep(request.attempt, Reply(response.status_code, headers, response.content))
        except StillRunning:
            transaction.set_rollback(True)
            return _still_running()
        return response


def _is_meant(request) -> bool:
    """Whether this is a POST of a known caller with a key. One look into a dictionary for all others."""
    return (
        META in request.META
        and request.method == "POST"
        and request.member is not None
        and API.match(request.path_info) is not None
    )


def _still_running() -> HttpResponse:
    body = to_json(error_body(str(KeyInUse.default_detail), KeyInUse.default_code))
    headers = {"Retry-After": str(KeyInUse.retry_after)}
    return HttpResponse(body, "application/json", KeyInUse.status_code, headers=headers)


@cache
def _with_outcome(view_class: type[APIView], action: str) -> type[APIView]:
    """The same view, whose action gives the outcome that is known already instead of doing anything."""

    def give_outcome(self, request, *args, **kwargs):
        outcome = request._request.outcome
        if isinstance(outcome, APIException):
            raise outcome
        response = HttpResponse(outcome.body, status=outcome.status, headers=dict(outcome.headers))
        if "Content-Type" not in outcome.headers:  # nothing in it; Django would say HTML
            del response["Content-Type"]
        response[REPLAYED] = "true"
        return response

    return type(view_class.__name__, (view_class,), {action: give_outcome, "__module__": view_class.__module__})
