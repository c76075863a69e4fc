"""Reading the trail, newest first, inside one clinic."""

import json
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from django.utils import timezone

from .models import AuditActor, AuditEntry, AuditPayload, AuditRead
from .veils import veiled


def list_entries(
    *,
    user_id: UUID | None = None,
    action: str | None = None,
    resource_type: str | None = None,
    resource_id: str | None = None,
    date_from: date | None = None,
    date_to: date | None = None,
) -> QuerySet[AuditEntry]:
    """Entries of the current clinic; the filters of the QMS document (`GET /api/audit/`, K40).

    Dates are whole days in UTC, both included. `user_id` is the person, in
    whichever of their roles.
    """
    entries = AuditEntry.objects.order_by("-seq")
    if user_id:
        entries = entries.filter(actor_ref__in=AuditActor.objects.filter(user_id=user_id).values("id"))
    if action:
        entries = entries.filter(action=action)
    if resource_type:
        entries = entries.filter(object_type=resource_type)
    if resource_id:
        entries = entries.filter(object_id=resource_id)
    if date_from:
        entries = entries.filter(at__gte=_midnight(date_from))
    if date_to:
        entries = entries.filter(at__lt=_midnight(date_to + timedelta(days=1)))
    return entries


def describe_entries(entries: Iterable[AuditEntry], *, by: Any = None) -> list[dict[str, Any]]:
    """Entries with their actors' names and payloads, three queries for any number of them, as `by` may read them.

    The name is the actor's as it was when the entry was recorded, or as it is
    now where the payload does not say. An erased payload gives empty details
    and `erased` true. Of a thing that is kept from the reader (`veils`) nothing
    is said but its name; `details` is then {"withheld": True}.
    """
    entries = list(entries)
    actors = actors_by_id({entry.actor_ref for entry in entries})
    bodies = dict(
        AuditPayload.objects.filter(entry_id__in=[entry.id for entry in entries]).values_list("entry_id", "body")
    )
    rows = [_described(entry, actors.get(entry.actor_ref), bodies.get(entry.id)) for entry in entries]
    hidden = veiled({(entry.object_type, entry.object_id) for entry in entries}, by)
    for row in rows:
        if (row["resource_type"], row["resource_id"]) in hidden:
            row |= {"reason": "", "changes": {}, "details": {"withheld": True}}
    return rows


def list_reads(obj: Model) -> QuerySet[AuditRead]:
    """Who opened this, newest first: `at`, `kind`, `reason` and `actor` (an AuditActor)."""
    return AuditRead.objects.filter(object_type=obj._meta.model_name, object_id=str(obj.pk)).order_by("-at", "-id")


def actors_by_id(ids: Iterable[UUID]) -> dict[UUID, AuditActor]:
    """The people behind pseudonyms."""
    return {actor.id: actor for actor in AuditActor.objects.filter(id__in=ids)}


def keys_by_version(obj: Model) -> dict[str, str]:
    """Which API key wrote which version of a thing: its name by the version, as the trail has them."""
    entries = AuditEntry.objects.about(obj._meta.model_name, obj.pk).filter(actor_kind=AuditActor.Kind.API_KEY)
    written = dict(entries.exclude(object_version="").values_list("object_version", "actor_ref"))
    actors = actors_by_id(set(written.values()))
    return {version: actors[ref].label for version, ref in written.items() if ref in actors}


def _described(entry: AuditEntry, actor: AuditActor | None, body: str | None) -> dict[str, Any]:
    payload = json.loads(body) if body else {}
    then = payload.get("actor", {})
    return {
        "id": entry.seq,
        "uuid": entry.id,
        "timestamp": entry.at,
        "user": {
            "id": actor.user_id if actor else None,
            "name": then.get("label") or (actor.label if actor else ""),
            "kind": entry.actor_kind,
        },
        "action": entry.action,
        "resource_type": entry.object_type,
        "resource_id": entry.object_id,
        "resource_label": payload.get("label", ""),
        "reason": payload.get("reason", ""),
        "changes": payload.get("changes", {}),
        "details": payload.get("details", {}),
        "ip": payload.get("address", ""),
        "request_id": entry.request_id,
        "erased": body is None,
        "entry_hash": entry.entry_hash,
    }


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min), timezone.get_default_timezone())


def list_reads_by(member: Model) -> QuerySet[AuditRead]:
    """What this member opened, newest first."""
    actors = AuditActor.objects.filter(kind=AuditActor.Kind.MEMBER, ref_id=member.pk).values("id")
    return AuditRead.objects.filter(actor_ref__in=actors).order_by("-at", "-id")
