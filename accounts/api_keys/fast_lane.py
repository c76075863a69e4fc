"""The short way through `/v1`: of plain reads key, rights, row and the note that it was read in one statement.

A room declares a `FastResource` for what it shows under `/v1`; nothing else is
special about it. The lane answers only what is beyond doubt: a GET with a
clinic's key and nothing else that names a caller, of one row or of a first
page, where the key is live, has the right, and every row is one that anybody
with the right may see whole. Everything else, each error among it, is left to
the usual way, so both can not say different things; a test holds the answers
of both equal (docs/decisions/0017). Plain creates take it too (`fast_creates`).
"""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import SimpleNamespace
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
import structlog
from django.conf import settings
from django.http import HttpResponse

from tenancy.doors.compiled import CompiledRows
from tenancy.doors.limits import BucketLimit, Limit, Usage
from tenancy.doors.paging import COUNTED_EXACTLY, LARGEST_PAGE_SIZE, write_cursor
from tenancy.doors.retry_keys import HEADER
from tenancy.doors.routers import UUID_FORM
from tenancy.events import services as events
from tenancy.tenants.models import new_id
from tenancy.tenants.one_trip import Unusable, run_alone

from . import fast_creates
from .key_text import SentKey, read_key
from .models import ApiKey
from .recognition import NOTED_SECONDS
from .scopes import SCOPES

CAPPED_FOR = 60.0
"""Seconds for which a list longer than can be counted is not counted again."""
LONGEST_PATH = 200
TRIED = "carewright.lane"
"""In the environment of a request that the lane has seen already: what it was counted by, or None."""
LONGEST_BODY = 20_000
RETRY_KEY = "HTTP_" + HEADER.upper().replace("-", "_")
_JSON = {"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"}
_ACCEPTED = {"*/*", "application/json", "application/json, text/plain, */*", "application/json, */*"}
_ANOTHER_WAY = ("HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_IF_NONE_MATCH", "HTTP_X_HTTP_METHOD_OVERRIDE")

_KEY = f"""
    k AS MATERIALIZED (
        SELECT k.id, k.tenant_id, k.requests_per_minute,
            coalesce(k.last_used_at > clock_timestamp() - interval '{NOTED_SECONDS} s', false) AS is_noted
        FROM api_keys_apikey k JOIN tenants_tenant t ON t.id = k.tenant_id
        WHERE k.tenant_id = $1::uuid AND k.key_hash = $2 AND k.revoked_at IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()) AND t.is_active
          AND k.scopes ?| $3::text[]
    )
"""  # noqa: S608


@dataclass(frozen=True)
class Filter:
    """One parameter of the list that the lane understands: its condition, with `{0}` for the value, and what fits.

    `is_sure` where the usual way refuses nothing that fits: then nothing found means that there is nothing.
    """

    condition: str
    fits: Callable[[str], bool]
    is_sure: bool = False


@dataclass(frozen=True)
class Name:
    """What one row can be asked for by, other than its id: `/v1/patients/by-document/1/1020304050`.

    `pattern` is what may stand behind the word, `read` makes the values of the
    condition of its groups (`{0}`, `{1}` …), `route` says it without the values.
    """

    pattern: re.Pattern
    condition: str
    read: Callable[..., Sequence[str]]
    route: str


BY_ID = "r.id = {0}::uuid"


@dataclass(frozen=True, eq=False)
class FastResource:
    """A resource under `/v1` whose plain reads take the lane.

    `permission` is what its usual door asks for. `present` is the condition of
    rows that are there at all, `plain` of those that everybody with the right
    sees whole; the usual way answers for the others. `look` is how the trail
    notes the reading of one row, "" where it does not. `names` are by what else
    than its id one row is asked for, each by the word in its address. Lists begin with the
    last: by the column `latest_by`, a moment, where it is named, then by id.
    `sort` is what the usual door calls this order.
    """

    path: str
    rows: CompiledRows
    permission: str
    present: str
    plain: str = "true"
    look: str = ""
    filters: Mapping[str, Filter] = field(default_factory=dict)
    names: Mapping[str, Name] = field(default_factory=dict)
    default_size: int = 20
    latest_by: str = ""
    sort: str = "created_at desc"

    @cached_property
    def scopes(self) -> str:
        """The scopes that give the right, as PostgreSQL writes an array."""
        return "{" + ",".join(f'"{scope}"' for scope in _scopes_with(self.permission)) + "}"

    @cached_property
    def _ones(self) -> dict[str, str]:
        return {}

    def one(self, condition: str) -> str:
        """The statement of one row by a condition (`Name`), made on first use."""
        if condition not in self._ones:
            self._ones[condition] = self._one_by(condition)
        return self._ones[condition]

    def _one_by(self, condition: str) -> str:
        """Key and row; where the reading is noted ($4 is the note's id, $5 the request's), no row without the note.

        Rows are compared with the parameter, not with the key's column: a plan that is kept for all clinics would
        otherwise be made for the one that asks first, and a small one's plan reads every row of a large one.
        """
        named = condition.format(*(f"${place}" for place in range(6 if self.look else 4, 10)))
        row = f"SELECT r.id, r.version, {self.rows.json} AS json FROM {self.rows.source}, k"  # noqa: S608
        row += f" WHERE r.tenant_id = $1::uuid AND {named} AND {self.present} AND {self.plain}"
        if not self.look:
            return (
                f"WITH {_KEY}, r AS ({row})"  # noqa: S608
                " SELECT k.id, k.is_noted, k.requests_per_minute, r.json, r.version FROM k, r"
            )
        look = f"""
            INSERT INTO audit_auditread (id, tenant_id, at, actor_ref, kind, object_type, object_id, reason, request_id)
            SELECT $4::uuid, k.tenant_id, clock_timestamp(), a.id, '{self.look}', '{self.rows.model._meta.model_name}',
                r.id::text, '', $5
            FROM r, k JOIN audit_auditactor a ON a.tenant_id = $1::uuid AND a.kind = 'api_key' AND a.ref_id = k.id
            RETURNING 1
        """  # noqa: S608
        return (
            f"WITH {_KEY}, r AS ({row}), look AS ({look})"  # noqa: S608
            " SELECT k.id, k.is_noted, k.requests_per_minute, r.json, r.version FROM k, r, look"
        )

    @cached_property
    def _pages(self) -> dict[tuple, str]:
        return {}

    def page(self, filters: tuple[str, ...], *, is_counted: bool) -> str:
        """The statement of a list with these filters, made on first use."""
        wanted = (filters, is_counted)
        if wanted not in self._pages:
            self._pages[wanted] = self._page_of(filters, is_counted=is_counted)
        return self._pages[wanted]

    def _page_of(self, filters: tuple[str, ...], *, is_counted: bool) -> str:
        """Key, rows and whether one of them is not plain. $4 is how many rows, then one parameter a filter."""
        conditions = [self.present]
        conditions += [self.filters[name].condition.format(f"${5 + place}") for place, name in enumerate(filters)]
        where = f"r.tenant_id = $1::uuid AND {' AND '.join(conditions)}"
        total = "NULL"
        if is_counted:
            total = f"(SELECT count(*) FROM (SELECT 1 FROM {self.rows.source} WHERE {where}"  # noqa: S608
            total += f" LIMIT {COUNTED_EXACTLY + 1}) c)"
        place = f'r."{self.latest_by}"' if self.latest_by else "NULL::timestamptz"
        order = f"{place} DESC, r.id DESC" if self.latest_by else "r.id DESC"
        return (
            f"WITH {_KEY}, r AS (SELECT r.id, {place} AS place, {self.rows.json} AS json,"  # noqa: S608
            f" NOT ({self.plain}) AS odd FROM {self.rows.source} WHERE {where} ORDER BY {order} LIMIT $4::int)"
            f" SELECT k.id, k.is_noted, k.requests_per_minute, r.json, r.id, r.odd, {total}, r.place"
            " FROM k LEFT JOIN r ON true ORDER BY r.place DESC, r.id DESC"
        )


def _scopes_with(permission: str) -> list[str]:
    named = [scope for scope, codes in SCOPES.items() if permission in codes]
    return [*dict.fromkeys([*named, "admin"])]


RESOURCES: dict[str, FastResource] = {}
"""By the path of their list."""


def register(resource: FastResource) -> FastResource:
    """Let the plain reads of a resource take the lane. Called by rooms where their door is declared."""
    RESOURCES[resource.path] = resource
    return resource


class FastLane:
    """The middleware. Stands before everything that looks at sessions and languages, behind what names and logs."""

    ONE = re.compile(rf"(/v1/[a-z-]+)/({UUID_FORM})/?")
    NAMED = re.compile(r"(/v1/[a-z-]+)/([a-z-]+)/(.+?)/?")
    MANY = re.compile(r"(/v1/[a-z-]+)/?")

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        path = request.path_info
        if not path.startswith("/v1/") or len(path) > LONGEST_PATH:
            return self.get_response(request)
        if TRIED in request.META:  # in front of Django (config.short_way), which counted it
            if counted_by := request.META[TRIED]:
                request.counted_by = counted_by
        elif (answer := self.answer(request, path)) is not None:
            return answer
        response = self.get_response(request)
        if response.status_code == 201:
            _remember(request, path)
        return response

    def answer(self, request, path: str) -> HttpResponse | None:
        """The answer, or None where the usual way has to give it. Looks at META, method and body alone."""
        answer = {"GET": self._read, "POST": self._create}.get(request.method)
        text = request.META.get("HTTP_X_API_KEY", "")
        if answer is None or not text or any(request.META.get(name) for name in _ANOTHER_WAY):
            return None
        key = read_key(text)
        if key is None or key.tenant_id is None:
            return None
        try:
            return answer(request, path, key)
        except Unusable:
            return None

    def _read(self, request, path: str, key: SentKey) -> HttpResponse | None:
        if found := self.ONE.fullmatch(path):
            resource = RESOURCES.get(found[1])
            return resource and self._one(request, resource, key, BY_ID, [found[2]], "/{pk}")
        if found := self.MANY.fullmatch(path):
            resource = RESOURCES.get(found[1])
            return resource and self._page(request, resource, key)
        if found := self.NAMED.fullmatch(path):
            resource = RESOURCES.get(found[1])
            name = resource and resource.names.get(found[2])
            said = name and name.pattern.fullmatch(found[3])
            return said and self._one(request, resource, key, name.condition, name.read(*said.groups()), name.route)
        return None

    def _create(self, request, path: str, key: SentKey) -> HttpResponse | None:
        resource, caller = fast_creates.RESOURCES.get(path.rstrip("/")), _callers.get(key.key_hash)
        if resource is None or caller is None or not caller.key.permissions.issuperset(resource.permissions):
            return None
        by = caller.key
        if path.endswith("//") or not _is_plain_json(request.META):
            return None
        sent = fast_creates.read_body(resource, request.body, by, request.META.get(RETRY_KEY))
        if sent is None or not _count(request, (str(by.pk), by.requests_per_minute)):
            return None
        made = fast_creates.create(resource, sent, caller)
        if made is None:
            _callers.pop(key.key_hash, None)
            return None
        if made.deliveries:
            events.ring(by.tenant_id)
        _name(request, resource.path, str(by.tenant_id), str(by.pk))
        return made.response

    def _one(self, request, resource, key, condition, values, route) -> HttpResponse | None:
        if request.META.get("QUERY_STRING") or not (counted := _count(request, _known_keys.get(key.key_hash))):
            return None
        parameters = [str(key.tenant_id), key.key_hash, resource.scopes]
        if resource.look:
            parameters += [str(new_id()), request.request_id[:64]]
        rows = run_alone(key.tenant_id, resource.one(condition), [*parameters, *values], durable=False)
        if len(rows) != 1 or not _told(request, resource, key, rows[0], counted, route):
            return None
        *_key, json, version = rows[0]
        return _respond(json, {"ETag": f'"{version}"'})

    def _page(self, request, resource, key) -> HttpResponse | None:
        asked = _read_list(resource, request.META.get("QUERY_STRING", ""))
        if asked is None or not (counted := _count(request, _known_keys.get(key.key_hash))):
            return None
        size, filters = asked
        remembered = (key.tenant_id, resource.path, tuple(filters.items()))
        is_long = _long_lists.get(remembered, 0) > time.monotonic()
        statement = resource.page(tuple(filters), is_counted=not is_long)
        parameters = [str(key.tenant_id), key.key_hash, resource.scopes, str(size + 1), *filters.values()]
        rows = run_alone(key.tenant_id, statement, parameters, durable=False)
        if not rows or any(row[5] == "t" for row in rows):  # a masked row is not ours to make
            return None
        found = [row for row in rows if row[4] is not None]
        if not found and not all(resource.filters[name].is_sure for name in filters):
            return None
        if not _told(request, resource, key, rows[0], counted, ""):
            return None
        total = _total(rows[0][6], remembered)
        return _respond(_envelope(resource, found, size, total, str(key.tenant_id)), {})


# --- Parts -----------------------------------------------------------------------------------------------------------

_long_lists: dict[tuple, float] = {}
_known_keys: dict[str, tuple[str, int]] = {}
_callers: dict[str, fast_creates.Caller] = {}
"""Who has created something here before, by the hash of the key. The statement asks whether all of it is still so."""
MOST_REMEMBERED = 10_000


def _read_list(resource: FastResource, text: str) -> tuple[int, dict[str, str]] | None:
    """How many rows and which filters; None for everything the lane does not understand."""
    size, filters = resource.default_size, {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name in {"limit", "page_size", "size"} and value.isascii() and value.isdecimal() and 0 < len(value) < 4:
            size = min(int(value), LARGEST_PAGE_SIZE)
        elif name in resource.filters and name not in filters and resource.filters[name].fits(value):
            filters[name] = value
        else:
            return None
    sized = sum(text.count(f"{name}=") for name in ("limit", "size"))
    return (size, filters) if size and sized <= 1 else None


@dataclass(frozen=True)
class _Counted:
    """How a request was counted: before it was answered where the key's id was known, else not yet."""

    limit: Limit | None = None
    usage: Usage | None = None


def _count(request, known: tuple[str, int] | None) -> _Counted | None:
    """Count the request by the id and rate of its key, where they are known; None where it has to wait.

    Remembered is which id a key has, never that it is good: that is asked of the database every time.
    """
    if known is None or not settings.API_KEY_RATE_LIMIT:
        return _Counted()
    key_id, rate = known
    limit = BucketLimit("key", f"{rate}/m", fail="open")
    usage = limit.hit(key_id)
    if not usage.allowed:
        return None
    if usage.counted:
        request.counted_by = limit, usage  # for the headers, and so that the usual way does not count again
    return _Counted(limit, usage)


def _told(request, resource, key: SentKey, row: tuple, counted: _Counted, ending: str) -> bool:
    """Leave what the log line and the headers are made of; False where the usual way has to answer after all."""
    key_id, is_noted, rate = row[:3]
    if is_noted != "t":
        return False
    if _known_keys.get(key.key_hash) != (key_id, int(rate)):
        if len(_known_keys) > MOST_REMEMBERED:
            _known_keys.clear()
        _known_keys[key.key_hash] = key_id, int(rate)
    if counted.usage is None and _count(request, (key_id, int(rate))) is None:
        return False
    _name(request, f"{resource.path}{ending}", str(key.tenant_id), key_id)
    return True


def _name(request, route: str, tenant_id: str, key_id: str) -> None:
    """For the log line: which route, and who."""
    request.resolver_match = SimpleNamespace(route=route[1:])
    structlog.contextvars.bind_contextvars(tenant_id=tenant_id, key_id=key_id)


def _remember(request, path: str) -> None:
    by = getattr(request, "member", None)
    if isinstance(by, ApiKey) and by.key_hash not in _callers and path.rstrip("/") in fast_creates.RESOURCES:
        if len(_callers) > MOST_REMEMBERED:
            _callers.clear()
        _callers[by.key_hash] = fast_creates.look_at(by)


def _is_plain_json(meta: Mapping[str, str]) -> bool:
    """A whole body of plain JSON, and a caller who takes JSON."""
    length = meta.get("CONTENT_LENGTH") or ""
    return (
        length.isdecimal()
        and 0 < int(length) <= LONGEST_BODY
        and meta.get("CONTENT_TYPE", "") in _JSON
        and meta.get("HTTP_ACCEPT", "*/*") in _ACCEPTED
        and not meta.get("QUERY_STRING")
        and not meta.get("HTTP_CONTENT_ENCODING")
    )


def _total(text: str | None, remembered: tuple) -> tuple[int, bool]:
    if text is None:
        return COUNTED_EXACTLY, True
    total = int(text)
    if total <= COUNTED_EXACTLY:
        return total, False
    if len(_long_lists) > MOST_REMEMBERED:
        _long_lists.clear()
    _long_lists[remembered] = time.monotonic() + CAPPED_FOR
    return COUNTED_EXACTLY, True


def _envelope(resource: FastResource, rows: list[tuple], size: int, counted: tuple[int, bool], owner: str) -> str:
    total, is_capped = counted
    items, more = rows[:size], len(rows) > size
    cursor = write_cursor(resource.sort, _place(items[-1]), owner) if more else None
    ending = ',"total_is_capped":true}' if is_capped else "}"
    return (
        f'{{"items":[{",".join(row[3] for row in items)}],"page":1,"page_size":{size},"total":{total},'
        f'"pages":{math.ceil(total / size)},"next_cursor":{orjson.dumps(cursor).decode()}{ending}'
    )


def _place(row: tuple) -> list:
    """The values of the sort columns: the moment where there is one, and the id."""
    return [*([datetime.fromisoformat(row[7])] if row[7] else []), UUID(row[4])]


def _respond(json: str, headers: dict[str, str]) -> HttpResponse:
    return fast_creates.answer(json, 200, headers)
