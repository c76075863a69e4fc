"""One appointment: its facts and story, its state by one tap, another time, cancelling, taking back."""

import uuid
from urllib.parse import urlencode

from django.contrib import messages
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from accounts.users.entering import next_page
from clinic.patients import emergencies
from clinic.patients import selectors as patients
from clinic.patients.pages import render_chart
from clinic.places.selectors import get_location
from tenancy.rules import NotAllowed, RuleBroken, StaleVersion

from .. import agenda, presenting, selectors, series, services, wait_limits
from ..forms import CancelForm, MoveForm
from ..models import Appointment
from ..series import Shift
from ..services import MoveRefused
from ..states import MOVES, UPCOMING, State
from ..wall_time import wall_of
from . import booking

MOST_VISITS = 100


@requires(Permission.APPOINTMENT_VIEW)
@require_safe
def appointment(request, appointment_id):
    """Everything about one visit."""
    visit = selectors.get_appointment(appointment_id, by=request.member)
    changes = selectors.list_changes(visit)
    context = _about(request, visit) | {
        "facts": presenting.facts(visit),
        "story": presenting.story(changes, visit),
        "reminders": presenting.reminder_rows(visit.reminders.order_by("-created_at")[:20]),
        "undo": _undoable(changes, visit),
        "may_reschedule": visit.state in UPCOMING,
        "here_url": request.get_full_path(),
    }
    if visit.capacity > 1 and visit.patient_id is None:
        context |= _in_group(request, visit)
    return render(request, "scheduling/appointment.html", context)


def _in_group(request, session: Appointment) -> dict:
    """Who is in a group session, and where one more is put in or on the waiting list."""
    rows = selectors.list_appointments(by=request.member).filter(session=session.pk).exclude(state=State.HELD)
    places, now, limits = list(rows.order_by("place", "id")), timezone.now(), wait_limits.read_limits()
    undoable = agenda.list_undoable(places)
    wall = wall_of(session.starts_at, session.location.zone)
    wanted = {"type": session.type_id, "practitioner": session.practitioner_id, "location": session.location_id,
              "day": wall.date().isoformat(), "time": f"{wall:%H:%M}"}  # fmt: skip
    return {
        "is_group": True,
        "people": [presenting.row(place, now, undoable=undoable, limits=limits) for place in places],
        "places_note": agenda.note_visits([session]).get(session.pk, ""),
        "may_join": session.is_live and session.starts_at > now,
        "join_url": f"{reverse('scheduling:book')}?{urlencode(wanted)}",
    }


def _about(request, visit: Appointment) -> dict:
    return {
        "visit": visit,
        "row": presenting.row(visit, timezone.now(), limits=wait_limits.read_limits()),
        "when": presenting.when(visit),
        "may": presenting.may(request.member),
        "agenda_url": _agenda_url(visit),
        "in_series": visit.series_id is not None and not visit.is_exception,
    }


def _agenda_url(visit: Appointment) -> str:
    day = wall_of(visit.starts_at, visit.location.zone).date().isoformat()
    return f"{reverse('scheduling:agenda')}?day={day}&location={visit.location_id}"


def _undoable(changes, visit: Appointment) -> str:
    """What taking back would do, in words; "" where there is nothing to take back."""
    last = changes[-1] if changes else None
    if last is None:
        return ""
    if last.batch and last.action == "moved":
        return _("Put the visit back to the time before")
    if last.can_be_undone_in(visit.state):
        return _("Put it back to “%(state)s”") % {"state": State(last.old_state).label}
    return ""


@requires(Permission.APPOINTMENT_MOVE)
@require_POST
def change_state(request, appointment_id):
    """One tap. `from` is the state the button was drawn for: a second tap elsewhere changes nothing twice."""
    visit = selectors.get_appointment(appointment_id, by=request.member)
    to, known = request.POST.get("to", ""), request.POST.get("from") or None
    try:
        if to not in State.values or to in {State.CANCELLED, State.HELD}:
            raise MoveRefused(_("Choose what became of the visit."))
        moved = services.move(visit, to, by=request.member, expected_state=known)
    except (RuleBroken, NotAllowed) as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, _said(moved, visit))
    return redirect(next_page(request, request.POST.get("next", "")))


@requires(Permission.APPOINTMENT_MOVE)
@require_POST
def undo(request, appointment_id):
    """Take the last change of a visit back; what one press changed on several visits goes back on all of them."""
    visit = selectors.get_appointment(appointment_id, by=request.member)
    changes = selectors.list_changes(visit)
    last = changes[-1] if changes else None
    try:
        if last is not None and last.batch:
            count = series.undo_batch(last.batch, by=request.member)
            said = ngettext("Taken back for %(count)d visit.", "Taken back for %(count)d visits.", count)
            messages.success(request, said % {"count": count})
        else:
            messages.success(request, _said(services.undo_move(visit, by=request.member), visit))
    except (RuleBroken, NotAllowed) as refusal:
        messages.error(request, refusal.sentence)
    return redirect(next_page(request, request.POST.get("next", "")))


def _said(moved: Appointment, seen: Appointment) -> str:
    """ "Arrived: Ana Restrepo"; `seen` is the row as this member may see it."""
    name = seen.patient.name if seen.patient else presenting.what(seen)
    return _("%(state)s: %(name)s") % {"state": moved.get_state_display(), "name": name}


@requires(Permission.APPOINTMENT_MOVE)
def cancel(request, appointment_id):
    """Cancel a visit, or those of its series, with a reason."""
    visit = selectors.get_appointment(appointment_id, by=request.member)
    form = CancelForm(request.POST or None, initial={"scope": "this"})
    back = request.POST.get("next") or request.GET.get("next") or reverse("scheduling:appointment", args=[visit.pk])
    if request.method == "POST" and form.is_valid():
        scope = form.cleaned_data["scope"] or "this"
        try:
            _batch, gone = series.cancel_visits(visit, scope, by=request.member, reason=form.reason)
        except (RuleBroken, NotAllowed) as refusal:
            form.add_error(None, refusal.sentence)
        else:
            said = ngettext("%(count)d visit is cancelled.", "%(count)d visits are cancelled.", len(gone))
            messages.success(request, said % {"count": len(gone)})
            return redirect(next_page(request, back))
    context = _about(request, visit) | {"form": form, "back": next_page(request, back)}
    context["can_cancel"] = State.CANCELLED in MOVES[visit.state]
    return render(request, "scheduling/cancel.html", context, status=422 if request.method == "POST" else 200)


@requires(Permission.APPOINTMENT_MOVE)
def move(request, appointment_id):
    """Another time for a visit, with the same tiles as booking; of a series for this one, those after it, or all."""
    visit = selectors.get_appointment(appointment_id, by=request.member)
    words = request.POST if request.method == "POST" else _as_it_stands(visit, request.GET)
    choices = booking.read_choices(request, words)
    choices.type = visit.type
    said, refused = booking.go(request, choices, moving=visit), {}
    is_sent = request.method == "POST" and "go" not in request.POST and "show" not in request.POST
    initial = {"scope": "this", "version": visit.version} | {
        name: request.POST[name] for name in ("scope", "reason", "version", "overbook_reason") if name in request.POST
    }
    form = MoveForm(request.POST if is_sent else None, initial=initial)
    if is_sent and form.is_valid():
        try:
            moved = _reschedule(request, form, choices, visit)
        except StaleVersion as stale:
            visit = selectors.get_appointment(appointment_id, by=request.member)
            refused = {"refusal": stale.sentence, "stale": True}
        except (RuleBroken, NotAllowed) as refusal:
            refused = booking.explain_refusal(refusal, request.member)
        else:
            if moved:
                said = ngettext("%(count)d visit is moved.", "%(count)d visits are moved.", len(moved))
                messages.success(request, said % {"count": len(moved)})
                return redirect("scheduling:appointment", visit.pk)
    context = _about(request, visit) | booking.times_context(request, choices, moving=visit) | refused | {
        "form": form,
        "said": said,
        "chosen": words.get("slot", ""),
        "wanted": booking.wanted_value(request, form, choices) if refused.get("needs_overbooking") else "",
        "can_move": visit.state in UPCOMING,
        "version": visit.version,
    }  # fmt: skip
    return render(request, "scheduling/move.html", context, status=422 if is_sent else 200)


def _as_it_stands(visit: Appointment, query) -> dict:
    day = wall_of(visit.starts_at, visit.location.zone).date().isoformat()
    standing = {"practitioner": str(visit.practitioner_id), "location": str(visit.location_id), "day": day}
    return standing | {name: query[name] for name in standing if name in query}


def _reschedule(request, form: MoveForm, choices, visit: Appointment) -> list[Appointment] | None:
    place = choices.location or visit.location
    chosen = form.chosen(choices.day, place.zone, choices.people)
    if chosen is None:
        return None
    starts_at, practitioner_id, location_id = chosen
    practitioner = selectors.get_doctor(practitioner_id, by=request.member)
    location = get_location(location_id, by=request.member) if location_id else place
    scope, reason = form.cleaned_data["scope"] or "this", form.cleaned_data["reason"]
    if scope != "this" and visit.series_id:
        if form.cleaned_data["version"] != visit.version:
            raise StaleVersion(_("Somebody else has changed this visit meanwhile."))
        wall = wall_of(starts_at, location.zone)
        days = (wall.date() - wall_of(visit.starts_at, visit.location.zone).date()).days
        shift = Shift(days=days, clock=f"{wall:%H:%M}", practitioner=practitioner, location=location)
        return series.change_visits(visit, scope, shift, by=request.member, reason=reason)[1]
    moved = services.reschedule(
        visit,
        by=request.member,
        starts_at=starts_at,
        practitioner=practitioner,
        location=location,
        reason=reason,
        overbook_reason=form.cleaned_data["overbook_reason"],
        override_reason=form.cleaned_data["override_reason"],
        expected_version=form.cleaned_data["version"],
        batch=uuid.uuid4(),
    )
    return [moved]


@requires(Permission.APPOINTMENT_VIEW)
@require_safe
def patient_visits(request, patient_id):
    """The visits of one patient, as a tab of the chart: what comes, and what was."""
    patient = patients.get_patient(patient_id, by=request.member)
    emergencies.record_look(patient, by=request.member, kind="visits")
    visits = selectors.list_appointments(by=request.member, patient=patient.pk).exclude(state=State.HELD)
    now = timezone.now()
    upcoming = list(visits.filter(ends_at__gt=now).order_by("starts_at", "id")[:MOST_VISITS])
    past = list(visits.filter(ends_at__lte=now).order_by("-starts_at", "id")[:MOST_VISITS])
    context = {
        "groups": [
            (_("To come"), [_visit_row(visit, now) for visit in upcoming], _("No visit is booked.")),
            (_("Past"), [_visit_row(visit, now) for visit in past], _("No visit yet.")),
        ],
        "may": presenting.may(request.member),
    }
    return render_chart(request, "scheduling/visits.html", patient, "scheduling:visits", context)


def _visit_row(visit: Appointment, now) -> dict:
    return presenting.row(visit, now) | {"when": presenting.when(visit), "place": visit.location.name}
