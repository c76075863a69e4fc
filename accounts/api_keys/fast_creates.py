"""The short way through `/v1` for plain creates: key, rights, the row and all that belongs to it in one statement.

A room declares a `FastCreate` with the serializer of the body and the function
that its service prepares the thing with; both are those of the usual way. What
is compiled is the checking (`tenancy.doors.clear`), the writing
(`tenancy.tenants.creation`), the line in the trail (`tenancy.audit.appending`),
the event (`tenancy.events.outbox`) and the answer (`tenancy.doors.compiled`).
As with reads, the lane answers only what is beyond doubt: everything else, each
refusal among it, is left to the usual way, and nothing is written before
(docs/decisions/0017).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import count
from typing import Any
from uuid import UUID

import orjson
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpResponse
from django.urls import resolve
from django.utils import timezone
from rest_framework.exceptions import APIException

from tenancy.audit import appending
from tenancy.audit import services as audit
from tenancy.doors.clear import ClearPayload, NotClear
from tenancy.doors.compiled import CompiledRows
from tenancy.doors.parsers import read_json
from tenancy.doors.payloads import PayloadSerializer
from tenancy.events import outbox
from tenancy.events import services as events
from tenancy.retries import services as retries
from tenancy.retries.refusals import check_key
from tenancy.rules import RuleBroken
from tenancy.tenants.context import naming_tenant, tenant_context
from tenancy.tenants.creation import Creation, Part, as_texts, assembled
from tenancy.tenants.models import Tenant
from tenancy.tenants.one_trip import Then, run_alone

from . import once
from .models import ApiKey
from .recognition import NOTED_SECONDS

_KEY = f"""
    SELECT k.id FROM api_keys_apikey k JOIN tenants_tenant t ON t.id = k.tenant_id
    WHERE k.tenant_id = %s::uuid AND k.key_hash = %s::text AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()) AND t.is_active
      AND k.last_used_at > clock_timestamp() - interval '{NOTED_SECONDS} s'
      AND k.scopes = %s::jsonb
      AND k.id = %s::uuid AND k.name = %s::text AND k.requests_per_minute = %s::int
      AND t.country = %s::text AND t.time_zone = %s::text
      AND EXISTS (SELECT FROM audit_auditactor a
                  WHERE a.tenant_id = k.tenant_id AND a.id = %s::uuid AND a.label = %s::text)
      AND EXISTS (SELECT FROM audit_audithead h WHERE h.tenant_id = k.tenant_id)
"""  # noqa: S608
"""The key while it is good, and only while what is remembered of it is still so."""
_UNHEARD = (
    f"{_KEY} AND NOT EXISTS (SELECT FROM events_endpoint e WHERE e.tenant_id = k.tenant_id AND e.state <> 'deleted')"
)
"""The same where nobody listens to events, so that none is written."""


KEY_FIELD = "idempotency_key"
"""The field of a body that makes a thing once (`once`)."""
REFUSALS = (ValidationError, RuleBroken, APIException)
"""What a service or a door says no with."""


@dataclass(frozen=True)
class Knowledge:
    """What a room has to know of the clinic before it can prepare a thing, such as the fields the clinic has added.

    `look()` reads it, inside the clinic; `still(known, row)` is the condition,
    with its values, under which it is as it was for this row; None where the
    row does not depend on it.
    """

    look: Callable[[], Any]
    still: Callable[[Any, Any], tuple[str, list[Any]] | None]


NOTHING = Knowledge(lambda: None, lambda known, row: None)


@dataclass(frozen=True, eq=False)
class FastCreate:
    """A resource under `/v1` whose plain creates take the lane.

    `permissions` are what its usual door asks for to make one and to show it.
    `prepare(given, by, known)` makes a Creation out of the checked body and
    what is known of the clinic (`knowledge`), and asks the database nothing.
    `action` and `changes(row)` are how the trail notes it, `event` what other
    programs are told. `kind` is how `once.make_once` calls it; the body's
    field `idempotency_key` is the key.
    """

    path: str
    kind: str
    payload: ClearPayload
    context: Callable[[Tenant], Mapping[str, Any]]
    prepare: Callable[[Any, ApiKey, Any], Creation]
    rows: CompiledRows
    permissions: tuple[str, ...]
    action: str
    changes: Callable[[Any], dict[str, tuple[Any, Any]]]
    event: str
    knowledge: Knowledge = NOTHING

    @cached_property
    def route(self) -> str:
        """The route of the usual door, by which a retry key is kept."""
        return retries.route_of(resolve(self.path).route)

    def ending(self, deliveries: str) -> str:
        """What the statement tells: the answer, the version, and how many deliveries were made."""
        return f"SELECT {self.rows.json}, r.version, {deliveries} FROM k, r{self.rows.joins}"  # noqa: S608


@dataclass(frozen=True)
class Made:
    """The answer to a create; `deliveries` are waiting for the worker."""

    response: HttpResponse
    deliveries: int


RESOURCES: dict[str, FastCreate] = {}
"""By the path of their list."""


def register(resource: FastCreate) -> FastCreate:
    """Let the plain creates of a resource take the lane. Called by rooms where their door is declared."""
    RESOURCES[resource.path] = resource
    return resource


@dataclass(frozen=True)
class Sent:
    """A create as it came: the checked body, the body as it stood there, and which try it is where it has a key."""

    given: PayloadSerializer
    plain: Any
    attempt: retries.Attempt | None = None


def read_body(resource: FastCreate, body: bytes, by: ApiKey, retry_key: str | None) -> Sent | None:
    """The checked body; None where the serializer or the usual door of retry keys has to look at it."""
    attempt = None
    try:
        plain = read_json(body)
        given = resource.payload.read(plain, dict(resource.context(by.tenant)))
        if retry_key is not None:
            check_key(retry_key)
            attempt = retries.attempt_of(by, resource.route, retry_key, address=resource.path, query="", body=body)
    except (NotClear, APIException):
        return None
    return Sent(given, plain, attempt)


@dataclass(frozen=True)
class Caller:
    """What is remembered of a key: its row with its clinic, the first key of its line, whether the clinic has endpoints
    for events, and what the rooms know of the clinic, by resource."""

    key: ApiKey
    first_of_line: UUID
    is_heard: bool
    known: Mapping[str, Any]


def look_at(key: ApiKey) -> Caller:
    """A key that has just created something, with what its next create needs to know. Read in the key's clinic."""
    with tenant_context(key.tenant_id):
        known = {path: resource.knowledge.look() for path, resource in RESOURCES.items()}
        return Caller(key, once.first_of_line(key), outbox.is_anybody_listening(), known)


def create(resource: FastCreate, sent: Sent, caller: Caller) -> Made | None:
    """Write all of it; None where a rule of the service or something remembered that is no longer so stands against it.

    None also where a retry key has been used before or is in use: the usual way answers that. Raises Unusable,
    Refused where the database refuses it. In all of these nothing is written.
    """
    by, known = caller.key, caller.known[resource.path]
    with naming_tenant(by.tenant_id), timezone.override(by.tenant.zone):
        actor = audit.known_actor(by)
        if actor is None:
            return None
        try:
            creation = resource.prepare(sent.given, by, known)
        except REFUSALS:
            return None
        row = creation.row
        entry, body = audit.compose(resource.action, row, actor=actor, changes=resource.changes(row))
        made = "EXISTS (SELECT FROM r)"
        conditions, condition_values = _conditions(resource, sent, caller, row)
        parts = [
            Part("k", (_KEY if caller.is_heard else _UNHEARD) + conditions, _remembered(by, actor) + condition_values),
            *creation.parts("EXISTS (SELECT FROM k)"),
            *_made_once(resource, sent, caller),
            *(events.parts_of_new(resource.event, row, by=by, condition=made) if caller.is_heard else ()),
            *appending.parts_of(entry, body, condition=made),
        ]
        sql, values = assembled(parts, resource.ending(outbox.DELIVERIES if caller.is_heard else "0"))
        then = sent.attempt and _keeping(sent.attempt)
        rows = run_alone(by.tenant_id, numbered(sql), as_texts(values), durable=True, then=then)
    if not rows:
        return None
    return Made(_told(rows), int(rows[0][2]))


def _told(rows: list[tuple]) -> HttpResponse:
    [(json, version, _deliveries)] = rows
    return answer(json, 201, {"ETag": f'"{version}"'})


def _conditions(resource: FastCreate, sent: Sent, caller: Caller, row: Any) -> tuple[str, list[Any]]:
    """What else has to hold: what is known is still so, and the retry key is free."""
    found = [resource.knowledge.still(caller.known[resource.path], row)]
    if sent.attempt is not None:
        found.append(retries.condition_of(sent.attempt))
    conditions = [condition for condition in found if condition is not None]
    return "".join(f" AND {text}" for text, _values in conditions), [one for _text, all in conditions for one in all]


def _made_once(resource: FastCreate, sent: Sent, caller: Caller) -> list[Part]:
    """The note that this key of the body has made the thing, where it has one."""
    key = sent.given.values.get(KEY_FIELD)
    if not key:
        return []
    return [once.part_of(caller.key.tenant_id, caller.first_of_line, resource.kind, key, sent.plain)]


def _keeping(attempt: retries.Attempt) -> Then:
    """The answer, kept for whoever asks again, by a second statement of the same transaction: it is sealed here."""

    def values(rows: list[tuple]) -> list[str | None]:
        told = _told(rows)
        headers = {name: told[name] for name in retries.KEPT_HEADERS if name in told}
        return as_texts(retries.kept_values(attempt, retries.Reply(told.status_code, headers, told.content)))

    return Then(numbered(retries.KEEPING), values)


def answer(json: str, status: int, headers: Mapping[str, str]) -> HttpResponse:
    """JSON with its length; the layer that says it otherwise stands behind the lane."""
    body = json.encode()
    return HttpResponse(body, "application/json", status, headers={**headers, "Content-Length": str(len(body))})


def _remembered(by: ApiKey, actor: models.Model) -> list[Any]:
    tenant, scopes = by.tenant, orjson.dumps(by.scopes).decode()
    key = [by.tenant_id, by.key_hash, scopes, by.pk, by.name, by.requests_per_minute]
    return [*key, tenant.country, tenant.time_zone, actor.pk, actor.label]


@lru_cache(maxsize=256)
def numbered(sql: str) -> str:
    """`$1`, `$2` … for each `%s`."""
    places = count(1)
    return re.sub("%s", lambda _match: f"${next(places)}", sql)
