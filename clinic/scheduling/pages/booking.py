"""Booking a visit: patient, kind, clinician and day decide which times are offered; one press books one of them."""

import uuid
from dataclasses import dataclass
from datetime import date

from django.contrib import messages
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from clinic.patients import selectors as patients
from clinic.places.models import Location
from clinic.places.selectors import get_location, list_locations
from clinic.practitioners.models import Practitioner
from tenancy.rules import NotAllowed, RuleBroken

from .. import agenda, presenting, selectors, series, services, tiles
from ..forms import OTHER, BookingForm
from ..models import AppointmentType
from ..services import NotQualified, TimeTaken, Wanted
from . import asked

MOST_FOUND = 12


@dataclass
class Choices:
    """What decides about the times of a page; `people` are those whose times are offered."""

    type: AppointmentType | None
    practitioner: Practitioner | None
    location: Location | None
    day: date
    people: list[Practitioner]

    @property
    def zone(self):
        return self.location.zone if self.location else None


def read_choices(request, words) -> Choices:
    """Kind, clinician, location and day out of an address or a form. Raises Http404 for ids that are not ours."""
    member = request.member
    wanted_type = asked.read_id(words.get("type"))
    kind = selectors.get_type(wanted_type, by=member) if wanted_type else None
    practitioner = asked.read_practitioner(words.get("practitioner"), by=member)
    location = get_location(place, by=member) if (place := asked.read_id(words.get("location"))) else None
    anywhere = location or asked.read_location(None, by=member, practitioner=practitioner)
    today = asked.today_at(anywhere, request.tenant)
    day = max(asked.read_day(words.get("day"), today), today)
    people = [practitioner] if practitioner else list(agenda.list_bookable(by=member))
    return Choices(kind, practitioner, location, day, people)


def go(request, choices: Choices, *, moving=None) -> str:
    """The day after, before or next free, as the buttons beside the day ask for. Returns what to say, if anything."""
    wish = request.POST.get("go", "")
    today = asked.today_at(choices.location, request.tenant)
    if wish == "next":
        found = tiles.next_free_day(choices.people, choices.day, by=request.member, type=choices.type,
                                    moving=moving, location=choices.location)  # fmt: skip
        if found is None:
            return _("No free time in the next 90 days.")
        choices.day = found
    elif wish:
        choices.day = max(asked.read_day(wish, choices.day), today)
    return ""


def times_context(request, choices: Choices, *, moving=None) -> dict:
    """What `scheduling/_times.html` shows."""
    member = request.member
    offered = tiles.offer(choices.people, choices.day, by=member, type=choices.type, moving=moving,
                          location=choices.location)  # fmt: skip
    previous, following = presenting.steps(choices.day, "day")
    today = asked.today_at(choices.location, request.tenant)
    place = choices.location or asked.read_location(None, by=member, practitioner=choices.practitioner)
    return {
        "choices": choices,
        "tiles": offered,
        "has_free": any(tile.is_free for tile in offered),
        "day_words": presenting.day_words(choices.day),
        "previous": previous.isoformat() if previous >= today else "",
        "following": following.isoformat(),
        "types": list(selectors.list_types(by=member)),
        "people": list(agenda.list_bookable(by=member)),
        "locations": list(list_locations(by=member)),
        "zone": presenting.zone_words(place.time_zone if place else request.tenant.time_zone),
        "other": OTHER,
        "may": presenting.may(member),
    }


def explain_refusal(refusal: Exception, by) -> dict:
    """A service's no as the page says it: the sentence, and for a clash up to three times to take instead."""
    near = tiles.tiles_of(refusal.nearest, by=by) if isinstance(refusal, TimeTaken) else []
    return {
        "refusal": refusal.sentence,
        "nearest": [{"tile": tile, "day": presenting.short_day(tile.day)} for tile in near],
        "needs_overbooking": isinstance(refusal, TimeTaken),
        "needs_override": isinstance(refusal, NotQualified),
        "clashes": sorted(refusal.days.items()) if isinstance(refusal, series.SeriesClash) else [],
    }


@requires(Permission.APPOINTMENT_BOOK)
def book(request):
    """The booking page. Nothing typed is lost by a clash: it is said, and the three nearest times stand on top."""
    member = request.member
    words = request.POST if request.method == "POST" else request.GET
    patient_id = asked.read_id(words.get("patient"))
    patient = patients.get_patient(patient_id, by=member) if patient_id else None
    choices = read_choices(request, words)
    said, refused = go(request, choices), {}
    is_sent = request.method == "POST" and "go" not in request.POST and "show" not in request.POST
    form = BookingForm(request.POST if is_sent else None, initial=_first_words(request))
    if is_sent and patient is None:
        form.add_error(None, _("Choose a patient."))
    if is_sent and form.is_valid():
        try:
            visit = _save(request, form, choices, patient)
        except (RuleBroken, NotAllowed) as refusal:
            refused = explain_refusal(refusal, member)
        else:
            if visit:
                messages.success(request, _("Booked: %(when)s with %(who)s.") % {
                    "when": presenting.when(visit), "who": visit.practitioner.name})  # fmt: skip
                return redirect("scheduling:appointment", visit.pk)
    context = (
        times_context(request, choices)
        | refused
        | {
            "form": form,
            "patient": patient,
            "said": said,
            # Beside proposed times nothing else is ticked: one press takes the first of them.
            "chosen": "" if refused.get("nearest") else words.get("slot") or (OTHER if words.get("time") else ""),
            "submit_key": form["submit_key"].value(),
        }
    )
    if not is_sent and words.get("time"):
        _choose_tile(context, words["time"])
    return render(request, "scheduling/book.html", context, status=422 if is_sent else 200)


def _first_words(request) -> dict:
    """What stands in a form that was not sent: words kept over a change of the day, a fresh key, a clicked time."""
    typed = ("reason", "repeat", "times", "other_time", "overbook_reason", "override_reason")
    kept = {name: request.POST[name] for name in typed if name in request.POST}
    key = request.POST.get("submit_key") or str(uuid.uuid4())
    return {"submit_key": key, "other_time": request.GET.get("time", ""), "times": 4} | kept


def _choose_tile(context: dict, clock: str) -> None:
    """A time clicked in the agenda: its tile where it is offered, else another time."""
    for tile in context["tiles"]:
        if tile.is_free and tile.clock == clock:
            context["chosen"] = tile.value


def _save(request, form: BookingForm, choices: Choices, patient):
    place = choices.location or asked.read_location(None, by=request.member, practitioner=choices.practitioner)
    chosen = form.chosen(choices.day, place.zone if place else request.tenant.zone, choices.people)
    if chosen is None:
        return None
    starts_at, practitioner_id, location_id = chosen
    practitioner = selectors.get_doctor(practitioner_id, by=request.member)
    location = get_location(location_id, by=request.member) if location_id else place
    wanted = Wanted(
        patient=patient,
        practitioner=practitioner,
        location=location or services.usual_location(practitioner),
        type=choices.type,
        starts_at=starts_at,
        reason=form.cleaned_data["reason"],
        overbook_reason=form.cleaned_data["overbook_reason"],
        override_reason=form.cleaned_data["override_reason"],
        submit_key=form.cleaned_data["submit_key"],
    )
    if form.rule:
        return series.book_series(wanted, form.rule, by=request.member, skip=form.cleaned_data["skip"])[0]
    return services.book(wanted, by=request.member)


@requires(Permission.APPOINTMENT_BOOK)
@require_safe
def find_patient(request):
    """The patients who fit what is typed, as links that come back to the booking page with everything else kept."""
    search = " ".join(request.GET.get("find", "").split())[:200]
    found = list(patients.list_patients(by=request.member, search=search).as_rows()[:MOST_FOUND]) if search else []
    kept = request.GET.copy()
    for name in ("find", "patient", "csrfmiddlewaretoken"):
        kept.pop(name, None)
    context = {
        "found": [{"patient": one, "url": f"{reverse('scheduling:book')}?{_with(kept, one)}"} for one in found],
        "search": search,
        "keep": [(name, value) for name, value in kept.items()],
    }
    template = "scheduling/_found_patients.html" if request.htmx else "scheduling/find_patient.html"
    return render(request, template, context)


def _with(query, patient) -> str:
    query = query.copy()
    query["patient"] = str(patient.pk)
    return query.urlencode()
