"""Which events there are, and who wants to hear that an endpoint has stopped. Rooms register theirs when they load.

    CREATED = register(EventType("patient.created", _("A patient was registered")))

The part before the dot is the kind of thing it happened to, the model's name;
that part's `id` is what the thing's own API knows it by.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from .models import Endpoint

ALL = "*"
"""In the list of an endpoint: every type, those of later releases too."""


@dataclass(frozen=True)
class EventType:
    """One thing that can happen: `code` as it stands in payloads, `words` as administrators choose it."""

    code: str
    words: str | Promise

    @property
    def object_type(self) -> str:
        return self.code.partition(".")[0]


_types: dict[str, EventType] = {}
_on_stop: list[Callable[["Endpoint"], object]] = []


def register(event_type: EventType) -> EventType:
    """Make a type known, once. Returns it, so that a module can name it."""
    if _types.setdefault(event_type.code, event_type) is not event_type:
        raise ValueError(f"There are two types of event called {event_type.code}.")
    return event_type


def find_type(code: str) -> EventType | None:
    """The type of a code, or None."""
    return _types.get(code)


def all_types() -> list[EventType]:
    """What an endpoint may ask for, in the order of their rooms. Tests are sent to whoever presses the button."""
    return [event_type for event_type in _types.values() if event_type is not TEST]


def call_when_stopped(function: Callable[["Endpoint"], object]) -> None:
    """Have a function called, in the same transaction, with each endpoint that stops by itself.

    Rooms above tell the administrators; this one knows neither people nor mail.
    """
    if function not in _on_stop:
        _on_stop.append(function)


def tell_stopped(endpoint: "Endpoint") -> None:
    """Call whoever asked to hear of endpoints that stop."""
    for function in _on_stop:
        function(endpoint)


TEST = register(EventType("endpoint.test", _("A test")))
