"""The hostile corpus against every real operation: each field, each parameter, each id (security.md 5.D, figure 7).

What to send where comes from our own OpenAPI document, so a new operation is
covered on the day it is written.
"""

import json
from urllib.parse import quote

import pytest

from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling.tests.factories import make_location, make_practitioner
from config import openapi
from config.tests.test_hostile_input import BODIES

DOCUMENT = openapi.schema()
UNSAFE = ("post", "put", "patch", "delete")
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
OPERATIONS = {
    f"{method} {path}": operation
    for path, methods in sorted(DOCUMENT["paths"].items())
    for method, operation in sorted(methods.items())
}
WITH_BODY = [name for name, operation in OPERATIONS.items() if "requestBody" in operation]
WITH_QUERY = [
    name for name, operation in OPERATIONS.items() if any(p["in"] == "query" for p in operation.get("parameters", []))
]
WITH_ID = [name for name in OPERATIONS if "{" in name]

VALUES = [
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63 - 1, -(2**63), 1.5, 1e300, 1e-300, "", " ", "\n", "x", "x" * 300,
    "x" * 100_000, [], {}, [[]], [None], [{}], {"": None}, {"a": {"b": [1]}}, ["x"] * 1000, "0", "-1", "1e3", "0x10",
    "٣", "true", "1 ", "nan", "sNaN", "Infinity", "1E+999999", "2023-02-29", "0000-01-01", "0001-01-01", "9999-12-31",
    "10000-01-01", "9999-12-31T23:59:59", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00",
    "2026-03-08T02:30:00", "2026-01-01T24:00:00Z", "2026-06-30T23:59:60Z", "2026-01-01T00:00:00z", "1700000000",
    "' OR 1=1 --", "1; select pg_sleep(9)", "{{7*7}}", "{% load x %}", "${x}", "%s", "%(x)s", "{0.__class__}",
    "<script>alert(1)</script>", "../../etc/passwd", "=HYPERLINK(1)", "a@b", "a@b.c\nBcc: x@y.z", "+1 (555) 0\t1",
    "Z" + "\u0301" * 100, "\u200b", "\ufeff", "\uffff", "😀" * 50, "\u200f\u202b\u202c", "ß", "İ", "ﬁ", "Ａ",
    ID, ID.upper(), "{" + ID + "}", "http://[::1", "javascript:alert(1)", "__proto__", "(" * 50, "%_\\",
]  # fmt: skip
IDS = [
    "%00",
    "%FF",
    "0",
    "-1",
    "9" * 30,
    "x",
    ID.replace("-", ""),
    ID.upper(),
    ID,
    "%D9%A3",
    "..",
    "%2e%2e%2f",
    "a" * 5000,
]


@pytest.fixture
def ask(admin, api_client, settings):
    """Sends a request as an administrator; a 5xx is a failure."""
    settings.RATE_LIMIT_SCALE = 1_000_000
    program = api_client(admin, raise_request_exception=False)

    def answered(method, path, body=None):
        sent = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        response = program.generic(method.upper(), path, sent, content_type="application/json")
        assert response.status_code < 500, (method, path[:100], sent[:200])
        if response.status_code >= 400:
            # A time that is taken comes with free ones beside it.
            assert set(response.json()) - {"nearest"} == {"detail", "code", "trace_id"}
        return response

    return answered


def resolve(node):
    while "$ref" in node:
        node = DOCUMENT["components"]["schemas"][node["$ref"].rpartition("/")[2]]
    return node


def fields_of(operation):
    content = next(iter(operation["requestBody"]["content"].values()))
    return resolve(content["schema"]).get("properties", {}), content


def plain_body(operation):
    """A body that should be accepted: the first example where there is one, else something of each type."""
    fields, content = fields_of(operation)
    for example in content.get("examples", {}).values():
        return dict(example["value"])
    return {name: plain(schema) for name, schema in fields.items()}


def plain(schema):
    schema = resolve(schema)
    for many in ("oneOf", "anyOf", "allOf"):
        if many in schema:
            return plain(schema[many][0])
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema["type"][0] if isinstance(schema.get("type"), list) else schema.get("type")
    formats = {"date": "1990-02-03", "date-time": "2026-03-14T09:00:00Z", "uuid": ID, "email": "a@example.org"}
    if kind == "string":
        return formats.get(schema.get("format"), "x" * max(1, schema.get("minLength", 1)))
    return {"integer": schema.get("minimum", 1), "number": 1, "boolean": True, "array": [], "object": {}}.get(kind)


def filled(path, value):
    while "{" in path:
        path = path[: path.index("{")] + value + path[path.index("}") + 1 :]
    return path


@pytest.fixture
def example(clinic):
    """`plain_body`, the rows that examples name being there: what is written 8001 is a location, 8002 a doctor, ..."""
    rows = {"8001": make_location(), "8002": make_practitioner(), "8003": PatientFactory()}

    def body(operation):
        text = json.dumps(plain_body(operation))
        for number, row in rows.items():
            text = text.replace(ID[:-4] + number, str(row.pk))
        return json.loads(text)

    return body


@pytest.fixture
def address(ask, example):
    """The method and address of an operation, with the id of something that is really there where we can make one."""

    def found(name):
        method, path = name.split()
        collection = path.partition("/{")[0]
        made = f"post {collection}" in OPERATIONS and "{" in path
        response = ask("post", collection, example(OPERATIONS[f"post {collection}"])) if made else None
        assert not made or response.status_code == 201, response.content
        first, brace, rest = path.partition("}")
        return method, filled(filled(first + brace, str(response.json()["id"]) if made else ID) + rest, ID)

    return found


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name.split()[0] in UNSAFE])
def test_bodies(ask, address, name):
    method, path = address(name)
    for body in BODIES.values():
        ask(method, path, body)


@pytest.mark.parametrize("name", WITH_BODY)
def test_fields(ask, address, example, name):
    method, path = address(name)
    fields, _content = fields_of(OPERATIONS[name])
    body = example(OPERATIONS[name])
    for value in VALUES:
        ask(method, path, dict.fromkeys(fields, value))
    for field, schema in fields.items():
        for value in of_its_type(schema):
            ask(method, path, {**body, field: value})


def of_its_type(schema):
    """Values that pass the first check of the type; the others have been sent in all fields at once."""
    kind = type(plain(schema))
    return VALUES if kind in {list, dict, type(None)} else [value for value in VALUES if type(value) is kind]


@pytest.mark.parametrize("name", WITH_QUERY)
def test_parameters(ask, address, name):
    method, path = address(name)
    texts = [value if isinstance(value, str) else json.dumps(value) for value in VALUES]
    for parameter in OPERATIONS[name]["parameters"]:
        if parameter["in"] == "query":
            for text in texts:
                ask(method, f"{path}?{quote(parameter['name'])}={quote(text[:3000], safe='')}")
    assert ask(method, f"{path}?no_such_parameter=1").status_code == 400


@pytest.mark.parametrize("name", WITH_ID)
def test_ids(ask, name):
    method, path = name.split()
    for value in IDS:
        response = ask(method, filled(path, value), {})

        assert response.status_code in {400, 404, 405, 409, 412}, (path, value[:80], response.status_code)


@pytest.mark.parametrize("name", OPERATIONS)
def test_methods(ask, address, name):
    _method, path = address(name)
    for method in ("TRACE", "CONNECT", "PROPFIND", "OPTIONS", "X" * 2000, "HEAD"):
        response = ask(method, path) if method != "HEAD" else None

        assert response is None or response.status_code == 405, (method[:9], path)


def test_a_plain_body_is_accepted_where_a_field_is_then_made_hostile(ask, address):
    method, path = address("get /api/patients/{id}")

    assert ask(method, path).status_code == 200


def test_a_failure_is_noticed(ask, monkeypatch):
    monkeypatch.setattr("clinic.patients.api.PatientViewSet.list", lambda *_args, **_kwargs: 1 / 0)

    with pytest.raises(AssertionError):
        ask("get", "/api/patients")
