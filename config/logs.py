"""Logs: one JSON object a line, with `request_id` and `tenant_id` and no personal data.

A line holds the words we wrote, ids, types and places in the code. It never
holds the text of an exception (PostgreSQL, Python and parsers quote values in
theirs), nor local variables, paths with ids, queries or headers. With DEBUG
the texts are there, because a developer's data are nobody's.
"""

import logging
import os
import sys
import traceback
from collections import defaultdict
from types import TracebackType
from typing import Any

import orjson
import structlog
from django.conf import settings

from tenancy.tenants.context import get_current_tenant_id

MAX_FRAMES = 30
# Bound to the request for the audit trail; an address is personal, a log line does not need it.
PERSONAL = ("ip",)
# Django's loggers whose arguments are the path, the host or the header that somebody sent.
QUOTING_LOGGERS = ("django.request", "django.security", "django.server", "django.channels")

access_logger = logging.getLogger("carewright.access")


def json_formatter() -> logging.Formatter:
    """What settings.LOGGING puts before every handler, for structlog's and everybody else's records."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            _unquote,
            _name_tenant,
            _place_of_exception,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _drop_personal,
            _render,
        ],
        pass_foreign_args=True,
    )


def write_access(entry: dict[str, Any]) -> None:
    """One line for one request, straight to standard output: a tenth of the cost of the logging machinery."""
    if not access_logger.isEnabledFor(logging.INFO):
        return
    line = orjson.dumps(entry, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
    try:
        os.write(sys.stdout.fileno(), line)
    except (OSError, ValueError):
        # Nobody reads any more, or a test has replaced the stream by one without a number.
        sys.stdout.write(line.decode())


def exception_place(exc: BaseException) -> dict[str, Any]:
    """Type and stack of an exception and its causes, without values; SQLSTATE and constraint where there are any."""
    place: dict[str, Any] = {
        "type": f"{type(exc).__module__}.{type(exc).__qualname__}",
        "frames": _frames(exc.__traceback__),
    }
    if state := getattr(exc, "sqlstate", None):
        place["sqlstate"] = state
        place["constraint"] = getattr(getattr(exc, "diag", None), "constraint_name", None)
    if settings.DEBUG:
        place["text"] = str(exc)
    if (cause := exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)) is not None:
        place["cause"] = exception_place(cause)
    return place


def _frames(trace: TracebackType | None) -> list[str]:
    frames = [f"{frame.filename}:{line} {frame.name}" for frame, line in _summary(trace)]
    return frames[-MAX_FRAMES:]


def _summary(trace):
    # lookup_lines=False: the source line is never read, so neither is a literal in it.
    summary = traceback.StackSummary.extract(traceback.walk_tb(trace), lookup_lines=False, capture_locals=False)
    return [(frame, frame.lineno) for frame in summary]


def _unquote(_logger, _method, event):
    """Take out what libraries quote: paths and headers (Django), results and exception texts (Celery)."""
    record = event["_record"]
    if record.name.startswith("django_structlog"):
        event.pop("error", None)
    args = event.pop("positional_args", ())
    if event["_from_structlog"]:
        return event
    if record.name.startswith(QUOTING_LOGGERS):
        event["event"] = args[0] if args and record.name == "django.request" else record.name
    elif record.name == "celery.app.trace" and isinstance(args, dict):
        known = {name: args[name] for name in ("name", "id", "description", "runtime") if name in args}
        event["event"] = record.msg % defaultdict(lambda: "(not logged)", known)
    return event


def keep_request_id(context: dict, **_kwargs) -> None:
    """Of what is bound to a request only its id goes along with a task (a receiver of django-structlog's signal)."""
    request_id = context.get("request_id")
    context.clear()
    if request_id:
        context["request_id"] = request_id


def _name_tenant(_logger, _method, event):
    if "tenant_id" not in event and (tenant_id := get_current_tenant_id()):
        event["tenant_id"] = str(tenant_id)
    return event


def _place_of_exception(_logger, _method, event):
    found = event.pop("exc_info", None) or event["_record"].exc_info
    exc = found[1] if isinstance(found, tuple) else sys.exc_info()[1] if found is True else found
    if isinstance(exc, BaseException):
        event["exception"] = exception_place(exc)
    event.pop("stack_info", None)
    return event


def _drop_personal(_logger, _method, event):
    for name in PERSONAL:
        event.pop(name, None)
    return event


def _render(_logger, _method, event) -> str:
    # A value without a JSON form is named by its type only: its text might be anybody's name.
    return orjson.dumps(
        event, default=lambda value: f"<{type(value).__name__}>", option=orjson.OPT_NON_STR_KEYS
    ).decode()
