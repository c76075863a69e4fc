"""Prometheus metrics of the web door. Labels are route patterns, methods and status codes: never an id."""

import os
from functools import lru_cache
from hmac import compare_digest

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from tenancy.doors.addresses import came_directly

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("carewright_requests_total", "Requests answered", ["method", "route", "status"])
DURATION = Histogram("carewright_request_seconds", "Time to answer", ["method", "route"], buckets=SECONDS)
IN_FLIGHT = Gauge("carewright_requests_in_flight", "Requests being answered", multiprocess_mode="livesum")


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request. `route` is a pattern of ours, so the number of series is bounded."""
    count, duration = _series(method if method in METHODS else "OTHER", route, status)
    count.inc()
    duration.observe(seconds)


@lru_cache(maxsize=4096)
def _series(method: str, route: str, status: int):
    return REQUESTS.labels(method, route, str(status)), DURATION.labels(method, route)


def metrics(request: HttpRequest) -> HttpResponse | None:
    """The metrics, for this machine itself or with METRICS_TOKEN as Bearer. None for others: they see a 404."""
    if not may_read(request):
        return None
    return HttpResponse(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)


def may_read(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    sent = request.headers.get("Authorization", "")
    if token and compare_digest(sent.encode(), f"Bearer {token}".encode()):
        return True
    return came_directly(request)


def _registry() -> CollectorRegistry:
    """With PROMETHEUS_MULTIPROC_DIR (read by prometheus-client itself) the sum over all worker processes."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry
