"""The HTML door of one practitioner: their page, weekly hours, extra days, leave, addresses of their calendar.

Who manages the schedule changes everybody's; a practitioner changes their own.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.notifications.links import absolute
from accounts.permissions import Permission
from accounts.qualifications.presenting import qualification_rows
from accounts.qualifications.selectors import list_qualifications
from accounts.users.selectors import list_members_who_may
from clinic.patients.models import Patient
from clinic.places.models import Location
from clinic.practitioners.answers import attempt, status_of, tried
from clinic.practitioners.colours import colour_word
from clinic.practitioners.models import Practitioner
from clinic.practitioners.selectors import get_practitioner
from tenancy.rules import RuleBroken

from . import disturbances, feeds, lapses, offering, previews
from .disturbances import Decision
from .models import AppointmentChange, CalendarFeed, ExtraHours, Leave, WorkingHours
from .rules_forms import ExtraHoursForm, HoursForm, LeaveForm, PreviewForm
from .wall_time import wall_of
from .wordings import say_span, say_when

OLD_LEAVE_DAYS = 90
MOST_NAMED = 3
MOST_UNCOVERED = 50


# --- One practitioner ------------------------------------------------------------------------------------------------


@requires(Permission.PRACTITIONER_VIEW)
@require_safe
def practitioner_detail(request, practitioner_id):
    """Who this is, when they work, when they are away, what they may do."""
    practitioner = get_practitioner(practitioner_id, by=request.member)
    zone, now = _zone(request, practitioner), timezone.now()
    ranked = practitioner.specialties.select_related("specialty").order_by("rank")
    context = {
        **_frame(request, practitioner, "detail"),
        "facts": _facts(practitioner),
        "specialties": [row.specialty.name for row in ranked],
        "colour": colour_word(practitioner.colour),
        "hours": _hours_rows(practitioner),
        "leave": _leave_rows(practitioner.leave.filter(cancelled_at=None, ends_at__gt=now).order_by("starts_at"), zone),
        "qualifications": qualification_rows(list_qualifications(practitioner.member)) if practitioner.member else [],
        "uncovered": _uncovered_rows(practitioner),
        "may_open": request.member.may(Permission.APPOINTMENT_VIEW),
        "may_manage": request.member.may(Permission.PRACTITIONER_MANAGE),
    }
    return render(request, "practitioners/detail.html", context)


def _uncovered_rows(practitioner):
    """Visits that will lack a qualification; no patient is named, the visit's own page does that."""
    visits = lapses.uncovered_visits(practitioner)[:MOST_UNCOVERED]
    return [{"visit": visit, "when": say_when(visit.starts_at, visit.location.zone)} for visit in visits]


def _facts(practitioner):
    document = " ".join(part for part in (_code(practitioner.document_type), practitioner.document_number) if part)
    return [
        {"label": _("Document"), "value": document},
        {
            "label": _("Other number"),
            "value": practitioner.identifier,
            "note": practitioner.identifier_system,
        },
        {"label": _("Phone"), "value": practitioner.phone},
        {"label": _("E-mail"), "value": practitioner.email},
    ]


def _code(document_type):
    return document_type.code if document_type else ""


# --- Weekly hours and extra days -------------------------------------------------------------------------------------


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
def hours(request, practitioner_id):
    """Weekly hours and extra days with the free times they come to; a POST adds hours."""
    practitioner = get_practitioner(practitioner_id, by=request.member)
    form = HoursForm(request.POST or None, initial={"valid_from": timezone.localdate(), "step": 15})
    if request.method == "POST":
        _require_own_or_manager(request, practitioner)
        if form.is_valid() and tried(form, _add_hours, practitioner, form, by=request.member):
            messages.success(request, _("Saved. The times below are offered from now on."))
            return redirect("practitioners:hours", practitioner.pk)
    return _hours_page(request, practitioner, form, ExtraHoursForm(auto_id="extra_%s", initial={"step": 15}))


@transaction.atomic
def _add_hours(practitioner, form, *, by):
    """All of the weekdays or none."""
    for weekday in form.cleaned_data["weekdays"]:
        offering.create_hours(by=by, practitioner=practitioner, weekday=weekday, **form.row_data())
    return True


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
@require_POST
def add_extra_hours(request, practitioner_id):
    """One day beside the usual hours."""
    practitioner = _own_or_managed(request, practitioner_id)
    form = ExtraHoursForm(request.POST, auto_id="extra_%s")
    if form.is_valid() and tried(
        form, offering.add_extra_hours, by=request.member, practitioner=practitioner, **form.row_data()
    ):
        messages.success(request, _("The day is added."))
        return redirect("practitioners:hours", practitioner.pk)
    return _hours_page(request, practitioner, HoursForm(initial={"valid_from": timezone.localdate()}), form)


def _hours_page(request, practitioner, form, extra_form):
    home = _home(practitioner)
    today = wall_of(timezone.now(), _zone(request, practitioner)).date()
    asked = PreviewForm(request.GET, auto_id="look_%s")
    chosen = asked.cleaned_data if asked.is_valid() else {}
    week = chosen.get("week") or today
    monday = week - timedelta(days=week.weekday())
    bound = {"week": monday, "type": chosen.get("type"), "location": chosen.get("location") or home,
             "day": chosen.get("day"), "clock": chosen.get("clock")}  # fmt: skip
    context = {
        **_frame(request, practitioner, "hours"),
        "rows": _hours_rows(practitioner),
        "extra": practitioner.extra_hours.filter(day__gte=today).select_related("location").order_by("day", "starts"),
        "form": form,
        "extra_form": extra_form,
        "look": PreviewForm(initial=bound, auto_id="look_%s"),
        "days": previews.preview_week(practitioner, monday, type=chosen.get("type")) if practitioner.is_active else [],
        "today": today,
        "monday": monday,
        "before": monday - timedelta(days=7),
        "after": monday + timedelta(days=7),
        "type": chosen.get("type"),
        "answer": _why(practitioner, chosen, home),
    }
    return render(request, "practitioners/hours.html", context, status=status_of(request))


def _why(practitioner, chosen, home):
    """The answer to "why is this time not offered?", or None where nobody asked."""
    day, clock, location = chosen.get("day"), chosen.get("clock"), chosen.get("location") or home
    if not (day and clock and location):
        return None
    reasons = previews.why_not(practitioner, datetime.combine(day, clock), type=chosen.get("type"), location=location)
    return {"day": day, "clock": f"{clock:%H:%M}", "place": location.name, "reasons": reasons}


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
def edit_hours(request, practitioner_id, hours_id):
    """Change one row of weekly hours."""
    practitioner = _own_or_managed(request, practitioner_id)
    row = _row(practitioner.working_hours, hours_id)
    form = HoursForm(request.POST or None, instance=row)
    back_url = reverse("practitioners:hours", args=[practitioner.pk])
    if request.method == "POST" and form.is_valid():
        changes = {**form.row_data(), "weekday": form.cleaned_data["weekdays"][0]}
        fresh = WorkingHours.objects.get(pk=row.pk)
        if tried(form, offering.update_hours, fresh, by=request.member, changes=changes):
            messages.success(request, _("Saved. Visits that stand outside of the new hours stay."))
            return redirect(back_url)
    links = [
        (reverse("practitioners:list"), _("Practitioners")),
        (reverse("practitioners:detail", args=[practitioner.pk]), practitioner.name),
        (back_url, _("Hours")),
    ]
    context = {"form": form, "title": _("Change hours"), "links": links, "back_url": back_url}
    return render(request, "book/form.html", context, status=status_of(request))


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
@require_POST
def remove_hours(request, practitioner_id, hours_id):
    """Take weekly hours away."""
    practitioner = _own_or_managed(request, practitioner_id)
    row = _row(practitioner.working_hours, hours_id)
    attempt(request, _("Removed. Visits that stand in them stay."), offering.delete_hours, row, by=request.member)
    return redirect("practitioners:hours", practitioner.pk)


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
@require_POST
def remove_extra_hours(request, practitioner_id, extra_id):
    """Take an extra day away."""
    practitioner = _own_or_managed(request, practitioner_id)
    row = _row(ExtraHours.objects.filter(practitioner=practitioner), extra_id)
    attempt(request, _("Removed. Visits that stand in them stay."), offering.remove_extra_hours, row, by=request.member)
    return redirect("practitioners:hours", practitioner.pk)


def _hours_rows(practitioner):
    """Weekly hours with whether they hold now, those that are over left out."""
    today = timezone.localdate()
    rows = practitioner.working_hours.select_related("location", "only_type").exclude(valid_until__lt=today)
    return [
        {"hours": row, "is_later": row.valid_from > today, "over_midnight": row.ends <= row.starts}
        for row in rows.order_by("location__name", "weekday", "starts", "id")
    ]


# --- Leave -----------------------------------------------------------------------------------------------------------


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
@require_safe
def leave(request, practitioner_id):
    """When somebody is away, and the form that begins another leave."""
    practitioner = get_practitioner(practitioner_id, by=request.member)
    zone = _zone(request, practitioner)
    since = timezone.now() - timedelta(days=OLD_LEAVE_DAYS)
    rows = practitioner.leave.filter(ends_at__gt=since).select_related("created_by__user").order_by("-starts_at", "id")
    context = {
        **_frame(request, practitioner, "leave"),
        "rows": _leave_rows(rows, zone),
        "form": LeaveForm(zone=zone, initial={"kind": Leave.Kind.HOLIDAY}),
        "today": wall_of(timezone.now(), zone).date(),
    }
    if not context["may_plan"]:
        people = list_members_who_may(Permission.SCHEDULE_MANAGE)
        context["planners"] = [member.display_name for member in people[:MOST_NAMED]] or [_("an administrator")]
    return render(request, "practitioners/leave.html", context)


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
@require_POST
def plan_leave(request, practitioner_id):
    """The dry run: every visit a leave breaks with a proposal. With `take` it is done, all of it or nothing."""
    practitioner = get_practitioner(practitioner_id, by=request.member)
    _require_for(request.POST.get("kind"), request, practitioner)
    zone = _zone(request, practitioner)
    form = LeaveForm(request.POST, zone=zone)
    if not form.is_valid():
        context = {**_frame(request, practitioner, "leave"), "form": form, "rows": [], "today": None}
        return render(request, "practitioners/leave.html", context, status=422)
    data = form.cleaned_data
    if "take" in request.POST:
        try:
            decisions = _decisions(request.POST)
            taken = tried(
                form, disturbances.take_leave, practitioner, by=request.member, kind=data["kind"],
                starts_at=data["starts_at"], ends_at=data["ends_at"], note=data["note"], decisions=decisions,
            )  # fmt: skip
        except ValueError:
            form.add_error(None, _("Choose what shall become of each visit."))
            taken = None
        if taken:
            messages.success(request, _("The leave is in the book."))
            return redirect("practitioners:leave_detail", practitioner.pk, taken[0].pk)
    proposals = disturbances.propose(practitioner, data["starts_at"], data["ends_at"])
    context = {
        **_frame(request, practitioner, "leave"),
        "form": form,
        "span": say_span(data["starts_at"], data["ends_at"], zone),
        "kind": Leave.Kind(data["kind"]).label,
        "rows": _proposal_rows(request, proposals),
        "unplaced": sum(proposal.slot is None for proposal in proposals),
    }
    return render(request, "practitioners/plan_leave.html", context, status=422 if form.errors else 200)


def _proposal_rows(request, proposals):
    people = {person.pk: person for person in Practitioner.objects.filter(is_active=True)}
    visible = _patients_of(request, [proposal.appointment for proposal in proposals])
    rows = []
    for proposal in proposals:
        visit = proposal.appointment
        chosen = request.POST.get(f"do-{visit.pk}") or ("move" if proposal.slot else "leave")
        if chosen == "move" and not proposal.slot:
            chosen = "leave"
        rows.append(
            {
                "visit": visit,
                "patient": visible.get(visit.patient_id),
                "when": say_when(visit.starts_at, visit.location.zone),
                "best": _choice(proposal.slot, visit, people) if proposal.slot else None,
                "others": [_choice(slot, visit, people) for slot in proposal.others],
                "chosen": chosen,
            }
        )
    return rows


def _choice(slot, visit, people):
    person = people[slot.practitioner_id]
    when = say_when(slot.starts, visit.location.zone)
    return {
        "value": f"{slot.starts.isoformat()}|{person.pk}",
        "words": _("%(when)s with %(name)s") % {"when": when, "name": person.name},
        "is_colleague": person.pk != visit.practitioner_id,
    }


def _decisions(posted):
    """What was chosen for each visit. Raises ValueError for what no form of ours sends."""
    found = []
    people = {str(person.pk): person for person in Practitioner.objects.filter(is_active=True)}
    for name, action in posted.items():
        if not name.startswith("do-"):
            continue
        pk = name.removeprefix("do-")
        if action in ("cancel", "leave"):
            found.append(Decision(UUID(pk), action))
            continue
        if action not in ("move", "other"):
            raise ValueError(action)
        moment, _bar, person = posted.get(f"{action}-{pk}", "").partition("|")
        starts_at = datetime.fromisoformat(moment)
        if person not in people or starts_at.tzinfo is None:
            raise ValueError(person)
        found.append(Decision(UUID(pk), "move", starts_at, people[person]))
    return found


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
@require_safe
def leave_detail(request, practitioner_id, leave_id):
    """One leave: what became of its visits, and the way back."""
    practitioner = get_practitioner(practitioner_id, by=request.member)
    row = _row(practitioner.leave, leave_id)
    zone = _zone(request, practitioner)
    changes = list(
        AppointmentChange.objects.filter(batch=row.batch, batch__isnull=False)
        .select_related("appointment__location", "appointment__practitioner")
        .order_by("appointment__starts_at", "id")
    )
    standing = [] if row.cancelled_at else disturbances.affected_by(practitioner, row.starts_at, row.ends_at)
    visible = _patients_of(request, [*(change.appointment for change in changes), *standing])
    context = {
        **_frame(request, practitioner, "leave"),
        "leave": row,
        "may_undo": _may_plan(request, practitioner)
        or (row.kind == Leave.Kind.ILLNESS and _may_note_illness(request, practitioner)),
        "span": say_span(row.starts_at, row.ends_at, zone),
        "changed": [_changed_row(change, visible) for change in changes],
        "standing": [
            {
                "visit": visit,
                "patient": visible.get(visit.patient_id),
                "when": say_when(visit.starts_at, visit.location.zone),
            }
            for visit in standing
        ],
    }
    return render(request, "practitioners/leave_detail.html", context)


def _changed_row(change, visible):
    visit = change.appointment
    before = datetime.fromisoformat(change.before["starts_at"]) if "starts_at" in change.before else visit.starts_at
    moved = change.action == "moved"
    return {
        "visit": visit,
        "patient": visible.get(visit.patient_id),
        "before": say_when(before, visit.location.zone),
        "after": _("%(when)s with %(name)s")
        % {"when": say_when(visit.starts_at, visit.location.zone), "name": visit.practitioner.name}
        if moved
        else visit.get_state_display(),
        "tone": "info" if moved else "warn",
        "word": _("Moved") if moved else _("Cancelled"),
    }


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
@require_POST
def undo_leave(request, practitioner_id, leave_id):
    """Take a leave back with everything it changed."""
    practitioner = get_practitioner(practitioner_id, by=request.member)
    row = _row(practitioner.leave.filter(batch__isnull=False), leave_id)
    _require_for(row.kind, request, practitioner)
    try:
        count = disturbances.undo_leave(row, row.batch, by=request.member)
        said = ngettext(
            "The leave is taken back, and %(count)d visit is where it was.",
            "The leave is taken back, and %(count)d visits are where they were.",
            count,
        )
        messages.success(request, said % {"count": count})
    except RuleBroken as refused:
        messages.error(request, _("Nothing was changed. %(why)s") % {"why": refused.sentence})
    return redirect("practitioners:leave_detail", practitioner.pk, row.pk)


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
@require_POST
def end_leave(request, practitioner_id, leave_id):
    """Take a leave back; its visits stay where they are now."""
    practitioner = get_practitioner(practitioner_id, by=request.member)
    row = _row(practitioner.leave, leave_id)
    _require_for(row.kind, request, practitioner)
    done = _("The leave is taken back. Visits that were moved stay where they are.")
    attempt(request, done, disturbances.end_leave, row, by=request.member)
    return redirect("practitioners:leave", practitioner.pk)


def _leave_rows(rows, zone):
    return [
        {
            "leave": row,
            "span": say_span(row.starts_at, row.ends_at, zone),
            "is_over": row.ends_at <= timezone.now(),
            "is_cancelled": row.cancelled_at is not None,
        }
        for row in rows
    ]


# --- Calendar addresses ----------------------------------------------------------------------------------------------


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
def calendar(request, practitioner_id):
    """The private addresses of somebody's calendar; a POST makes one and shows it, this once."""
    practitioner = _own_or_managed(request, practitioner_id)
    address = ""
    if request.method == "POST":
        _feed, token = feeds.open_feed(by=request.member, practitioner=practitioner)
        address = absolute(reverse("calendar", args=[token]))
    context = {
        **_frame(request, practitioner, "calendar"),
        "address": address,
        "feeds": practitioner.feeds.select_related("created_by__user").order_by("revoked_at", "-created_at"),
    }
    return render(request, "practitioners/calendar.html", context)


@requires(Permission.SCHEDULE_MANAGE, Permission.PRACTITIONER_VIEW)
@require_POST
def revoke_calendar(request, practitioner_id, feed_id):
    """Close an address."""
    practitioner = _own_or_managed(request, practitioner_id)
    feed = _row(CalendarFeed.objects.filter(practitioner=practitioner), feed_id)
    attempt(request, _("This address is closed."), feeds.revoke_feed, feed, by=request.member)
    return redirect("practitioners:calendar", practitioner.pk)


# --- Small things ----------------------------------------------------------------------------------------------------


def _may_plan(request, practitioner):
    is_own = practitioner.member_id is not None and practitioner.member_id == request.member.pk
    return is_own or request.member.may(Permission.SCHEDULE_MANAGE)


def _require_own_or_manager(request, practitioner):
    if not _may_plan(request, practitioner):
        raise PermissionDenied


def _may_note_illness(request, practitioner):
    """Whoever books and moves visits may write down that somebody is ill: the desk takes the call at half past seven.

    Any other leave is planned by oneself or by who manages hours (docs/decisions/0012).
    """
    member = request.member
    desk = member.may(Permission.APPOINTMENT_BOOK) and member.may(Permission.APPOINTMENT_MOVE)
    return desk or _may_plan(request, practitioner)


def _require_for(kind, request, practitioner):
    if not (kind == Leave.Kind.ILLNESS and _may_note_illness(request, practitioner)):
        _require_own_or_manager(request, practitioner)


def _own_or_managed(request, practitioner_id):
    practitioner = get_practitioner(practitioner_id, by=request.member)
    _require_own_or_manager(request, practitioner)
    return practitioner


def _row(rows, pk):
    found = rows.filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def _frame(request, practitioner, here):
    """What every page of one practitioner shows: name, tabs, whether the reader may change things."""
    may_plan = _may_plan(request, practitioner)
    tabs = [("detail", _("Overview")), ("hours", _("Hours")), ("leave", _("Leave"))]
    tabs += [("calendar", _("Calendar"))] if may_plan else []
    return {
        "practitioner": practitioner,
        "may_plan": may_plan,
        "may_note_illness": _may_note_illness(request, practitioner),
        "links": [(reverse("practitioners:list"), _("Practitioners"))],
        "tabs": [
            {
                "url": reverse(f"practitioners:{name}", args=[practitioner.pk]),
                "label": label,
                "is_here": name == here,
            }
            for name, label in tabs
        ],
    }


def _home(practitioner):
    """Where somebody works mostly, else the first location; None in a clinic without any."""
    row = practitioner.working_hours.filter(location__is_active=True).select_related("location").order_by("id").first()
    return row.location if row else Location.objects.filter(is_active=True).order_by("id").first()


def _zone(request, practitioner):
    home = _home(practitioner)
    return home.zone if home else request.tenant.zone


def _patients_of(request, visits):
    """The patients of visits as the reader may see them: restricted charts come masked."""
    return Patient.objects.visible_to(request.member).in_bulk(
        {visit.patient_id for visit in visits if visit.patient_id}
    )
