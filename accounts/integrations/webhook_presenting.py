"""Words the pages of integrations show about webhooks."""

from typing import Any

from django.utils.translation import gettext as _

from tenancy.events.models import Attempt, Delivery, Endpoint
from tenancy.events.registry import ALL, find_type

TONES = {Endpoint.State.ACTIVE: "ok", Endpoint.State.PAUSED: "warn", Endpoint.State.DISABLED: "bad"}
DELIVERY_TONES = {Delivery.State.DELIVERED: "ok", Delivery.State.FAILED: "bad", Delivery.State.WAITING: "info"}


def webhook_row(endpoint: Endpoint) -> dict[str, Any]:
    """One webhook for lists and its page. `is_failing`: it is active, and the last tries went wrong."""
    return {
        "endpoint": endpoint,
        "state": endpoint.get_state_display(),
        "tone": TONES.get(endpoint.state, ""),
        "why": endpoint.get_why_display() if endpoint.why else "",
        "types": types_of(endpoint),
        "is_active": endpoint.state == Endpoint.State.ACTIVE,
        "is_failing": endpoint.state == Endpoint.State.ACTIVE and endpoint.failures_in_row > 0,
        "is_web": endpoint.kind == Endpoint.Kind.WEB,
    }


def types_of(endpoint: Endpoint) -> list[str]:
    if ALL in endpoint.event_types:
        return [_("Every event")]
    return [type_words(code) for code in endpoint.event_types]


def type_words(code: str) -> str:
    """What a type is called; its code where a room that has gone brought it."""
    known = find_type(code)
    return str(known.words) if known else code


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    """One delivery for the log: `last` is its last try."""
    tries = list(delivery.log.all())
    return {
        "delivery": delivery,
        "event": delivery.event,
        "words": type_words(delivery.event.type),
        "state": delivery.get_state_display(),
        "tone": DELIVERY_TONES.get(delivery.state, ""),
        "last": attempt_words(tries[-1]) if tries else "",
        "may_resend": delivery.endpoint.state == Endpoint.State.ACTIVE,
    }


def attempt_words(attempt: Attempt) -> str:
    """`200`, `503` or what else went wrong."""
    return str(attempt.status) if attempt.status else str(attempt.get_error_display())
