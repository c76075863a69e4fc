"""What an appointment can be, what may follow what, and how the specifications say it (decisions X14, X15)."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class State(models.TextChoices):
    REQUESTED = "requested", _("Requested")
    HELD = "held", _("Held")
    BOOKED = "booked", _("Booked")
    CONFIRMED = "confirmed", pgettext_lazy("an appointment", "Confirmed")
    ARRIVED = "arrived", _("Arrived")
    IN_ROOM = "in_room", _("In the room")
    COMPLETED = "completed", _("Completed")
    NO_SHOW = "no_show", _("Did not come")
    CANCELLED = "cancelled", _("Cancelled")


S = State

MOVES: dict[str, tuple[str, ...]] = {
    S.REQUESTED: (S.BOOKED, S.CONFIRMED, S.CANCELLED),
    S.HELD: (S.BOOKED, S.CONFIRMED, S.CANCELLED),
    S.BOOKED: (S.CONFIRMED, S.ARRIVED, S.COMPLETED, S.NO_SHOW, S.CANCELLED),
    S.CONFIRMED: (S.ARRIVED, S.COMPLETED, S.NO_SHOW, S.CANCELLED),
    S.ARRIVED: (S.IN_ROOM, S.COMPLETED, S.NO_SHOW, S.CANCELLED),
    S.IN_ROOM: (S.COMPLETED, S.CANCELLED),
    S.COMPLETED: (),
    S.NO_SHOW: (S.ARRIVED,),
    S.CANCELLED: (),
}
"""The one table of moves. Undo is no move: it puts the state before the last change back (`services.undo_move`)."""

LIVE = (S.REQUESTED, S.HELD, S.BOOKED, S.CONFIRMED, S.ARRIVED, S.IN_ROOM, S.COMPLETED)
"""States that keep the time: nobody else gets it."""

PENDING = (S.REQUESTED, S.HELD)
UPCOMING = (S.REQUESTED, S.HELD, S.BOOKED, S.CONFIRMED)
NEEDS_REASON = (S.CANCELLED,)

MEDISECURE = dict.fromkeys(LIVE, "scheduled") | {
    S.COMPLETED: "completed",
    S.CANCELLED: "cancelled",
    S.NO_SHOW: "cancelled",
}
DOCTOLIB = {
    S.REQUESTED: "pending",
    S.HELD: "pending",
    S.BOOKED: "active",
    S.CONFIRMED: "active",
    S.ARRIVED: "active",
    S.IN_ROOM: "active",
    S.COMPLETED: "finished",
    S.NO_SHOW: "cancelled",
    S.CANCELLED: "cancelled",
}
FROM_MEDISECURE = {"scheduled": S.BOOKED, "completed": S.COMPLETED, "cancelled": S.CANCELLED}
FROM_DOCTOLIB = {"pending": S.REQUESTED, "active": S.BOOKED, "finished": S.COMPLETED, "cancelled": S.CANCELLED}
