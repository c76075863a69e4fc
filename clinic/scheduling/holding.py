"""A time kept while somebody types: others see it as taken, with the name and until when (issue 4, holds).

A hold is an appointment in the state "held". Saving the form turns that very
row into the visit (`services.book` with `Wanted.hold`); leaving it, or ten
minutes, give the time back.
"""

from uuid import UUID

from django.utils import timezone

from accounts.users.models import Membership

from . import services
from .models import Appointment
from .services import Wanted
from .states import State


def find_hold(hold_id: UUID | None, *, by: Membership) -> Appointment | None:
    """The time this member keeps; None where it is over, became a visit, or is somebody else's."""
    found = Appointment.objects.filter(
        pk=hold_id, state=State.HELD, created_by=by, hold_expires_at__gt=timezone.now()
    ).select_related("location", "practitioner", "type")
    return found.first() if hold_id else None


def keep_time(wanted: Wanted, *, by: Membership) -> Appointment:
    """Keep a time for ten minutes, from now on where it is kept already. Another one that was kept is let go first.

    Raises as `services.book`; what was kept before is gone then, too.
    """
    kept = find_hold(wanted.hold, by=by)
    if kept is not None and not services.is_held_for(kept, wanted):
        services.release(kept, by=by)
    return services.book(wanted, by=by, state=State.HELD)


def let_go(hold_id: UUID | None, *, by: Membership) -> None:
    """Give a time back that is kept for nothing any more; what is over is over."""
    kept = find_hold(hold_id, by=by)
    if kept is not None:
        services.release(kept, by=by)
