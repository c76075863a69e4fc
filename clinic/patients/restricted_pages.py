"""The HTML door of restricted charts: restrict, the list, break-glass, the reviews."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from accounts.users.models import Membership
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.refusals import FieldsRefused
from tenancy.rules import RuleBroken

from . import emergencies, own_account, presenting, restricting, selectors
from .forms import AllowForm, BreakGlassForm, RestrictForm, ReviewForm
from .pages import attempt, render_chart


@requires(Permission.PATIENT_RESTRICT)
@require_POST
def restrict_chart(request, patient_id):
    """Close a chart to all but a list, with a reason."""
    return _with_reason(request, patient_id, restricting.restrict_chart, _("The chart is restricted."))


@requires(Permission.PATIENT_RESTRICT)
@require_POST
def lift_restriction(request, patient_id):
    """Open a chart to everybody who may see patients, with a reason."""
    return _with_reason(request, patient_id, restricting.lift_restriction, _("The chart is open to everybody again."))


def _with_reason(request, patient_id, service, done):
    patient = selectors.get_patient(patient_id, by=request.member)
    form = RestrictForm(request.POST)
    if form.is_valid():
        attempt(request, done, service, patient, by=request.member, reason=form.cleaned_data["reason"])
    else:
        messages.error(request, _("Nothing was changed: give a reason."))
    return redirect("patients:chart", patient.pk)


@requires(Permission.PATIENT_RESTRICT)
def allowed_members(request, patient_id):
    """The list of a restricted chart: who opens it as usual. Who is on it may add others."""
    patient = selectors.get_patient(patient_id, by=request.member)
    if not patient.is_restricted:
        return redirect("patients:chart", patient.pk)
    members = selectors.list_may_be_allowed(patient)
    form = AllowForm(request.POST or None, members=members)
    if request.method == "POST" and form.is_valid():
        member = form.cleaned_data["member"]
        done = _("%(name)s is on the list.") % {"name": member.display_name}
        attempt(request, done, restricting.allow_member, patient, member=member, by=request.member)
        return redirect("patients:allowed", patient.pk)
    context = {
        "form": form,
        "allowed": selectors.list_allowed(patient),
        "may_change": selectors.is_listed(patient, member=request.member),
    }
    status = 422 if request.method == "POST" else 200
    return render_chart(request, "patients/allowed.html", patient, "allowed", context, status=status)


@requires(Permission.PATIENT_RESTRICT)
@require_POST
def disallow_member(request, patient_id, member_id):
    """Take somebody off the list."""
    patient = selectors.get_patient(patient_id, by=request.member)
    member = get_object_or_404(Membership, pk=member_id)
    done = _("%(name)s is off the list.") % {"name": member.display_name}
    attempt(request, done, restricting.disallow_member, patient, member=member, by=request.member)
    return redirect("patients:allowed", patient.pk)


@requires(Permission.PATIENT_RESTRICT)
@require_POST
def take_over_list(request, patient_id):
    """Go onto a list on which nobody works here any more."""
    patient = selectors.get_patient_row(patient_id, by=request.member)
    form = RestrictForm(request.POST)
    if form.is_valid():
        attempt(request, _("You are on the list of this chart now."), restricting.take_over_list, patient,
                by=request.member, reason=form.cleaned_data["reason"])  # fmt: skip
    else:
        messages.error(request, _("Nothing was changed: give a reason."))
    return redirect("patients:chart", patient.pk)


MOST_WAITING = 200


# --- Break-glass -----------------------------------------------------------------------------------------------------


@requires(Permission.PATIENT_VIEW)
def break_glass(request, patient_id):
    """What stands in front of a restricted chart. Who may break the glass gives a reason; the others are told so."""
    patient = selectors.get_patient_row(patient_id, by=request.member)
    if not patient.is_masked:
        return redirect("patients:chart", patient.pk)
    may_break = request.member.may(Permission.BREAK_GLASS)
    form = BreakGlassForm(request.POST or None, initial={"next": request.GET.get("next", "")})
    if request.method == "POST":
        if not may_break:
            raise PermissionDenied
        if form.is_valid():
            given = form.cleaned_data
            try:
                emergencies.break_glass(
                    patient, by=request.member, reason_code=given["reason_code"], reason=given["reason"]
                )
                return redirect(_page_of(patient, given["next"]))
            except RuleBroken as broken:
                form.add_error(None, broken.sentence)
    context = {
        "patient": patient,
        "form": form if may_break else None,
        "links": [(reverse("patients:list"), _("Patients"))],
        "take_over": RestrictForm(auto_id="take_over_%s"),
        "may_take_over": selectors.may_take_over(patient, by=request.member),
        "minutes": int(emergencies.OPEN_FOR.total_seconds() // 60),
    }
    status = 422 if form.errors else 200 if may_break else 403
    return render(request, "patients/break_glass.html", context, status=status)


def _page_of(patient, wanted):
    """The page of this chart that was asked for, or the chart."""
    chart = reverse("patients:chart", args=[patient.pk])
    return wanted if wanted.startswith(chart) and "//" not in wanted and "\\" not in wanted else chart


@requires(Permission.PATIENT_VIEW)
@require_POST
def end_emergency_access(request, patient_id):
    """Close the chart before the hour is over."""
    patient = selectors.get_patient_row(patient_id, by=request.member)
    emergencies.end_emergency_access(patient, by=request.member)
    messages.success(request, _("The emergency access has ended."))
    return redirect("patients:list")


# --- Reviews ---------------------------------------------------------------------------------------------------------


class ReviewQuery(PageQuery):
    """What was reviewed, newest first; what waits stands above, on every page of it."""

    sorts = {"reviewed": ("reviewed_at",)}
    default_sort = "reviewed desc"


@requires(Permission.AUDIT_REVIEW, Permission.USER_MANAGE)
@require_safe
def emergency_accesses(request):
    """Every break-glass of the clinic, those waiting for a review first."""
    if not selectors.may_review(request.member):
        raise PermissionDenied
    try:
        page = paginate(selectors.list_emergency_accesses(reviewed=True), ReviewQuery.read(request))
    except FieldsRefused:
        return redirect("patients:emergencies")
    context = {
        "page": page,
        "reviewed": [presenting.emergency_row(access, by=request.member) for access in page.items],
        "waiting": [
            presenting.emergency_row(access, by=request.member)
            for access in selectors.list_emergency_accesses(reviewed=False)[:MOST_WAITING]
        ],
        "months": selectors.count_by_month(),
    }
    return render(request, "patients/emergencies.html", context)


@requires(Permission.AUDIT_REVIEW, Permission.USER_MANAGE, Permission.BREAK_GLASS)
def emergency_access(request, access_id):
    """One break-glass: who, when, why, what was opened, and the verdict. Whoever did it may read it, too."""
    access = selectors.get_emergency_access(access_id, by=request.member)
    may_judge = selectors.may_review(request.member) and access.member_id != request.member.pk
    form = ReviewForm(request.POST or None)
    if request.method == "POST":
        if not may_judge:
            raise PermissionDenied
        if form.is_valid():
            try:
                emergencies.review_emergency_access(access, by=request.member, **form.cleaned_data)
                messages.success(request, _("The review is saved."))
                return redirect("patients:emergencies")
            except RuleBroken as broken:
                form.add_error(None, broken.sentence)
    reviews = (reverse("patients:emergencies"), _("Emergency access"))
    context = {
        "row": presenting.emergency_row(access, by=request.member),
        "facts": presenting.emergency_facts(access, by=request.member),
        "seen": [presenting.seen_entry(read) for read in selectors.list_seen(access)],
        "form": form if may_judge and access.is_over and not access.reviewed_at else None,
        "judged_from": access.until if may_judge and not access.is_over else None,
        "links": [reviews] if selectors.may_review(request.member) else [],
    }
    return render(request, "patients/emergency.html", context, status=422 if request.method == "POST" else 200)


# --- The patient's own account ---------------------------------------------------------------------------------------


@requires(Permission.PATIENT_EDIT)
@require_POST
def link_account(request, patient_id):
    """Let the person whose chart this is see it."""
    patient = selectors.get_patient(patient_id, by=request.member)
    member = own_account.find_account_for(patient)
    if member is None:
        messages.error(request, _("Nobody with this e-mail address has an account here."))
    else:
        done = _("The patient sees this chart from now on.")
        attempt(request, done, own_account.link_account, patient, member=member, by=request.member)
    return redirect("patients:chart", patient.pk)


@requires(Permission.PATIENT_EDIT)
@require_POST
def unlink_account(request, patient_id):
    """Take the chart away from the account it was given to."""
    patient = selectors.get_patient(patient_id, by=request.member)
    attempt(request, _("The account does not open this chart any more."), own_account.unlink_account, patient,
            by=request.member)  # fmt: skip
    return redirect("patients:chart", patient.pk)
