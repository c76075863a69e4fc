"""One statement inside one clinic, without the layers between: for the few that are asked thousands of times.

The statement is prepared once a connection, and its transaction is as short as
it gets: `BEGIN; SET LOCAL app.tenant_id`, the statement, `COMMIT`. It runs as
the app role under row security like everything else. Nothing is left of the
tenant when it ends, and what goes wrong leaves nothing written.
"""

import hashlib
import uuid
import weakref
from collections.abc import Sequence
from functools import lru_cache

import structlog
from psycopg import Connection, OperationalError, pq

from tenancy.postgres.base import begin_statement

from .context import connection

log = structlog.get_logger(__name__)

_prepared: "weakref.WeakKeyDictionary[Connection, set[bytes]]" = weakref.WeakKeyDictionary()


class Unusable(Exception):
    """The statement could not be run this way just now; ask in the usual way."""


def run_alone(tenant_id: uuid.UUID, statement: str, parameters: Sequence[str | None], *, durable: bool) -> list[tuple]:
    """The rows of one statement, as texts (None for NULL), from a transaction of its own.

    `statement` has `$1` … for its parameters, each sent as text. With
    `durable=False` the answer does not wait until what was written is on the
    disk: good for notes that may lose their last second when the server of the
    database dies, never for what somebody was told is saved. Raises Unusable
    inside a transaction that is open already, and for every error.
    """
    if connection.in_atomic_block:
        raise Unusable("A transaction is open.")
    connection.ensure_connection()
    raw = connection.connection
    try:
        if raw.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            raise Unusable("A transaction is open.")
        name = _prepare(raw, statement)
        begin = begin_statement(tenant_id)
        _must(raw, raw.pgconn.exec_(begin if durable else begin + b"; SET LOCAL synchronous_commit = off"))
        values = [None if value is None else value.encode() for value in parameters]
        result = _must(raw, raw.pgconn.exec_prepared(name, values))
        rows = [
            tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
            for row in range(result.ntuples)
        ]
        _must(raw, raw.pgconn.exec_(b"COMMIT"))
    except OperationalError as error:
        connection.close()
        raise Unusable(str(error)) from None
    return rows


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _prepare(raw: Connection, statement: str) -> bytes:
    name = _name_of(statement)
    known = _prepared.setdefault(raw, set())
    if name not in known:
        _must(raw, raw.pgconn.prepare(name, statement.encode()))
        known.add(name)
    return name


@lru_cache
def _name_of(statement: str) -> bytes:
    return b"alone_" + hashlib.sha256(statement.encode()).hexdigest()[:24].encode()


def _must(raw: Connection, result: pq.abc.PGresult) -> pq.abc.PGresult:
    """The result, or Unusable; whatever was open is rolled back, and a connection that lies in pieces is given up."""
    if result.status in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}:
        return result
    code = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
    log.warning("statement_alone_failed", sqlstate=code.decode())
    # Also forgets what was prepared: a migration may have changed the tables below.
    connection.close()
    raise Unusable(f"SQLSTATE {code.decode()}")
