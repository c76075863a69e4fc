"""Turns a flood of sign-ins away before it costs anything (security.md LO-07).

A sign-in that is refused by the limits still costs three to nine milliseconds
of a processor, for reading it, asking Redis and answering; fifty a second of
those are felt by everybody. What one process has just been told about an
address it remembers for a moment, and while a password is being hashed and
too many others wait, nobody else is let as far as that.
"""

import re
import time
from functools import lru_cache

from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tenancy.doors.addresses import client_address
from tenancy.doors.refusals import error_body
from tenancy.doors.renderers import to_json

from . import hashing

SIGN_IN = re.compile(r"^/(sign-in|api(/v1)?/auth/(login|token))/?$")
REMEMBER_SECONDS = 2.0
MOST_ADDRESSES = 10_000
THROTTLED = "api"
_refused: dict[str, tuple[float, float]] = {}


def remember(address: str, retry_after: int) -> None:
    """This address was refused just now and may come again after so many seconds.

    With THROTTLED before it, only at the API, by the limit of all requests (D23, M20).
    """
    now = time.monotonic()
    if len(_refused) >= MOST_ADDRESSES:
        _refused.clear()
    _refused[address] = (now + min(REMEMBER_SECONDS, retry_after), now + retry_after)


def forget() -> None:
    """As after a start; for tests."""
    _refused.clear()


class ShedSignIns:
    """Middleware: answers a sign-in with 429 or 503 where it is known already that it will be refused."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.method == "POST" and SIGN_IN.match(request.path_info):
            hashing.note_arrival()
            address = client_address(request)
            if seconds := _seconds_left(address):
                return _answer(request, 429, "too_many_attempts", too_many_attempts(seconds), seconds)
            if _is_api(request) and (seconds := _seconds_left(f"{THROTTLED} {address}")):
                sentence = _("Too many requests. Try again in %(count)d seconds.") % {"count": seconds}
                return _answer(request, 429, "throttled", sentence, seconds)
            if hashing.is_flooded():
                return _answer(request, 503, "sign_in_busy", many_people(), hashing.COME_AGAIN_SECONDS)
        return self.get_response(request)


def too_many_attempts(seconds: int) -> str:
    """The sentence of M2, to the minute."""
    minutes = max(1, -(-seconds // 60))
    return _("Too many failed attempts. Please try again in %(minutes)d minute(s).") % {"minutes": minutes}


def many_people() -> str:
    return _("Many people are signing in right now. Please try again in a few seconds.")


def _seconds_left(address: str) -> int:
    remembered_until, refused_until = _refused.get(address, (0, 0))
    now = time.monotonic()
    return max(1, int(refused_until - now)) if now < remembered_until else 0


def _answer(request, status: int, code: str, sentence: str, seconds: int) -> HttpResponse:
    headers = {"Retry-After": str(seconds)}
    if _is_api(request):
        return HttpResponse(to_json(error_body(sentence, code)), "application/json", status, headers=headers)
    return HttpResponse(_page(get_language(), status, code, sentence), status=status, headers=headers)


def _is_api(request) -> bool:
    return request.path_info.startswith("/api/")


@lru_cache(maxsize=64)
def _page(_language, status: int, code: str, sentence: str) -> str:
    return render_to_string("429.html", {"sentence": sentence, "code": code, "status": status})
