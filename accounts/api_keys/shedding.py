"""Turns a program away that has spent its limit, before the refusal costs anything (security.md LO-06).

A request that is refused by the limit still costs two to three milliseconds of
a processor: looking up the key, asking Redis, answering. A program that sends
three hundred a second would be felt by every other clinic. What one process
has just been told about a key it remembers until the next drop falls into the
key's bucket, so nothing is refused here that would have been let through.
"""

import time

import structlog
from django.http import HttpResponse
from django.utils.translation import gettext as _

from tenancy.doors.limits import BucketLimit, Usage
from tenancy.doors.refusals import error_body
from tenancy.doors.renderers import to_json

from .key_text import read_key

MOST_KEYS = 10_000
LONGEST_SECONDS = 2.0
_spent: dict[str, tuple[float, BucketLimit, Usage]] = {}


def remember(key_hash: str, limit: BucketLimit, usage: Usage) -> None:
    """This key was refused just now."""
    if len(_spent) >= MOST_KEYS:
        _spent.clear()
    _spent[key_hash] = (time.monotonic() + min(usage.next_drop, LONGEST_SECONDS), limit, usage)


def forget() -> None:
    """As after a start; for tests."""
    _spent.clear()


class ShedKeys:
    """Middleware: 429 where it is known that the key's bucket is empty. Stands behind the choice of language."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if not _spent or not (text := request.META.get("HTTP_X_API_KEY")):
            return self.get_response(request)
        key = read_key(text)
        until, limit, usage = _spent.get(key.key_hash, _NOT_SPENT) if key else _NOT_SPENT
        if limit is None or time.monotonic() >= until:
            return self.get_response(request)
        request.counted_by = limit, usage
        structlog.contextvars.bind_contextvars(tenant_id=str(key.tenant_id))
        seconds = max(1, usage.retry_after)
        sentence = _("Too many requests. Try again in %(count)d seconds.") % {"count": seconds}
        body = to_json(error_body(sentence, "throttled"))
        return HttpResponse(body, "application/json", 429, headers={"Retry-After": str(seconds)})


_NOT_SPENT: tuple[float, BucketLimit | None, Usage | None] = (0.0, None, None)
