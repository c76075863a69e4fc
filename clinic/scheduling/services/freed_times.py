"""Who is told of a time that somebody else may have now."""

from collections.abc import Callable

from ..models import Appointment

_when_freed: list[Callable[[Appointment], object]] = []


def call_when_freed(function: Callable[[Appointment], object]) -> None:
    """Have a function called, in the same transaction, with each appointment whose time somebody else may have now.

    It gets the appointment as it stood before it was moved away. The waiting list registers itself by this.
    """
    if function not in _when_freed:
        _when_freed.append(function)


def tell_freed(freed: Appointment) -> None:
    for function in _when_freed:
        function(freed)
