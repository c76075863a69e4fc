"""Why a time is not free, in the words of the one who reads it.

The desk learns which leave or booking is in the way. A patient learns that it
is taken: neither whose visit it is nor that the doctor is ill.
"""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .availability import Reason, Slot
from .models import AppointmentType

FOR_PATIENTS = {
    **dict.fromkeys(["booked", "held", "resource"], "taken"),
    **dict.fromkeys(["leave", "unqualified"], "not_offered"),
}


@dataclass(frozen=True)
class Reader:
    """Who reads, and about which kind of visit; `is_staff` decides how much is said."""

    is_staff: bool
    type: AppointmentType | None = None


def explain(slot: Slot, reader: Reader) -> list[dict[str, str]]:
    """`[{code, text}]` for every reason against a time; none twice."""
    said: dict[tuple[str, str], None] = {}
    for reason in slot.reasons:
        said[code_of(reason, reader), text_of(reason, reader)] = None
    return [{"code": code, "text": text} for code, text in said]


def code_of(reason: Reason, reader: Reader) -> str:
    """The reason's kind; for patients everything that concerns other people is `taken` or `not_offered`."""
    return reason.kind if reader.is_staff else FOR_PATIENTS.get(reason.kind, reason.kind)


def text_of(reason: Reason, reader: Reader) -> str:
    """One sentence."""
    hours = reader.type.lead_hours if reader.type else 0
    days = reader.type.horizon_days if reader.type else 0
    if not reader.is_staff and reason.kind in {"booked", "held", "resource"}:
        return _("This time is taken.")
    if not reader.is_staff and reason.kind in {"leave", "unqualified"}:
        return _("This time is not offered.")
    sentences = {
        "booked": lambda: _("Taken by %(what)s.") % {"what": reason.words},
        "held": lambda: _("Kept by %(what)s.") % {"what": reason.words},
        "full": lambda: (
            ngettext("The only place is taken.", "All %(count)d places are taken.", int(reason.words))
            % {"count": int(reason.words)}
        ),
        "leave": lambda: _("Away: %(why)s.") % {"why": reason.words},
        "holiday": lambda: _("Public holiday: %(name)s.") % {"name": reason.words},
        "closed": lambda: _("The location is closed then."),
        "resource": lambda: _("No %(what)s is free then.") % {"what": reason.words},
        "per_day": lambda: _("No more than %(count)s of these visits a day.") % {"count": reason.words},
        "lead_time": lambda: (
            _("Book at least %(hours)d hours ahead.") % {"hours": hours}
            if hours and not reader.is_staff
            else _("This time has passed.")
        ),
        "horizon": lambda: _("The book is open for the next %(days)d days.") % {"days": days},
    }
    sentence = sentences.get(reason.kind)
    return sentence() if sentence else reason.words
