"""The short way begins here, before Django makes a request of it (docs/decisions/0017).

What the lane (`accounts.api_keys.fast_lane`) answers needs no request object, no
signals and no layers; they cost more than its answer. So a request that says
nothing but "this key, this row" is shown to the lane as it came, and only when
the lane has no answer does Django get it, whole. What the outer layers would
have added to the answer is learned from these layers themselves, once, so that
both ways say the same; the test holds them to it.
"""

import io
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.utils.module_loading import import_string

from accounts.api_keys.fast_lane import LONGEST_BODY, TRIED, FastLane
from tenancy.doors.addresses import client_address
from tenancy.doors.limits import headers_for

from . import errors, metrics
from .middleware import REQUEST_ID, RequestLogMiddleware

LANE = "accounts.api_keys.fast_lane.FastLane"
# Whoever brings one of these has something to say that only Django understands.
_TOO_MUCH = ("HTTP_ORIGIN", "HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT")
_SCHEMES = {None, "http", "https"}

Headers = list[tuple[str, str]]
Application = Callable[[dict[str, Any], Callable], Iterable[bytes]]


class PlainRequest:
    """As much of a request as the lane, the log line and the audit trail look at."""

    __slots__ = ("META", "_body", "counted_by", "method", "path_info", "request_id", "resolver_match")

    def __init__(self, environ: dict[str, Any], path: str):
        self.META, self.path_info, self.method = environ, path, environ["REQUEST_METHOD"]
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        self.request_id = sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
        self.resolver_match = None
        self._body: bytes | None = None

    @property
    def body(self) -> bytes:
        """The whole body; asked for only where its length is known and small."""
        if self._body is None:
            length = int(self.META["CONTENT_LENGTH"])
            self._body = self.META["wsgi.input"].read(length) if length <= LONGEST_BODY else b""
        return self._body


class ShortWay:
    """A WSGI application in front of Django's."""

    def __init__(self, application: Application):
        self._django = application
        self._lane = FastLane(lambda request: None)
        self._write = RequestLogMiddleware(lambda request: None).write
        self._outer: dict[tuple, Headers] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith("/v1/") or not is_plain(environ):
            return self._django(environ, start_response)
        started = time.perf_counter()
        request = PlainRequest(environ, path)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id, ip=client_address(request))
        try:
            with metrics.IN_FLIGHT.track_inprogress():
                response = self._answer(request, path)
            if response is None:
                return self._django(_handed_on(environ, request), start_response)
            self._write(request, response, time.perf_counter() - started)
        finally:
            structlog.contextvars.clear_contextvars()
        headers = [*response.items(), *self._learned(environ), ("X-Request-ID", request.request_id)]
        start_response(f"{response.status_code} {response.reason_phrase}", [*headers, *headers_for(request).items()])
        return [response.content]

    def _answer(self, request: PlainRequest, path: str) -> HttpResponse | None:
        try:
            return self._lane.answer(request, path)
        except Exception:
            # Django must not try it a second time: nobody knows how far it came. A lost database is 503.
            return errors.failure(WSGIRequest(request.META))

    def _learned(self, environ: Mapping[str, Any]) -> Headers:
        """What the layers in front of the lane add to an answer, for this scheme."""
        scheme = environ.get("wsgi.url_scheme"), environ.get("HTTP_X_FORWARDED_PROTO")
        if scheme not in self._outer:
            self._outer[scheme] = headers_of_outer_layers(environ)
        return self._outer[scheme]


def is_plain(environ: Mapping[str, Any]) -> bool:
    """Whether nothing about a request asks for more than the lane knows."""
    return (
        bool(environ.get("HTTP_X_API_KEY"))
        and not environ.get("SCRIPT_NAME")
        and not any(name in environ for name in _TOO_MUCH)
        and environ.get("HTTP_X_FORWARDED_PROTO") in _SCHEMES
    )


def headers_of_outer_layers(environ: Mapping[str, Any]) -> Headers:
    """The headers that the middlewares in front of the lane put on an answer of JSON."""
    chain = _an_answer
    for name in reversed(settings.MIDDLEWARE[1 : settings.MIDDLEWARE.index(LANE)]):
        chain = import_string(name)(chain)
    response = chain(WSGIRequest({**environ, "wsgi.input": io.BytesIO(), "REQUEST_METHOD": "GET"}))
    return [(name, value) for name, value in response.items() if name not in _an_answer(None)]


def _an_answer(request) -> HttpResponse:
    return HttpResponse(b"{}", "application/json")


def _handed_on(environ: dict[str, Any], request: PlainRequest) -> dict[str, Any]:
    """The request for Django: its body unread, its name kept, and counted where the lane has counted it."""
    environ["HTTP_X_REQUEST_ID"] = request.request_id
    environ[TRIED] = getattr(request, "counted_by", None)
    if request._body is not None:
        environ["wsgi.input"] = io.BytesIO(request._body)
    return environ
