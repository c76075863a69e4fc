"""The clinic somebody works in right now.

`tenant_context` is the one door: it opens a transaction that carries the
tenant, and nothing of it is left when the transaction ends.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

from django.db import connection as _connection
from django.db import transaction
from django_scopes import scope

if TYPE_CHECKING:
    from tenancy.postgres.base import DatabaseWrapper

connection = cast("DatabaseWrapper", _connection)

_current: ContextVar[uuid.UUID | None] = ContextVar("tenant", default=None)


class NoTenant(Exception):
    """Something needed a clinic and none was chosen. A bug in the caller, never a user's mistake."""


class OtherTenant(Exception):
    """Somebody working in one clinic tried to step into another without leaving the first."""


@contextmanager
def tenant_context(tenant_id: uuid.UUID | str) -> Iterator[None]:
    """Work inside one clinic: one transaction, PostgreSQL shows and accepts only its rows.

    Opens the transaction with `BEGIN; SET LOCAL app.tenant_id` in one round
    trip. Entered again with the same tenant it is a savepoint; with another
    tenant it raises OtherTenant. An error rolls back and leaves no tenant.
    Inside a transaction somebody else opened (tests, `atomic`) the tenant is
    set for the rest of that block and emptied at its end.
    """
    tenant_id = uuid.UUID(str(tenant_id))
    active = _current.get()
    if active is not None and active != tenant_id:
        raise OtherTenant(f"Leave the tenant {active} before entering {tenant_id}.")
    entering = active is None
    merged = entering and not connection.in_atomic_block
    if merged:
        connection.tenant_for_next_begin = tenant_id
    try:
        with transaction.atomic(), scope(tenant=tenant_id):
            if entering and not merged:
                connection.set_local_tenant(tenant_id)
            token = _current.set(tenant_id)
            try:
                yield
                if entering:
                    finish_pending()
            finally:
                _current.reset(token)
            # After a rolled back savepoint PostgreSQL has put the old value back itself.
            if entering and not merged and not connection.needs_rollback:
                connection.set_local_tenant(None)
    finally:
        connection.tenant_for_next_begin = None
        if entering:
            connection.before_commit = []


@contextmanager
def naming_tenant(tenant_id: uuid.UUID) -> Iterator[None]:
    """Say which clinic new rows are for, while they are put together outside of any transaction.

    Nothing of the clinic can be read or written here: PostgreSQL knows of no
    tenant, and managers raise ScopeError. For statements of one trip (`one_trip.py`).
    """
    token = _current.set(tenant_id)
    try:
        yield
    finally:
        _current.reset(token)


def before_leaving(function: Callable[[], object]) -> None:
    """Call a function inside the transaction, right before `tenant_context` ends it.

    For what has to be written last (the audit trail locks its tenant's head
    row). Dropped, like on_commit, when the savepoint it was asked for in is
    rolled back. Functions run in the order they were asked for.
    """
    current_tenant_id()
    connection.before_commit.append((frozenset(connection.savepoint_ids), function))


def finish_pending() -> None:
    """Run what `before_leaving` has gathered so far. Tests call it to see the trail before the transaction ends."""
    while connection.before_commit and not connection.needs_rollback:
        _savepoints, function = connection.before_commit.pop(0)
        function()


def get_current_tenant_id() -> uuid.UUID | None:
    """The id of the clinic worked in now, or None."""
    return _current.get()


def current_tenant_id() -> uuid.UUID:
    """The id of the clinic worked in now. Raises NoTenant outside of `tenant_context`."""
    tenant_id = _current.get()
    if tenant_id is None:
        raise NoTenant("This needs a clinic: call it inside tenant_context().")
    return tenant_id
