"""The first page after signing in."""

from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from clinic.patients import selectors as patients
from clinic.scheduling.own_pages import overview
from clinic.scheduling.pages.book import board

MOST_COUNTED = 1_000  # counting ten thousand would be a fifth of what the page costs


@requires(Permission.OWN_PROFILE)
@require_safe
def today(request):
    """Who is here, who is late, what is mine; then the charts I opened last. For patients: what is to come, booking.

    The refresh of each minute and a tap get the board alone.
    """
    member = request.member
    if request.htmx and member.may(Permission.APPOINTMENT_VIEW):
        return render(request, "home/_board.html", {"board": board(request)})
    may_see_patients = member.may(Permission.PATIENT_VIEW)
    may_review, open_reviews = _reviews(member, has_other_work=may_see_patients)
    context = {
        "recent": patients.list_recent_patients(by=member) if may_see_patients else [],
        "own_chart": None if may_see_patients else patients.list_patients(by=member).first(),
        "patient_count": patients.count_patients(by=member, limit=MOST_COUNTED) if may_see_patients else None,
        "today": timezone.localdate(timezone=request.tenant.zone),
        "may_see_patients": may_see_patients,
        "may_review": may_review,
        "open_reviews": open_reviews,
        "is_patient": member.may(Permission.PATIENT_VIEW_OWN) and not member.is_staff,
        "may_create": member.may(Permission.PATIENT_CREATE),
    }
    if member.may(Permission.APPOINTMENT_VIEW):
        context["board"] = board(request)
    if member.may(Permission.APPOINTMENT_VIEW_OWN):
        context["own"] = overview(request)
    return render(request, "home/today.html", context)


def _reviews(member, *, has_other_work):
    """Whether this member reviews emergency accesses, and how many wait.

    Counted first: whether an administrator has to asks for the rights of everybody, and mostly nothing waits.
    """
    if not (member.may(Permission.AUDIT_REVIEW) or member.may(Permission.USER_MANAGE)):
        return False, 0
    count = patients.count_open_reviews(member)
    may_review = (count > 0 or not has_other_work) and patients.may_review(member)
    return may_review, count if may_review else 0
