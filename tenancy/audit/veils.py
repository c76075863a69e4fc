"""What an entry says in words is kept from readers who may not open the thing itself.

The trail stands below every room and knows none of them; a room that keeps
something from its readers says so here, when it is loaded (docs/decisions/0009).
"""

from collections.abc import Callable
from typing import Any

Veil = Callable[[set[str], Any], set[str]]
"""Of these object ids, those whose content this reader (a Membership, an API key, None) may not see."""

_veils: dict[str, Veil] = {}


def register_veil(object_type: str, veil: Veil) -> None:
    """Ask this room whenever entries about its things are read."""
    _veils[object_type] = veil


def veiled(things: set[tuple[str, str]], by: Any) -> set[tuple[str, str]]:
    """Of these (object type, object id), those that are kept from the reader; one question a room."""
    found = set()
    for object_type, veil in _veils.items():
        if ids := {object_id for kind, object_id in things if kind == object_type}:
            found |= {(object_type, object_id) for object_id in veil(ids, by)}
    return found
