"""Telling other programs: `emit` for every room, and what administrators do with their endpoints."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from structlog.contextvars import get_contextvars

from tenancy import sealing
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken, StaleVersion
from tenancy.tenants import doorbell
from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.creation import Part
from tenancy.tenants.models import new_id

from . import outbox, registry, selectors, signing, targets, tasks
from .models import SECRET, Attempt, Delivery, Endpoint, Event

KEPT = timedelta(days=30)
"""How long events and their deliveries are kept, and so how far back they can be sent again."""

USUAL_OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=30)
MOST_ENDPOINTS = 20
MOST_RESENT = 10_000
PURGED_AT_ONCE = 5_000


class TooManyToResend(RuleBroken):
    """The span holds more events than are sent again at once."""

    code = "too_many"


# --- Telling ---------------------------------------------------------------------------------------------------------


def emit(type: str, obj: models.Model, *, by: Any) -> None:
    """Tell whoever listens that something happened to `obj`, in the transaction in which it happened.

    `type` is a registered code (`registry.register`); `by` a Membership, an API
    key, or None for the system. The payload holds the object's id, its number
    where it has one, and which of its events this is; nothing about a person.
    In a clinic without endpoints it is one short look, and writes nothing.
    Raises LookupError for a type nobody registered, NoTenant outside of a clinic.
    """
    event_type = registry.find_type(type)
    if event_type is None:
        raise LookupError(f"{type} is not a registered type of event.")
    if not outbox.is_anybody_listening():
        return
    number = getattr(obj, "number", None)
    made = outbox.write_event(
        type=type,
        object_type=event_type.object_type,
        object_id=obj.pk,
        facts={} if number is None else {"number": number},
        now=timezone.now(),
        **_cause(by),
    )
    if made:
        _wake()


def parts_of_new(type: str, obj: models.Model, *, by: Any, condition: str) -> list[Part]:
    """What `emit` writes of a thing that the same statement makes, as parts of that statement (`outbox.parts_of_new`).

    Where `outbox.DELIVERIES` are more than none, `ring` after the commit. Raises LookupError as `emit` does.
    """
    event_type = registry.find_type(type)
    if event_type is None:
        raise LookupError(f"{type} is not a registered type of event.")
    return outbox.parts_of_new(
        type=type,
        object_type=event_type.object_type,
        object_id=obj.pk,
        now=timezone.now(),
        condition=condition,
        numbered=hasattr(obj, "number"),
        **_cause(by),
    )


def ring(tenant_id: Any) -> None:
    """Tell the worker at once that deliveries of this clinic are waiting; they are committed already."""
    doorbell.ring_once(tasks.deliver, str(tenant_id))


def _cause(by: Any) -> dict[str, Any]:
    """Who and which request: for whoever looks into it here; receivers are not told."""
    return {
        "request_id": str(get_contextvars().get("request_id", ""))[:64],
        "actor_kind": str(getattr(by, "audit_kind", "member")) if by is not None else "system",
        "actor_id": by.pk if by is not None else None,
    }


def _wake() -> None:
    """One ring for a transaction, however much it told."""
    ringing = partial(doorbell.ring_once, tasks.deliver, str(current_tenant_id()))
    waiting = transaction.get_connection().run_on_commit
    if not any(getattr(entry[1], "args", None) == ringing.args for entry in waiting):
        transaction.on_commit(ringing)


# --- Endpoints -------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_endpoint(
    *,
    by: Any,
    url: str = "",
    description: str = "",
    event_types: Iterable[str] = (registry.ALL,),
    kind: str = Endpoint.Kind.WEB,
) -> tuple[Endpoint, str]:
    """Open an endpoint; the second part is its secret, which nobody can read again.

    It hears of what happens from now on. `kind` queue sends to the installation's
    own queue and takes no `url`. Raises ValidationError by field: an address that
    may not be called (`targets.read_url`, and every address its name leads to), an
    unknown type; RuleBroken for more than 20.
    """
    if Endpoint.objects.kept().count() >= MOST_ENDPOINTS:
        raise RuleBroken(_("A clinic has at most %(most)s webhooks.") % {"most": MOST_ENDPOINTS})
    secret = signing.new_secret()
    endpoint = Endpoint(
        id=new_id(),
        kind=kind,
        url=_checked_url(url, kind),
        description=" ".join(description.split())[:200],
        event_types=_checked_types(event_types),
    )
    endpoint.sealed_secret = _sealed(secret, endpoint)
    endpoint.save(force_insert=True)
    audit.record("webhook_created", endpoint, by=by, details=_facts(endpoint))
    return endpoint, secret


@transaction.atomic
def change_endpoint(
    endpoint: Endpoint,
    *,
    by: Any,
    url: str | None = None,
    description: str | None = None,
    event_types: Iterable[str] | None = None,
    expected_version: int | None = None,
) -> Endpoint:
    """Change what is given. A new address gets what still waits. Raises as `create_endpoint` does, and StaleVersion."""
    endpoint = _lock(endpoint, expected_version)
    before = _facts(endpoint)
    if url is not None and endpoint.kind == Endpoint.Kind.WEB and url != endpoint.url:
        endpoint.url = _checked_url(url, endpoint.kind)
        endpoint.failures_in_row, endpoint.rests_until = 0, None
    if description is not None:
        endpoint.description = " ".join(description.split())[:200]
    if event_types is not None:
        endpoint.event_types = _checked_types(event_types)
    after = _facts(endpoint)
    changes = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    if changes:
        _save(endpoint, "webhook_changed", by=by, changes=changes)
    return endpoint


@transaction.atomic
def rotate_secret(endpoint: Endpoint, *, by: Any, overlap: timedelta = USUAL_OVERLAP) -> tuple[Endpoint, str]:
    """Give an endpoint a new secret, the second part of the answer, shown this once.

    Both secrets sign for the time of `overlap` (up to 30 days; zero ends the old
    one at once), so that the receiver can change over without losing anything.
    Raises RuleBroken for another overlap.
    """
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise RuleBroken(_("The old secret lives on for at most 30 days."))
    endpoint, secret = _lock(endpoint), signing.new_secret()
    endpoint.sealed_old_secret = endpoint.sealed_secret if overlap else None
    endpoint.old_secret_until = timezone.now() + overlap if overlap else None
    endpoint.sealed_secret = _sealed(secret, endpoint)
    _save(endpoint, "webhook_secret_rotated", by=by, details={"overlap_hours": overlap.total_seconds() / 3600})
    return endpoint, secret


@transaction.atomic
def pause_endpoint(endpoint: Endpoint, *, by: Any) -> Endpoint:
    """Send nothing for now. What happens meanwhile is put aside and sent when it goes on. Raises RuleBroken."""
    endpoint = _lock(endpoint)
    if endpoint.state != Endpoint.State.ACTIVE:
        raise RuleBroken(_("This webhook is not active."))
    _stop(endpoint, Endpoint.State.PAUSED, Endpoint.Why.ASKED)
    return _save(endpoint, "webhook_paused", by=by)


@transaction.atomic
def resume_endpoint(endpoint: Endpoint, *, by: Any) -> Endpoint:
    """Go on, with ten new tries for everything that waits. Raises RuleBroken for one that is active."""
    endpoint = _lock(endpoint)
    if endpoint.state == Endpoint.State.ACTIVE:
        raise RuleBroken(_("This webhook is active already."))
    endpoint.state, endpoint.why, endpoint.stopped_at = Endpoint.State.ACTIVE, "", None
    endpoint.failures_in_row, endpoint.interruptions, endpoint.rests_until = 0, 0, None
    _save(endpoint, "webhook_resumed", by=by)
    now = timezone.now()
    _begin_anew(Delivery.objects.filter(endpoint=endpoint, state=Delivery.State.WAITING), now)
    return endpoint


@transaction.atomic
def delete_endpoint(endpoint: Endpoint, *, by: Any, expected_version: int | None = None) -> None:
    """Take an endpoint away. What waits for it is not sent; its log is kept like every log. Raises StaleVersion."""
    endpoint = _lock(endpoint, expected_version)
    drop_waiting(endpoint)
    _stop(endpoint, Endpoint.State.DELETED, Endpoint.Why.ASKED)
    # Nothing can be signed any more, and nothing that was sealed lies about.
    endpoint.sealed_secret, endpoint.sealed_old_secret, endpoint.old_secret_until = b"", None, None
    _save(endpoint, "webhook_deleted", by=by)


def stop_endpoint(endpoint: Endpoint, state: str, why: str) -> None:
    """Stop an endpoint that is locked and does not answer any more: paused after days, or off where it is gone.

    Whoever registered for it is told (`registry.call_when_stopped`).
    """
    _stop(endpoint, state, why)
    if state == Endpoint.State.DISABLED:
        drop_waiting(endpoint)
    _save(endpoint, "webhook_stopped", by=None, details={"state": str(state), "why": str(why)})
    registry.tell_stopped(endpoint)


def drop_waiting(endpoint: Endpoint | None = None) -> int:
    """Give up what waits for an endpoint, or (None) in the whole clinic; how much it was.

    The second is for a database that was restored from a backup: what it still
    wants to send may have been sent since (security.md BK-07).
    """
    waiting = Delivery.objects.filter(state=Delivery.State.WAITING)
    if endpoint is not None:
        waiting = waiting.filter(endpoint=endpoint)
    return waiting.update(state=Delivery.State.DROPPED)


# --- Sending again ---------------------------------------------------------------------------------------------------


@transaction.atomic
def send_test_event(endpoint: Endpoint, *, by: Any) -> Delivery:
    """Send an event that means nothing, to this endpoint alone. Raises RuleBroken unless active."""
    endpoint = _lock_active(endpoint)
    now, event_id = timezone.now(), new_id()
    kind, type = registry.TEST.object_type, registry.TEST.code
    event = Event.objects.create(
        id=event_id,
        type=type,
        object_type=kind,
        object_id=endpoint.pk,
        sequence=0,
        occurred_at=now,
        body=outbox.body_of(event_id, type, kind, endpoint.pk, {}, now).decode(),
        **_cause(by),
    )
    delivery = Delivery.objects.create(event=event, endpoint=endpoint, since=now, next_try_at=now)
    audit.record("webhook_tested", endpoint, by=by)
    _wake()
    return delivery


@transaction.atomic
def resend(delivery: Delivery, *, by: Any) -> Delivery:
    """Send one delivery again, with ten new tries; the same id and the same bytes. Raises RuleBroken unless active."""
    endpoint = _lock_active(delivery.endpoint)
    _begin_anew(Delivery.objects.filter(pk=delivery.pk), timezone.now())
    audit.record("webhook_resent", endpoint, by=by, details={"event": str(delivery.event_id)})
    _wake()
    delivery.refresh_from_db()
    return delivery


@transaction.atomic
def resend_range(
    endpoint: Endpoint, *, by: Any, since: datetime, until: datetime | None = None, only_failed: bool = False
) -> int:
    """Send again what happened from `since` on and before `until` (None: now); returns how many events.

    Everything the endpoint asks for today, whether it arrived or not, whether it
    was put aside for it or not; `only_failed` takes what never arrived. Goes back
    as far as events are kept (30 days), and to when the clinic first had an
    endpoint. Raises RuleBroken unless active, TooManyToResend above 10,000.
    """
    endpoint, now = _lock_active(endpoint), timezone.now()
    events = selectors.list_events(endpoint, since=since, until=until or now).exclude(type=registry.TEST.code)
    if only_failed:
        arrived = Delivery.objects.filter(endpoint=endpoint, state=Delivery.State.DELIVERED)
        events = events.exclude(pk__in=arrived.values("event_id"))
    wanted = list(events.values_list("pk", flat=True)[: MOST_RESENT + 1])
    if len(wanted) > MOST_RESENT:
        raise TooManyToResend(_("These are more than %(most)s events. Choose a shorter time.") % {"most": MOST_RESENT})
    known = Delivery.objects.filter(endpoint=endpoint, event__in=wanted)
    missing = set(wanted) - set(known.values_list("event_id", flat=True))
    _begin_anew(known, now)
    Delivery.objects.bulk_create(
        [Delivery(event_id=pk, endpoint=endpoint, since=now, next_try_at=now) for pk in wanted if pk in missing],
        batch_size=1_000,
    )
    span = {"since": since.isoformat(), "until": until and until.isoformat(), "events": len(wanted)}
    audit.record("webhook_range_resent", endpoint, by=by, details=span)
    _wake()
    return len(wanted)


# --- Keeping house ---------------------------------------------------------------------------------------------------


def purge(*, now: datetime) -> int:
    """Remove what is older than 30 days, and old secrets whose time is over; how many events went."""
    Endpoint.objects.filter(old_secret_until__lte=now).update(sealed_old_secret=None, old_secret_until=None)
    gone = 0
    while pks := list(
        Event.objects.filter(occurred_at__lt=now - KEPT)
        .order_by("occurred_at")
        .values_list("pk", flat=True)[:PURGED_AT_ONCE]
    ):
        Attempt.objects.filter(delivery__event__in=pks).delete()
        Delivery.objects.filter(event__in=pks).delete()
        gone += Event.objects.filter(pk__in=pks).delete()[0]
    forgotten = Endpoint.objects.filter(state=Endpoint.State.DELETED, stopped_at__lt=now - KEPT)
    forgotten.exclude(pk__in=Delivery.objects.values("endpoint_id")).delete()
    return gone


# --- Parts -----------------------------------------------------------------------------------------------------------


def _begin_anew(deliveries: models.QuerySet[Delivery], now: datetime) -> None:
    deliveries.update(
        state=Delivery.State.WAITING, attempts=0, interruptions=0, since=now, next_try_at=now, delivered_at=None
    )
    _wake()


def _lock(endpoint: Endpoint, expected_version: int | None = None) -> Endpoint:
    locked = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
    if expected_version is not None and locked.version != expected_version:
        raise StaleVersion(_("Somebody else has changed this in the meantime. Nothing was saved."))
    if locked.state == Endpoint.State.DELETED:
        raise RuleBroken(_("This webhook was deleted."))
    return locked


def _lock_active(endpoint: Endpoint) -> Endpoint:
    locked = _lock(endpoint)
    if locked.state != Endpoint.State.ACTIVE:
        raise RuleBroken(_("This webhook is not active. Let it go on first."))
    return locked


def _stop(endpoint: Endpoint, state: str, why: str) -> None:
    endpoint.state, endpoint.why, endpoint.stopped_at = state, why, timezone.now()


def _save(endpoint: Endpoint, action: str, *, by: Any, **said: Any) -> Endpoint:
    endpoint.version += 1
    endpoint.updated_at = timezone.now()
    endpoint.save(force_update=True)
    audit.record(action, endpoint, by=by, **said)
    return endpoint


def _facts(endpoint: Endpoint) -> dict[str, Any]:
    return {"url": endpoint.url, "description": endpoint.description, "event_types": endpoint.event_types}


def _sealed(secret: str, endpoint: Endpoint) -> bytes:
    return sealing.seal(secret.encode(), purpose=SECRET, owner_id=endpoint.pk)


def _checked_url(url: str, kind: str) -> str:
    if kind == Endpoint.Kind.QUEUE:
        if not settings.EVENT_QUEUE_URL:
            raise ValidationError({"kind": _("This installation has no queue.")})
        return str(settings.EVENT_QUEUE_URL)
    try:
        target = targets.read_url(url)
        targets.find_addresses(target)
    except targets.TargetRefused as refused:
        raise ValidationError({"url": refused.sentence}) from None
    return target.url


def _checked_types(codes: Iterable[str]) -> list[str]:
    """In the order of the registry, each once."""
    wanted = set(codes)
    known = [event_type.code for event_type in registry.all_types()]
    if unknown := sorted(wanted - {registry.ALL, *known}):
        raise ValidationError({"event_types": _("There is no event %(code)s.") % {"code": unknown[0][:60]}})
    if not wanted:
        raise ValidationError({"event_types": _("Choose at least one event.")})
    return [registry.ALL] if registry.ALL in wanted else [code for code in known if code in wanted]
