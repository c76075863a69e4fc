"""How the book is put into words and places for a page: rows of Today, cards of the agenda, an appointment's story."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from accounts.permissions import Permission
from accounts.users.models import Membership
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner

from .agenda import HERE, Column, DayList
from .models import Appointment, AppointmentChange, Reminder, WaitLimits
from .states import MOVES, UPCOMING, State
from .wall_time import NoSuchTime, moment_of, wall_of

STEP = 5  # minutes a row of the agenda stands for
LEAST_ROWS = 3  # a shorter visit is drawn as long as one line of text
MOST_BESIDE = 4
FIRST_HOUR, LAST_HOUR = 8, 18  # what is drawn of a day on which nothing happens
COLOURS = 12

TONES = {
    State.REQUESTED: "warn",
    State.HELD: "warn",
    State.BOOKED: "",
    State.CONFIRMED: "info",
    State.ARRIVED: "ok",
    State.IN_ROOM: "ok",
    State.COMPLETED: "",
    State.NO_SHOW: "bad",
    State.CANCELLED: "bad",
}
ICONS = {
    State.REQUESTED: "circle-alert",
    State.HELD: "hourglass",
    State.CONFIRMED: "check",
    State.ARRIVED: "user-check",
    State.IN_ROOM: "door-open",
    State.COMPLETED: "check-check",
    State.NO_SHOW: "user-x",
}
"""Beside the word; on a card too narrow for the word they stand for it, and the word is still read aloud."""
BUTTONS = {
    State.BOOKED: gettext_lazy("Accept"),
    State.CONFIRMED: gettext_lazy("Confirm"),
    State.ARRIVED: gettext_lazy("Arrived"),
    State.IN_ROOM: gettext_lazy("In the room"),
    State.COMPLETED: gettext_lazy("Done"),
    State.NO_SHOW: gettext_lazy("Did not come"),
}
NEXT = {
    State.REQUESTED: State.BOOKED,
    State.BOOKED: State.ARRIVED,
    State.CONFIRMED: State.ARRIVED,
    State.ARRIVED: State.IN_ROOM,
    State.IN_ROOM: State.COMPLETED,
    State.NO_SHOW: State.ARRIVED,
}
"""The step that mostly comes next; its button is the one that stands out."""
ACTIONS = {
    "booked": gettext_lazy("Booked"),
    "held": gettext_lazy("Time kept"),
    "emptied": gettext_lazy("Time given back: nobody was in it any more"),
    "moved": gettext_lazy("Moved"),
    "moved_on": gettext_lazy("State changed"),
    "undone": gettext_lazy("Taken back"),
    "expired": gettext_lazy("Time given back"),
    "released": gettext_lazy("Time given back"),
    "edited": gettext_lazy("Words changed"),
}
REMINDED = {
    "planned": gettext_lazy("On its way"),
    "sent": gettext_lazy("Sent"),
    "opted_out": gettext_lazy("Not sent: the patient wants no messages"),
    "no_address": gettext_lazy("Not sent: no e-mail address"),
    "pointless": gettext_lazy("Not sent: the visit was moved or cancelled"),
}


# --- Words of a visit ------------------------------------------------------------------------------------------------


def clock(moment: datetime, zone: ZoneInfo) -> str:
    return f"{wall_of(moment, zone):%H:%M}"


def day_words(day: date) -> str:
    """A day as the head of a page names it: "Monday 2 March 2026"."""
    return date_format(day, pgettext("the day of an agenda", "l j F Y"))


def short_day(day: date) -> str:
    return date_format(day, pgettext("the day of a column or a message", "D j M"))


def zone_words(name: str, day: date | None = None) -> str:
    """A zone as people read it, with how far it is from UTC at noon of that day, or now: "America/Bogota (UTC-5)"."""
    zone = ZoneInfo(name)
    moment = datetime.combine(day, time(12), zone) if day else timezone.now().astimezone(zone)
    minutes = int(moment.utcoffset().total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    offset = f"UTC{'−' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")
    return f"{name.replace('_', ' ')} ({offset})"


def when(visit: Appointment) -> str:
    """Day, clock and length of a visit, by the clock of its place."""
    zone = visit.location.zone
    return _("%(day)s, %(from)s–%(until)s") % {
        "day": day_words(wall_of(visit.starts_at, zone).date()),
        "from": clock(visit.starts_at, zone),
        "until": clock(visit.ends_at, zone),
    }


def what(visit: Appointment) -> str:
    return visit.type.name if visit.type else _("Visit")


def state_word(visit: Appointment) -> str:
    """As `get_state_display`, which puts all nine words into the reader's language to give one."""
    return str(State(visit.state).label)


def address_of(visit: Appointment) -> SafeString:
    before, after = _around_id()
    return SafeString(f"{before}{visit.pk}{after}")


@cache
def _around_id() -> tuple[str, str]:
    """The address of a visit without its id; a page names hundreds of them, and `reverse` looks it up each time."""
    nobody = UUID(int=0)
    before, _id, after = reverse("scheduling:appointment", args=[nobody]).partition(str(nobody))
    return before, after


def badges(visit: Appointment) -> list[dict[str, str]]:
    """What is out of the ordinary about a visit, each as a word and why."""
    found = []
    if visit.is_overbooked:
        found.append({"text": _("Overbooked"), "tone": "warn", "why": visit.overbook_reason})
    if visit.override_reason:
        found.append({"text": _("Without the qualification"), "tone": "bad", "why": visit.override_reason})
    return found


def buttons(visit: Appointment, now: datetime) -> tuple[dict[str, Any], ...]:
    """The states somebody may put this visit into by one tap, the likely one first; cancelling asks for a reason.

    What only time can tell, done or did not come, is asked once the visit should have begun.
    """
    if visit.patient_id is None:
        return ()  # of a group each place has its own
    return _buttons(visit.state, visit.starts_at > now)


@cache
def _buttons(state: str, is_ahead: bool) -> tuple[dict[str, Any], ...]:
    likely = NEXT.get(state)
    offered = [to for to in MOVES[state] if to in BUTTONS]
    if is_ahead and state != State.IN_ROOM:
        offered = [to for to in offered if to not in {State.COMPLETED, State.NO_SHOW}]
    if state == State.REQUESTED:
        offered.remove(State.CONFIRMED)
    offered.sort(key=lambda to: to != likely)
    return tuple({"to": SafeString(to), "label": BUTTONS[to], "is_likely": to == likely} for to in offered)


def row(
    visit: Appointment, now: datetime, *, undoable: Iterable = (), zone: str = "", limits: WaitLimits | None = None,
    notes: Mapping[UUID, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One visit as a line of Today or of the agenda's list. `zone` is the one the page is in; others are named.

    `limits` are the clinic's (wait_limits.read_limits), `notes` what else stands beside a visit (agenda.note_visits).
    """
    return {
        "id": SafeString(visit.pk),  # hexadecimal: nothing to escape, and a line says it eight times
        "url": address_of(visit),
        "clock": clock(visit.starts_at, visit.location.zone),
        "until": clock(visit.ends_at, visit.location.zone),
        "zone": zone_words(visit.time_zone) if zone and visit.time_zone != zone else "",
        "patient": visit.patient,
        "group": "" if visit.patient else _("Group of %(count)d") % {"count": visit.capacity},
        "what": what(visit),
        "practitioner": visit.practitioner,
        "state": visit.state,
        "state_word": state_word(visit),
        "tone": TONES[visit.state],
        "badges": badges(visit),
        "buttons": buttons(visit, now),
        "may_cancel": State.CANCELLED in MOVES[visit.state],
        "may_undo": visit.pk in undoable,
        "wait": waiting(visit, now, limits or WaitLimits()),
        "late": late(visit, now),
        "note": (notes or {}).get(visit.pk, ""),
    }


def waiting(visit: Appointment, now: datetime, limits: WaitLimits) -> dict[str, Any] | None:
    """How long somebody sits there: since they came, or since their time where they came before it (ui.md, Today)."""
    if visit.state != State.ARRIVED:
        return None
    since = max(visit.arrived_at or visit.starts_at, visit.starts_at)
    minutes = int((now - since).total_seconds() // 60)
    if minutes < 0:
        early = ngettext("%(count)d minute early", "%(count)d minutes early", -minutes) % {"count": -minutes}
        return {"minutes": minutes, "text": early, "tone": "", "icon": "clock"}
    if minutes >= limits.too_long_minutes:
        text, tone, icon = _("waits %(count)d min, too long"), "bad", "octagon-alert"
    elif minutes >= limits.long_minutes:
        text, tone, icon = _("waits %(count)d min, long"), "warn", "triangle-alert"
    else:
        text, tone, icon = _("waits %(count)d min"), "ok", "clock"
    return {"minutes": minutes, "text": text % {"count": minutes}, "tone": tone, "icon": icon}


def late(visit: Appointment, now: datetime) -> str:
    """That somebody should be here by now and is not; "" otherwise."""
    minutes = int((now - visit.starts_at).total_seconds() // 60)
    if visit.state not in {State.BOOKED, State.CONFIRMED} or minutes < 1:
        return ""
    return _("%(count)d min late") % {"count": minutes} if minutes < 120 else _("not here")


def hours(found: DayList, query: QueryDict) -> list[dict[str, Any]]:
    """The hours of a long day in which visits begin, as links to the first of them; those in sight are marked."""
    links, changed = [], query.copy()
    places = [*found.hours.values(), found.shown.total]
    last = found.shown.first + len(found.shown.rows)
    for (hour, place), following in zip(found.hours.items(), places[1:], strict=True):
        changed["first"] = str(place)
        is_shown = place < last and following > found.shown.first
        links.append({"words": f"{hour}:00", "url": f"?{changed.urlencode()}#board", "is_shown": is_shown})
    return links


# --- The agenda as a grid --------------------------------------------------------------------------------------------


def grid(
    columns: list[Column], location: Location, now: datetime, *, may_book: bool, heads: str, may_move: bool = False
) -> dict[str, Any]:
    """Columns, hours and cards with the CSS classes of their places (agenda.css). `heads` is "who", "room" or "day".

    With `may_move` cards and columns carry what dragging a card needs (dragging.js).
    """
    zone = location.zone
    first, last = _range(columns, zone)
    drawn = [
        _column(column, zone, first, last, now, may_book=may_book, heads=heads, may_move=may_move) for column in columns
    ]
    return {
        "columns": drawn,
        "first": first,
        "last": last,
        "location": location,
        "hours": [
            {"clock": f"{minute // 60:02}:00", "place": _place(minute, minute + 60, first, last)}
            for minute in range(first, last, 60)
        ],
        "ground": f"r1 s{(last - first) // STEP}",
    }


def _minutes(moment: datetime, day: date, zone: ZoneInfo) -> int:
    """Where a moment stands on the clock of a day, in minutes from midnight; the day before and after are cut off."""
    wall = wall_of(moment, zone)
    return max(0, min(1440, int((wall - datetime.combine(day, time())).total_seconds() // 60)))


def _end(visit: Appointment, day: date, zone: ZoneInfo) -> int:
    """Where a visit ends on the clock of a day: as long as it is, also over an hour that is left out or comes twice."""
    start = wall_of(visit.starts_at, zone)
    if start.date() != day:
        return _minutes(visit.ends_at, day, zone)
    return min(1440, start.hour * 60 + start.minute + visit.minutes)


def _gap(day: date, zone: ZoneInfo) -> tuple[int, int] | None:
    """The minutes of a day that the clock jumps over; None on all days but one a year."""
    midnight = datetime.combine(day, time(), zone)
    if midnight.utcoffset() == (midnight + timedelta(days=1)).utcoffset():
        return None
    missing = [minute for minute in range(0, 1440, 15) if not _exists(day, minute, zone)]
    return (missing[0], missing[-1] + 15) if missing else None


def _exists(day: date, minute: int, zone: ZoneInfo) -> bool:
    try:
        moment_of(datetime.combine(day, time(minute // 60, minute % 60)), zone, fold=0)
    except NoSuchTime:
        return False
    return True


def _range(columns: list[Column], zone: ZoneInfo) -> tuple[int, int]:
    """From which hour to which the day is drawn."""
    spans = [
        (_minutes(item.starts if hasattr(item, "starts") else item.starts_at, column.day, zone),
         _minutes(item.ends if hasattr(item, "ends") else item.ends_at, column.day, zone))
        for column in columns
        for item in (*(column.windows or ()), *column.visits)
    ]  # fmt: skip
    low = min((start for start, _end in spans), default=FIRST_HOUR * 60) // 60 * 60
    high = -(-max((end for _start, end in spans), default=LAST_HOUR * 60) // 60) * 60
    return low, min(1440, max(high, low + 240))


def _place(start: int, end: int, first: int, last: int) -> str:
    start, end = max(start, first), min(end, last)
    return f"r{(start - first) // STEP + 1} s{max(1, -(-(end - start) // STEP))}"


def _column(
    column: Column, zone: ZoneInfo, first: int, last: int, now: datetime, *, may_book: bool, heads: str, may_move: bool
) -> dict[str, Any]:
    today = wall_of(now, zone).date() == column.day
    minute = _minutes(now, column.day, zone) if today else -1
    return {
        "head": _head(column, heads),
        "person": column.practitioner if heads == "who" else None,
        "url": _head_url(column, heads),
        "is_today": today and heads == "day",
        "cards": _cards(column, zone, first, last, may_move=may_move),
        "day": column.day.isoformat(),
        "day_words": short_day(column.day),
        "practitioner": column.practitioner,
        "step": min([window.step for window in column.windows or ()], default=15),
        "shades": list(_shades(column, zone, first, last)),
        "free": _free(column, zone, first, last, now) if may_book and column.practitioner else [],
        "now": f"r{(minute - first) // STEP + 1} s1" if first <= minute < last else "",
        "colour": (column.practitioner.colour - 1) % COLOURS + 1 if column.practitioner else 1,
    }


def _head(column: Column, heads: str) -> str:
    if heads == "day":
        return short_day(column.day)
    if heads == "room":
        return column.room.name if column.room else _("No room")
    return ""


def _head_url(column: Column, heads: str) -> str:
    if heads == "day":
        return f"?view=day&day={column.day.isoformat()}"
    if heads == "who":
        return f"?view=week&day={column.day.isoformat()}&practitioner={column.practitioner.pk}"
    return ""


def _cards(column: Column, zone: ZoneInfo, first: int, last: int, *, may_move: bool) -> list[dict[str, Any]]:
    """The visits of a column; those that overlap share its width."""
    cards, cluster, reach = [], [], 0
    for visit in sorted(column.visits, key=lambda visit: (visit.starts_at, visit.lane)):
        start = _minutes(visit.starts_at, column.day, zone)
        end = max(_end(visit, column.day, zone), start + LEAST_ROWS * STEP)
        if cluster and start >= reach:
            _share(cluster)
            cluster = []
        card = _card(visit, column, zone, start, min(end, last), first, last)
        if may_move and visit.state in UPCOMING:
            card |= {"move_url": f"{card['url']}move/", "version": visit.version, "minutes": visit.minutes}
        reach = max(reach, end) if cluster else end
        cluster.append((start, end, card))
        cards.append(card)
    _share(cluster)
    return cards


def _share(cluster: list[tuple[int, int, dict[str, Any]]]) -> None:
    ends: list[int] = []
    placed = []
    for start, end, card in cluster:
        lane = next((n for n, reach in enumerate(ends) if reach <= start), len(ends))
        ends[lane : lane + 1] = [end]
        placed.append((card, lane))
    of = min(len(ends), MOST_BESIDE)
    for card, lane in placed:
        card["place"] += f" l{min(lane, of - 1) + 1}of{of or 1}"


def _card(
    visit: Appointment, column: Column, zone: ZoneInfo, start: int, end: int, first: int, last: int
) -> dict[str, Any]:
    return {
        "id": SafeString(visit.pk),
        "url": address_of(visit),
        "place": _place(start, end, first, last),
        "clock": clock(visit.starts_at, zone),
        "until": clock(visit.ends_at, zone),
        "patient": visit.patient,
        "group": "" if visit.patient else _("Group of %(count)d") % {"count": visit.capacity},
        "what": what(visit),
        "who": visit.practitioner if column.room or not column.practitioner else None,
        "state_word": column.notes.get(visit.pk) or ("" if visit.state == State.BOOKED else state_word(visit)),
        "state": visit.state,
        "icon": "users" if visit.patient_id is None else ICONS.get(visit.state, ""),
        "is_short": end - start <= 20,
        "is_tiny": end - start <= 30,
        "badges": badges(visit),
        "colour": ((visit.type.colour if visit.type else 1) - 1) % COLOURS + 1,
    }


def _shades(column: Column, zone: ZoneInfo, first: int, last: int) -> Iterable[dict[str, str]]:
    """What can not be booked, as grey stretches with words; where nothing is said, nobody works."""
    named = []
    for block in column.blocks:
        start, end = (max(first, min(last, _minutes(at, column.day, zone))) for at in (block.starts, block.ends))
        if start < end:
            words = _("Closed") if block.kind == "closed" else block.words
            named.append((start, end, words, block.kind))
    if (gap := _gap(column.day, zone)) and gap[0] < last and gap[1] > first:
        named.append((max(first, gap[0]), min(last, gap[1]), _("No such time: the clocks go forward"), "closed"))
    for start, end, words, kind in sorted(named):
        yield {"place": _place(start, end, first, last), "words": words, "kind": kind}
    if column.windows is None:
        return
    covered = sorted(
        [(_minutes(w.starts, column.day, zone), _minutes(w.ends, column.day, zone)) for w in column.windows]
        + [(start, end) for start, end, _words, _kind in named]
    )
    at = first
    for start, end in [*covered, (last, last)]:
        if start > at:
            yield {"place": _place(at, start, first, last), "words": _("Not working"), "kind": "off"}
        at = max(at, end)


def _free(column: Column, zone: ZoneInfo, first: int, last: int, now: datetime) -> list[dict[str, str]]:
    """Stretches of working time nobody has, as links to booking; half an hour each at most, none in the past."""
    day, who = column.day, column.practitioner
    taken = [(_minutes(v.busy_from, day, zone), _minutes(v.busy_until, day, zone)) for v in column.visits if v.is_live]
    taken += [(_minutes(b.starts, day, zone), _minutes(b.ends, day, zone)) for b in column.blocks]
    taken += [gap] if (gap := _gap(day, zone)) else []
    today = wall_of(now, zone).date()
    earliest = 1441 if day < today else _minutes(now, day, zone) if day == today else 0
    found, address = [], reverse("scheduling:book")
    for window in column.windows or ():
        start, close = _minutes(window.starts, day, zone), _minutes(window.ends, day, zone)
        step = max(window.step, 15)
        for minute in range(start, close, step):
            end = min(minute + step, close)
            if minute >= earliest and not any(a < end and b > minute for a, b in taken):
                at = f"{minute // 60:02}:{minute % 60:02}"
                query = f"practitioner={who.pk}&location={window.location_id}&day={day.isoformat()}&time={at}"
                found.append(
                    {
                        "place": _place(minute, end, first, last),
                        "clock": at,
                        "url": f"{address}?{query}",
                    }
                )
    return found


# --- One appointment -------------------------------------------------------------------------------------------------


def facts(visit: Appointment) -> list[dict[str, Any]]:
    """For components/facts.html."""
    rooms = ", ".join(claim.resource.name for claim in visit.resources.all())
    shown = [
        {"label": _("When"), "value": when(visit), "note": zone_words(visit.time_zone)},
        {"label": _("With"), "value": visit.practitioner.name},
        {"label": _("Kind of visit"), "value": what(visit), "note": _minutes_words(visit.minutes)},
        {"label": _("Where"), "value": visit.location.name, "note": visit.location.address},
        {"label": _("How"), "value": visit.get_modality_display()},
    ]
    if rooms:
        shown.append({"label": _("Rooms and devices"), "value": rooms})
    shown.append({"label": _("Reason"), "value": visit.reason or _("None given")})
    if visit.notes:
        shown.append({"label": _("Notes"), "value": visit.notes})
    shown.append({"label": _("Booked"), "value": visit.get_source_display()})
    return shown + [{"label": badge["text"], "value": badge["why"]} for badge in badges(visit)]


def _minutes_words(minutes: int) -> str:
    return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}


def story(changes: list[AppointmentChange], visit: Appointment) -> list[dict[str, Any]]:
    """For components/history.html, newest first: who did what when, and why."""
    people = {
        str(pk): name
        for pk, name in (
            (one.pk, one.name)
            for one in Practitioner.objects.filter(
                pk__in={side["practitioner"] for c in changes for side in (c.before, c.after) if "practitioner" in side}
            )
        )
    }
    return [_told(change, visit, people) for change in reversed(changes)]


def _told(change: AppointmentChange, visit: Appointment, people: dict[str, str]) -> dict[str, Any]:
    told = []
    if change.old_state != change.new_state and change.old_state:
        before, after = State(change.old_state).label, State(change.new_state).label
        told.append({"label": _("State"), "before": before, "after": after})
    for name, label, say in (
        ("starts_at", _("Begins"), lambda value: _wall_words(value, visit.location.zone)),
        ("practitioner", _("With"), lambda value: people.get(value, "")),
    ):
        before, after = change.before.get(name), change.after.get(name)
        if before and after and before != after:
            told.append({"label": label, "before": say(before), "after": say(after)})
    return {
        "at": change.at,
        "who": change.who or _("By itself"),
        "what": ACTIONS.get(change.action, change.action),
        "changes": told,
        "reason": change.reason,
    }


def _wall_words(iso: str, zone: ZoneInfo) -> str:
    wall = wall_of(datetime.fromisoformat(iso), zone)
    return f"{short_day(wall.date())}, {wall:%H:%M}"


def reminder_rows(reminders: Iterable[Reminder]) -> list[dict[str, Any]]:
    return [{"at": one.created_at, "words": REMINDED.get(one.outcome, one.outcome)} for one in reminders]


def kept(hold: Appointment, now: datetime) -> dict[str, Any]:
    """A time that is kept while somebody types: which row, for how many seconds yet by our clock, and in words."""
    until = hold.hold_expires_at or now
    return {
        "hold": str(hold.pk),
        "seconds": max(0, int((until - now).total_seconds())),
        "sentence": _("%(clock)s is kept for you until %(until)s.")
        % {"clock": clock(hold.starts_at, hold.location.zone), "until": clock(until, hold.location.zone)},
    }


# --- Choices ---------------------------------------------------------------------------------------------------------


def steps(day: date, view: str) -> tuple[date, date]:
    """The day or week before and after."""
    length = timedelta(days=7 if view == "week" else 1)
    return day - length, day + length


def may(member: Membership) -> dict[str, bool]:
    """What the buttons of a page depend on."""
    return {
        "book": member.may(Permission.APPOINTMENT_BOOK),
        "move": member.may(Permission.APPOINTMENT_MOVE),
        "overbook": member.may(Permission.APPOINTMENT_OVERBOOK),
        "override": member.may(Permission.QUALIFICATION_OVERRIDE),
    }


def is_here(visit: Appointment) -> bool:
    return visit.state in HERE
