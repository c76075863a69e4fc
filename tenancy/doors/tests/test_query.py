import datetime
import uuid
from urllib.parse import quote

import pytest
from django.test import RequestFactory

from tenancy.doors.query import Boolean, Choice, Date, Identifier, Integer, Moment, Named, Query, Text
from tenancy.doors.refusals import FieldsRefused

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class EverythingQuery(Query):
    search = Text(max_length=20)
    age = Integer(minimum=0, maximum=150)
    active = Boolean(default=True)
    kind = Choice(["in", "out"])
    owner = Identifier()
    born = Date()
    since = Moment()
    size = Integer(names=("limit", "size"))
    custom = Named(max_count=2, max_length=5)


class NeedyQuery(Query):
    patient = Identifier(required=True)


def read(query_string, query=EverythingQuery):
    return query.read(RequestFactory().get(f"/?{query_string}"))


def refusals(query_string, query=EverythingQuery):
    with pytest.raises(FieldsRefused) as caught:
        read(query_string, query)
    return [(entry["loc"], entry["type"]) for entry in caught.value.problems]


def test_read_gives_typed_values_and_defaults():
    query = read(f"search=%20Ana%20&age=7&kind=in&owner={ID}&born=2024-02-29&size=5&custom[a]=x&custom[b]=y")

    assert vars(query) == {
        "search": "Ana",
        "age": 7,
        "active": True,
        "kind": "in",
        "owner": uuid.UUID(ID),
        "born": datetime.date(2024, 2, 29),
        "since": None,
        "size": 5,
        "custom": {"a": "x", "b": "y"},
    }


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("2026-03-14T09:00:00Z", datetime.datetime(2026, 3, 14, 9, tzinfo=datetime.UTC)),
        ("2026-03-14T09:00:00%2B02:00", datetime.datetime(2026, 3, 14, 7, tzinfo=datetime.UTC)),
        ("2026-03-14T09:00:00+02:00", datetime.datetime(2026, 3, 14, 7, tzinfo=datetime.UTC)),
        ("2026-03-14T09:00-05:00", datetime.datetime(2026, 3, 14, 14, tzinfo=datetime.UTC)),
    ],
)
def test_moment_is_answered_in_utc(sent, expected):
    assert read(f"since={sent}").since == expected


@pytest.mark.parametrize(
    ("sent", "name", "type"),
    [
        ("age=abc", "age", "integer"),
        ("age=", "age", "integer"),
        ("age=1.0", "age", "integer"),
        ("age=1e3", "age", "integer"),
        ("age=0x10", "age", "integer"),
        ("age=%2B1", "age", "integer"),
        ("age=1%20", "age", "integer"),
        ("age=%D9%A3", "age", "integer"),
        ("age=" + "9" * 5000, "age", "integer"),
        ("age=-1", "age", "minimum"),
        ("age=151", "age", "maximum"),
        ("size=9223372036854775808", "size", "maximum"),
        ("active=yes", "active", "boolean"),
        ("active=TRUE", "active", "boolean"),
        ("kind=IN", "kind", "choice"),
        ("kind=in%20", "kind", "choice"),
        ("owner=7", "owner", "uuid"),
        (f"owner=%7B{ID}%7D", "owner", "uuid"),
        ("born=2023-02-29", "born", "date"),
        ("born=0000-01-01", "born", "date"),
        ("born=10000-01-01", "born", "date"),
        ("born=9999-12-31", "born", "date"),
        ("born=20230101", "born", "date"),
        ("born=1", "born", "date"),
        ("since=2026-03-14T09:00:00", "since", "datetime"),
        ("since=2026-03-14", "since", "datetime"),
        ("since=9999-12-31T23:59:59-14:00", "since", "datetime"),
        ("since=2026-03-14T24:00:00Z", "since", "datetime"),
        ("since=2026-03-14T09:00:60Z", "since", "datetime"),
        ("since=2026-03-14T09:00:00z", "since", "datetime"),
        ("since=1700000000", "since", "datetime"),
        ("search=" + "x" * 21, "search", "max_length"),
        ("search=a%00b", "search", "forbidden_character"),
        ("search=%1B[31m", "search", "forbidden_character"),
        ("search=%E2%80%AEx", "search", "forbidden_character"),
        ("search=a&search=b", "search", "repeated"),
        ("limit=1&size=2", "size", "repeated"),
        ("serach=Ana", "serach", "unknown"),
        ("user__password=x", "user__password", "unknown"),
        ("search[]=a", "search[]", "unknown"),
        ("custom=x", "custom", "unknown"),
        ("custom[a]=toolong", "custom[a]", "max_length"),
        ("custom[a]=1&custom[b]=2&custom[c]=3", "custom[c]", "max_count"),
        ("custom[a][b]=1", "custom[a][b]", "unknown"),
        ("a%00b=1", "?", "unknown"),
    ],
)
def test_read_refuses_and_names_the_parameter(sent, name, type):
    assert refusals(sent) == [(["query", name], type)]


def test_read_names_all_bad_parameters_at_once():
    assert refusals("age=x&kind=y&z=1") == [
        (["query", "age"], "integer"),
        (["query", "kind"], "choice"),
        (["query", "z"], "unknown"),
    ]


def test_read_demands_required_parameters():
    assert refusals("", NeedyQuery) == [(["query", "patient"], "required")]
    assert refusals("patient=7", NeedyQuery) == [(["query", "patient"], "uuid")]
    assert read(f"patient={ID}", NeedyQuery).patient == uuid.UUID(ID)


@pytest.mark.parametrize("sent", ["search=%FF", "search=%ED%A0%80", "search=%C0%80"])
def test_read_refuses_what_is_not_utf_8(sent):
    assert refusals(sent) == [(["query"], "encoding")]


def test_read_refuses_a_flood_of_parameters():
    assert refusals("&".join(f"p{n}=1" for n in range(10_000))) == [(["query"], "too_many")]


@pytest.mark.parametrize("search", ["%", "_", "\\", "' OR 1=1 --", "a & b | !c", ".*+?(", "O’Brien-Łódź", "{{7*7}}"])
def test_text_is_kept_literally(search):
    assert read(f"search={quote(search)}").search == search


def test_openapi_describes_every_parameter():
    described = {parameter.name: parameter for parameter in EverythingQuery.openapi()}

    assert described["age"].type == {"type": "integer", "minimum": 0, "maximum": 150}
    assert described["active"].type == {"type": "boolean", "default": True}
    assert described["kind"].type["enum"] == ["in", "out"]
    assert described["custom"].style == "deepObject"
    assert "limit" in described
    assert "size" not in described
