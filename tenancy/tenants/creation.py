"""A new thing and what hangs on it, written by one statement.

    Creation(patient, counter="patient", more=[Rows(PatientToken, {"patient_id": patient.pk}, each=("token", words))])

says what there is to write; `write()` writes it in the transaction that is
open, and `parts()` are the same for a statement of one trip (`one_trip.py`).
The row, its number from the clinic's counter and its further rows travel
together, so the counter is held for one statement instead of for many round
trips (design/performance.md 1.1, 1.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from django.db import models

from . import numbering
from .context import connection
from .models import TenantModel, new_id_text

NUMBERED = "number"
"""The column that gets the counter's next value."""


@dataclass(frozen=True)
class Part:
    """One WITH query: its name, its text with `%s` for each value, and the values."""

    name: str
    sql: str
    values: Sequence[Any] = ()


@dataclass(frozen=True)
class Rows:
    """Rows of another table that belong to the new one: one, or with `each` one for each value of a column.

    `values` are by column name. With `numbered` there is one more whose value is the thing's number, as a word.
    """

    model: type[TenantModel]
    values: dict[str, Any]
    each: tuple[str, Sequence[str]] | None = None
    numbered: bool = False


@dataclass(frozen=True)
class Creation:
    """One new row; its number comes from `counter` where it has one. `more` are written behind it."""

    row: TenantModel
    counter: str = ""
    more: Sequence[Rows] = field(default_factory=tuple)

    def write(self) -> None:
        """Write all of it. `row.number` is known afterwards. Raises IntegrityError, and then nothing is written."""
        parts = self.parts("true")
        sql, values = assembled(parts, "SELECT number FROM r" if self.counter else "SELECT 1 FROM r")
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            (number,) = cursor.fetchone()
        if self.counter:
            setattr(self.row, NUMBERED, number)
        # What save() would have noted.
        self.row._state.adding, self.row._state.db = False, connection.alias

    def parts(self, condition: str) -> list[Part]:
        """The WITH queries `n` (the number), `r` (the row as inserted), `m0` …; nothing where not `condition`."""
        tenant_id = self.row.tenant_id
        parts = []
        if self.counter:
            values = [new_id_text(), tenant_id, self.counter]
            parts.append(Part("n", numbering.next_where(condition), values))
        source = "FROM n" if self.counter else f"WHERE {condition}"
        sql, names = _insertion(type(self.row), NUMBERED if self.counter else "", source)
        parts.append(Part("r", sql, [_prepared(self.row, name) for name in names]))
        for place, rows in enumerate(self.more):
            sql = _hanging(rows.model, tuple(rows.values), rows.each and rows.each[0], rows.numbered)
            values = [new_id_text(), *rows.values.values()]
            if rows.each is not None:
                words = [*rows.each[1], None] if rows.numbered else rows.each[1]
                # Ids come along: PostgreSQL asks the machine for chance once each.
                values = [*rows.values.values(), [new_id_text() for _word in words], words]
                values += [rows.each[1]] if rows.numbered else []
            parts.append(Part(f"m{place}", sql, values))
        return parts


def assembled(parts: Sequence[Part], ending: str) -> tuple[str, list[Any]]:
    """The whole statement, with `%s` for each value, and the values in their order."""
    return _joined(tuple((part.name, part.sql) for part in parts), ending), [v for part in parts for v in part.values]


def as_texts(values: Sequence[Any]) -> list[str | None]:
    """Values as PostgreSQL reads them from text. Raises TypeError for what has no such form here."""
    seen: dict[int, str | None] = {}  # the same clinic and the same row stand in it many times
    texts = []
    for value in values:
        if value is None or type(value) is str:
            texts.append(value)
            continue
        if (text := seen.get(id(value))) is None:
            text = seen[id(value)] = _as_text(value)
        texts.append(text)
    return texts


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | UUID):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    if isinstance(value, list | tuple | set | frozenset):
        return "{" + ",".join(["NULL" if item is None else _quoted(str(item)) for item in value]) + "}"
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} has no text form for PostgreSQL.")


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


# --- The texts, each made once ---------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _joined(parts: tuple[tuple[str, str], ...], ending: str) -> str:
    return f"WITH {', '.join(f'{name} AS ({sql})' for name, sql in parts)} {ending}"


@lru_cache
def _insertion(model: type[models.Model], numbered: str, source: str) -> tuple[str, tuple[str, ...]]:
    """The INSERT of one row, and the attributes whose values it takes."""
    fields = [field for field in model._meta.concrete_fields if field.attname != numbered]
    columns = ", ".join([*([f'"{numbered}"'] if numbered else []), *(f'"{field.column}"' for field in fields)])
    values = ", ".join([*(["n.value"] if numbered else []), *(f"%s::{field.db_type(connection)}" for field in fields)])
    sql = f'INSERT INTO "{model._meta.db_table}" ({columns}) SELECT {values} {source} RETURNING *'
    return sql, tuple(field.attname for field in fields)


@lru_cache
def _hanging(model: type[models.Model], names: tuple[str, ...], each: str | None, numbered: bool) -> str:
    fields = {field.attname: field for field in model._meta.concrete_fields}
    given = ", ".join(f"%s::{fields[name].db_type(connection)}" for name in names)
    columns = ", ".join(f'"{fields[name].column}"' for name in names)
    table = model._meta.db_table
    if each is None:
        return f'INSERT INTO "{table}" (id, tenant_id, {columns}) SELECT %s::uuid, r.tenant_id, {given} FROM r'  # noqa: S608
    word = "coalesce(w.one, r.number::text)" if numbered else "w.one"
    once = " WHERE w.one IS NOT NULL OR r.number::text <> ALL (%s::text[])" if numbered else ""
    return (
        f'INSERT INTO "{table}" (id, tenant_id, {columns}, "{fields[each].column}")'  # noqa: S608
        f" SELECT w.id, r.tenant_id, {given}, {word} FROM r, unnest(%s::uuid[], %s::text[]) w (id, one){once}"
    )


def _prepared(row: models.Model, name: str) -> Any:
    value = getattr(row, name)
    return orjson.dumps(value).decode() if isinstance(value, dict) else value
