"""Numbers people say aloud (patient 1042), counted per clinic without gaps."""

from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection
from django.http import Http404

from .context import current_tenant_id
from .models import new_id

_NEXT = """
    INSERT INTO tenants_counter (id, tenant_id, name, value) SELECT %s::uuid, %s::uuid, %s, {count} WHERE {condition}
    ON CONFLICT (tenant_id, name) DO UPDATE SET value = tenants_counter.value + EXCLUDED.value
    RETURNING value
"""


def next_number(name: str, *, count: int = 1) -> int:
    """The next number of a kind in this clinic, or the first of `count` in a row.

    The counter stays locked until the transaction ends, so a rolled back
    creation gives its number back and nobody gets it twice.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NEXT.format(count=int(count), condition="true"), [new_id(), current_tenant_id(), name])
        (value,) = cursor.fetchone()
    return value - count + 1


@lru_cache
def next_where(condition: str) -> str:
    """The same as part of a larger statement, which takes an id, the clinic and the name. `condition` is SQL of ours.

    Named `n` there, `n.value` is the number; no row where not `condition`.
    """
    return _NEXT.format(count=1, condition=condition)


def by_number_or_id(key: object) -> dict[str, Any]:
    """What to look a row up by that people name by number or uuid (decision X10). Raises Http404 for neither."""
    text = str(key)
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return {"number": int(text)}
    try:
        return {"pk": UUID(text)}
    except ValueError:
        raise Http404 from None
