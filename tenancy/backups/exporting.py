"""Everything one clinic has, as lines of JSON: for one that leaves, or wants to see for itself (security.md BK-06).

Rows of the clinic's own tables, and of shared tables those that its rows point
at: its people (without their passwords), the lists its fields are taken from.
Sealed like a backup; `manage.py open_backup` lays the parts into a folder.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import psycopg
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from django.utils import timezone
from psycopg import sql

from .counting import list_tables
from .envelope import EnvelopeProblem, SealingWriter
from .making import BackupProblem, as_json, reading_everything
from .parts import write_end, write_part
from .restoring import opened

# Of rows in shared tables, which another clinic's people may stand in as well.
KEPT_BACK = ("password",)
AT_ONCE = 2_000
_POINTERS = """
    SELECT t.relname::text, a.attname::text, s.relname::text, b.attname::text
    FROM pg_constraint c
    JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class s ON s.oid = c.confrelid
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1]
    JOIN pg_attribute b ON b.attrelid = s.oid AND b.attnum = c.confkey[1]
    WHERE c.contype = 'f' AND cardinality(c.conkey) = 1 ORDER BY 3, 1, 2
"""


def export_clinic(target: BinaryIO, recipients: Sequence[X25519PublicKey], *, slug: str) -> dict[str, int]:
    """Write one clinic's rows, of one moment, to `target`; how many of each table.

    Raises BackupProblem where there is no such clinic or no role that sees it.
    """
    with reading_everything() as connection:
        found = connection.execute("SELECT id::text, name FROM tenants_tenant WHERE slug = %s", [slug]).fetchone()
        if found is None:
            raise BackupProblem(f"There is no clinic {slug!r}.")
        box = SealingWriter(target, recipients)
        counts: dict[str, int] = {}
        for name, statement in _statements(connection, found[0]):
            write_part(box, f"rows/{name}.ndjson", _lines(connection, statement, name, counts))
        about = {"clinic": slug, "name": found[1], "made_at": timezone.now().isoformat(timespec="seconds")}
        write_part(box, "clinic.json", [as_json({**about, "rows": counts})])
        write_end(box)
        box.close()
    return counts


def _statements(connection: psycopg.Connection, clinic: str) -> Iterator[tuple[str, sql.Composed]]:
    """Table and statement: the clinic's own tables, then what they point at in shared ones."""
    own = dict(list_tables(connection))
    for table in (table for table, has_clinics in own.items() if has_clinics):
        yield (
            table,
            sql.SQL("SELECT to_jsonb(r)::text FROM {} r WHERE tenant_id = {}").format(
                sql.Identifier(table), sql.Literal(clinic)
            ),
        )
    pointed: dict[str, list[sql.Composed]] = {}
    for table, column, shared, key in connection.execute(_POINTERS).fetchall():
        if own.get(table) and own.get(shared) is False:
            where = sql.SQL("s.{} IN (SELECT {} FROM {} WHERE tenant_id = {})").format(
                sql.Identifier(key), sql.Identifier(column), sql.Identifier(table), sql.Literal(clinic)
            )
            pointed.setdefault(shared, []).append(where)
    for shared, wheres in pointed.items():
        yield (
            shared,
            sql.SQL("SELECT (to_jsonb(s) - {}::text[])::text FROM {} s WHERE {}").format(
                sql.Literal(list(KEPT_BACK)), sql.Identifier(shared), sql.SQL(" OR ").join(wheres)
            ),
        )


def _lines(connection: psycopg.Connection, statement: sql.Composed, name: str, counts: dict) -> Iterator[bytes]:
    counts[name] = 0
    with connection.cursor(name="export") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(statement)
        for (line,) in cursor:
            counts[name] += 1
            yield line.encode() + b"\n"


def unpack(path: Path, keys: Sequence[X25519PrivateKey], folder: Path) -> list[str]:
    """Lay the parts of a backup or an export into a new folder; their names. Raises EnvelopeProblem, OSError.

    What a file holds is somebody's claim: a name that leads out of the folder is refused.
    """
    folder.mkdir(mode=0o700, parents=True)
    names = []
    with opened(path, keys) as parts:
        for name, blocks in parts:
            place = PurePosixPath(name)
            if place.is_absolute() or ".." in place.parts or "\0" in name:
                raise EnvelopeProblem(f"The part {name!r} would be written outside of the folder.")
            (folder / place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(folder / place, "xb") as file:
                for block in blocks:
                    file.write(block)
            names.append(name)
    return names
