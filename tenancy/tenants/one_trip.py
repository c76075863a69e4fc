"""One statement inside one clinic, without the layers between: for the few that are asked thousands of times.

The statement is prepared once a connection. `BEGIN`, `SET LOCAL app.tenant_id`,
the statement and `COMMIT` go to the server together and come back together
(libpq's pipeline; design/performance.md 1.1: round trips are the cost). It runs
as the app role under row security like everything else. Nothing is left of the
tenant when it ends, and what goes wrong leaves nothing written.
"""

import hashlib
import select
import uuid
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

import structlog
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from psycopg import Connection, pq
from psycopg import OperationalError as ConnectionLost

from tenancy.postgres.base import is_silent, set_local_statement

log = structlog.get_logger(__name__)

MOST_PREPARED = 500
_prepared: "weakref.WeakKeyDictionary[Connection, set[bytes]]" = weakref.WeakKeyDictionary()


class Unusable(Exception):
    """The statement could not be run this way just now; ask in the usual way."""


class Refused(Unusable):
    """A rule of the database stands against it: a value that must be unique is there already, and the like."""


class Uncertain(OperationalError):
    """The connection was lost on the way: what was to be saved is there or is not. Only the caller can ask again."""


@dataclass(frozen=True)
class Then:
    """A second statement, of what the first has told: it is asked only where that gave rows."""

    statement: str
    values: Callable[[list[tuple]], Sequence[str | None]]


def run_alone(
    tenant_id: uuid.UUID,
    statement: str,
    parameters: Sequence[str | None],
    *,
    durable: bool,
    then: Then | None = None,
) -> list[tuple]:
    """The rows of one statement, as texts (None for NULL), from a transaction of its own.

    `statement` has `$1` … for its parameters, each sent as text. The
    transaction lets go of its locks without waiting for the disk. With
    `durable=True` the answer waits for it: a second transaction goes along
    behind it with a message in the log, and that is on the disk only after all
    that was written before it. So whoever holds a clinic's chain holds it for
    microseconds, and many writers share one flush. `durable=False` is for notes
    that may lose their last second when the server of the database dies, never
    for what somebody was told is saved. With `then` it is two trips, and still
    one transaction: both statements or none.

    Raises Unusable inside a transaction that is
    open already and for every error after which nothing is written, Refused for
    one of class 23. Where `durable` and nobody can know, it raises Uncertain.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if database.in_atomic_block:
        raise Unusable("A transaction is open.")
    try:
        database.ensure_connection()
    except OperationalError as error:
        raise Unusable(type(error).__name__) from None
    raw = database.connection
    pgconn = raw.pgconn
    if pgconn.transaction_status != pq.TransactionStatus.IDLE:
        raise Unusable("A transaction is open.")
    is_sent = False
    try:
        _see_that_it_lives(pgconn)
        name = _prepare(raw, statement)
        second = then and (_prepare(raw, then.statement), then.values)
        is_sent = True
        results = _exchange(pgconn, tenant_id, name, _encoded(parameters), durable=durable, then=second)
    except (ConnectionLost, OSError) as error:
        database.close()
        if durable and is_sent:
            raise Uncertain(type(error).__name__) from None
        raise Unusable(type(error).__name__) from None
    except Exception:  # of `then`; the transaction is still open
        database.close()
        raise
    for result in results:
        if result.status not in _GOOD:
            _give_up(database, results)
    return _rows_of(results[_STATEMENT])


def _encoded(values: Sequence[str | None]) -> list[bytes | None]:
    return [None if value is None else value.encode() for value in values]


def _rows_of(result: pq.abc.PGresult) -> list[tuple]:
    return [
        tuple([_text(result.get_value(row, column)) for column in range(result.nfields)])
        for row in range(result.ntuples)
    ]


def _see_that_it_lives(pgconn) -> None:
    """Raise where the server has said something unasked, which is goodbye: nothing has been sent, that is certain."""
    if not is_silent(pgconn.socket):
        raise ConnectionLost("The server has spoken first.")


_GOOD = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
_STATEMENT = 3
"""Which of the results is the statement's: behind BEGIN and two settings."""
# Only a transaction that has written to the log waits for the disk; this message is in nobody's table.
_FLUSH = b"SELECT pg_logical_emit_message(true, 'flush', '')"
_ALWAYS = {b"alone_begin": b"BEGIN", b"alone_commit": b"COMMIT", b"alone_flush": _FLUSH}
_UNHURRIED = b"SET LOCAL synchronous_commit = off"


def _exchange(
    pgconn, tenant_id: uuid.UUID, name: bytes, values: list, *, durable: bool, then: tuple[bytes, Callable] | None
) -> list[pq.abc.PGresult]:
    """One result for each of BEGIN, two settings, the statement, what comes `then`, COMMIT, the flush if `durable`."""
    results: list[pq.abc.PGresult] = []
    pgconn.enter_pipeline_mode()
    try:
        pgconn.send_query_prepared(b"alone_begin", None)
        pgconn.send_query_params(set_local_statement(tenant_id), None)
        pgconn.send_query_params(_UNHURRIED, None)
        pgconn.send_query_prepared(name, values)
        if then is not None:
            pgconn.pipeline_sync()
            results = _read_until(pgconn, 1)
            if any(result.status not in _GOOD for result in results):
                return results
            if rows := _rows_of(results[_STATEMENT]):
                second, values_of = then
                pgconn.send_query_prepared(second, _encoded(values_of(rows)))
        pgconn.send_query_prepared(b"alone_commit", None)
        pgconn.pipeline_sync()
        syncs = 1
        if durable:
            pgconn.send_query_prepared(b"alone_flush", None)
            pgconn.pipeline_sync()
            syncs = 2
        return results + _read_until(pgconn, syncs)
    finally:
        # Where something of it is still on its way the connection is given up.
        with suppress(ConnectionLost):
            pgconn.exit_pipeline_mode()


def _read_until(pgconn, syncs: int) -> list[pq.abc.PGresult]:
    """All results up to so many marks. Waits on the socket, so that others of this process run meanwhile."""
    results: list[pq.abc.PGresult] = []
    socket = select.poll()
    socket.register(pgconn.socket, select.POLLIN)
    while pgconn.flush():
        _wait_to_write(pgconn)
    while True:
        while pgconn.is_busy():
            socket.poll()
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:  # the end of one of them
            continue
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            syncs -= 1
            if not syncs:
                return results
            continue
        results.append(result)


def _wait_to_write(pgconn) -> None:
    """Until the server takes more; what it says meanwhile is read, so that neither waits for the other."""
    socket = select.poll()
    socket.register(pgconn.socket, select.POLLIN | select.POLLOUT)
    for _descriptor, event in socket.poll():
        if event & select.POLLIN:
            pgconn.consume_input()


def _give_up(database, results: list[pq.abc.PGresult]) -> NoReturn:
    """Roll back and say why. After what is no rule of ours the connection goes, with all that was prepared on it."""
    failed = next(result for result in results if result.status not in _GOOD)
    code = (failed.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    if code.startswith("23") and database.connection.pgconn.exec_(b"ROLLBACK").status == pq.ExecStatus.COMMAND_OK:
        raise Refused(f"SQLSTATE {code}")
    log.warning("statement_alone_failed", sqlstate=code)
    # COMMIT answers only after all before it went well; what follows it is the flush.
    is_committed = any((result.command_status or b"") == b"COMMIT" for result in results)
    # A migration may have changed the tables below what was prepared.
    database.close()
    raise Uncertain(f"SQLSTATE {code}") if is_committed else Unusable(f"SQLSTATE {code}")


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _prepare(raw: Connection, statement: str) -> bytes:
    name = _name_of(statement)
    known = _prepared.get(raw)
    if known is None:
        known = _prepared[raw] = set()
        for always, text in _ALWAYS.items():
            _must(raw.pgconn.prepare(always, text))
    if name not in known:
        if len(known) >= MOST_PREPARED:
            raise Unusable("Too many statements are prepared on this connection.")
        _must(raw.pgconn.prepare(name, statement.encode()))
        known.add(name)
    return name


def _must(result: pq.abc.PGresult) -> None:
    if result.status not in _GOOD:
        raise ConnectionLost("It could not be prepared.")


@lru_cache
def _name_of(statement: str) -> bytes:
    return b"alone_" + hashlib.sha256(statement.encode()).hexdigest()[:24].encode()
