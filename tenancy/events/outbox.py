"""How an event gets into the outbox: with its number and its deliveries, by one statement.

It stands in the way of every write, so it is plain SQL, and a look comes first:
where a clinic has no endpoint nothing is written (docs/decisions/0013). The
statement counts the thing's events under a lock that lasts until the commit, so
that no two have one number and none is left out by a rollback.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from tenancy.tenants.context import connection, current_tenant_id
from tenancy.tenants.creation import Part, assembled
from tenancy.tenants.models import new_id

from .registry import ALL

_PLACE = b'"sequence":0'
_NUMBERED_PLACE = b'"number":0,"sequence":0'

LOOK = "SELECT EXISTS (SELECT FROM events_endpoint WHERE tenant_id = %s::uuid AND state <> 'deleted')"

_LISTENING = """
    SELECT id, event_types FROM events_endpoint WHERE tenant_id = %s::uuid AND state IN ('active', 'paused')
"""
_COUNTED = """
    INSERT INTO events_sequence (id, tenant_id, object_type, object_id, value)
    SELECT %s::uuid, %s::uuid, %s::text, %s::uuid, 1 WHERE {condition}
    ON CONFLICT (tenant_id, object_type, object_id) DO UPDATE SET value = events_sequence.value + 1
    RETURNING value
"""
_WRITTEN = """
    INSERT INTO events_event (
        id, tenant_id, type, object_type, object_id, occurred_at, request_id, actor_kind, actor_id, sequence, body
    )
    SELECT %s::uuid, %s::uuid, %s::text, %s::text, %s::uuid, %s::timestamptz, %s::text, %s::text, %s::uuid,
        event_counted.value, %s::text || {number}'"sequence":' || event_counted.value || %s::text
    FROM event_counted{source} RETURNING id, occurred_at
"""
_DELIVERED = """
    INSERT INTO events_delivery (
        id, tenant_id, event_id, endpoint_id, state, attempts, interruptions, since, next_try_at
    )
    SELECT gen_random_uuid(), %s::uuid, e.id, l.id, 'waiting', 0, 0, e.occurred_at, e.occurred_at
    FROM event_written e, event_listening l
    WHERE l.event_types ?| %s::text[]
    RETURNING 1
"""
DELIVERIES = "(SELECT count(*) FROM event_delivered)"
"""How many deliveries `parts_of` has made, as an expression of the same statement."""


def is_anybody_listening() -> bool:
    """Whether this clinic has an endpoint, be it paused or off: then events are kept, for now or for later."""
    with connection.cursor() as cursor:
        cursor.execute(LOOK, [current_tenant_id()])
        return cursor.fetchone()[0]


def write_event(
    *,
    type: str,
    object_type: str,
    object_id: uuid.UUID,
    facts: Mapping[str, Any],
    now: datetime,
    request_id: str,
    actor_kind: str,
    actor_id: uuid.UUID | None,
) -> int:
    """Write one event and its deliveries; how many deliveries. `facts` are numbers and ids for the payload."""
    event_id = new_id()
    body = body_of(event_id, type, object_type, object_id, facts, now).split(_PLACE)
    values = [event_id, type, object_type, object_id, now, request_id, actor_kind, actor_id]
    sql, values = assembled(_parts(values, body, "true", number="", source=""), f"SELECT {DELIVERIES}")
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0]


def parts_of_new(
    *,
    type: str,
    object_type: str,
    object_id: uuid.UUID,
    now: datetime,
    request_id: str,
    actor_kind: str,
    actor_id: uuid.UUID | None,
    condition: str,
    numbered: bool,
) -> list[Part]:
    """The WITH queries that tell of a thing which the same statement makes as `r` (`tenancy.tenants.creation`).

    Nothing is written where not `condition`, and in a clinic without endpoints.
    `numbered` things have their number in the payload.
    """
    event_id = new_id()
    facts = {"number": 0} if numbered else {}
    place, number = (_NUMBERED_PLACE, "'\"number\":' || r.number || ',' || ") if numbered else (_PLACE, "")
    body = body_of(event_id, type, object_type, object_id, facts, now).split(place)
    values = [event_id, type, object_type, object_id, now, request_id, actor_kind, actor_id]
    look = LOOK.removeprefix("SELECT ")
    return _parts(values, body, f"{condition} AND {look}", number=number, source=", r", looks=1)


def _parts(
    values: list[Any], body: list[bytes], condition: str, *, number: str, source: str, looks: int = 0
) -> list[Part]:
    """`values` are those of the event but the clinic; the condition asks for the clinic `looks` times."""
    before, after = body
    tenant_id = current_tenant_id()
    event_id, type, object_type, object_id, *others = values
    return [
        Part("event_listening", _LISTENING, [tenant_id]),
        Part(
            "event_counted",
            _filled(_COUNTED, condition=condition),
            [new_id(), tenant_id, object_type, object_id, *[tenant_id] * looks],
        ),
        Part(
            "event_written",
            _filled(_WRITTEN, number=number, source=source),
            [event_id, tenant_id, type, object_type, object_id, *others, before.decode(), after.decode()],
        ),
        Part("event_delivered", _DELIVERED, [tenant_id, [ALL, type]]),
    ]


@lru_cache
def _filled(text: str, **pieces: str) -> str:
    return text.format(**pieces)


def body_of(
    event_id: uuid.UUID,
    type: str,
    object_type: str,
    object_id: uuid.UUID,
    facts: Mapping[str, Any],
    now: datetime,
    sequence: int = 0,
) -> bytes:
    """What receivers get: `{"id", "type", "timestamp", "data": {"object", "id", "sequence", …}}`, thin on purpose."""
    data = {"object": object_type, "id": object_id, **facts, "sequence": sequence, "tenant_id": current_tenant_id()}
    body = {"id": event_id, "type": type, "timestamp": now.astimezone(UTC), "data": data}
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)
