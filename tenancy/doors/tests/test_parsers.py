import io
import json
from types import SimpleNamespace

import orjson
import pytest
from rest_framework.exceptions import ParseError, UnsupportedMediaType

from tenancy.doors.parsers import StrictJSONParser, read_json, require_object
from tenancy.doors.refusals import BodyTooLarge, FieldsRefused

REFUSED = {
    "no value": b" ",
    "truncated": b'{"a": 1',
    "trailing text": b'{"a": 1} x',
    "two values": b"{} {}",
    "comment": b'{"a": 1} // note',
    "single quotes": b"{'a': 1}",
    "trailing comma": b"[1,]",
    "leading zero": b"[01]",
    "hexadecimal": b"[0x10]",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without mark": '{"a": 1}'.encode("utf-16-le"),
    "UTF-32": '{"a": 1}'.encode("utf-32-le"),
    "Latin-1": '{"a": "ñ"}'.encode("latin-1"),
    "overlong": b'{"a": "\xc0\x80"}',
    "surrogate in bytes": b'{"a": "\xed\xa0\x80"}',
    "lone high surrogate": rb'{"a": "\ud800"}',
    "lone low surrogate": rb'{"a": "\udc00"}',
    "lone surrogate in key": rb'{"\ud800": 1}',
    "NUL escaped": rb'{"a": "x\u0000y"}',
    "NUL raw": b'{"a": "x\x00y"}',
    "NUL in key": rb'{"\u0000": 1}',
    "NUL deep inside": rb'{"a": [{"b": ["\u0000"]}]}',
    "NUL between tokens": b'{"a": 1}\x00',
    "bell": rb'{"a": "\u0007"}',
    "escape": rb'{"a": "\u001b[31m"}',
    "backspace": rb'{"a": "\b"}',
    "delete": b'{"a": "\x7f"}',
    "right-to-left override": '{"a": "\u202egnp.exe"}'.encode(),
    "left-to-right override": rb'{"a": "\u202d"}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "minus Infinity": b'{"a": -Infinity}',
    "1e999": b'{"a": 1e999}',
    "1E+999999": b'{"a": 1E+999999}',
    "minus zero": b'{"a": -0.0}',
    "2^63": b'{"a": 9223372036854775808}',
    "-2^63-1": b'{"a": -9223372036854775809}',
    "2^64": b'{"a": 18446744073709551616}',
    "300 digits": b'{"a": ' + b"9" * 300 + b"}",
    "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "duplicate key": b'{"a": 1, "a": 2}',
    "duplicate key, escaped": rb'{"a": 1, "\u0061": 2}',
    "duplicate key inside": b'[{"b": {"a": 1, "c": 2, "a": 1}}]',
    "34 levels": b"[" * 34 + b"]" * 34,
    "34 levels of objects": b'{"a":' * 34 + b"1" + b"}" * 34,
    "1,000 levels": b"[" * 1_000 + b"]" * 1_000,
    "5,000 levels": b"[" * 5_000 + b"]" * 5_000,
    "1,000,000 levels": b"[" * 499_999 + b"]" * 499_999,
    "1,000,000 levels, open": b"[" * 999_999,
    "999,999 levels of objects, open": b'{"a":' * 199_999,
}

ACCEPTED = {
    "object": b'{"a": 1}',
    "list": b"[]",
    "null": b"null",
    "text": b'"x"',
    "number": b"1.5",
    "boolean": b"true",
    "newline, tab, return": rb'{"a": "x\n\ty\r\n"}',
    "32 levels": b"[" * 32 + b"]" * 32,
    "2^63-1": b'{"a": 9223372036854775807}',
    "-2^63": b'{"a": -9223372036854775808}',
    "zero": b'{"a": 0, "b": 0.0, "c": -0}',
    "large float": b'{"a": 1e300}',
    "pair of surrogates": rb'{"a": "\ud83d\ude00"}',
    "Arabic with marks": '{"a": "\u200fمحمد\u200e"}'.encode(),
    "zero-width joiner": '{"a": "👩\u200d⚕️"}'.encode(),
    "combining marks": ('{"a": "Z' + "\u0301" * 50 + '"}').encode(),
    "prototype key": b'{"__proto__": {"x": 1}, "constructor": 1}',
    "strange keys": b'{"a.b": 1, "$where": 2, "a__b": 3, "": 4}',
    "long key": b'{"' + b"k" * 10_000 + b'": 1}',
    "same key in two objects": b'[{"a": 1}, {"a": 2}, {"b": {"a": 3}}]',
    "colons in texts": b'{"a": "09:30:00", "b": "x:y"}',
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_read_json_refuses_what_has_two_readings_or_breaks_further_in(body):
    with pytest.raises(ParseError) as caught:
        read_json(body)

    assert str(caught.value.detail).endswith(".")


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED)
def test_read_json_reads_the_rest_like_the_standard_library(body):
    assert read_json(body) == json.loads(body)


@pytest.mark.parametrize("name", ["duplicate key", "34 levels", "NUL escaped", "2^64", "minus zero"])
def test_orjson_alone_would_let_it_pass(name):
    orjson.loads(REFUSED[name])


def test_read_json_never_repeats_the_input():
    for body in (b'{"a": "Zoraida", "a": 1}', b'{"a": Zoraida}', rb'{"a": "Zoraida\u0000"}'):
        with pytest.raises(ParseError) as caught:
            read_json(body)

        assert "Zoraida" not in str(caught.value.detail)


def parse(body, media_type="application/json"):
    return StrictJSONParser().parse(io.BytesIO(body), media_type, {"request": SimpleNamespace()})


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
def test_parse_takes_utf_8_however_it_is_spelled(charset):
    assert parse(b"{}", f"application/json; charset={charset}") == {}


@pytest.mark.parametrize("charset", ["utf-16", "latin-1", "utf-7", "klingon", "ascii"])
def test_parse_refuses_every_other_charset(charset):
    with pytest.raises(UnsupportedMediaType):
        parse(b"{}", f"application/json; charset={charset}")


def test_parse_reads_no_further_than_the_limit(settings):
    settings.MAX_JSON_BYTES = 20
    endless = io.BytesIO(b'"' + b"x" * 1_000_000)

    with pytest.raises(BodyTooLarge):
        StrictJSONParser().parse(endless, "application/json", {})

    assert endless.tell() == 21


def test_parse_takes_a_body_of_exactly_the_limit(settings):
    settings.MAX_JSON_BYTES = 20

    assert parse(b'"' + b"x" * 18 + b'"') == "x" * 18


def test_parse_reads_white_space_as_no_body():
    assert parse(b" \n") == {}


@pytest.mark.parametrize("body", [None, [], "text", 3, True])
def test_require_object_refuses_everything_else(body):
    with pytest.raises(FieldsRefused) as caught:
        require_object(body)

    assert caught.value.problems[0]["loc"] == ["body"]


def test_require_object_returns_an_object():
    assert require_object({"a": 1}) == {"a": 1}
