"""JSON out. Always JSON, whatever `Accept` says: an API that answers HTML to a browser has a second face to guard."""

import datetime
from decimal import Decimal
from typing import Any

import orjson
from django.utils.duration import duration_iso_string
from django.utils.functional import Promise
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer

OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC


def to_json(data: Any) -> bytes:
    """Bytes of this value. Moments end in `Z`, decimals are strings (0.10 stays 0.10), lazy text is translated."""
    return orjson.dumps(data, default=_plain, option=OPTIONS)


def _plain(value: Any) -> Any:
    if isinstance(value, Promise | Decimal):
        return str(value)
    if isinstance(value, datetime.timedelta):
        return duration_iso_string(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if hasattr(value, "__iter__") and not isinstance(value, bytes | memoryview):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class ORJSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return b"" if data is None else to_json(data)


class FixedNegotiation(DefaultContentNegotiation):
    """The first renderer of the view, without looking at `Accept`. Parsers are still chosen by Content-Type."""

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type
