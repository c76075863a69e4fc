"""Groups: the list, one of them, who is in it."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from tenancy.audit import selectors as trail
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Boolean, Text
from tenancy.doors.refusals import FieldsRefused

from .. import presenting, selectors
from ..forms import GroupForm
from ..services import groups
from .answers import attempt, status_of, tried

MOST_FOUND = 10
LINES_OF_HISTORY = 20


class GroupsQuery(PageQuery):
    sorts = {"name": ("name",), "size": ("size",)}
    default_sort = "name asc"

    ended = Boolean(default=False)


class GroupQuery(PageQuery):
    q = Text(max_length=200)


@requires(Permission.GROUP_MANAGE)
@require_safe
def group_list(request):
    """Every group, with how many are in it."""
    try:
        query = GroupsQuery.read(request)
        page = paginate(selectors.list_groups(by=request.member, include_ended=query.ended), query)
    except FieldsRefused:
        return redirect("team:groups")
    return render(request, "team/groups.html", {"groups": page.items, "page": page, "ended": query.ended})


@requires(Permission.GROUP_MANAGE)
@require_safe
def group_detail(request, number):
    """One group: who is in it, who else could be (`?q=`), what happened."""
    group = selectors.get_group(str(number), by=request.member)
    inside = list(selectors.list_group_members(group))
    try:
        search = GroupQuery.read(request).q or ""
    except FieldsRefused:
        return redirect("team:group", group.number)
    known = {row.membership_id for row in inside}
    found = selectors.list_members(by=request.member, search=search, is_active=True).order_by("user__name")[
        : MOST_FOUND + len(known)
    ]
    others = [member for member in found if member.pk not in known][:MOST_FOUND] if search else []
    selectors.hold_roles(others)
    entries = trail.list_entries(resource_type="group", resource_id=str(group.pk))[:LINES_OF_HISTORY]
    may_read_trail = request.member.may(Permission.AUDIT_VIEW_RECORD) or request.member.may(Permission.AUDIT_VIEW_ALL)
    context = {
        "group": group,
        "inside": inside,
        "search": search,
        "found": [{"member": member, "roles": presenting.role_words(member)} for member in others],
        "permissions": presenting.permission_sections(group.permissions),
        "history": presenting.history(trail.describe_entries(entries), {}) if may_read_trail else [],
        "links": _links(),
    }
    return render(request, "team/group.html", context)


@requires(Permission.GROUP_MANAGE)
def create_group(request):
    form = GroupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = {name: form.cleaned_data[name] for name in ("name", "kind", "description")}
        if tried(form, groups.create_group, by=request.member, **data):
            messages.success(request, _("The group %(name)s is there.") % {"name": data["name"]})
            return redirect("team:groups")
    return _group_form(request, form, _("New group"))


@requires(Permission.GROUP_MANAGE)
def edit_group(request, number):
    group = selectors.get_group(str(number), by=request.member)
    initial = {name: getattr(group, name) for name in ("name", "kind", "description", "version")}
    form = GroupForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = {name: form.cleaned_data[name] for name in ("name", "kind", "description")}
        expected = form.cleaned_data["version"]
        if tried(form, groups.update_group, group, by=request.member, expected_version=expected, **data):
            messages.success(request, _("Saved."))
            return redirect("team:group", group.number)
    return _group_form(request, form, _("Change the group"), group)


@requires(Permission.GROUP_MANAGE)
@require_POST
def add_group_member(request, number, member_id):
    group, member = (
        selectors.get_group(str(number), by=request.member),
        selectors.get_member_by_id(member_id, by=request.member),
    )
    done = _("%(name)s is in the group.") % {"name": member.display_name}
    attempt(request, done, groups.add_group_member, group, member, by=request.member)
    return redirect("team:group", group.number)


@requires(Permission.GROUP_MANAGE)
@require_POST
def remove_group_member(request, number, member_id):
    group, member = (
        selectors.get_group(str(number), by=request.member),
        selectors.get_member_by_id(member_id, by=request.member),
    )
    done = _("%(name)s is no longer in the group.") % {"name": member.display_name}
    attempt(request, done, groups.remove_group_member, group, member, by=request.member)
    return redirect("team:group", group.number)


@requires(Permission.GROUP_MANAGE)
@require_POST
def deactivate_group(request, number):
    group = selectors.get_group(str(number), by=request.member)
    done = _("The group %(name)s is over. Who was in it, and when, stays.") % {"name": group.name}
    attempt(request, done, groups.deactivate_group, group, by=request.member)
    return redirect("team:groups")


def _links():
    return [(reverse("team:list"), _("Staff")), (reverse("team:groups"), _("Groups"))]


def _group_form(request, form, title, group=None):
    links = [*_links(), *([(reverse("team:group", args=[group.number]), group.name)] if group else [])]
    context = {"form": form, "title": title, "links": links, "back_url": links[-1][0]}
    return render(request, "team/form.html", context, status=status_of(request))
