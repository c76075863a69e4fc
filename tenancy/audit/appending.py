"""One entry at the end of the chain, in one statement.

The chain's head is the one row that everybody in a clinic waits for. Between
its lock and the commit nothing is left to Python here: PostgreSQL itself
reads the last hash, puts it into the header that was made ready, and hashes
that (design/performance.md 1.1: round trips are the cost). `hashing.py` says
what is hashed; this spells the same, and the verifier reads both alike.
"""

import os
from functools import lru_cache
from typing import Any

from django.db import connection

from tenancy.tenants.creation import Part, assembled
from tenancy.tenants.models import new_id_text

from .hashing import ENTRY_TAG, HEADER_FIELDS, canonical, payload_hash
from .models import AuditEntry, AuditHead, AuditPayload

# Stand in the header for what only the head knows, in the order that RFC 8785 gives their names.
_AT, _PREVIOUS, _SEQ = "6b3e0d6c-at", "6b3e0d6c-previous", "6b3e0d6c-seq"
_KNOWN_BY_HEAD = {"at": _AT, "prev_hash": _PREVIOUS, "seq": _SEQ}


class NoHead(Exception):
    """This clinic has no chain yet."""


def append_one(entry: AuditEntry, body: str) -> None:
    """Lock the head, append this entry with its payload, move the head on. Raises NoHead before the first entry."""
    sql, values = assembled(parts_of(entry, body), "SELECT 1 FROM audit_head")
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        if cursor.fetchone() is None:
            raise NoHead


def parts_of(entry: AuditEntry, body: str, *, condition: str = "true") -> list[Part]:
    """The WITH queries that append this entry, for a statement that does more; nothing where not `condition`."""
    salt = os.urandom(16)
    entry.payload_hash = payload_hash(salt, body)
    header = {name: _KNOWN_BY_HEAD.get(name, getattr(entry, name)) for name in HEADER_FIELDS}
    pieces = _split((ENTRY_TAG + canonical(header)).decode())
    values = [getattr(entry, name) for name in _entry_columns()]
    head, rows, payload = _queries(condition)
    return [
        Part("audit_head", head, [*pieces, entry.tenant_id]),
        Part("audit_entry", rows, values),
        Part("audit_payload", payload, [new_id_text(), entry.tenant_id, entry.pk, salt, body]),
    ]


def _split(text: str) -> list[str]:
    before_at, rest = text.split(_AT)
    before_previous, rest = rest.split(_PREVIOUS)
    before_seq, after = rest.split(f'"{_SEQ}"')
    return [before_at, before_previous, before_seq, after]


@lru_cache
def _entry_columns() -> tuple[str, ...]:
    """Columns of an entry that do not depend on the head."""
    of_head = {"seq", "at", "prev_hash", "entry_hash"}
    return tuple(field.attname for field in AuditEntry._meta.concrete_fields if field.attname not in of_head)


@lru_cache
def _queries(condition: str) -> tuple[str, str, str]:
    head, entry = AuditHead._meta.db_table, AuditEntry._meta.db_table
    columns = _entry_columns()
    fields: dict[str, Any] = {field.attname: field for field in AuditEntry._meta.concrete_fields}
    types = {name: fields[name].db_type(connection) for name in columns}
    # `at` is asked again when the head has moved while this waited for it: the clock is read under the lock.
    return (
        f"""
        UPDATE {head} h SET (at, seq, entry_hash) = (
            SELECT x.at, h.seq + 1, encode(sha256(convert_to(
                %s::text || to_char(x.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || %s::text
                || h.entry_hash || %s::text || (h.seq + 1)::text || %s::text, 'UTF8')), 'hex')
            FROM (SELECT clock_timestamp() AS at OFFSET 0) x
        )
        WHERE h.tenant_id = %s::uuid AND {condition}
        RETURNING NEW.at, NEW.seq, NEW.entry_hash, OLD.entry_hash AS prev_hash
        """,  # noqa: S608
        f"""
        INSERT INTO {entry} ({", ".join(columns)}, at, seq, entry_hash, prev_hash)
        SELECT {", ".join(f"%s::{types[name]}" for name in columns)}, at, seq, entry_hash, prev_hash FROM audit_head
        """,  # noqa: S608
        f"""
        INSERT INTO {AuditPayload._meta.db_table} (id, tenant_id, entry_id, salt, body)
        SELECT %s::uuid, %s::uuid, %s::uuid, %s::bytea, %s::text FROM audit_head
        """,  # noqa: S608
    )
