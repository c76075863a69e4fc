"""Getting events out: rounds over the clinics, one endpoint in one pair of hands at a time.

A round claims an endpoint by a lease of a few seconds, renewed while it works.
A worker that dies lets the lease run out; what it had not noted as delivered
is still waiting, and is sent again with the same id and the same bytes. Between
the receiver's yes and our note a crash sends twice, never not at all.

HTTP happens in threads that never touch the database; this module's one loop
reads and writes. While a slow receiver keeps a thread, the loop looks after
all other clinics, so one that is dead holds up nobody else (security.md WH-15).
"""

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue

import structlog
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from tenancy.sealing import InvalidToken
from tenancy.tenants import doorbell
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.selectors import list_active_tenants

from . import queues, schedule, selectors, services, signing, tasks, transport
from .models import Attempt, Delivery, Endpoint
from .transport import Answer

log = structlog.get_logger(__name__)

SENDERS = 32
MOST_AILING = 16  # of them for endpoints whose last try failed: the other threads are for those that answer
BATCH = 25
ROUND_SECONDS = 20.0
CLOSING_SECONDS = transport.TOTAL_SECONDS
LEASE = timedelta(seconds=8)
RENEW_SECONDS = 1.0
LOOK_SECONDS = 1.0
GATHER_SECONDS = 0.05
MOST_INTERRUPTIONS = 5


@dataclass(frozen=True)
class Parcel:
    """One delivery as a thread needs it."""

    delivery_id: uuid.UUID
    event_id: uuid.UUID
    body: str
    attempts: int
    since: datetime
    object_id: uuid.UUID


@dataclass(eq=False)
class Trip:
    """What one thread brings to one endpoint. `answers` is what came back and is not noted yet."""

    tenant_id: uuid.UUID
    endpoint_id: uuid.UUID
    lease_id: uuid.UUID
    kind: str
    url: str
    secrets: list[str]
    parcels: list[Parcel]
    is_ailing: bool
    stopped: threading.Event = field(default_factory=threading.Event)


Told = tuple[Trip, Parcel | None, Answer | None]
"""What a thread says: how one parcel went; nothing of both when the trip is over."""


def deliver_due(tenant_ids: Iterable[uuid.UUID | str]) -> int:
    """Send what is due in these clinics; how many deliveries arrived. Safe to run twice at once, and to be killed.

    Ends when nothing is due, or soon after 20 seconds: then it rings for the next round.
    """
    return _Round(tenant_ids).run()


def list_clinics_with_due() -> list[uuid.UUID]:
    """The clinics, open for work, in which something can be sent now."""
    found = []
    for tenant in list_active_tenants():
        with tenant_context(tenant.id):
            if selectors.has_due(timezone.now()):
                found.append(tenant.id)
    return found


class _Round:
    def __init__(self, tenant_ids: Iterable[uuid.UUID | str]):
        self._clinics = {uuid.UUID(str(tenant_id)) for tenant_id in tenant_ids}
        self._under_way: set[Trip] = set()
        self._told: SimpleQueue[Told] = SimpleQueue()
        self._ends_at = time.monotonic() + ROUND_SECONDS
        self._renew_at = self._look_at = 0.0
        self._arrived = 0

    def run(self) -> int:
        self._look_at = time.monotonic() + LOOK_SECONDS
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="webhook") as senders:
            try:
                while self._may_go_on() or self._under_way:
                    if self._may_go_on():
                        self._set_out(senders)
                    if not self._under_way:
                        break
                    self._note(self._gather())
                    self._look_after_trips()
            finally:  # also when the database is away: nobody would note what threads bring from now on
                for trip in self._under_way:
                    trip.stopped.set()
        for tenant_id in self._clinics:
            doorbell.ring_once(tasks.deliver, tenant_id)
        return self._arrived

    def _is_closing(self) -> bool:
        """Its time is over; it only stays for slow receivers, and begins nothing that may be slow itself."""
        return time.monotonic() >= self._ends_at

    def _may_go_on(self) -> bool:
        still = CLOSING_SECONDS if self._under_way else 0.0
        return time.monotonic() < self._ends_at + still

    def _set_out(self, senders: ThreadPoolExecutor) -> None:
        """Claim what is due as long as there are threads for it."""
        for tenant_id in list(self._clinics):
            free = SENDERS - len(self._under_way)
            if free <= 0:
                return
            ailing = sum(trip.is_ailing for trip in self._under_way)
            trips = _claim(tenant_id, free, 0 if self._is_closing() else MOST_AILING - ailing)
            if len(trips) < free:
                self._clinics.discard(tenant_id)  # comes back when one of its trips ends, or with the next look
            for trip in trips:
                self._under_way.add(trip)
                senders.submit(_travel, trip, self._told)

    def _gather(self) -> list[Told]:
        """What threads have said, in handfuls: one transaction for many answers."""
        try:
            told = [self._told.get(timeout=RENEW_SECONDS / 2)]
        except Empty:
            return []
        until = time.monotonic() + GATHER_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                told.append(self._told.get(timeout=left))
            except Empty:
                break
            if told[-1][1] is None:
                break
        return told

    def _note(self, told: list[Told]) -> None:
        by_trip: dict[Trip, list[tuple[Parcel, Answer]]] = defaultdict(list)
        over = set()
        for trip, parcel, answer in told:
            if parcel is None or answer is None:
                over.add(trip)
            else:
                by_trip[trip].append((parcel, answer))
        for trip in over | by_trip.keys():
            self._arrived += _write_down(trip, by_trip[trip], is_over=trip in over)
            if trip in over:
                self._under_way.discard(trip)
                self._clinics.add(trip.tenant_id)

    def _look_after_trips(self) -> None:
        """Renew the leases, call back trips whose endpoint is not active any more, and see who else has something."""
        now = time.monotonic()
        if now >= self._renew_at:
            self._renew_at = now + RENEW_SECONDS
            for trip in self._under_way:
                if not self._may_go_on() or not _renew(trip):
                    trip.stopped.set()
        if now >= self._look_at and self._under_way and self._may_go_on():
            self._clinics |= set(list_clinics_with_due())
            # Looking is work too, where there are many clinics: at most a fifth of the time.
            self._look_at = time.monotonic() + max(LOOK_SECONDS, 4 * (time.monotonic() - now))


# --- Claiming --------------------------------------------------------------------------------------------------------


def _claim(tenant_id: uuid.UUID, most: int, most_ailing: int) -> list[Trip]:
    """Take up to `most` endpoints of a clinic that have something due, each with its oldest deliveries.

    Those that answered last time first, and of the others no more than `most_ailing`.
    """
    with tenant_context(tenant_id):
        if not Tenant.objects.filter(pk=tenant_id, is_active=True).exists():
            return []
        now = timezone.now()
        due = Delivery.objects.due(now).filter(endpoint=OuterRef("pk"))
        ready = Endpoint.objects.ready(now).filter(Exists(due)).order_by("id")
        ready = ready.select_for_update(no_key=True, skip_locked=True)
        rows = list(ready.filter(failures_in_row=0)[:most])
        if (ailing := min(most - len(rows), most_ailing)) > 0:
            rows += ready.filter(failures_in_row__gt=0)[:ailing]
        return [trip for row in rows if (trip := _claim_endpoint(row, now))]


def _claim_endpoint(endpoint: Endpoint, now: datetime) -> Trip | None:
    is_alone = max(endpoint.interruptions, endpoint.failures_in_row) >= MOST_INTERRUPTIONS
    due = Delivery.objects.due(now).filter(endpoint=endpoint).order_by("next_try_at", "event_id")
    deliveries = list(due.select_related("event")[: 1 if is_alone else BATCH])
    if not deliveries:
        return None
    if endpoint.interruptions >= MOST_INTERRUPTIONS and _is_poison(deliveries[0]):
        return _claim_endpoint(endpoint, now)
    try:
        secrets = endpoint.secrets(now)
    except InvalidToken:  # SECRET_KEY was changed and the old one forgotten
        services.stop_endpoint(endpoint, Endpoint.State.PAUSED, Endpoint.Why.SEALED)
        return None
    endpoint.lease_id, endpoint.lease_until = uuid.uuid4(), now + LEASE
    endpoint.interruptions += 1
    endpoint.save(update_fields=["lease_id", "lease_until", "interruptions"])
    return Trip(
        tenant_id=endpoint.tenant_id,
        endpoint_id=endpoint.pk,
        lease_id=endpoint.lease_id,
        kind=endpoint.kind,
        url=endpoint.url,
        secrets=secrets,
        is_ailing=endpoint.failures_in_row > 0,
        parcels=[
            Parcel(row.pk, row.event_id, row.event.body, row.attempts, row.since, row.event.object_id)
            for row in deliveries
        ],
    )


def _is_poison(delivery: Delivery) -> bool:
    """Workers have died over this endpoint again and again. Is it this delivery? Five times more say so: given up."""
    delivery.interruptions += 1
    if delivery.interruptions > MOST_INTERRUPTIONS:
        delivery.state = Delivery.State.FAILED
        log.error("webhook_parked", delivery=str(delivery.pk))
    delivery.save(update_fields=["interruptions", "state"])
    return delivery.state == Delivery.State.FAILED


def _renew(trip: Trip) -> bool:
    """Keep the lease for some more seconds; False when the endpoint or its clinic is not active any more."""
    with tenant_context(trip.tenant_id):
        mine = Endpoint.objects.filter(pk=trip.endpoint_id, lease_id=trip.lease_id, state=Endpoint.State.ACTIVE)
        is_open = Tenant.objects.filter(pk=trip.tenant_id, is_active=True).exists()
        return is_open and bool(mine.update(lease_until=timezone.now() + LEASE))


# --- In a thread -----------------------------------------------------------------------------------------------------


def _travel(trip: Trip, told: SimpleQueue) -> None:
    """Bring each parcel there, over one connection. Nothing of the database in here."""
    try:
        with _line_to(trip) as line:
            for parcel in trip.parcels:
                if trip.stopped.is_set():
                    break
                answer = _bring(parcel, line, trip.secrets)
                told.put((trip, parcel, answer))
                if answer.is_silence or answer.is_gone:
                    break
    finally:
        told.put((trip, None, None))


def _bring(parcel: Parcel, line: "transport.Line | queues.Line", secrets: list[str]) -> Answer:
    try:
        headers = signing.headers_for(parcel.event_id, parcel.body, at=timezone.now(), secrets=secrets)
        return line.post(parcel.body.encode(), headers)
    except Exception as error:  # a bug of ours is a try that failed: counted, put off, and at some point given up
        log.error("webhook_broken", delivery=str(parcel.delivery_id), error=type(error).__name__)
        return Answer(error=Attempt.Error.CONNECTION.value, words=type(error).__name__)


def _line_to(trip: Trip) -> "transport.Line | queues.Line":
    if trip.kind == Endpoint.Kind.QUEUE:
        return queues.Line(trip.url, groups={str(p.event_id): f"{trip.tenant_id}:{p.object_id}" for p in trip.parcels})
    return transport.Line(trip.url)


# --- What became of it -----------------------------------------------------------------------------------------------


def _write_down(trip: Trip, answers: list[tuple[Parcel, Answer]], *, is_over: bool) -> int:
    """Note answers of one trip, and let go of the endpoint when it is over; how many arrived."""
    with tenant_context(trip.tenant_id):
        endpoint = Endpoint.objects.select_for_update(no_key=True).get(pk=trip.endpoint_id)
        now = timezone.now()
        Attempt.objects.bulk_create([_attempt(parcel, answer, now) for parcel, answer in answers])
        arrived = [parcel.delivery_id for parcel, answer in answers if answer.is_success]
        if arrived:
            Delivery.objects.filter(pk__in=arrived, state=Delivery.State.WAITING).update(
                state=Delivery.State.DELIVERED, delivered_at=now, attempts=F("attempts") + 1
            )
        for parcel, answer in answers:
            _count(endpoint, answer, now)
            if not answer.is_success:
                _plan_next(endpoint, parcel, answer, now)
        if answers or is_over:
            endpoint.interruptions = 0
        if is_over and endpoint.lease_id == trip.lease_id:
            endpoint.lease_id = endpoint.lease_until = None
        endpoint.save(
            update_fields=[
                *["failures_in_row", "last_success_at", "rests_until", "interruptions", "lease_id", "lease_until"]
            ]
        )
        return len(arrived)


def _attempt(parcel: Parcel, answer: Answer, now: datetime) -> Attempt:
    return Attempt(
        delivery_id=parcel.delivery_id,
        number=parcel.attempts + 1,
        at=now,
        status=answer.status,
        error=answer.error,
        ms=answer.ms,
        answer=answer.words,
    )


def _count(endpoint: Endpoint, answer: Answer, now: datetime) -> None:
    """What the endpoint as a whole has to answer for: this is the circuit breaker."""
    if answer.is_success:
        endpoint.failures_in_row, endpoint.last_success_at, endpoint.rests_until = 0, now, None
        return
    endpoint.failures_in_row += 1
    asked = answer.asked if answer.is_silence else None
    rest = schedule.rest_after(endpoint.failures_in_row, asked=asked)
    endpoint.rests_until = now + rest if rest else None


def _plan_next(endpoint: Endpoint, parcel: Parcel, answer: Answer, now: datetime) -> None:
    tries = parcel.attempts + 1
    waiting = Delivery.objects.filter(pk=parcel.delivery_id, state=Delivery.State.WAITING, since=parcel.since)
    if answer.is_gone:
        waiting.update(state=Delivery.State.FAILED, attempts=tries)
        _stop(endpoint, Endpoint.State.DISABLED, Endpoint.Why.GONE)
        return
    at = schedule.next_try(tries, since=parcel.since, now=now, asked=answer.asked if answer.is_silence else None)
    if at is not None:
        waiting.update(attempts=tries, next_try_at=at, interruptions=0)
        return
    waiting.update(state=Delivery.State.FAILED, attempts=tries)
    log.warning("webhook_given_up", endpoint=str(endpoint.pk), delivery=str(parcel.delivery_id), tries=tries)
    if endpoint.last_success_at is None or endpoint.last_success_at < parcel.since:
        _stop(endpoint, Endpoint.State.PAUSED, Endpoint.Why.FAILING)


def _stop(endpoint: Endpoint, state: str, why: str) -> None:
    if endpoint.state == Endpoint.State.ACTIVE:
        services.stop_endpoint(endpoint, state, why)
