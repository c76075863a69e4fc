"""How many rows each clinic has in each table, and a hash over them: before a backup, and after it came back.

A row's hash is SHA-256 of its text; a table's is the sum of two halves of
those, so the order of rows does not matter. It is there to find what went
missing or changed by mistake; against intent stands the seal of the envelope.
"""

from typing import Any

import psycopg
from psycopg import sql

SHARED = ""  # stands for the clinic of a row that belongs to none

# {table: {clinic: "count:hash"}}
Sums = dict[str, dict[str, str]]

# The text of a row depends on these, so both sides set them.
_SPELLING = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "row_security": "off",
}
_TABLES = """
    SELECT c.relname::text, EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
    FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
    ORDER BY 1
"""
_SUM = """
    SELECT {clinic}, count(*),
        sum(('x' || substr(h, 1, 16))::bit(64)::bigint::numeric),
        sum(('x' || substr(h, 17, 16))::bit(64)::bigint::numeric)
    FROM (SELECT row_here.*, encode(sha256(convert_to((row_here.*)::text, 'UTF8')), 'hex') AS h
          FROM public.{table} AS row_here) AS hashed
    GROUP BY 1
"""
_SEQUENCES = """
    SELECT s.oid::regclass::text, d.refobjid::regclass::text, a.attname::text
    FROM pg_class s
    JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE s.relkind = 'S' AND s.relnamespace = 'public'::regnamespace
    ORDER BY 1
"""


def count_rows(connection: psycopg.Connection) -> Sums:
    """The sums of every table in `public`. The role has to see every row: the one for backups does."""
    for name, value in _SPELLING.items():
        connection.execute("SELECT set_config(%s, %s, false)", [name, value])
    return {table: _sums_of(connection, table, has_clinics) for table, has_clinics in list_tables(connection)}


def list_tables(connection: psycopg.Connection) -> list[tuple[str, bool]]:
    """Every table in `public` by name, and whether its rows belong to clinics."""
    return connection.execute(_TABLES).fetchall()


def _sums_of(connection: psycopg.Connection, table: str, has_clinics: bool) -> dict[str, str]:
    clinic = sql.SQL("tenant_id::text" if has_clinics else "''")
    rows = connection.execute(sql.SQL(_SUM).format(clinic=clinic, table=sql.Identifier(table)))
    return {clinic: f"{count}:{_hex(first)}{_hex(second)}" for clinic, count, first, second in rows.fetchall()}


def _hex(total: Any) -> str:
    return f"{int(total) % (1 << 64):016x}"


def differences(expected: Sums, found: Sums, names: dict[str, str]) -> list[str]:
    """A sentence for each clinic and table that is not the same. `names` maps a clinic's id to its short name."""
    sentences = []
    for table in sorted(expected.keys() | found.keys()):
        if table not in found:
            sentences.append(f"The table {table} is missing.")
        elif table not in expected:
            sentences.append(f"The table {table} was not in the backup.")
        else:
            sentences += _differences_in(table, expected[table], found[table], names)
    return sentences


def _differences_in(table: str, expected: dict[str, str], found: dict[str, str], names: dict[str, str]) -> list[str]:
    sentences = []
    for clinic in sorted(expected.keys() | found.keys()):
        before, after = expected.get(clinic, "0:"), found.get(clinic, "0:")
        if before == after:
            continue
        whose = f"{names.get(clinic, clinic)}: " if clinic else ""
        (rows, _), (rows_now, _) = before.split(":"), after.split(":")
        what = f"{rows} rows expected, {rows_now} found" if rows != rows_now else f"{rows} rows, not the same as before"
        sentences.append(f"{whose}{table} has {what}.")
    return sentences


def rows_per_clinic(sums: Sums) -> dict[str, int]:
    """How many rows each clinic has in all tables together; SHARED are those of nobody."""
    totals: dict[str, int] = {}
    for clinics in sums.values():
        for clinic, found in clinics.items():
            totals[clinic] = totals.get(clinic, 0) + int(found.partition(":")[0])
    return totals


def sequences_behind(connection: psycopg.Connection) -> list[str]:
    """A sentence for each sequence that would give out a number which is taken."""
    sentences = []
    for sequence, table, column in connection.execute(_SEQUENCES).fetchall():
        question = "SELECT (SELECT max({column}) FROM {table}), (SELECT last_value FROM {sequence})"
        parts = {"column": sql.Identifier(column), "table": sql.SQL(table), "sequence": sql.SQL(sequence)}
        highest, last = connection.execute(sql.SQL(question).format(**parts)).fetchone()  # type: ignore[misc]
        if highest is not None and highest > last:
            sentences.append(f"The sequence {sequence} stands at {last}, {table}.{column} at {highest}.")
    return sentences
