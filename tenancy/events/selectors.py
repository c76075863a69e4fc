"""Reading endpoints and what became of their deliveries. Everybody who may manage integrations sees all of a clinic."""

import uuid
from datetime import datetime

from django.db.models import Count, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.shortcuts import get_object_or_404

from .models import Attempt, Delivery, Endpoint, Event


def list_endpoints() -> QuerySet[Endpoint]:
    """The endpoints of this clinic, the newest first, each with how many deliveries wait (`waiting`)."""
    waiting = (
        Delivery.objects.filter(endpoint=OuterRef("pk"), state=Delivery.State.WAITING)
        .order_by()
        .values("endpoint")
        .annotate(many=Count("pk"))
        .values("many")
    )
    return Endpoint.objects.kept().annotate(waiting=Subquery(waiting)).order_by("-created_at", "-id")


def get_endpoint(pk: uuid.UUID | str) -> Endpoint:
    """One endpoint of this clinic. Raises Http404, also for one that was deleted."""
    return get_object_or_404(list_endpoints(), pk=_as_id(pk))


def list_deliveries(
    endpoint: Endpoint | None = None,
    *,
    state: str = "",
    type: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Delivery]:
    """The log of an endpoint, or of all, the newest first, narrowed to a state, a type, and a span of time."""
    narrowed = Q(endpoint=endpoint) if endpoint else Q()
    if state:
        narrowed &= Q(state=state)
    if type:
        narrowed &= Q(event__type=type)
    if since:
        narrowed &= Q(since__gte=since)
    if until:
        narrowed &= Q(since__lt=until)
    log = Prefetch("log", queryset=Attempt.objects.order_by("at", "id"))
    found = Delivery.objects.filter(narrowed).select_related("event", "endpoint")
    return found.prefetch_related(log).order_by("-since", "-id")


def get_delivery(pk: uuid.UUID | str) -> Delivery:
    """One delivery, with every try. Raises Http404."""
    return get_object_or_404(list_deliveries(), pk=_as_id(pk))


def count_deliveries(endpoint: Endpoint) -> dict[str, int]:
    """How many deliveries of an endpoint there are in each state."""
    counted = Delivery.objects.filter(endpoint=endpoint).order_by().values_list("state").annotate(Count("pk"))
    return dict.fromkeys(Delivery.State.values, 0) | dict(counted)


def has_due(now: datetime) -> bool:
    """Whether this clinic has something to send now, to somebody who is ready for it."""
    ready = Endpoint.objects.ready(now)
    return Delivery.objects.due(now).filter(endpoint__in=ready).exists()


def list_events(endpoint: Endpoint, *, since: datetime, until: datetime) -> QuerySet[Event]:
    """What happened in a span of time that this endpoint asks for, the oldest first; the end not counted."""
    return Event.objects.between(since, until).wanted_by(endpoint).order_by("occurred_at", "id")


def _as_id(pk: uuid.UUID | str) -> uuid.UUID:
    try:
        return uuid.UUID(str(pk))
    except ValueError:
        return uuid.UUID(int=0)
