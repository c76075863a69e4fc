"""The database backend: Django's own, with six differences.

1. A transaction begins with one message, `BEGIN; SET LOCAL app.tenant_id = '…'`
   (design/performance.md 1.4, rank 10). It is the statement SET LOCAL, never
   set_config(): Citus forwards only the former.
2. psycopg itself always stays in autocommit, so nothing but `atomic()` opens a
   transaction, and a tenant can not outlive one.
3. bulk_create inserts by VALUES; INSERT … SELECT UNNEST is refused by Citus.
4. Whether a kept connection is still good is seen on its socket: a server that
   has gone has said so. Asking it `SELECT 1` would be a round trip a request.
5. Savepoints go as plain messages, without a cursor each: half of their cost.
6. Moments are read by `datetime.fromisoformat`, which takes a ninth of psycopg's own Python: a page of the
   book reads thousands of them.
"""

import select
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from django.db.backends.postgresql import base
from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations
from psycopg import errors, pq
from psycopg.types.datetime import TimestamptzLoader

MOST_PARAMETERS = 65_535


class MomentLoader(TimestamptzLoader):
    """`timestamptz` of a connection that speaks UTC; whatever is written in another way, psycopg reads itself."""

    timezone = UTC  # by which Django knows that it need not put its own in place

    def load(self, data) -> datetime:
        try:
            moment = datetime.fromisoformat(bytes(data).decode())
        except ValueError:  # infinity, before Christ, after the year 9999
            return super().load(data).replace(tzinfo=UTC)
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


class DatabaseOperations(PostgresOperations):
    compiler_module = "django.db.models.sql.compiler"

    def bulk_batch_size(self, fields, objs):
        # Parameters are bound by the server, which takes at most 65,535 in one statement.
        return max(1, MOST_PARAMETERS // max(1, len(fields)))

    def bulk_insert_sql(self, fields, placeholder_rows):
        rows = ", ".join(f"({', '.join(row)})" for row in placeholder_rows)
        return f"VALUES {rows}"


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tenant_for_next_begin: uuid.UUID | None = None
        self.before_commit: list[tuple[frozenset, Callable[[], object]]] = []

    def get_new_connection(self, conn_params):
        connection = super().get_new_connection(conn_params)
        if self.timezone is UTC:
            connection.adapters.register_loader("timestamptz", MomentLoader)
        return connection

    def _set_autocommit(self, autocommit):
        if autocommit:
            super()._set_autocommit(True)  # type: ignore[misc]  # missing in the stubs
            return
        tenant_id, self.tenant_for_next_begin = self.tenant_for_next_begin, None
        with self.wrap_database_errors:
            self._send(begin_statement(tenant_id))

    def set_local_tenant(self, tenant_id: uuid.UUID | None) -> None:
        """Set (or with None empty) the tenant of the transaction that is open now."""
        with self.wrap_database_errors:
            self._send(set_local_statement(tenant_id))

    def is_usable(self):
        if self.connection is None or self.connection.closed or not is_silent(self.connection.pgconn.socket):
            return super().is_usable()
        return True

    def _savepoint(self, sid):
        self._say(self.ops.savepoint_create_sql(sid))

    def _savepoint_rollback(self, sid):
        self._say(self.ops.savepoint_rollback_sql(sid))

    def _savepoint_commit(self, sid):
        self._say(self.ops.savepoint_commit_sql(sid))

    def _say(self, statement: str) -> None:
        self.ensure_connection()
        with self.wrap_database_errors:
            self._send(statement.encode())

    def savepoint_rollback(self, sid):
        super().savepoint_rollback(sid)
        self.before_commit = [entry for entry in self.before_commit if sid not in entry[0]]

    def _send(self, statement: bytes) -> None:
        connection = self.connection
        result = connection.pgconn.exec_(statement)
        if result.status not in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}:
            raise errors.error_from_result(result, encoding="utf-8")


def is_silent(descriptor: int) -> bool:
    """Whether nothing waits to be read: what a server says unasked is goodbye."""
    socket = select.poll()
    socket.register(descriptor, select.POLLIN)
    return not socket.poll(0)


def begin_statement(tenant_id: uuid.UUID | None) -> bytes:
    """The message that opens a transaction, with the tenant in it when there is one."""
    return b"BEGIN" if tenant_id is None else b"BEGIN; " + set_local_statement(tenant_id)


def set_local_statement(tenant_id: uuid.UUID | None) -> bytes:
    """SET LOCAL takes no bind parameter; the value is safe because only a UUID's own text gets in."""
    value = "" if tenant_id is None else str(uuid.UUID(str(tenant_id)))
    return f"SET LOCAL app.tenant_id = '{value}'".encode()
