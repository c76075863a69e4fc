"""Stepping out of a clinic for a moment, so that one test can play several people in several clinics."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django_scopes.state import state as scopes

from tenancy.tenants import context
from tenancy.tenants.context import finish_pending, get_current_tenant_id


@contextmanager
def outside_tenant() -> Iterator[None]:
    """As if what the test did so far had been committed, and nobody were inside of a clinic.

    For requests of a test client and for entering another clinic: inside the
    block `tenant_context` may be entered with any tenant. Afterwards the test
    goes on in its own clinic. For tests only: production code never suspends
    a tenant, it leaves it.
    """
    active = get_current_tenant_id()
    if active is None:
        yield
        return
    finish_pending()
    tenant_token, scope_token = context._current.set(None), scopes.set(None)
    _tell_database(None)
    try:
        yield
    finally:
        context._current.reset(tenant_token)
        scopes.reset(scope_token)
        _tell_database(active)


def _tell_database(tenant_id: uuid.UUID | None) -> None:
    # A transaction that has failed accepts nothing; rolling back to the savepoint brings the old value back.
    if connection.in_atomic_block and not connection.needs_rollback:
        connection.set_local_tenant(tenant_id)
