"""The HTML door of patients: list, chart, register, change, history, who looked."""

from datetime import datetime, time, timedelta

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.drafts.restoring import find_draft, show_unchecked
from accounts.guards import requires
from accounts.permissions import Permission
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Boolean, Text
from tenancy.doors.refusals import FieldsRefused
from tenancy.rules import RuleBroken, StaleVersion

from . import emergencies, own_account, presenting, selectors, services
from .forms import ArchiveForm, AsOfForm, ConsentForm, IdentifierFormSet, PatientForm


class PatientListQuery(PageQuery):
    """`/patients/?q=…`: the list, and what the search box in the top bar sends."""

    sorts = {"name": ("sort_name",), "born": ("birth_date",), "number": ("number",)}
    default_sort = "name asc"

    q = Text(max_length=200)
    archived = Boolean(default=False)


@requires(Permission.PATIENT_VIEW)
@require_safe
def patient_list(request):
    """Everybody by name, or who fits the search. Enter on a search with one hit opens the chart."""
    try:
        query = PatientListQuery.read(request)
        found = selectors.list_patients(
            by=request.member,
            search=query.q or "",
            include_archived=query.archived,
            by_birth_date=(query.sort or "").startswith("born"),
        )
        page = paginate(found.as_rows(), query)
    except FieldsRefused:
        if request.htmx:  # what was typed still stands in the box, so everybody would be the wrong answer to it
            return render(request, "patients/_results.html", {"patients": [], "search": True})
        return redirect("patients:list")
    if query.q and page.total == 1 and page.items and not request.htmx:
        return redirect("patients:chart", page.items[0].pk)
    context = {
        "patients": page.items,
        "page": page,
        "search": query.q,
        "columns": presenting.list_columns(),
        "archived": query.archived,
        "too_many": bool(query.q) and page.total >= selectors.MOST_FOUND,
        "may_create": request.member.may(Permission.PATIENT_CREATE),
    }
    return render(request, "patients/_results.html" if request.htmx else "patients/list.html", context)


@requires(Permission.PATIENT_VIEW, Permission.PATIENT_VIEW_OWN)
@require_safe
def patient_chart(request, patient_id):
    """The chart's overview. Opening it is noted: who, when."""
    patient = selectors.get_patient(patient_id, by=request.member)
    emergencies.record_look(patient, by=request.member, kind="chart")
    identifiers = selectors.list_identifiers(patient)
    context = {
        "panels": presenting.overview(patient, identifiers, selectors.list_custom_fields()),
        "consents": selectors.list_consents(patient),
        "dialogs": presenting.dialog_fields(get_language()),
        "restriction": selectors.get_restriction(patient) if patient.is_restricted else None,
        "allowed": selectors.list_allowed(patient) if patient.is_restricted else [],
        "may_restrict": request.member.may(Permission.PATIENT_RESTRICT),
        "is_listed": patient.is_restricted and selectors.is_listed(patient, member=request.member),
        "account": own_account.find_account_for(patient) if request.member.may(Permission.PATIENT_EDIT) else None,
    }
    return render_chart(request, "patients/chart.html", patient, "chart", context)


@requires(Permission.PATIENT_CREATE)
def create_patient(request):
    """Register somebody. Persons who look the same are shown first; registering all the same takes a second press."""
    draft = find_draft(request)
    words = draft.data if draft else request.POST or None
    form = PatientForm(words, custom_fields=selectors.list_custom_fields())
    numbers = IdentifierFormSet(words, prefix="numbers")
    if draft:
        show_unchecked(form, numbers)
    doubles = []
    if request.method == "POST" and form.is_valid() and numbers.is_valid():
        data = form.patient_data()
        try:
            doubles = selectors.find_possible_duplicates(services.build_patient(data), by=request.member)
            if not doubles or request.POST.get("confirmed") == presenting.fingerprint(doubles):
                patient = services.create_patient(by=request.member, data=data, identifiers=numbers.identifiers())
                messages.success(request, _("%(name)s is registered.") % {"name": patient.name})
                return redirect("patients:chart", patient.pk)
        except (RuleBroken, presenting.InvalidFields) as refusal:
            presenting.add_refusal(form, refusal)
    context = {
        "form": form,
        "numbers": numbers,
        "draft": draft,
        "doubles": [presenting.duplicate_entry(double) for double in doubles],
        "links": [(reverse("patients:list"), _("Patients"))],
        "confirmation": presenting.fingerprint(doubles) if doubles else "",
    }
    return render(request, "patients/create.html", context, status=_form_status(request))


@requires(Permission.PATIENT_EDIT)
def update_patient(request, patient_id):
    """Change a patient. When somebody else saved meanwhile both versions are shown, and nothing typed is lost."""
    patient = selectors.get_patient(patient_id, by=request.member)
    fields = selectors.list_custom_fields()
    comparison, draft = None, find_draft(request)
    if request.method == "POST":
        form = PatientForm(
            request.POST, instance=selectors.get_patient(patient_id, by=request.member), custom_fields=fields
        )
        numbers = IdentifierFormSet(request.POST, prefix="numbers")
        if form.is_valid() and numbers.is_valid():
            try:
                services.update_patient(
                    patient,
                    by=request.member,
                    changes=form.patient_data(),
                    expected_version=form.cleaned_data["version"],
                    identifiers=numbers.identifiers(),
                )
                messages.success(request, _("Saved."))
                return redirect("patients:chart", patient.pk)
            except StaleVersion:
                patient = selectors.get_patient(patient_id, by=request.member)
                comparison = presenting.compare(form, numbers, patient, fields)
                form, numbers = comparison.merged_form, comparison.merged_numbers
            except (RuleBroken, presenting.InvalidFields) as refusal:
                presenting.add_refusal(form, refusal)
    else:
        emergencies.record_look(patient, by=request.member, kind="edit")
        words = draft.data if draft else None
        form = PatientForm(words, instance=patient, custom_fields=fields)
        known = presenting.identifier_rows(selectors.list_identifiers(patient))
        numbers = IdentifierFormSet(words, prefix="numbers", known=known)
        if draft:
            show_unchecked(form, numbers)
    context = {"form": form, "numbers": numbers, "comparison": comparison, "draft": draft}
    return render_chart(request, "patients/edit.html", patient, "edit", context, status=_form_status(request))


@requires(Permission.PATIENT_ARCHIVE)
@require_POST
def archive_patient(request, patient_id):
    """Take a patient out of the lists, with a reason; nothing is deleted."""
    patient = selectors.get_patient(patient_id, by=request.member)
    form = ArchiveForm(request.POST)
    if form.is_valid():
        attempt(request, _("The chart is archived."), services.archive_patient, patient, by=request.member,
             reason=form.cleaned_data["reason"], expected_version=form.cleaned_data["version"])  # fmt: skip
    else:
        messages.error(request, _("Say why this chart is archived."))
    return redirect("patients:chart", patient.pk)


@requires(Permission.PATIENT_ARCHIVE)
@require_POST
def restore_patient(request, patient_id):
    """Put an archived patient back into the lists."""
    patient = selectors.get_patient(patient_id, by=request.member)
    attempt(request, _("The chart is back in the lists."), services.restore_patient, patient, by=request.member)
    return redirect("patients:chart", patient.pk)


@requires(Permission.PATIENT_EDIT)
@require_POST
def record_consent(request, patient_id):
    """Note that a patient agreed or objected to something."""
    patient = selectors.get_patient(patient_id, by=request.member)
    form = ConsentForm(request.POST)
    if form.is_valid():
        attempt(request, _("The answer is noted."), services.record_consent, patient, by=request.member,
             **form.cleaned_data)  # fmt: skip
    else:
        messages.error(request, _("Nothing was saved: choose what the answer is about, and the answer."))
    return redirect("patients:chart", patient.pk)


@requires(Permission.PATIENT_HISTORY)
@require_safe
def patient_history(request, patient_id):
    """Every version and what it changed; `?on_day=…` or `?version=` shows the chart as it stood then."""
    patient = selectors.get_patient(patient_id, by=request.member)
    form = AsOfForm(request.GET if any(key.startswith("on") for key in request.GET) else None)
    shown = None
    if form.is_bound and form.is_valid():
        shown = _version_on(request, patient, form)
    elif request.GET.get("version", "").isdecimal() and len(request.GET["version"]) < 9:
        shown = selectors.get_version(patient, number=int(request.GET["version"]))
    emergencies.record_look(patient, by=request.member, kind="history")
    fields = selectors.list_custom_fields()
    context = {
        "form": form,
        "shown": shown,
        "panels": presenting.overview(shown, [], fields) if shown else [],
        "versions": presenting.history_entries(selectors.list_versions(patient), patient, fields, shown),
    }
    return render_chart(request, "patients/history.html", patient, "history", context)


def _version_on(request, patient, form):
    day = min(form.cleaned_data["on"], timezone.localdate(timezone=request.tenant.zone))
    end_of_day = datetime.combine(day + timedelta(days=1), time.min, tzinfo=request.tenant.zone)
    try:
        return selectors.get_version(patient, at=min(end_of_day, timezone.now()))
    except Http404:
        form.add_error("on", _("This patient was not registered here yet on that day."))
        return None


@requires(Permission.AUDIT_VIEW_RECORD)
@require_safe
def patient_looks(request, patient_id):
    """Who opened this chart, and why where a reason was given."""
    patient = selectors.get_patient(patient_id, by=request.member)
    emergencies.record_look(patient, by=request.member, kind="looks")
    looks = [presenting.look_entry(look) for look in selectors.list_looks(patient)]
    return render_chart(request, "patients/looks.html", patient, "looks", {"looks": looks})


def attempt(request, done, service, *args, **kwargs):
    """Call a service and say on the next page that it is done, or what the rule is that said no."""
    try:
        service(*args, **kwargs)
    except RuleBroken as broken:
        messages.error(request, broken.sentence)
    else:
        messages.success(request, done)


def _form_status(request):
    return 422 if request.method == "POST" else 200


def render_chart(request, template, patient, here, context, status=200):
    """A page of a chart, with the banner and the tabs. `here` names the tab; those of other rooms are named in full."""
    may = request.member.may
    tabs = [
        ("chart", _("Overview"), True),
        ("scheduling:visits", _("Visits"), may(Permission.APPOINTMENT_VIEW)),
        ("history", _("History"), may(Permission.PATIENT_HISTORY)),
        ("looks", _("Who looked"), may(Permission.AUDIT_VIEW_RECORD)),
        ("allowed", _("Who may open it"), patient.is_restricted and may(Permission.PATIENT_RESTRICT)),
    ]
    context |= {
        "patient": patient,
        "banner": presenting.banner(patient),
        "tabs": [
            {"url": _tab_address(name, patient), "label": label, "is_here": name == here}
            for name, label, allowed in tabs
            if allowed
        ],
        "may_edit": may(Permission.PATIENT_EDIT) and not patient.is_archived,
        "may_archive": may(Permission.PATIENT_ARCHIVE),
    }
    return render(request, template, context, status=status)


def _tab_address(name, patient):
    return reverse(name if ":" in name else f"patients:{name}", args=[patient.pk])
