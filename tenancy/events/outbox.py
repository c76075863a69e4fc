"""How an event gets into the outbox: with its number and its deliveries, by one statement.

It stands in the way of every write, so it is plain SQL, and a look comes first:
where a clinic has no endpoint nothing is written (docs/decisions/0013). The
statement counts the thing's events under a lock that lasts until the commit, so
that no two have one number and none is left out by a rollback.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from tenancy.tenants.context import connection, current_tenant_id
from tenancy.tenants.models import new_id

from .registry import ALL

_PLACE = b'"sequence":0'

LOOK = "SELECT EXISTS (SELECT FROM events_endpoint WHERE tenant_id = %s AND state <> 'deleted')"

STATEMENT = """
    WITH listening AS (
        SELECT id, event_types FROM events_endpoint WHERE tenant_id = %(tenant)s AND state IN ('active', 'paused')
    ), counted AS (
        INSERT INTO events_sequence (id, tenant_id, object_type, object_id, value)
        SELECT %(sequence_id)s, %(tenant)s, %(object_type)s::text, %(object_id)s, 1
        ON CONFLICT (tenant_id, object_type, object_id) DO UPDATE SET value = events_sequence.value + 1
        RETURNING value
    ), written AS (
        INSERT INTO events_event (
            id, tenant_id, type, object_type, object_id, sequence, occurred_at, body, request_id, actor_kind, actor_id
        )
        SELECT %(id)s, %(tenant)s, %(type)s::text, %(object_type)s::text, %(object_id)s, value, %(now)s,
            %(before)s::text || '"sequence":' || value || %(after)s::text,
            %(request_id)s::text, %(actor_kind)s::text, %(actor_id)s::uuid
        FROM counted RETURNING id
    )
    INSERT INTO events_delivery (
        id, tenant_id, event_id, endpoint_id, state, attempts, interruptions, since, next_try_at
    )
    SELECT gen_random_uuid(), %(tenant)s, written.id, listening.id, 'waiting', 0, 0, %(now)s, %(now)s
    FROM written, listening
    WHERE listening.event_types ?| %(types)s
"""


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
    before, after = body_of(event_id, type, object_type, object_id, facts, now).split(_PLACE)
    with connection.cursor() as cursor:
        cursor.execute(
            STATEMENT,
            {
                "id": event_id,
                "sequence_id": new_id(),
                "tenant": current_tenant_id(),
                "type": type,
                "types": [ALL, type],
                "object_type": object_type,
                "object_id": object_id,
                "now": now,
                "before": before.decode(),
                "after": after.decode(),
                "request_id": request_id,
                "actor_kind": actor_kind,
                "actor_id": actor_id,
            },
        )
        return cursor.rowcount


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
