"""Booking a visit: patient, kind, clinician and day decide which times are offered; one press books one of them."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime, time

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.drafts.restoring import KeptWords, find_draft
from accounts.guards import requires
from accounts.permissions import Permission
from clinic.patients import selectors as patients
from clinic.places.models import Location
from clinic.places.selectors import get_location, list_locations
from clinic.practitioners.models import Practitioner
from tenancy.rules import NotAllowed, RuleBroken

from .. import agenda, holding, presenting, previews, selectors, series, services, tiles
from ..forms import OTHER, BookingForm, TimeForm
from ..models import AppointmentType
from ..services import GroupFull, NotQualified, TimeTaken, Wanted
from . import asked

MOST_FOUND = 12
MOST_EXPLAINED = 8
WHY = "why"
TYPED = ("reason", "repeat", "times", "other_time", "overbook_reason", "override_reason")


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
    elif wish and wish != WHY:
        choices.day = max(asked.read_day(wish, choices.day), today)
    return ""


def times_context(request, choices: Choices, *, moving=None, hold=None) -> dict:
    """What `scheduling/_times.html` shows."""
    member = request.member
    offered = tiles.offer(choices.people, choices.day, by=member, type=choices.type, moving=moving,
                          location=choices.location, hold=hold.pk if hold else None)  # fmt: skip
    previous, following = presenting.steps(choices.day, "day")
    today = asked.today_at(choices.location, request.tenant)
    place = choices.location or asked.read_location(None, by=member, practitioner=choices.practitioner)
    return {
        "choices": choices,
        "tiles": offered,
        "has_free": any(tile.is_free for tile in offered),
        "is_one_place": len({tile.location.pk for tile in offered}) == 1,
        "place": offered[0].location if offered else place,
        "day_words": presenting.day_words(choices.day),
        "previous": previous.isoformat() if previous >= today else "",
        "following": following.isoformat(),
        "types": list(selectors.list_types(by=member)),
        "people": list(agenda.list_bookable(by=member)),
        "locations": list(list_locations(by=member)),
        "zone": presenting.zone_words(place.time_zone if place else request.tenant.time_zone, choices.day),
        "other": OTHER,
        "may": presenting.may(member),
    } | _explained(request, choices, place)


def _explained(request, choices: Choices, place: Location | None) -> dict:
    """The answer to "why is 10:00 not offered?", for each clinician whose times are shown."""
    asked_for = request.POST.get("why_time", "")
    if request.POST.get("go") != WHY or place is None:
        return {"why_time": asked_for}
    try:
        wall = datetime.combine(choices.day, time.fromisoformat(asked_for))
    except ValueError:
        return {"why_time": asked_for, "why_said": _("Type a time first, such as 10:00.")}
    answers = [
        {"person": person, "reasons": previews.why_not(person, wall, type=choices.type, location=place)}
        for person in choices.people[:MOST_EXPLAINED]
    ]
    return {"why_time": asked_for, "why_clock": f"{wall:%H:%M}", "why_answers": answers, "why_place": place}


def explain_refusal(refusal: Exception, by) -> dict:
    """A service's no as the page says it: the sentence, and for a clash up to three times to take instead."""
    near = tiles.tiles_of(refusal.nearest, by=by) if isinstance(refusal, TimeTaken) else []
    return {
        "refusal": refusal.sentence,
        "nearest": [{"tile": tile, "day": presenting.short_day(tile.day)} for tile in near],
        "needs_overbooking": isinstance(refusal, TimeTaken),
        "is_full": isinstance(refusal, GroupFull),
        "needs_override": isinstance(refusal, NotQualified),
        "clashes": sorted(refusal.days.items()) if isinstance(refusal, series.SeriesClash) else [],
    }


@requires(Permission.APPOINTMENT_BOOK)
def book(request):
    """The booking page. Nothing typed is lost by a clash: it is said, and the three nearest times stand on top."""
    member, draft = request.member, _draft_for(request)
    words = request.POST if request.method == "POST" else request.GET
    patient_id = asked.read_id(words.get("patient"))
    patient = patients.get_patient(patient_id, by=member) if patient_id else None
    choices = read_choices(request, words)
    said, refused = go(request, choices), {}
    hold_id = asked.read_id(words.get("hold"))
    is_sent = request.method == "POST" and "go" not in request.POST and "show" not in request.POST
    form = BookingForm(request.POST if is_sent else None, initial=_first_words(request, draft))
    if is_sent and patient is None:
        form.add_error(None, _("Choose a patient."))
    if is_sent and form.is_valid():
        try:
            visit = _save(request, form, choices, patient, hold_id)
        except (RuleBroken, NotAllowed) as refusal:
            refused = explain_refusal(refusal, member)
        else:
            if visit:
                messages.success(request, _("Booked: %(when)s with %(who)s.") % {
                    "when": presenting.when(visit), "who": visit.practitioner.name})  # fmt: skip
                return redirect("scheduling:appointment", visit.pk)
    kept = holding.find_hold(hold_id, by=member)
    context = (
        times_context(request, choices, hold=kept)
        | refused
        | {
            "form": form,
            "patient": patient,
            "draft": draft,
            "said": said,
            "kept": presenting.kept(kept, timezone.now()) if kept else None,
            "wanted": wanted_value(request, form, choices) if refused.get("needs_overbooking") else "",
            "waiting_url": reverse("waiting:add", args=[patient.pk]) if patient else "",
            "chosen": words.get("slot") or (OTHER if words.get("time") else ""),
            "submit_key": form["submit_key"].value(),
        }
    )
    if not is_sent and words.get("time"):
        _choose_tile(context, words["time"])
    return render(request, "scheduling/book.html", context, status=422 if is_sent else 200)


def wanted_value(request, form: TimeForm, choices: Choices) -> str:
    """The time that was refused, as a button sends it: for who may book over what is in the way."""
    chosen = _chosen(request, form, choices)
    return tiles.value_of(*chosen) if chosen and chosen[2] else ""


def _draft_for(request) -> KeptWords | None:
    """What was typed for this very patient and never sent. The time is not among it: it is free for others by now."""
    draft = find_draft(request)
    if draft is None or draft.data.get("patient", "") != request.GET.get("patient", ""):
        return None
    standing = {"repeat": "", "times": "4"}
    return draft if any(draft.data.get(name, "") not in {"", standing.get(name, "")} for name in TYPED) else None


def _first_words(request, draft: KeptWords | None) -> dict:
    """What stands in a form that was not sent: words kept over a change of the day, a fresh key, a clicked time."""
    words = draft.data if draft else request.POST
    kept = {name: words[name] for name in TYPED if name in words and (draft is None or name != "other_time")}
    key = request.POST.get("submit_key") or str(uuid.uuid4())
    return {"submit_key": key, "other_time": request.GET.get("time", ""), "times": 4} | kept


def _choose_tile(context: dict, clock: str) -> None:
    """A time clicked in the agenda: its tile where it is offered, else another time."""
    for tile in context["tiles"]:
        if tile.is_free and tile.clock == clock:
            context["chosen"] = tile.value


def _chosen(request, form: TimeForm, choices: Choices):
    """Moment, practitioner and location as ids; None with an error on the form where none was chosen."""
    place = choices.location or asked.read_location(None, by=request.member, practitioner=choices.practitioner)
    chosen = form.chosen(choices.day, place.zone if place else request.tenant.zone, choices.people)
    if chosen is None:
        return None
    starts_at, practitioner_id, location_id = chosen
    return starts_at, practitioner_id, location_id or (place.pk if place else None)


def _save(request, form: BookingForm, choices: Choices, patient, hold_id):
    chosen = _chosen(request, form, choices)
    if chosen is None:
        return None
    starts_at, practitioner_id, location_id = chosen
    practitioner = selectors.get_doctor(practitioner_id, by=request.member)
    location = get_location(location_id, by=request.member) if location_id else None
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
        hold=hold_id,
    )
    if form.rule:
        return series.book_series(wanted, form.rule, by=request.member, skip=form.cleaned_data["skip"])[0]
    return services.book(wanted, by=request.member)


@requires(Permission.APPOINTMENT_BOOK)
@require_POST
def hold(request):
    """Keep the time that is ticked while somebody types; book.js asks. Says for how long, or why it can not be kept.

    A time that is taken is an answer here and no error: nothing was to be saved.
    """
    member, words = request.member, request.POST
    hold_id, patient_id = asked.read_id(words.get("hold")), asked.read_id(words.get("patient"))
    choices, form = read_choices(request, words), TimeForm(words)
    chosen = _chosen(request, form, choices) if form.is_valid() else None
    if patient_id is None or chosen is None:
        holding.let_go(hold_id, by=member)
        return JsonResponse({"hold": "", "sentence": ""})
    starts_at, practitioner_id, location_id = chosen
    practitioner = selectors.get_doctor(practitioner_id, by=member)
    wanted = Wanted(
        patient=patients.get_patient(patient_id, by=member),
        practitioner=practitioner,
        location=get_location(location_id, by=member) if location_id else services.usual_location(practitioner),
        type=choices.type,
        starts_at=starts_at,
        hold=hold_id,
    )
    try:
        kept = holding.keep_time(wanted, by=member)
    except (RuleBroken, NotAllowed) as refusal:
        return JsonResponse({"hold": "", "sentence": refusal.sentence, "refused": True})
    return JsonResponse(presenting.kept(kept, timezone.now()))


@requires(Permission.APPOINTMENT_BOOK)
@require_POST
def release(request):
    """Give a kept time back: the page is left, or another time is looked for."""
    holding.let_go(asked.read_id(request.POST.get("hold")), by=request.member)
    return HttpResponse(status=204)


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
