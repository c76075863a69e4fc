"""Doing a thing once: claim the key, do it, keep the answer in the same transaction.

Everything here runs inside the transaction of the request. The claim is an
advisory lock that ends with it, whichever way it ends: by commit, by rollback,
or because the process was killed. So nothing has to be cleaned up, and no
claim outlives its request. The answer is a row of the same commit as the
effect: either both are there or none is, and a caller who never saw the answer
gets it by asking again.
"""

import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import orjson
from django.db import connection, models, transaction
from django.utils import timezone

from tenancy import sealing
from tenancy.tenants.context import get_current_tenant_id
from tenancy.tenants.models import TenantModel, new_id

from .models import Answer, KeptAnswer, PlatformAnswer

KEPT_FOR = timedelta(hours=24)
PURPOSE = "kept answer"
FINGERPRINT_PURPOSE = "fingerprint of a request"
KEPT_HEADERS = ("Content-Type", "ETag", "Location", "Content-Language", "Content-Disposition")
PLATFORM = uuid.UUID(int=0)
"""Stands for the clinic where there is none."""

_FREE = f"""
    pg_try_advisory_xact_lock(%s::bigint) AND NOT EXISTS (
        SELECT FROM {Answer._meta.db_table} a
        WHERE a.tenant_id = %s::uuid AND a.name = %s::text AND a.made_at > %s::timestamptz
    )
"""
KEEPING = f"""
    INSERT INTO {Answer._meta.db_table} (tenant_id, id, name, fingerprint, status, sealed, made_at)
    VALUES (%s::uuid, %s::uuid, %s::text, %s::text, %s::smallint, %s::bytea, %s::timestamptz)
"""  # noqa: S608
"""As `keep`, of `kept_values`, where no answer is there, be it too old: that breaks a rule of the database."""


class StillRunning(Exception):
    """A request with the same key is in hand at this moment."""


class OtherRequest(Exception):
    """The key was used for a request that said something else."""


@dataclass(frozen=True)
class Reply:
    """An answer as it is kept: status, the headers that belong to it, the bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Attempt:
    """One request with a key. `caller` is the kind and id of who sent it, `sent` all that makes it this request."""

    caller: str
    route: str
    key: str
    sent: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The same for the same clinic, caller, route and key, and for nothing else; 64 hexadecimal digits."""
        parts = [str(get_current_tenant_id() or PLATFORM), self.caller, self.route, self.key]
        return hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in map(str.encode, parts))).hexdigest()


def attempt_of(by: models.Model, route: str, key: str, *, address: str, query: str, body: bytes) -> Attempt:
    """A request as it is told from others: by who sent it, its address without the last slash, its query and body."""
    sent = b"\0".join([address.rstrip("/").encode(), query.encode(), body])
    return Attempt(caller=f"{by._meta.label_lower}:{by.pk}", route=route, key=key, sent=sent)


def route_of(pattern: str) -> str:
    """A route by its pattern, the same with and without the slash at its end."""
    return re.sub(r"/?\??\$?$", "", pattern)


def claim(attempt: Attempt) -> Reply | None:
    """Take the key for the rest of this transaction. None: do it. A Reply: it was done, answer this.

    One statement, which never waits. Raises StillRunning while another request
    holds the key, OtherRequest when it was used for something else in the last
    24 hours.
    """
    name = attempt.name
    with connection.cursor() as cursor:
        statement = _statements(_table())[0]
        cursor.execute(statement, [_lock_id(name), *_scope(), name, timezone.now() - KEPT_FOR])
        is_mine, row_id, fingerprint, status, sealed = cursor.fetchone()
    if not is_mine:
        raise StillRunning
    if row_id is None:
        return None
    if not any(hmac.compare_digest(fingerprint, mine) for mine in _fingerprints(attempt.sent)):
        raise OtherRequest
    headers, _newline, body = sealing.unseal(sealed, purpose=PURPOSE, owner_id=row_id).partition(b"\n")
    return Reply(status, orjson.loads(headers), body)


def keep(attempt: Attempt, reply: Reply) -> None:
    """Keep the answer to a claimed request, in the transaction of its effect.

    Raises StillRunning when somebody else has kept one since the claim (they
    ended between the claim's look and its lock): roll back what was done.
    """
    values = kept_values(attempt, reply)
    with connection.cursor() as cursor:
        cursor.execute(_statements(_table())[1], [*values, values[-1] - KEPT_FOR])
        if cursor.rowcount != 1:
            raise StillRunning


def condition_of(attempt: Attempt) -> tuple[str, list[Any]]:
    """`claim` as a condition of a larger statement, with `%s` for each value: the key is free, and taken from here on.

    It holds neither while somebody else has the key nor where an answer is kept; `claim` says which. For a clinic.
    """
    name = attempt.name
    values = [_lock_id(name), *_scope(), name, timezone.now() - KEPT_FOR]
    return _FREE, values


def kept_values(attempt: Attempt, reply: Reply) -> list[Any]:
    """The row of one kept answer: clinic (not for the platform), id, name, fingerprint, status, bytes, moment."""
    row_id = new_id()
    sealed = sealing.seal(orjson.dumps(dict(reply.headers)) + b"\n" + reply.body, purpose=PURPOSE, owner_id=row_id)
    fingerprint = _fingerprints(attempt.sent)[0]
    return [*_scope(), row_id, attempt.name, fingerprint, reply.status, sealed, timezone.now()]


@transaction.atomic
def purge_answers(*, now: datetime) -> int:
    """Remove the answers of the current clinic, or of the platform, that are older than a day; how many they were."""
    count, _rows = _table().objects.filter(made_at__lte=now - KEPT_FOR).delete()
    return count


def _fingerprints(sent: bytes) -> list[str]:
    """Keyed digests of a request: today's first, then those that earlier SECRET_KEYs gave.

    Keyed, because bodies are short and guessable: who has only the database learns nothing of them.
    """
    keys = sealing.derive_keys(FINGERPRINT_PURPOSE, get_current_tenant_id() or PLATFORM)
    return [hmac.digest(key, sent, "sha256").hex() for key in keys]


def _table() -> type[Answer] | type[PlatformAnswer]:
    return PlatformAnswer if get_current_tenant_id() is None else Answer


def _scope() -> list[uuid.UUID]:
    tenant_id = get_current_tenant_id()
    return [] if tenant_id is None else [tenant_id]


def _lock_id(name: str) -> int:
    return int.from_bytes(bytes.fromhex(name[:16]), signed=True)


@cache
def _statements(model: type[KeptAnswer]) -> tuple[str, str]:
    """Claiming and keeping. The lock is asked for whether there is a row or not; a row too old counts as none."""
    table, is_tenants = model._meta.db_table, issubclass(model, TenantModel)
    claiming = f"""
        SELECT pg_try_advisory_xact_lock(%s), a.id, a.fingerprint, a.status, a.sealed
        FROM (SELECT) AS once
        LEFT JOIN {table} a ON {"a.tenant_id = %s AND " if is_tenants else ""}a.name = %s AND a.made_at > %s
    """  # noqa: S608  (names of our own tables; values are bound)
    keeping = f"""
        INSERT INTO {table} AS a ({"tenant_id, " if is_tenants else ""}id, name, fingerprint, status, sealed, made_at)
        VALUES ({"%s, " if is_tenants else ""}%s, %s, %s, %s, %s, %s)
        ON CONFLICT ({"tenant_id, " if is_tenants else ""}name) DO UPDATE
        SET id = excluded.id, fingerprint = excluded.fingerprint, status = excluded.status,
            sealed = excluded.sealed, made_at = excluded.made_at
        WHERE a.made_at <= %s
    """  # noqa: S608
    return claiming, keeping
