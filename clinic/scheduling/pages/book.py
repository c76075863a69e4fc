"""Today's board and the agenda."""

from datetime import date, timedelta

from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from clinic.places.selectors import list_locations

from .. import agenda, presenting, stretches, wait_limits
from . import asked

VIEWS = ("day", "week", "list")


STRETCHES = ("waiting", "in_room", "expected")


def board(request) -> dict:
    """What `scheduling/_today.html` shows: the room `home` puts it on the first page."""
    member, now = request.member, timezone.now()
    day = timezone.localdate(timezone=request.tenant.zone)
    own = asked.own_practitioner(member)
    is_mine = own is not None and request.GET.get("whose") != "all"
    first = {name: stretches.read_first(request.GET, name) for name in STRETCHES}
    found = agenda.load_board(day, now, by=member, practitioner=own if is_mine else None, first=first)
    zone, limits = request.tenant.time_zone, wait_limits.read_limits()

    def rows(visits):
        return [presenting.row(visit, now, undoable=found.undoable, zone=zone, limits=limits) for visit in visits]

    shown = {
        name: {
            "rows": rows(stretch.rows),
            "count": stretch.total,
            "stretch": stretches.describe(stretch, request.GET, name, anchor=f"{name}-visits"),
        }
        for name, stretch in zip(STRETCHES, (found.waiting, found.in_room, found.expected), strict=True)
    }
    return shown | {
        "finished": {"rows": rows(found.finished.rows), "count": found.count(agenda.FINISHED)},
        "own": own,
        "is_mine": is_mine,
        "everybody": not is_mine,
        "now": now,
        "zone": presenting.zone_words(zone),
        "list_url": f"{reverse('scheduling:agenda')}?view=list" + (f"&practitioner={own.pk}" if is_mine else ""),
        "may": presenting.may(member),
        "here_url": request.get_full_path(),
    }


@requires(Permission.APPOINTMENT_VIEW)
@require_safe
def show_agenda(request):
    """The book of a day or a week, by clinician or by room, or as a list in order of time."""
    member, now = request.member, timezone.now()
    view = request.GET.get("view") if request.GET.get("view") in VIEWS else "day"
    practitioner = asked.read_practitioner(request.GET.get("practitioner"), by=member)
    if view == "week" and practitioner is None:
        practitioner = asked.own_practitioner(member) or agenda.list_bookable(by=member).first()
    locations = list(list_locations(by=member))
    location = _location(request, locations, practitioner)
    by_room = request.GET.get("by") == "room" and view == "day"
    context = {
        "view": view,
        "by_room": by_room,
        "practitioner": practitioner,
        "location": location,
        "locations": locations,
        "people": list(agenda.list_bookable(by=member).only(*agenda.NAMES["practitioner"][1])),
        "may": presenting.may(member),
        "now": now,
        "here_url": request.get_full_path(),
    }
    if location is None or (view == "week" and practitioner is None):
        return render(request, "scheduling/agenda.html", context | {"nothing": True})
    today = asked.today_at(location, request.tenant)
    day = asked.read_day(request.GET.get("day"), today)
    people = [practitioner] if practitioner else context["people"]
    context |= _shown(request, view, by_room, location, day, practitioner, people, now, context["may"])
    previous, following = presenting.steps(day, view)
    context |= {
        "day": day,
        "title": _week_words(day) if view == "week" else presenting.day_words(day),
        "is_today": day == today or (view == "week" and _monday(day) == _monday(today)),
        "previous": previous.isoformat(),
        "following": following.isoformat(),
        "today": today.isoformat(),
        "zone": presenting.zone_words(location.time_zone, day),
    }
    return render(request, "scheduling/_agenda_alone.html" if request.htmx else "scheduling/agenda.html", context)


def _location(request, locations, practitioner):
    """The one asked for, the only one, or where this clinician or most of the clinic works."""
    if len(locations) == 1 and not request.GET.get("location"):
        return locations[0]
    home = practitioner or asked.own_practitioner(request.member)
    return asked.read_location(request.GET.get("location"), by=request.member, practitioner=home)


def _shown(request, view, by_room, location, day, practitioner, people, now, may) -> dict:
    member, allowed = request.member, {"may_book": may["book"], "may_move": may["move"]}
    if view == "list":
        return _listed(request, location, day, practitioner, now)
    if view == "week":
        columns = agenda.load_week(location, _monday(day), by=member, practitioner=practitioner)
        columns = [column for column in columns if column.day.weekday() < 5 or column.windows or column.visits]
        heads = "day"
        return {
            "grid": presenting.grid(columns, location, now, may_book=may["book"], may_move=may["move"], heads=heads)
        }
    if by_room:
        columns = agenda.load_rooms(location, day, by=member)
        return {"grid": presenting.grid(columns, location, now, may_book=False, heads="room")}
    columns = agenda.load_day(location, day, by=member, people=people)
    return {"grid": presenting.grid(columns, location, now, heads="who", **allowed)}


def _listed(request, location, day, practitioner, now) -> dict:
    first = stretches.read_first(request.GET, "first")
    found = agenda.load_list(location, day, now, by=request.member, practitioner=practitioner, first=first)
    visits, undoable = found.shown.rows, agenda.list_undoable(found.shown.rows)
    notes, limits = agenda.note_visits(visits), wait_limits.read_limits()
    stretch = stretches.describe(found.shown, request.GET, "first", anchor="board")
    return {
        "rows": [presenting.row(visit, now, undoable=undoable, limits=limits, notes=notes) for visit in visits],
        "stretch": stretch,
        "hours": presenting.hours(found, request.GET) if stretch else [],
    }


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _week_words(day: date) -> str:
    monday = _monday(day)
    return _("Week of %(day)s") % {"day": presenting.day_words(monday)}
