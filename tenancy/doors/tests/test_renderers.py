import datetime
import enum
import json
import uuid
import zoneinfo
from decimal import Decimal

import pytest
from django.utils.translation import gettext_lazy, override
from rest_framework.renderers import JSONRenderer
from rest_framework.test import APIRequestFactory
from rest_framework.utils.serializer_helpers import ReturnDict, ReturnList

from tenancy.doors.renderers import FixedNegotiation, ORJSONRenderer, to_json

MOMENT = datetime.datetime(2026, 3, 14, 9, 0, 0, 250000, tzinfo=datetime.UTC)


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (MOMENT, '"2026-03-14T09:00:00.250000Z"'),
        (MOMENT.replace(microsecond=0), '"2026-03-14T09:00:00Z"'),
        (MOMENT.astimezone(zoneinfo.ZoneInfo("America/Bogota")), '"2026-03-14T04:00:00.250000-05:00"'),
        (datetime.date(2026, 3, 14), '"2026-03-14"'),
        (datetime.timedelta(minutes=90), '"P0DT01H30M00S"'),
        (Decimal("0.10"), '"0.10"'),
        (uuid.UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
        (Colour.RED, '"red"'),
        ({"b", "a"}, '["a","b"]'),
        ((n for n in (1, 2)), "[1,2]"),
        ("ñ \u2028 <script>", '"ñ \u2028 <script>"'),
        (ReturnDict({"a": 1}, serializer=None), '{"a":1}'),
        (ReturnList([1], serializer=None), "[1]"),
        (None, "null"),
    ],
)
def test_to_json(value, expected):
    assert to_json(value).decode() == expected


def test_to_json_translates_lazy_text_at_the_last_moment():
    with override("es"):
        assert json.loads(to_json(gettext_lazy("Yes"))) == "Sí"


def test_to_json_refuses_what_has_no_form():
    with pytest.raises(TypeError):
        to_json(b"bytes")


def test_render_answers_nothing_with_nothing():
    assert ORJSONRenderer().render(None) == b""


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*;q=0", "x", "application/json;indent=400000"])
def test_negotiation_answers_json_to_everybody(accept):
    request = APIRequestFactory().get("/", headers={"Accept": accept})
    renderers = [ORJSONRenderer(), JSONRenderer()]

    assert FixedNegotiation().select_renderer(request, renderers) == (renderers[0], "application/json")
