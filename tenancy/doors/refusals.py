"""Refusals that only a door can give: the request itself is wrong, or comes too often.

`tenancy.rules` holds what a service may say; these never leave the doors.
"""

import structlog
from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException


def trace_id() -> str:
    """What ties an answer to its log lines: the X-Request-ID of this request."""
    return structlog.contextvars.get_contextvars().get("request_id", "")


def error_body(detail: str | list[dict], code: str) -> dict:
    """The body of every error answer (decision X18). For the rare door that answers an error without raising it."""
    return {"detail": detail, "code": code, "trace_id": trace_id()}


def problem(location: str, *path: str | int, msg, type: str = "invalid") -> dict:
    """One field error as decision X18 shapes it. `location` is body, query, path or header."""
    return {"loc": [location, *path], "msg": msg, "type": type}


class FieldsRefused(APIException):
    """400 with one `{loc, msg, type}` for every field that is wrong."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "validation_error"

    def __init__(self, problems: list[dict]):
        super().__init__(_("Some values are not valid."), self.default_code)
        self.problems = problems


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The request is too large.")
    default_code = "too_large"


class PreconditionRequired(APIException):
    """428: this change needs an If-Match header (RFC 6585)."""

    status_code = status.HTTP_428_PRECONDITION_REQUIRED
    default_detail = _("Send If-Match with the ETag you have read.")
    default_code = "precondition_required"


class LimiterUnavailable(APIException):
    """503: the counter of attempts can not be reached, and this door stays shut without it (decision X24)."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = _("Sign-in is paused for a moment. Please try again shortly.")
    default_code = "limiter_unavailable"
    retry_after = 5
