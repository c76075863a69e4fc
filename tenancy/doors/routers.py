"""Routes that answer with and without the trailing slash, for every method, without a redirect.

A redirect would drop the body of a POST. Reversed and documented addresses
have no slash at the end.
"""

from collections.abc import Callable

from django.urls import URLPattern, path
from rest_framework.routers import SimpleRouter

UUID_FORM = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
NUMBER_OR_UUID = f"[0-9]{{1,9}}|{UUID_FORM}"  # how quality resources are named in a path (decision X10)


class HouseRouter(SimpleRouter):
    """DRF's router with both slash forms. Ids are UUIDs unless the viewset's `lookup_value_regex` says otherwise."""

    def __init__(self):
        super().__init__()
        self.trailing_slash = "/?"
        self._default_value_pattern = UUID_FORM


def both_slashes(route: str, view: Callable, name: str | None = None) -> list[URLPattern]:
    """Two `path()` entries for one view; `reverse(name)` gives the first, without the slash."""
    route = route.rstrip("/")
    return [path(route, view, name=name), path(f"{route}/", view)]
