"""The HTML door of the waiting list: who waits for what, offers that are open, and their answers."""

from datetime import timedelta

from django.contrib import messages
from django.db.models import Case, When
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from clinic.patients import selectors as patients
from clinic.patients.models import Patient
from clinic.practitioners.answers import attempt, sent, status_of, tried
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Choice, Text
from tenancy.doors.refusals import FieldsRefused

from . import waiting
from .models import Offer, WaitingEntry
from .rules_forms import WaitingForm
from .wordings import say_when

MOST_FOUND = 10
USUAL_DAYS = 30
OPEN_STATES = [WaitingEntry.State.WAITING, WaitingEntry.State.OFFERED]


class WaitingQuery(PageQuery):
    """Urgent ones first, then who has waited longest: the order in which times are offered."""

    sorts = {"turn": ("rank", "created_at")}
    default_sort = "turn asc"

    state = Choice(["open", "all"], default="open")


class FindQuery(PageQuery):
    q = Text(max_length=200)


@requires(Permission.APPOINTMENT_VIEW)
@require_safe
def waiting_list(request):
    """Who waits for what since when, and until when an offer stands."""
    try:
        query = WaitingQuery.read(request)
        rows = WaitingEntry.objects.select_related("type", "practitioner", "location")
        rows = rows.annotate(rank=Case(When(is_urgent=True, then=0), default=1))
        page = paginate(rows if query.state == "all" else rows.filter(state__in=OPEN_STATES), query)
    except FieldsRefused:
        return redirect("waiting:list")
    context = {
        "rows": _rows(request, page.items),
        "page": page,
        "state": query.state,
        "may_book": request.member.may(Permission.APPOINTMENT_BOOK),
        "may_open": request.member.may(Permission.PATIENT_VIEW),
    }
    return render(request, "waiting/list.html", context)


def _rows(request, entries):
    visible = Patient.objects.visible_to(request.member).in_bulk([entry.patient_id for entry in entries])
    offers = Offer.objects.filter(entry__in=entries, state=Offer.State.OPEN).select_related(
        "appointment__location", "appointment__practitioner"
    )
    by_entry = {offer.entry_id: offer for offer in offers}
    today, now = timezone.localdate(), timezone.now()
    rows = []
    for entry in entries:
        offer = by_entry.get(entry.pk)
        visit = offer.appointment if offer else None
        rows.append(
            {
                "entry": entry,
                "patient": visible.get(entry.patient_id),
                "days": (now - entry.created_at).days,
                "is_open": entry.state in OPEN_STATES,
                "is_late": entry.state in OPEN_STATES and entry.latest < today,
                "offer": offer,
                "offered": say_when(visit.starts_at, visit.location.zone) if visit else "",
                "with": visit.practitioner.name if visit else "",
                "until": say_when(offer.expires_at, visit.location.zone) if visit else "",
                "tone": {"offered": "info", "booked": "ok", "withdrawn": ""}.get(entry.state, "warn"),
            }
        )
    return rows


@requires(Permission.APPOINTMENT_BOOK)
@require_safe
def find_patient(request):
    """The first step: whom to put on the list."""
    try:
        search = FindQuery.read(request).q or ""
    except FieldsRefused:
        return redirect("waiting:find")
    found = patients.list_patients(by=request.member, search=search) if search else Patient.objects.none()
    context = {"search": search, "found": found.order_by("sort_name", "id")[:MOST_FOUND], "links": _links()}
    return render(request, "waiting/find.html", context)


@requires(Permission.APPOINTMENT_BOOK)
def add_entry(request, patient_id):
    """The second step: what would suit them."""
    patient = patients.get_patient_row(patient_id, by=request.member)
    today = timezone.localdate()
    initial = {"earliest": today, "latest": today + timedelta(days=USUAL_DAYS)}
    form = WaitingForm(request.POST or None, initial=initial)
    if sent(request, form) and tried(
        form, waiting.join_waiting_list, by=request.member, patient=patient, **form.row_data()
    ):
        done = _("%(name)s is on the waiting list. The next time that suits is offered by itself.")
        messages.success(request, done % {"name": patient.name})
        return redirect("waiting:list")
    context = {
        "form": form,
        "title": _("Put on the waiting list"),
        "hint": patient.name,
        "links": _links(),
        "back_url": reverse("waiting:list"),
    }
    return render(request, "book/form.html", context, status=status_of(request))


@requires(Permission.APPOINTMENT_BOOK)
@require_POST
def withdraw(request, entry_id):
    """Take somebody off the list."""
    entry = _entry(entry_id)
    attempt(request, _("Taken off the list."), waiting.leave_waiting_list, entry, by=request.member)
    return redirect("waiting:list")


@requires(Permission.APPOINTMENT_BOOK)
@require_POST
def accept(request, entry_id, offer_id):
    """The patient takes the offered time."""
    offer = _offer(entry_id, offer_id)
    attempt(request, _("Booked; the patient is told."), waiting.accept_offer, offer, by=request.member)
    return redirect("waiting:list")


@requires(Permission.APPOINTMENT_BOOK)
@require_POST
def decline(request, entry_id, offer_id):
    """The patient lets it pass; it goes to the next."""
    offer = _offer(entry_id, offer_id)
    done = _("Declined. The time goes to the next on the list, if it suits anybody.")
    attempt(request, done, waiting.decline_offer, offer, by=request.member)
    return redirect("waiting:list")


def _entry(entry_id):
    found = WaitingEntry.objects.filter(pk=entry_id, state__in=OPEN_STATES).first()
    if found is None:
        raise Http404
    return found


def _offer(entry_id, offer_id):
    found = Offer.objects.filter(pk=offer_id, entry=entry_id).first()
    if found is None:
        raise Http404
    return found


def _links():
    return [(reverse("waiting:list"), _("Waiting list"))]
