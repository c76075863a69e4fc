"""The HTML door of what booking rests on: locations, rooms, holidays, kinds of visits, reminders, and who went past."""

from datetime import datetime, timedelta

from django.contrib import messages
from django.db.models import Q
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from clinic.places import services as places
from clinic.places.models import Holiday, Location, Resource
from clinic.practitioners.answers import attempt, sent, status_of, tried
from clinic.practitioners.colours import colour_word
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Choice, Date
from tenancy.doors.refusals import FieldsRefused

from . import notices, offering, policy, reminders, wait_limits
from .models import Appointment, AppointmentType, ReminderRule
from .rules_forms import (
    HolidayForm,
    LocationForm,
    OpeningHoursForm,
    PolicyForm,
    ReminderForm,
    ResourceForm,
    TypeForm,
    WaitLimitsForm,
)
from .wordings import say_day, say_when

REPORT_DAYS = 90


# --- Locations, rooms, devices ---------------------------------------------------------------------------------------


@requires(Permission.SCHEDULE_MANAGE)
@require_safe
def place_list(request):
    """Every location with its clock, opening hours, rooms and devices."""
    locations = Location.objects.prefetch_related("opening_hours", "resources").order_by("-is_active", "name", "id")
    context = {"rows": [_place_row(location) for location in locations], "tabs": _tabs("places")}
    return render(request, "book/places.html", context)


def _place_row(location):
    return {
        "location": location,
        "hours": sorted(location.opening_hours.all(), key=lambda row: (row.weekday, row.opens)),
        "resources": sorted(location.resources.all(), key=lambda row: (row.kind, row.name)),
        "now": f"{timezone.now().astimezone(location.zone):%H:%M}",
    }


@requires(Permission.SCHEDULE_MANAGE)
def create_place(request):
    """Add a location."""
    form = LocationForm(request.POST or None, initial={"time_zone": request.tenant.time_zone})
    if sent(request, form) and tried(form, places.create_location, by=request.member, **form.row_data()):
        messages.success(request, _("The location is there."))
        return redirect("rules:places")
    return _form_page(request, form, _("New location"), "places")


@requires(Permission.SCHEDULE_MANAGE)
def edit_place(request, location_id):
    """Name, clock, address, whether it is used."""
    location = _found(Location, location_id)
    form = LocationForm(request.POST or None, instance=location)
    if sent(request, form) and tried(
        form, places.update_location, location, by=request.member, changes=form.row_data()
    ):
        messages.success(request, _("Saved."))
        return redirect("rules:places")
    return _form_page(request, form, location.name, "places")


@requires(Permission.SCHEDULE_MANAGE)
def opening_hours(request, location_id):
    """When a location is open."""
    location = _found(Location, location_id)
    rows = location.opening_hours.order_by("weekday", "opens")
    form = OpeningHoursForm(request.POST or None, hours=rows)
    if request.method == "POST" and form.is_valid():
        hours = form.cleaned_data["hours"]
        if tried(form, places.set_opening_hours, location, by=request.member, hours=hours):
            messages.success(request, _("Saved."))
            return redirect("rules:places")
    context = {"form": form, "location": location, "links": _links("places"), "tabs": _tabs("places")}
    return render(request, "book/opening_hours.html", context, status=status_of(request))


@requires(Permission.SCHEDULE_MANAGE)
def create_resource(request, location_id):
    """Add a room or a device."""
    location = _found(Location, location_id)
    form = ResourceForm(request.POST or None)
    if sent(request, form) and tried(
        form, places.create_resource, by=request.member, location=location, **form.row_data()
    ):
        messages.success(request, _("It can be booked from now on."))
        return redirect("rules:places")
    return _form_page(request, form, _("New room or device"), "places", hint=location.name)


@requires(Permission.SCHEDULE_MANAGE)
def edit_resource(request, resource_id):
    """Change a room or a device, or take it out of use."""
    resource = _found(Resource, resource_id)
    form = ResourceForm(request.POST or None, instance=resource)
    if sent(request, form) and tried(
        form, places.update_resource, resource, by=request.member, changes=form.row_data()
    ):
        messages.success(request, _("Saved."))
        return redirect("rules:places")
    return _form_page(request, form, resource.name, "places")


@requires(Permission.SCHEDULE_MANAGE)
def holidays(request):
    """Days on which nothing is booked; a POST adds one."""
    form = HolidayForm(request.POST or None)
    if sent(request, form) and tried(form, places.add_holiday, by=request.member, **form.row_data()):
        messages.success(request, _("The day is closed. Visits that stand on it stay; move them."))
        return redirect("rules:holidays")
    context = {
        "form": form,
        "tabs": _tabs("holidays"),
        "rows": [
            {"holiday": row, "visits": _visits_on(row)}
            for row in Holiday.objects.filter(day__gte=timezone.localdate())
            .select_related("location")
            .order_by("day", "location__name")
        ],
    }
    return render(request, "book/holidays.html", context, status=status_of(request))


def _visits_on(holiday):
    """How many visits stand on a day that is closed."""
    day = holiday.day.isoformat()
    near = datetime.combine(holiday.day, datetime.min.time(), timezone.get_current_timezone())
    visits = Appointment.objects.live().filter(
        starts_at__range=(near - timedelta(days=2), near + timedelta(days=3)), wall_start__startswith=day
    )
    return (visits.filter(location=holiday.location) if holiday.location_id else visits).count()


@requires(Permission.SCHEDULE_MANAGE)
@require_POST
def remove_holiday(request, holiday_id):
    """Open a day again."""
    holiday = _found(Holiday, holiday_id)
    attempt(request, _("The day is open again."), places.remove_holiday, holiday, by=request.member)
    return redirect("rules:holidays")


# --- Kinds of visits -------------------------------------------------------------------------------------------------


@requires(Permission.SCHEDULE_MANAGE)
@require_safe
def type_list(request):
    """Every kind of visit: how long, with whom, with what, who may book it."""
    types = AppointmentType.objects.prefetch_related(
        "performers__practitioner", "needs", "qualifications__kind"
    ).order_by("-is_active", "name", "id")
    rows = [
        {
            "type": type,
            "colour": colour_word(type.colour),
            "performers": ", ".join(row.practitioner.name for row in type.performers.all()),
            "needs": ", ".join(need.category or str(need.get_kind_display()) for need in type.needs.all()),
            "qualifications": ", ".join(row.kind.name for row in type.qualifications.all()),
        }
        for type in types
    ]
    return render(request, "book/types.html", {"rows": rows, "tabs": _tabs("types")})


@requires(Permission.SCHEDULE_MANAGE)
def create_type(request):
    """Offer a new kind of visit."""
    form = TypeForm(request.POST or None)
    if sent(request, form) and tried(
        form, offering.create_type, by=request.member, data=form.row_data(), **form.links()
    ):
        messages.success(request, _("It can be booked from now on."))
        return redirect("rules:types")
    return _form_page(request, form, _("New kind of visit"), "types")


@requires(Permission.SCHEDULE_MANAGE)
def edit_type(request, type_id):
    """Change a kind of visit; what is booked stays as it is."""
    type = _found(AppointmentType, type_id)
    form = TypeForm(request.POST or None, instance=type)
    if sent(request, form) and tried(
        form, offering.update_type, type, by=request.member, changes=form.row_data(), **form.links()
    ):
        messages.success(request, _("Saved. Visits that are booked stay as they are."))
        return redirect("rules:types")
    return _form_page(request, form, type.name, "types")


# --- Reminders -------------------------------------------------------------------------------------------------------


@requires(Permission.SCHEDULE_MANAGE)
@require_safe
def reminder_list(request):
    """When patients are reminded, and how each mail reads."""
    rules = ReminderRule.objects.order_by("hours_before", "id")
    rows = [{"rule": rule, "preview": _preview(request, rule)} for rule in rules]
    return render(request, "book/reminders.html", {"rows": rows, "tabs": _tabs("reminders")})


def _preview(request, rule):
    """The mail as an invented patient would get it tomorrow at nine."""
    place = Location.objects.filter(is_active=True).order_by("id").first()
    tomorrow = timezone.now() + timedelta(days=1)
    return notices.reminder_words(
        rule,
        {
            "name": "Ana Gómez",
            "date": say_day(tomorrow),
            "time": f"09:00 ({(place.time_zone if place else request.tenant.time_zone).replace('_', ' ')})",
            "practitioner": "Dr. Pérez",
            "location": place.name if place else request.tenant.name,
        },
    )


@requires(Permission.SCHEDULE_MANAGE)
def create_reminder(request):
    """Add a reminder."""
    return _reminder_page(request, None, _("New reminder"))


@requires(Permission.SCHEDULE_MANAGE)
def edit_reminder(request, rule_id):
    """Change a reminder, or switch it off."""
    return _reminder_page(request, _found(ReminderRule, rule_id), _("Change the reminder"))


def _reminder_page(request, rule, title):
    """`look` in the POST only shows how the words read."""
    form = ReminderForm(request.POST or None, instance=rule, initial=None if rule else {"hours_before": 24})
    preview = None
    if request.method == "POST" and form.is_valid():
        if "look" in request.POST:
            preview = _preview(request, ReminderRule(**form.row_data()))
        elif tried(form, reminders.save_rule, rule, by=request.member, **form.row_data()):
            messages.success(request, _("Saved."))
            return redirect("rules:reminders")
    status = 200 if preview else status_of(request)
    context = {
        "form": form,
        "title": title,
        "links": _links("reminders"),
        "back_url": reverse("rules:reminders"),
        "tabs": _tabs("reminders"),
        "preview": preview,
        "may_look": True,
    }
    return render(request, "book/form.html", context, status=status)


# --- Patients online -------------------------------------------------------------------------------------------------


@requires(Permission.SCHEDULE_MANAGE)
def patients_online(request):
    """What patients may do by themselves: see, ask, book, cancel and move, and until when."""
    form = PolicyForm(request.POST or None, instance=policy.read_policy())
    if sent(request, form) and tried(form, policy.save_policy, by=request.member, changes=form.row_data()):
        messages.success(request, _("Saved. It holds from now on."))
        return redirect("rules:patients_online")
    groups = [
        (_("See and book"), "", ("level", "phone")),
        (_("Cancel"), _("What was only asked for can be withdrawn at any time."), ("may_cancel", "cancel_hours")),
        (_("Take another time"), _("Only where they may book that kind of visit."), ("may_move", "move_hours")),
    ]
    context = {
        "form": form,
        "groups": [
            {"legend": legend, "help": hint, "fields": [form[name] for name in names]} for legend, hint, names in groups
        ],
        "tabs": _tabs("patients_online"),
    }
    return render(request, "book/patients_online.html", context, status=status_of(request))


@requires(Permission.SCHEDULE_MANAGE)
def waiting_room(request):
    """From how many minutes of waiting on somebody stands out on Today."""
    form = WaitLimitsForm(request.POST or None, instance=wait_limits.read_limits())
    if sent(request, form) and tried(form, wait_limits.save_limits, by=request.member, **form.row_data()):
        messages.success(request, _("Saved. It holds from now on."))
        return redirect("rules:waiting_room")
    context = {
        "form": form,
        "title": _("Waiting room"),
        "hint": _("A wait counts from the time of the visit, or from when somebody came where that was later."),
        "back_url": reverse("rules:types"),
        "tabs": _tabs("waiting_room"),
    }
    return render(request, "book/form.html", context, status=status_of(request))


# --- Who went past the rules -----------------------------------------------------------------------------------------


class OverridesQuery(PageQuery):
    """Newest first."""

    sorts = {"time": ("starts_at",)}
    default_sort = "time desc"

    since = Date()
    until = Date()
    what = Choice(["all", "overbooked", "unqualified"], default="all")


@requires(Permission.SCHEDULE_MANAGE, Permission.QUALIFICATION_MANAGE)
@require_safe
def overrides(request):
    """Visits booked over others, or in spite of a missing qualification: who, when, why. No patient is named."""
    try:
        query = OverridesQuery.read(request)
        since = query.since or timezone.localdate() - timedelta(days=REPORT_DAYS)
        over, without = Q(overbook_reason__gt=""), Q(override_reason__gt="")
        wanted = {"overbooked": over, "unqualified": without}.get(query.what, over | without)
        low = datetime.combine(since, datetime.min.time(), timezone.get_current_timezone())
        rows = Appointment.objects.filter(wanted, starts_at__gte=low).select_related(
            "practitioner", "location", "type", "created_by__user"
        )
        if query.until:
            rows = rows.filter(starts_at__lt=low + (query.until - since) + timedelta(days=1))
        page = paginate(rows, query)
    except FieldsRefused:
        return redirect("rules:overrides")
    context = {
        "rows": [{"visit": row, "when": say_when(row.starts_at, row.location.zone)} for row in page.items],
        "page": page,
        "since": since,
        "until": query.until,
        "what": query.what,
        "tabs": _tabs("overrides") if request.member.may(Permission.SCHEDULE_MANAGE) else None,
        "may_open": request.member.may(Permission.APPOINTMENT_VIEW),
    }
    return render(request, "book/overrides.html", context)


# --- Small things ----------------------------------------------------------------------------------------------------


def _found(model, pk):
    found = model.objects.filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def _words():
    return {
        "places": _("Locations"),
        "holidays": _("Holidays"),
        "types": _("Kinds of visits"),
        "reminders": _("Reminders"),
        "patients_online": _("Patients online"),
        "waiting_room": _("Waiting room"),
        "overrides": _("Past the rules"),
    }


def _tabs(here):
    return [
        {"url": reverse(f"rules:{name}"), "label": label, "is_here": name == here} for name, label in _words().items()
    ]


def _links(name):
    return [(reverse(f"rules:{name}"), _words()[name])]


def _form_page(request, form, title, name, hint=""):
    context = {
        "form": form,
        "title": title,
        "hint": hint,
        "links": _links(name),
        "back_url": reverse(f"rules:{name}"),
        "tabs": _tabs(name),
    }
    return render(request, "book/form.html", context, status=status_of(request))
