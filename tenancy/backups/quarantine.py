"""What must not go on by itself after a restore: old mails, old webhooks, sign-ins that were ended since.

A room that sends things out, or lets somebody in, says how they are held back:

    @held_after_restore("mails that waited")
    def hold_mails() -> int: …

The function runs inside each clinic, as the owner of the tables, before
anybody else is let in. It returns how many it held back, and may run again
(security.md BK-07).
"""

from collections.abc import Callable

Hold = Callable[[], int]

_registered: dict[str, Hold] = {}


def held_after_restore(what: str) -> Callable[[Hold], Hold]:
    """Register a function under a name in the plural, such as "mails that waited"."""

    def register(function: Hold) -> Hold:
        _registered[what] = function
        return function

    return register


def hold_back() -> dict[str, int]:
    """Hold back everything in the clinic worked in now; how many of what, those of none left out."""
    held = {what: function() for what, function in _registered.items()}
    return {what: count for what, count in held.items() if count}
