"""The HTML door of practitioners: the list, and the form for one. Their own page stands in the scheduling room."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Boolean
from tenancy.doors.refusals import FieldsRefused

from . import selectors, services
from .answers import status_of, tried
from .colours import colour_word
from .forms import PractitionerForm


class PractitionersQuery(PageQuery):
    sorts = {"name": ("first_last_name", "first_name")}
    default_sort = "name asc"

    inactive = Boolean(default=False)


@requires(Permission.PRACTITIONER_VIEW)
@require_safe
def practitioner_list(request):
    """Everybody who treats patients, with specialties and the colour they have in the book."""
    try:
        query = PractitionersQuery.read(request)
        found = selectors.list_practitioners(by=request.member, include_inactive=query.inactive)
        page = paginate(found.prefetch_related("specialties__specialty"), query)
    except FieldsRefused:
        return redirect("practitioners:list")
    rows = [
        {
            "practitioner": row,
            "colour": colour_word(row.colour),
            "specialties": ", ".join(
                entry.specialty.name for entry in sorted(row.specialties.all(), key=lambda entry: entry.rank)
            ),
        }
        for row in page.items
    ]
    context = {
        "rows": rows,
        "page": page,
        "inactive": query.inactive,
        "may_manage": request.member.may(Permission.PRACTITIONER_MANAGE),
    }
    return render(request, "practitioners/list.html", context)


@requires(Permission.PRACTITIONER_MANAGE)
def create_practitioner(request):
    """Add somebody who treats patients."""
    form = PractitionerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = tried(form, services.create_practitioner, by=request.member, data=form.row_data())
        if made and _specialised(request, form, made):
            messages.success(request, _("%(name)s is there. Say next when they work.") % {"name": made.name})
            return redirect("practitioners:detail", made.pk)
    return _form_page(request, form, _("New practitioner"), reverse("practitioners:list"))


@requires(Permission.PRACTITIONER_MANAGE)
def edit_practitioner(request, practitioner_id):
    """Change what is known of somebody."""
    practitioner = selectors.get_practitioner(practitioner_id, by=request.member)
    form = PractitionerForm(request.POST or None, instance=practitioner)
    back_url = reverse("practitioners:detail", args=[practitioner.pk])
    if request.method == "POST" and form.is_valid():
        changes = form.row_data()
        refused = tried(form, services.update_practitioner, practitioner, by=request.member, changes=changes) is None
        if not refused and _specialised(request, form, practitioner):
            messages.success(request, _("Saved."))
            return redirect(back_url)
    return _form_page(request, form, _("Change"), back_url, practitioner)


def _specialised(request, form, practitioner):
    wanted = list(form.cleaned_data["specialties"])
    name = form.cleaned_data["new_specialty"]
    return tried(form, services.set_specialties, practitioner, by=request.member, specialties=wanted, also=name)


def _form_page(request, form, title, back_url, practitioner=None):
    links = [(reverse("practitioners:list"), _("Practitioners"))]
    links += [(back_url, practitioner.name)] if practitioner else []
    context = {"form": form, "title": title, "links": links, "back_url": back_url}
    return render(request, "book/form.html", context, status=status_of(request))
