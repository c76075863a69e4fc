"""A stretch of a long list: so many rows from a place on, and the addresses of the stretches beside it.

The place is in the address, so a page that is fetched anew each minute stays
where its reader is; a list that became shorter meanwhile shows its end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict


@dataclass(frozen=True)
class Stretch:
    """`rows` of a list of `total`, the first of them at `first`, counted from 0."""

    rows: list[Any] = field(default_factory=list)
    first: int = 0
    total: int = 0
    size: int = 1

    @property
    def before(self) -> int:
        return self.first

    @property
    def after(self) -> int:
        return self.total - self.first - len(self.rows)


def begin(total: int, first: int, size: int) -> int:
    """Where a stretch begins: at `first`, or earlier where the list is not that long."""
    return max(0, min(first, total - size))


def take(rows: QuerySet, total: int, first: int, size: int) -> Stretch:
    """`size` rows from `first` on, or the last ones where the list is not that long. No query for an empty list."""
    first = begin(total, first, size)
    return Stretch(list(rows[first : first + size]) if total else [], first, total, size)


def read_first(query: Mapping[str, str], key: str) -> int | None:
    """From which row on an address asks for a list; None where it says nothing that can be meant."""
    text = query.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def describe(stretch: Stretch, query: QueryDict, key: str, anchor: str) -> dict[str, Any] | None:
    """For scheduling/_before.html and _after.html; None where all is shown. `key` is the one `read_first` reads."""
    if len(stretch.rows) >= stretch.total:
        return None
    size = stretch.size

    def address(first: int | None) -> str:
        changed = query.copy()
        changed.pop(key, None)
        if first is not None:
            changed[key] = str(first)
        return f"?{changed.urlencode()}#{anchor}"

    return {
        "id": anchor,
        "first": stretch.first + 1,
        "last": stretch.first + len(stretch.rows),
        "total": stretch.total,
        "before": stretch.before,
        "after": stretch.after,
        "earlier_url": address(max(0, stretch.first - size)) if stretch.before else "",
        "later_url": address(stretch.first + size) if stretch.after else "",
        "usual_url": address(None) if key in query else "",
    }
