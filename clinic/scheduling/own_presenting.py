"""Visits and free times in the words of the person they are for: no reasons of the desk, no other people."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.users.models import Membership
from tenancy.rules import NotAllowed, RuleBroken

from . import presenting, self_service, tiles
from .availability import Slot
from .models import Appointment, AppointmentType, Modality, Offer, SelfServicePolicy
from .policy import call_us, phone_of
from .states import State
from .wall_time import wall_of
from .wordings import say_when

WORDS = {
    State.REQUESTED: gettext_lazy("Asked for, not confirmed yet"),
    State.HELD: gettext_lazy("Kept for you"),
    State.ARRIVED: gettext_lazy("You are here"),
    State.NO_SHOW: gettext_lazy("Missed"),
}
"""Where patients read another word than the desk does."""


def row(visit: Appointment) -> dict[str, Any]:
    """One visit of a list: when, with whose clock, who, where, what state."""
    wall = wall_of(visit.starts_at, visit.location.zone)
    return {
        "id": visit.pk,
        "day": presenting.day_words(wall.date()),
        "month": date_format(wall.date(), "M"),
        "number": wall.day,
        "from": f"{wall:%H:%M}",
        "until": presenting.clock(visit.ends_at, visit.location.zone),
        "zone": presenting.zone_words(visit.time_zone),
        "what": presenting.what(visit),
        "who": visit.practitioner.name,
        "place": visit.location.name,
        "state": visit.state,
        "state_word": WORDS.get(State(visit.state), visit.get_state_display()),
        "tone": presenting.TONES[visit.state],
        "is_over": visit.state in {State.CANCELLED, State.NO_SHOW},
    }


def facts(visit: Appointment) -> list[dict[str, Any]]:
    """For components/facts.html."""
    place, wall = visit.location, wall_of(visit.starts_at, visit.location.zone)
    clock = f"{wall:%H:%M}–{presenting.clock(visit.ends_at, place.zone)}"
    shown: list[dict[str, Any]] = [
        {"label": _("Day"), "value": presenting.day_words(wall.date())},
        {"label": _("Time"), "value": clock, "note": presenting.zone_words(visit.time_zone)},
        {"label": _("What"), "value": presenting.what(visit)},
        {"label": _("With"), "value": visit.practitioner.name},
    ]
    if visit.modality != Modality.IN_PERSON:
        shown.append({"label": _("How"), "value": visit.get_modality_display()})
    where = ", ".join(part for part in (place.name, place.address) if part)
    shown.append({"label": _("Where"), "value": where})
    if place.phone:
        shown.append({"label": _("Telephone"), "value": place.phone, "url": tel(place.phone)})
    if visit.reason:
        shown.append({"label": _("What it is about"), "value": visit.reason})
    return shown


def tel(phone: str) -> str:
    """The address that dials; "" for what holds no digit."""
    digits = "".join(sign for sign in phone if sign.isdigit() or sign == "+")
    return f"tel:{digits}" if any(sign.isdigit() for sign in digits) else ""


def call(visit: Appointment | None, policy: SelfServicePolicy) -> dict[str, str]:
    """Whom to call: a number and its address, both "" where the clinic names none."""
    phone = phone_of(visit.location if visit else None, policy)
    return {"phone": phone, "url": tel(phone)}


def choices(visit: Appointment, policy: SelfServicePolicy) -> dict[str, Any]:
    """What the patient may do with a visit now, until when, and the sentence where they may not."""
    cancelled, moved = self_service.why_not_cancelled(visit, policy), self_service.why_not_moved(visit, policy)
    zone = visit.location.zone
    limited = visit.state in self_service.PROMISED
    return {
        "cancel": cancelled is None,
        "cancel_until": say_when(self_service.cancel_until(visit, policy), zone) if limited else "",
        "why_not_cancel": sentence_of(cancelled, visit, policy),
        "move": moved is None,
        "move_until": say_when(self_service.move_until(visit, policy), zone) if limited else "",
        "why_not_move": sentence_of(moved, visit, policy),
    }


def cancel_until(hold: Appointment, policy: SelfServicePolicy) -> str:
    """Until when a visit could be cancelled online once it is booked; "" where that would be over, or is not let."""
    until = self_service.cancel_until(hold, policy)
    return say_when(until, hold.location.zone) if policy.may_cancel and until > timezone.now() else ""


def sentence_of(refusal: RuleBroken | NotAllowed | None, visit: Appointment | None, policy: SelfServicePolicy) -> str:
    """A refusal without whom to call: beside it the page shows the number as something to press. "" for none."""
    location = visit.location if visit else None
    return refusal.sentence.removesuffix(call_us(location, policy)).strip() if refusal else ""


def kind(type: AppointmentType, policy: SelfServicePolicy) -> dict[str, Any]:
    """A kind of visit as something to choose."""
    books = self_service.first_state(type, policy) == State.BOOKED
    return {
        "type": type,
        "length": ngettext("%(count)d minute", "%(count)d minutes", type.minutes) % {"count": type.minutes},
        "how": "" if type.modality == Modality.IN_PERSON else type.get_modality_display(),
        "books": books,
        "becomes": _("You book it yourself") if books else _("You ask, we confirm"),
    }


def days(found: Iterable[Slot], *, by: Membership) -> list[dict[str, Any]]:
    """Free times by day, each day by the clock of its places."""
    grouped: dict[date, list[tiles.Tile]] = {}
    for tile in tiles.tiles_of(found, by=by):
        grouped.setdefault(tile.day, []).append(tile)
    return [
        {
            "day": presenting.day_words(day),
            "tiles": rows,
            "count": ngettext("%(count)d time", "%(count)d times", len(rows)) % {"count": len(rows)},
        }
        for day, rows in sorted(grouped.items())
    ]


def near(found: Iterable[Slot], *, by: Membership) -> list[dict[str, Any]]:
    """The times proposed beside a refusal."""
    return [{"tile": tile, "day": presenting.short_day(tile.day)} for tile in tiles.tiles_of(found, by=by)]


def chosen(tile: tiles.Tile, minutes: int) -> dict[str, Any]:
    """A time that was picked and is not kept."""
    starts_at = tiles.read_value(tile.value)[0]
    place = tile.location
    return {
        "day": presenting.day_words(tile.day),
        "from": tile.clock,
        "until": presenting.clock(starts_at + timedelta(minutes=minutes), place.zone),
        "zone": presenting.zone_words(place.time_zone),
        "who": tile.practitioner.name,
        "where": ", ".join(part for part in (place.name, place.address) if part),
    }


def kept(hold: Appointment, now: datetime | None = None) -> dict[str, Any]:
    """Until when a time is kept: by the clock of the place, and in seconds from now by the server's clock."""
    until = hold.hold_expires_at
    if until is None:
        return {"until": "", "seconds": 0}
    left = (until - (now or timezone.now())).total_seconds()
    return {"until": presenting.clock(until, hold.location.zone), "seconds": max(0, int(left))}


def offer(one: Offer) -> dict[str, Any]:
    """A time of the waiting list with its end."""
    visit = one.appointment
    return row(visit) | {"expires": say_when(one.expires_at, visit.location.zone)}
