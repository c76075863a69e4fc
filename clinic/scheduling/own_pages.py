"""A patient's own pages: their visits, booking, asking, cancelling, moving, and their calendar (wish 15).

Nobody finds anything here but their own: other people's ids are 404, whatever
else the one who asks may do in this clinic.
"""

import uuid
from datetime import date, timedelta

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.notifications.links import absolute
from accounts.permissions import Permission
from clinic.patients.own_account import find_own_chart
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from tenancy.rules import NotAllowed, RuleBroken, StaleVersion

from . import feeds, own_times, own_visits, presenting, self_service, tiles
from . import own_presenting as saying
from .calendars import calendar_of
from .models import Appointment, AppointmentType, Offer
from .own_forms import AskForm, CancelOwnForm, ReasonForm
from .pages import asked
from .policy import read_policy
from .services import TimeTaken, Wanted
from .states import State

WEEK = timedelta(days=7)


# --- Seeing ----------------------------------------------------------------------------------------------------------


@requires(Permission.APPOINTMENT_VIEW_OWN)
@require_safe
def visit_list(request):
    """What is to come, what is offered, what was."""
    own = overview(request)
    context = own | {"own": own, "past": [saying.row(visit) for visit in own_visits.list_past(by=request.member)]}
    return render(request, "own_visits/list.html", context)


def overview(request) -> dict:
    """Coming visits, offers and kept times of the person who asks; the first page shows it, too."""
    member, policy = request.member, read_policy()
    chart = find_own_chart(by=member)
    holds = self_service.list_own_holds(chart) if chart else []
    return {
        "chart": chart,
        "coming": [saying.row(visit) for visit in own_visits.list_coming(by=member)],
        "offers": [saying.offer(offer) for offer in own_visits.list_offers(by=member)],
        "holds": [saying.row(hold) | {"kept_until": saying.kept(hold)["until"]} for hold in holds],
        "may_book": _may_book(request, chart, policy),
        "call": saying.call(None, policy),
    }


def _may_book(request, chart, policy) -> bool:
    return bool(
        chart
        and not chart.is_archived
        and request.member.may(Permission.APPOINTMENT_BOOK_OWN)
        and own_times.list_own_types(policy).exists()
    )


@requires(Permission.APPOINTMENT_VIEW_OWN)
@require_safe
def visit_detail(request, visit_id):
    """One visit, and what can be done about it."""
    visit = own_visits.get_own_visit(visit_id, by=request.member)
    if visit.state == State.HELD and not _offer_of(visit):
        return redirect("own_visits:keep", visit.pk)
    policy = read_policy()
    context = _about(visit, policy) | {
        "facts": saying.facts(visit),
        "choices": saying.choices(visit, policy),
        "offer": _offer_of(visit),
        "is_coming": visit.is_live and visit.starts_at > timezone.now(),
        "may_change": request.member.may(Permission.APPOINTMENT_BOOK_OWN),
    }
    return render(request, "own_visits/visit.html", context)


def _about(visit: Appointment, policy) -> dict:
    return {"visit": visit, "row": saying.row(visit), "call": saying.call(visit, policy)}


def _offer_of(visit: Appointment) -> dict | None:
    found = visit.offers.filter(state=Offer.State.OPEN, expires_at__gt=timezone.now()).first()
    if found is None:
        return None
    found.appointment = visit
    return saying.offer(found)


@requires(Permission.APPOINTMENT_VIEW_OWN)
@require_safe
def visit_file(request, visit_id):
    """One visit as a file for a calendar."""
    visit = own_visits.get_own_visit(visit_id, by=request.member)
    if visit.state == State.HELD:
        raise Http404
    content = calendar_of([visit], name=request.tenant.name, for_patient=True, method="PUBLISH")
    headers = {"Content-Disposition": 'attachment; filename="appointment.ics"'}
    return HttpResponse(content, content_type="text/calendar; charset=utf-8", headers=headers)


# --- Booking and asking ----------------------------------------------------------------------------------------------


@requires(Permission.APPOINTMENT_BOOK_OWN)
@require_safe
def kinds(request):
    """What there is to book or to ask for."""
    chart, policy = find_own_chart(by=request.member), read_policy()
    types = list(own_times.list_own_types(policy)) if chart and not chart.is_archived else []
    context = {
        "chart": chart,
        "kinds": [saying.kind(type, policy) for type in types],
        "call": saying.call(None, policy),
    }
    return render(request, "own_visits/kinds.html", context)


@requires(Permission.APPOINTMENT_BOOK_OWN)
def times(request, type_id):
    """Free times of one kind of visit, by day. A POST picks one: it is kept where it may be booked, else asked for."""
    type, chart = _own_type(type_id), find_own_chart(by=request.member)
    if chart is None or chart.is_archived:
        return redirect("own_visits:kinds")
    policy = read_policy()
    books = self_service.first_state(type, policy) == State.BOOKED
    context, status = {}, 200
    if request.method == "POST":
        picked, reason = _picked(request, type), request.POST.get("reason", "")[:500]
        if not books:
            return redirect(_with_slot(reverse("own_visits:ask", args=[type.pk]), picked))
        try:
            hold = self_service.book_own(_wanted(chart, type, picked, reason=reason), by=request.member, hold=True)
        except (RuleBroken, NotAllowed) as refusal:
            context, status = _refused(request, refusal), 422
        else:
            return redirect("own_visits:keep", hold.pk)
    context |= _times(request, type, policy) | {"kind": saying.kind(type, policy), "books": books}
    return render(request, "own_visits/times.html", context, status=status)


@requires(Permission.APPOINTMENT_BOOK_OWN)
def keep(request, visit_id):
    """The last step: the time is kept while the patient reads and says what it is about. A POST books it."""
    hold = own_visits.get_own_visit(visit_id, by=request.member)
    if hold.state != State.HELD and not _was_kept(hold):
        return redirect("own_visits:visit", hold.pk)
    form = ReasonForm(request.POST if request.method == "POST" else None, initial={"reason": hold.reason})
    if request.method == "POST" and form.is_valid():
        try:
            visit = self_service.book_kept(hold, by=request.member, reason=form.cleaned_data["reason"])
        except (RuleBroken, NotAllowed) as refusal:
            return _lapsed(request, hold, refusal.sentence, reason=form.cleaned_data["reason"])
        messages.success(request, _("Your appointment is booked."))
        return redirect("own_visits:visit", visit.pk)
    if hold.state != State.HELD or hold.hold_expires_at <= timezone.now():
        return _lapsed(request, hold, _("The time is no longer kept for you."), reason=request.POST.get("reason", ""))
    policy = read_policy()
    context = _about(hold, policy) | {
        "form": form,
        "facts": saying.facts(hold),
        "kept": saying.kept(hold),
        "can_cancel_until": saying.cancel_until(hold, policy),
    }
    return render(request, "own_visits/keep.html", context, status=422 if request.method == "POST" else 200)


def _was_kept(visit: Appointment) -> bool:
    """Whether this was a kept time that is free again, and not a visit that was cancelled."""
    return visit.state == State.CANCELLED and visit.hold_expires_at is not None


def _lapsed(request, hold: Appointment, sentence: str, *, reason: str):
    """Kept for too long: the time is free again, perhaps still; the same one is proposed first if it is."""
    policy = read_policy()
    near = []
    if hold.type and hold.starts_at > timezone.now():
        chart = find_own_chart(by=request.member)
        near = own_times.nearest_times([hold.practitioner], hold.starts_at, type=hold.type, patient=chart)
    context = _about(hold, policy) | {
        "refusal": sentence,
        "near": saying.near(near, by=request.member),
        "reason": reason[:500],
        "type_id": hold.type_id if hold.type and hold.type in own_times.list_own_types(policy) else None,
    }
    return render(request, "own_visits/lapsed.html", context, status=422 if request.method == "POST" else 200)


@requires(Permission.APPOINTMENT_BOOK_OWN)
@require_POST
def let_go(request, visit_id):
    """Give back a time that was kept, and look for another one."""
    hold = own_visits.get_own_visit(visit_id, by=request.member)
    if hold.state == State.HELD and not _offer_of(hold):
        try:
            self_service.change_own(hold, State.CANCELLED, by=request.member)
        except (RuleBroken, NotAllowed) as refusal:
            messages.error(request, refusal.sentence)
    return redirect("own_visits:times", hold.type_id) if hold.type_id else redirect("own_visits:list")


@requires(Permission.APPOINTMENT_BOOK_OWN)
def ask(request, type_id):
    """Ask for a time: the clinic confirms it. The time is not kept until it was asked for."""
    type, chart = _own_type(type_id), find_own_chart(by=request.member)
    if chart is None or chart.is_archived:
        return redirect("own_visits:kinds")
    policy = read_policy()
    tile = _picked(request, type)
    form = AskForm(request.POST if request.method == "POST" else None, initial={"submit_key": uuid.uuid4()})
    context = {}
    if request.method == "POST" and form.is_valid():
        key = uuid.uuid5(form.cleaned_data["submit_key"], tile.value)
        wanted = _wanted(chart, type, tile, reason=form.cleaned_data["reason"], submit_key=key)
        try:
            made = self_service.book_own(wanted, by=request.member)
        except (RuleBroken, NotAllowed) as refusal:
            context = _refused(request, refusal)
        else:
            own = own_visits.get_own_visit(made.pk, by=request.member)
            messages.success(request, _("We have your request. The time is yours when we confirm it."))
            return redirect("own_visits:visit", own.pk)
    context |= {
        "form": form,
        "kind": saying.kind(type, policy),
        "slot": tile.value,
        "chosen": saying.chosen(tile, type.minutes),
        "call": saying.call(None, policy),
    }
    return render(request, "own_visits/ask.html", context, status=422 if request.method == "POST" else 200)


def _own_type(type_id) -> AppointmentType:
    found = own_times.list_own_types().filter(pk=type_id).first()
    if found is None:
        raise Http404
    return found


def _picked(request, type: AppointmentType | None) -> tiles.Tile:
    """The time in an address or a form: moment, person and place. Raises Http404 for what could not be offered."""
    words = request.POST if request.method == "POST" else request.GET
    try:
        starts_at, person_id, place_id = tiles.read_value(words.get("take") or words.get("slot") or "")
    except ValueError:
        raise Http404 from None
    person = next((one for one in own_times.list_people(type) if one.pk == person_id), None)
    place = Location.objects.filter(pk=place_id, is_active=True).first()
    if person is None or place is None:
        raise Http404
    return tiles.tile_of(starts_at, person, place)


def _wanted(chart, type: AppointmentType, tile: tiles.Tile, **more) -> Wanted:
    starts_at = tiles.read_value(tile.value)[0]
    return Wanted(
        patient=chart, practitioner=tile.practitioner, location=tile.location, type=type, starts_at=starts_at, **more
    )


def _with_slot(address: str, tile: tiles.Tile, **more: str) -> str:
    query = QueryDict(mutable=True)
    query.update({"slot": tile.value, **more})
    return f"{address}?{query.urlencode()}"


def _refused(request, refusal: RuleBroken | NotAllowed) -> dict:
    near = refusal.nearest if isinstance(refusal, TimeTaken) else []
    return {"refusal": refusal.sentence, "near": saying.near(near, by=request.member)}


def _times(request, type: AppointmentType | None, policy, *, moving: Appointment | None = None) -> dict:
    """A week of free times from the day asked for, or from the first free one; of one person or of the first free."""
    people = own_times.list_people(type)
    person = _person(request, people, moving)
    wanted = [person] if person else people
    low, last = own_times.bounds_of(type)
    about = {"type": type, "patient": find_own_chart(by=request.member), "moving": moving}
    soonest = own_times.first_free(wanted, low, **about)
    begin = _day_of(soonest) if soonest else low
    first = min(max(asked.read_day(request.GET.get("from"), begin), begin), last)
    until = min(first + WEEK - timedelta(days=1), last)
    found = own_times.find_own_times(wanted, first, until, **about)
    if person is None:
        found = tiles.first_of_each(found)
    days = saying.days(found, by=request.member)
    after = own_times.first_free(wanted, until + timedelta(days=1), **about) if until < last else None
    zones = {tile.location.time_zone for day in days for tile in day["tiles"]}
    return {
        "days": days,
        "person": person,
        "people": people,
        "span": _span(first, until),
        "earlier": max(first - WEEK, begin).isoformat() if first > begin else "",
        "later": _day_of(after).isoformat() if after else "",
        "zone": presenting.zone_words(zones.pop()) if len(zones) == 1 else "",
        "many_places": len({tile.location.pk for day in days for tile in day["tiles"]}) > 1,
        "call": saying.call(moving, policy),
    }


def _person(request, people: list[Practitioner], moving: Appointment | None) -> Practitioner | None:
    """Whose times are asked for, None for the first free; who moves a visit mostly stays with the same person."""
    words = request.POST if request.method == "POST" else request.GET
    if moving is not None and "with" not in words and moving.practitioner in people:
        return moving.practitioner
    wanted = asked.read_id(words.get("with"))
    if wanted is None:
        return None
    found = next((one for one in people if one.pk == wanted), None)
    if found is None:
        raise Http404
    return found


def _day_of(slot) -> date:
    zone = Location.objects.get(pk=slot.location_id).zone
    return slot.starts.astimezone(zone).date()


def _span(first: date, until: date) -> str:
    return _("%(first)s to %(last)s") % {"first": presenting.short_day(first), "last": presenting.short_day(until)}


# --- Changing --------------------------------------------------------------------------------------------------------


@requires(Permission.APPOINTMENT_BOOK_OWN)
@require_POST
def answer_offer(request, visit_id):
    """Take the time that the waiting list offers, or let it pass."""
    visit = own_visits.get_own_visit(visit_id, by=request.member)
    takes = request.POST.get("answer") == "take"
    try:
        if _offer_of(visit) is None:
            raise RuleBroken(_("This offer is over."))
        self_service.change_own(visit, State.BOOKED if takes else State.CANCELLED, by=request.member)
    except (RuleBroken, NotAllowed) as refusal:
        messages.error(request, refusal.sentence)
        return redirect("own_visits:list")
    messages.success(
        request, _("The time is yours.") if takes else _("Somebody else gets the time. You stay on the list.")
    )
    return redirect("own_visits:visit", visit.pk) if takes else redirect("own_visits:list")


@requires(Permission.APPOINTMENT_BOOK_OWN)
def cancel(request, visit_id):
    """Cancel a visit, until the clinic's cut-off; after it the page says whom to call."""
    visit = own_visits.get_own_visit(visit_id, by=request.member)
    if visit.state == State.CANCELLED:
        return redirect("own_visits:visit", visit.pk)
    policy = read_policy()
    form = CancelOwnForm(request.POST if request.method == "POST" else None)
    refusal = self_service.why_not_cancelled(visit, policy)
    if request.method == "POST" and form.is_valid() and refusal is None:
        try:
            self_service.change_own(visit, State.CANCELLED, by=request.member, reason=form.cleaned_data["reason"])
        except (RuleBroken, NotAllowed) as refused:
            refusal = refused
        else:
            messages.success(request, _("Your appointment is cancelled. Somebody else can have the time."))
            return redirect("own_visits:visit", visit.pk)
    context = _about(visit, policy) | {
        "form": form,
        "refusal": saying.sentence_of(refusal, visit, policy),
        "choices": saying.choices(visit, policy),
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "own_visits/cancel.html", context, status=status)


@requires(Permission.APPOINTMENT_BOOK_OWN)
def move(request, visit_id):
    """Another time for a visit: pick one, then say yes. Until then the visit stays where it is."""
    visit = own_visits.get_own_visit(visit_id, by=request.member)
    policy = read_policy()
    context = _about(visit, policy)
    if refusal := self_service.why_not_moved(visit, policy):
        context["refusal"] = saying.sentence_of(refusal, visit, policy)
        return render(request, "own_visits/move.html", context, status=422 if request.method == "POST" else 200)
    if request.method != "POST" and "slot" not in request.GET:
        return render(request, "own_visits/move.html", context | _times(request, visit.type, policy, moving=visit))
    tile = _picked(request, visit.type)
    if request.method == "POST":
        try:
            moved = _move(request, visit, tile)
        except StaleVersion as stale:
            visit = own_visits.get_own_visit(visit_id, by=request.member)
            context = _about(visit, policy) | {"refusal": stale.sentence}
        except (RuleBroken, NotAllowed) as refused:
            context |= _refused(request, refused)
        else:
            messages.success(request, _("Your appointment has another time."))
            return redirect("own_visits:visit", moved.pk)
    context |= {"slot": tile.value, "chosen": saying.chosen(tile, visit.minutes)}
    return render(request, "own_visits/move_to.html", context, status=422 if request.method == "POST" else 200)


def _move(request, visit: Appointment, tile: tiles.Tile) -> Appointment:
    version = request.POST.get("version", "")
    return self_service.move_own(
        visit,
        tiles.read_value(tile.value)[0],
        by=request.member,
        practitioner=tile.practitioner,
        location=tile.location,
        expected_version=int(version) if version.isdecimal() and len(version) < 10 else visit.version,
    )


# --- The calendar of a telephone -------------------------------------------------------------------------------------


@requires(Permission.APPOINTMENT_VIEW_OWN)
def calendar(request):
    """The private addresses of one's own calendar; a POST makes one and shows it, this once."""
    chart, address = find_own_chart(by=request.member), ""
    if request.method == "POST" and chart is not None:
        address = _open_feed(request, chart)
    return _calendar_page(request, chart, address)


@requires(Permission.APPOINTMENT_VIEW_OWN)
@require_POST
def replace_feed(request, feed_id):
    """A new address in the place of one that others may know; the old one is closed at once."""
    feed, chart = own_visits.get_own_feed(feed_id, by=request.member), find_own_chart(by=request.member)
    feeds.revoke_feed(feed, by=request.member)
    return _calendar_page(request, chart, _open_feed(request, chart))


@requires(Permission.APPOINTMENT_VIEW_OWN)
@require_POST
def revoke_feed(request, feed_id):
    """Close an address."""
    feeds.revoke_feed(own_visits.get_own_feed(feed_id, by=request.member), by=request.member)
    messages.success(request, _("This address is closed."))
    return redirect("own_visits:calendar")


def _open_feed(request, chart) -> str:
    _feed, token = feeds.open_feed(by=request.member, patient=chart)
    return absolute(reverse("calendar", args=[token]))


def _calendar_page(request, chart, address: str):
    context = {
        "chart": chart,
        "address": address,
        "feeds": own_visits.list_own_feeds(by=request.member),
        "call": saying.call(None, read_policy()),
    }
    return render(request, "own_visits/calendar.html", context)
