"""Writing the trail. Called by the services of every room, in their own transaction."""

import os
import uuid
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from structlog.contextvars import get_contextvars

from tenancy.rules import RuleBroken
from tenancy.tenants.context import before_leaving, connection, current_tenant_id
from tenancy.tenants.models import new_id

from .appending import NoHead, append_one
from .hashing import canonical, entry_hash, merkle_root, payload_hash, read_leaf
from .models import AuditActor, AuditEntry, AuditHead, AuditPayload, AuditRead, AuditSeal

SEAL_BATCH = 1_000
"""Reads sealed in one transaction: few enough that it is over in a fraction of a second."""
FEW = 3
"""Up to so many entries of one transaction are appended one by one; more are hashed here and inserted together."""


def record(
    action: str,
    obj: models.Model | None,
    *,
    by: Any,
    changes: dict[str, tuple[Any, Any]] | None = None,
    reason: str = "",
    reason_code: str = "",
    details: dict[str, Any] | None = None,
    on_behalf_of: Any = None,
    cause_id: uuid.UUID | None = None,
    signature_id: uuid.UUID | None = None,
    version: str = "",
) -> uuid.UUID:
    """Append one entry to the clinic's chain, in the same transaction as the change itself.

    `action` is a past participle ("patient_updated"); `obj` what it was done
    to (None: the clinic as a whole); `by` a Membership, an API key, or None for
    the system. `changes` maps field to (before, after). `changes`, `reason` and
    `details` go into the erasable payload, the rest into the hashed header.

    The entry is written right before the transaction ends, when the chain's
    head is locked for a moment; if it can not be written the change is rolled
    back. Returns the id the entry will have. Source: quality.md 6.11, K40, S11.
    """
    entry, body = compose(
        action,
        obj,
        actor=actor_for(by),
        changes=changes,
        reason=reason,
        details=details,
        reason_code=reason_code,
        on_behalf_ref=actor_for(on_behalf_of).id if on_behalf_of else None,
        cause_id=cause_id,
        signature_id=signature_id,
        object_version=version,
    )
    _pending().events.append((entry, body))
    return entry.id


def compose(
    action: str,
    obj: models.Model | None,
    *,
    actor: AuditActor,
    changes: dict[str, tuple[Any, Any]] | None = None,
    reason: str = "",
    details: dict[str, Any] | None = None,
    object_version: str = "",
    **header: Any,
) -> tuple[AuditEntry, str]:
    """An entry without its place in the chain, and its payload. Asks the database nothing."""
    tenant_id = current_tenant_id()
    context = get_contextvars()
    entry = AuditEntry(
        tenant_id=tenant_id,
        actor_kind=actor.kind,
        actor_ref=actor.id,
        action=action,
        object_type=type_name(obj),
        object_id=str(obj.pk) if obj is not None else str(tenant_id),
        object_version=object_version or str(getattr(obj, "version", "") or ""),
        request_id=str(context.get("request_id", ""))[:64],
        **header,
    )
    payload = {
        "changes": {name: [before, after] for name, (before, after) in (changes or {}).items()},
        "reason": reason,
        "details": details or {},
        "address": str(context.get("ip", "")),
        "label": str(obj) if obj is not None else "",
        # Who it was, by the name of that day: an actor's row that changes later rewrites nothing.
        "actor": {"kind": actor.kind, "ref_id": actor.ref_id, "user_id": actor.user_id, "label": actor.label},
    }
    return entry, canonical(payload).decode()


def _pending() -> "_Append":
    """What waits for the end of this transaction, at this very savepoint: made when there is nothing yet."""
    if connection.before_commit:
        savepoints, waiting = connection.before_commit[-1]
        if isinstance(waiting, _Append) and savepoints == frozenset(connection.savepoint_ids):
            return waiting
    waiting = _Append()
    before_leaving(waiting)
    return waiting


class _Append:
    """Entries of one transaction that wait for its end, appended under one lock."""

    def __init__(self) -> None:
        self.events: list[tuple[AuditEntry, str]] = []

    def __call__(self) -> None:
        # Others of this transaction that wait right behind, from other savepoints: one lock, one insert for all.
        while connection.before_commit and isinstance(behind := connection.before_commit[0][1], _Append):
            del connection.before_commit[0]
            self.events += behind.events
        if len(self.events) <= FEW and self._append_each():
            return
        head, now = _lock_head()
        payloads = []
        for entry, body in self.events:
            salt = os.urandom(16)
            entry.seq, entry.at, entry.prev_hash = head.seq + 1, now, head.entry_hash
            entry.payload_hash = payload_hash(salt, body)
            entry.entry_hash = entry_hash(header_of(entry))
            head.seq, head.entry_hash = entry.seq, entry.entry_hash
            payloads.append(AuditPayload(entry=entry, salt=salt, body=body))
        AuditEntry.objects.bulk_create([entry for entry, _ in self.events], batch_size=500)
        AuditPayload.objects.bulk_create(payloads, batch_size=500)
        AuditHead.objects.filter(pk=head.pk).update(seq=head.seq, entry_hash=head.entry_hash, at=now)

    def _append_each(self) -> bool:
        """One statement an entry; False before the clinic's first one, when there is nothing yet to append to."""
        try:
            for entry, body in self.events:
                append_one(entry, body)
        except NoHead:
            return False
        return True


def _lock_head() -> tuple[AuditHead, datetime]:
    """The clinic's head row, locked until commit, and the database's clock under that lock."""
    head = AuditHead.objects.select_for_update(no_key=True).first()
    if head is None:
        AuditHead.objects.bulk_create([AuditHead()], ignore_conflicts=True)
        head = AuditHead.objects.select_for_update(no_key=True).get()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return head, cursor.fetchone()[0]


def record_read(obj: models.Model, *, by: Any, kind: str = "chart", reason: str = "") -> None:
    """Note that somebody opened something: one row a view, no lock, sealed within a minute (wish 23)."""
    record_reads([obj], by=by, kind=kind, reason=reason)


def record_reads(objs: Iterable[models.Model], *, by: Any, kind: str = "chart", reason: str = "") -> None:
    """Note that somebody was shown the contents of several things at once: one row each, one statement for all."""
    objs = list(objs)
    if not objs:
        return
    now, actor_ref = timezone.now(), actor_for(by).id
    request_id = str(get_contextvars().get("request_id", ""))[:64]
    AuditRead.objects.bulk_create(
        [
            AuditRead(
                at=now,
                actor_ref=actor_ref,
                kind=kind,
                object_type=type_name(obj),
                object_id=str(obj.pk),
                reason=reason,
                request_id=request_id,
            )
            for obj in objs
        ]
    )


def seal_reads() -> int:
    """Bind the oldest reads not sealed yet into the chain, SEAL_BATCH at most. Returns how many.

    Safe to run twice at once. As many as SEAL_BATCH means that there may be more.
    """
    rows = list(
        AuditRead.objects.filter(seal__isnull=True).select_for_update(skip_locked=True).order_by("id")[:SEAL_BATCH]
    )
    if not rows:
        return 0
    root = merkle_root(read_leaf(row.__dict__) for row in rows)
    seal = AuditSeal.objects.create(count=len(rows), merkle_root=root)
    AuditRead.objects.filter(pk__in=[row.pk for row in rows]).update(seal=seal)
    # The version goes into the header, so that the chain itself holds the root.
    record("reads_sealed", seal, by=None, version=f"{len(rows)}:{root}")
    return len(rows)


def record_export(*, by: Any, filters: dict[str, Any]) -> int:
    """Note that somebody takes the trail along, and which part. Returns the number of the last entry it holds."""
    used = {name: value for name, value in filters.items() if value is not None}
    record("audit_exported", None, by=by, details={"format": "csv", "filters": used})
    head = AuditHead.objects.first()
    return head.seq if head else 0


def erase_payload(entry: AuditEntry, *, by: Any, reason: str) -> None:
    """Delete what an entry says in words; the chain goes on verifying and names this erasure.

    Raises RuleBroken when it was erased before or no reason is given.
    """
    if not reason.strip():
        raise RuleBroken(_("Say why this is erased: the trail keeps the reason."))
    # The chain's end is locked instead of the payload, which nobody may update and so nobody may lock.
    AuditHead.objects.select_for_update(no_key=True).first()
    payload = AuditPayload.objects.filter(entry=entry).first()
    if payload is None:
        raise RuleBroken(_("This entry's payload has been erased already."))
    # The trigger lets a payload go only after the entry that says so has been written.
    record("payload_erased", entry, by=by, reason=reason)
    before_leaving(AuditPayload.objects.filter(pk=payload.pk).delete)


def known_actor(by: Any) -> AuditActor | None:
    """What `actor_for` would say, where this process has seen it committed; asks the database nothing."""
    return _actors.get(_remembered_as(by))


def actor_for(by: Any) -> AuditActor:
    """The pseudonym of a Membership, an API key or (None) the system in this clinic, made on first use.

    It stays for good, so what is committed is remembered by this process; under
    another name it is looked up again.
    """
    remembered = _remembered_as(by)
    _tenant_id, kind, ref_id, label = remembered
    if known := _actors.get(remembered):
        return known
    actor = AuditActor.objects.filter(kind=kind, ref_id=ref_id).first()
    if actor is None:
        made = AuditActor(id=new_id(), kind=kind, ref_id=ref_id, user_id=getattr(by, "user_id", None), label=label)
        AuditActor.objects.bulk_create([made], ignore_conflicts=True)
        actor = AuditActor.objects.get(kind=kind, ref_id=ref_id)
    elif actor.label != label:
        AuditActor.objects.filter(pk=actor.pk).update(label=label)
        actor.label = label
    transaction.on_commit(partial(_remember, remembered, actor))
    return actor


def _remembered_as(by: Any) -> tuple[uuid.UUID, str, uuid.UUID | None, str]:
    """The clinic, and an actor's kind, whose it is and the name it goes by."""
    if by is None:
        return current_tenant_id(), _actor_kind(by), None, "System"
    return current_tenant_id(), _actor_kind(by), by.pk, str(by)[:200]


MOST_REMEMBERED = 10_000
_actors: dict[tuple, AuditActor] = {}


def _remember(name: tuple, actor: AuditActor) -> None:
    """Only one label of an actor is remembered: a name that comes back is written again."""
    if len(_actors) > MOST_REMEMBERED:
        _actors.clear()
    for other in [other for other in _actors if other[:3] == name[:3]]:
        _actors.pop(other, None)
    _actors[name] = actor


def header_of(entry: AuditEntry) -> dict[str, Any]:
    """The hashed part of an entry, by the names of HEADER_FIELDS."""
    return entry.__dict__


def type_name(obj: models.Model | None) -> str:
    """How the trail names a kind of thing: its model's name, "patient"; the clinic itself is "tenant"."""
    return str(obj._meta.model_name) if obj is not None else "tenant"


def _actor_kind(by: Any) -> str:
    if by is None:
        return AuditActor.Kind.SYSTEM
    return getattr(by, "audit_kind", AuditActor.Kind.MEMBER)
