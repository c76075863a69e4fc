"""Every error answer, in one place (decision X18).

Under /api, /v1 and /fhir the answer is JSON, always with `detail`, `code` and
`trace_id`; field errors are 400 with `detail` as a list of `{loc, msg, type}`.
Pages get a template. No answer carries the text of an exception that nobody
meant for the reader; the log has its type and place under the same trace id.
"""

import math
import re
import sys
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog
from django.core import exceptions as core
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError, connection, models
from django.http import Http404, HttpResponse
from django.template import loader
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, requires_csrf_token
from redis.exceptions import RedisError
from rest_framework import exceptions as rest
from rest_framework.response import Response

from accounts.api_keys.once import MadeFromOther
from tenancy.doors.refusals import FieldsRefused, error_body, problem, trace_id
from tenancy.doors.renderers import to_json
from tenancy.rules import NotAllowed, RuleBroken, StaleVersion

log = structlog.get_logger(__name__)
API = re.compile(r"/(api|v1|fhir)(/|$)")

UNIQUE, OVERLAP, REFERENCE, CHECK = "23505", "23P01", "23503", "23514"
RETRYABLE = {"40001", "40P01", "55P03"}
CANCELLED = "57014"


def is_api(path: str) -> bool:
    """Whether a program asked, so that the answer has to be JSON whatever happens."""
    return API.match(path) is not None


@dataclass
class Problem:
    """One error as it is answered. `detail` is a sentence, or a list of field problems."""

    status: int
    code: str
    detail: str | list[dict]
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict:
        return error_body(self.detail, self.code)


# --- Which error is which problem ------------------------------------------------------------------------------------


def api_error(exc, context):
    """DRF's exception handler. Whatever was raised, there is an answer; only bugs are logged."""
    found = problem_for(exc)
    if found.status >= 500:
        report(exc)
    if isinstance(exc, DatabaseError | InterfaceError) and connection.in_atomic_block:
        # PostgreSQL refuses all further statements of this transaction; leave nothing of it.
        connection.set_rollback(True)
    return Response(found.body(), status=found.status, headers=found.headers)


def report(exc: BaseException) -> None:
    """Log a bug or an outage with its type and place. `config.logs` leaves the values out."""
    log.error("request_failed", exc_info=exc)


def problem_for(exc: Exception) -> Problem:
    """The answer to an exception. Unknown ones are a 500 with a fixed sentence."""
    for kinds, answer in ANSWERS:
        if isinstance(exc, kinds):
            return answer(exc)
    return server_error(exc)


def server_error(_exc) -> Problem:
    return Problem(500, "server_error", _("Something went wrong on our side. Please quote the trace id to support."))


def unavailable(_exc) -> Problem:
    return Problem(503, "unavailable", _("This is not available for a moment. Please try again."), {"Retry-After": "2"})


def not_found(_exc) -> Problem:
    return Problem(404, "not_found", _("Not found"))


def _refused_fields(exc) -> Problem:
    return Problem(400, exc.default_code, exc.problems)


def _invalid_input(exc) -> Problem:
    return Problem(400, "validation_error", list(_flat(exc.detail, ())))


def _flat(detail, path):
    """DRF's nested errors as a flat list; `non_field_errors` belong to the object itself."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flat(inner, path if name == "non_field_errors" else (*path, name))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            yield from _flat(inner, (*path, index) if isinstance(inner, dict | list) else path)
    else:
        yield problem("body", *path, msg=str(detail), type=getattr(detail, "code", None) or "invalid")


def _invalid_model(exc) -> Problem:
    fields = exc.error_dict if hasattr(exc, "error_dict") else {core.NON_FIELD_ERRORS: exc.error_list}
    problems = [
        problem("body", *(() if name == core.NON_FIELD_ERRORS else (name,)), msg=text, type=error.code or "invalid")
        for name, errors in fields.items()
        for error in errors
        for text in error.messages
    ]
    return Problem(400, "validation_error", problems)


def _rest(exc) -> Problem:
    """DRF's own exceptions: their texts are written for the caller."""
    headers = {}
    if auth := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = auth
    if after := getattr(exc, "retry_after", None) or getattr(exc, "wait", None):
        headers["Retry-After"] = str(math.ceil(after))
    detail = exc.detail if isinstance(exc.detail, str) else exc.default_detail
    return Problem(exc.status_code, getattr(exc.detail, "code", exc.default_code), str(detail), headers)


def _throttled(exc) -> Problem:
    seconds = max(1, math.ceil(exc.wait or 1))
    sentence = _("Too many requests. Try again in %(count)d seconds.") % {"count": seconds}
    return Problem(429, "throttled", sentence, {"Retry-After": str(seconds)})


def _rule_broken(exc) -> Problem:
    return Problem(409, exc.code, str(exc.sentence))


def _other_body(exc) -> Problem:
    return Problem(422, exc.code, str(exc.sentence))


def _stale(exc) -> Problem:
    return Problem(412, exc.code, str(exc.sentence))


def _not_allowed(exc) -> Problem:
    return Problem(403, exc.code, str(exc.sentence))


def _denied(_exc) -> Problem:
    return Problem(403, "permission_denied", _("You may not do this."))


def _too_large(_exc) -> Problem:
    return Problem(413, "too_large", _("The request is too large."))


def _bad_request(_exc) -> Problem:
    return Problem(400, "bad_request", _("This request is not valid."))


def _protected(_exc) -> Problem:
    return Problem(409, "in_use", _("Something else still uses this."))


def _integrity(exc) -> Problem:
    sentences = {
        UNIQUE: ("duplicate", _("This exists already.")),
        OVERLAP: ("overlap", _("This overlaps with something that is already there.")),
        REFERENCE: ("reference", _("This points at something that is not there, or is still in use.")),
        CHECK: ("rule_broken", _("This breaks a rule that the data keeps.")),
    }
    found = sentences.get(sqlstate(exc))
    return Problem(409, *found) if found else server_error(exc)


def _data(_exc) -> Problem:
    return Problem(400, "invalid_value", _("A value is out of range or can not be stored."))


def _operational(exc) -> Problem:
    state = sqlstate(exc)
    if state in RETRYABLE:
        sentence = _("Others were changing the same thing. Please try again.")
        return Problem(503, "try_again", sentence, {"Retry-After": "1"})
    if state == CANCELLED:
        return Problem(503, "too_slow", _("This took too long and was stopped."), {"Retry-After": "5"})
    return unavailable(exc)


def sqlstate(exc: BaseException) -> str:
    """PostgreSQL's code of a Django database error, or "" where the server never answered."""
    return getattr(exc.__cause__, "sqlstate", None) or ""


# The first line that fits wins, so special kinds stand before general ones.
ANSWERS = [
    (FieldsRefused, _refused_fields),
    (rest.ValidationError, _invalid_input),
    (rest.Throttled, _throttled),
    (rest.NotFound, not_found),
    (rest.APIException, _rest),
    (StaleVersion, _stale),
    (MadeFromOther, _other_body),
    (RuleBroken, _rule_broken),
    (NotAllowed, _not_allowed),
    (Http404, not_found),
    (core.PermissionDenied, _denied),
    (core.RequestDataTooBig, _too_large),
    ((core.SuspiciousOperation, core.BadRequest), _bad_request),
    (core.ValidationError, _invalid_model),
    ((models.ProtectedError, models.RestrictedError), _protected),
    (IntegrityError, _integrity),
    (DataError, _data),
    ((OperationalError, InterfaceError), _operational),
    (RedisError, unavailable),
]


# --- Outside of DRF: pages, unknown addresses, failures in a middleware ----------------------------------------------


def respond(request, found: Problem) -> HttpResponse:
    """The problem as JSON for programs and as a page for people."""
    if is_api(request.path_info):
        return HttpResponse(to_json(found.body()), "application/json", found.status, headers=found.headers)
    return HttpResponse(_page(request, found), status=found.status, headers=found.headers)


def _page(request, found: Problem) -> str:
    """`templates/<status>.html`. A page that itself fails must not hide the first error, so it falls back to a line."""
    context = {"sentence": found.detail, "code": found.code, "trace_id": trace_id(), "status": found.status}
    names = [f"{found.status}.html", "500.html" if found.status >= 500 else "400.html"]
    try:
        return loader.render_to_string(names, context, None if found.status >= 500 else request)
    except Exception as exc:
        report(exc)
        return f"<!doctype html><title>{found.status}</title><p>{found.status} {HTTPStatus(found.status).phrase}"


@requires_csrf_token
def bad_request(request, exception):
    return respond(request, problem_for(exception))


@requires_csrf_token
def permission_denied(request, exception):
    return respond(request, problem_for(exception))


@requires_csrf_token
def page_not_found(request, exception):
    return respond(request, not_found(exception))


@requires_csrf_token
def failure(request):
    """handler500: the exception is the one being handled now; a lost database is 503, everything else 500."""
    exc = sys.exc_info()[1]
    if exc:
        report(exc)
    found = problem_for(exc) if isinstance(exc, Exception) else server_error(exc)
    return respond(request, found if found.status >= 500 else server_error(exc))


def csrf_failure(request, reason=""):
    """Django's own CSRF check says no (pages only; the API has its own, decision X5)."""
    return respond(request, Problem(403, "csrf_failed", _("CSRF failed")))


@csrf_exempt
def api_not_found(request, *args, **kwargs):
    """The last route under /api, /v1 and /fhir: JSON 404 for whatever no room answers, in DEBUG too."""
    return respond(request, not_found(None))
