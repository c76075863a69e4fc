"""Appointments as iCalendar: feeds for a phone, and the file beside a confirmation (wish 16).

No clinical detail leaves: not the kind of visit, not its reason, and in a
practitioner's feed no patient's name. Times carry the zone of the location
with its rules, so that 09:00 stays 09:00 wherever the phone is.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from icalendar import Calendar, Event, Timezone

from .models import Appointment
from .states import State

PRODUCT = "-//Carewright//Appointments//EN"
STATUS = {
    State.REQUESTED: "TENTATIVE",
    State.HELD: "TENTATIVE",
    State.CANCELLED: "CANCELLED",
    State.NO_SHOW: "CANCELLED",
}


def calendar_of(appointments: Iterable[Appointment], *, name: str, for_patient: bool, method: str = "") -> bytes:
    """An iCalendar file; the same appointments always give the same bytes, so that a hash of it is an ETag.

    `appointments` come with `location` and `practitioner` read. `method` is
    PUBLISH or CANCEL where the file goes along with a mail.
    """
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("x-wr-calname", name)
    if method:
        calendar.add("method", method)
    for appointment in appointments:
        calendar.add_component(_event(appointment, for_patient=for_patient))
    zones = sorted(calendar.get_missing_tzids())
    calendar.subcomponents[:0] = [_rules_of(zone) for zone in zones]
    return calendar.to_ical()


@lru_cache
def _rules_of(zone: str) -> Timezone:
    """The VTIMEZONE of a zone. icalendar looks through 68 years of it for 16 ms, so each process does that once."""
    return Timezone.from_tzid(zone)


def _event(appointment: Appointment, *, for_patient: bool) -> Event:
    zone = ZoneInfo(appointment.time_zone)
    place = appointment.location
    event = Event()
    event.add("uid", f"{appointment.pk}@carewright")
    event.add("sequence", appointment.sequence)
    event.add("dtstamp", appointment.updated_at.astimezone(UTC).replace(microsecond=0))
    event.add("dtstart", appointment.starts_at.astimezone(zone))
    event.add("dtend", appointment.ends_at.astimezone(zone))
    event.add("status", STATUS.get(State(appointment.state), "CONFIRMED"))
    if for_patient:
        event.add("summary", _("Appointment with %(name)s") % {"name": appointment.practitioner.name})
    else:
        event.add("summary", _("Visit %(number)s") % {"number": appointment.number})
    event.add("location", ", ".join(part for part in (place.name, place.address) if part))
    event.add("class", "PRIVATE")
    return event


def etag_of(content: bytes) -> str:
    """A strong ETag, with its quotes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
