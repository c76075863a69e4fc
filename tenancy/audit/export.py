"""The trail as a table for people's spreadsheets."""

import csv
import json
import unicodedata
import uuid
from collections.abc import Iterator
from io import StringIO
from itertools import dropwhile
from typing import Any

from tenancy.doors.renderers import to_json
from tenancy.tenants.context import tenant_context

from .selectors import describe_entries, list_entries

COLUMNS = [
    "id", "timestamp", "user_id", "user", "user_kind", "action", "resource_type", "resource_id", "resource_label",
    "reason", "changes", "details", "ip", "request_id", "erased", "uuid", "entry_hash",
]  # fmt: skip
CHUNK = 500


def stream_csv(tenant_id: uuid.UUID, *, by: Any, last: int, filters: dict[str, Any]) -> Iterator[bytes]:
    """The entries up to number `last`, as `by` may read them, oldest first, as CSV in UTF-8.

    A heading, then every cell in quotes.

    Read while it is sent, chunk by chunk, each in the clinic's own short
    transaction: the request's is over by then, and a slow reader must not hold
    one open. The trail only grows, so the chunks fit together.
    """
    yield _lines([COLUMNS])
    position = 0
    while True:
        with tenant_context(tenant_id):
            entries = list_entries(**filters).filter(seq__gt=position, seq__lte=last).order_by("seq")
            chunk = describe_entries(entries[:CHUNK], by=by)
        if not chunk:
            return
        yield _lines([_cells(row) for row in chunk])
        position = chunk[-1]["id"]


def neutral(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe goes before it where one would.

    That is where the first visible character is `=`, `+`, `-` or `@`, in their
    full-width forms too, or where it begins with a tab or a line break (security.md IN-17).
    """
    visible = next(dropwhile(lambda character: unicodedata.category(character)[0] in "ZC", text), "")
    dangerous = unicodedata.normalize("NFKC", visible)[:1] in {"=", "+", "-", "@"} or text[:1] in {"\t", "\r", "\n"}
    return f"'{text}" if dangerous else text


def _cells(row: dict[str, Any]) -> list[str]:
    plain = json.loads(to_json(row))
    actor = plain["user"]
    flat = plain | {"user": actor["name"], "user_id": actor["id"], "user_kind": actor["kind"]}
    return [neutral(_text(flat[column])) for column in COLUMNS]


def _text(value: Any) -> str:
    if value is None or value == {}:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else str(value)


def _lines(rows: list[list[str]]) -> bytes:
    paper = StringIO()
    csv.writer(paper, quoting=csv.QUOTE_ALL).writerows(rows)
    return paper.getvalue().encode()
