"""Roles: all of them side by side, one of them, and the clinic's own."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.permission_words import conflicts_in_words
from accounts.permissions import Permission

from .. import presenting, selectors
from ..forms import CopyRoleForm, RoleForm
from ..services import roles
from .answers import attempt, status_of, tried

MOST_HOLDERS = 50


@requires(Permission.ROLE_MANAGE)
@require_safe
def role_list(request):
    """Which roles there are, and what each may do, side by side."""
    found = list(selectors.with_holders(selectors.list_roles()))
    context = {"roles": found, "matrix": presenting.matrix(found), "columns": len(found) + 1}
    return render(request, "team/roles.html", context)


@requires(Permission.ROLE_MANAGE)
@require_safe
def role_detail(request, number):
    """One role: what it may do in words, and who has it."""
    role = selectors.get_role(str(number))
    holders = list(selectors.list_holders(role)[: MOST_HOLDERS + 1])
    context = {
        "role": role,
        "permissions": presenting.permission_sections(role.permissions),
        "holders": holders[:MOST_HOLDERS],
        "has_more": len(holders) > MOST_HOLDERS,
        "copy_form": CopyRoleForm(auto_id="copy_%s"),
        "links": _links(),
    }
    return render(request, "team/role.html", context)


@requires(Permission.ROLE_MANAGE)
def create_role(request):
    """A role of the clinic's own."""
    form = RoleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = {name: form.cleaned_data[name] for name in ("name", "description", "permissions", "reason")}
        if tried(form, roles.create_role, by=request.member, **data):
            messages.success(request, _("The role %(name)s is there.") % {"name": data["name"]})
            return redirect("team:roles")
    return _role_form(request, form, _("New role"))


@requires(Permission.ROLE_MANAGE)
def edit_role(request, number):
    """Change a role of the clinic's own. It holds for everybody who has it at once."""
    role = selectors.get_role(str(number))
    if role.is_built_in:
        messages.error(
            request, _("This role comes with Carewright and stays as it is. Copy it to have one of your own.")
        )
        return redirect("team:role", role.number)
    initial = {name: getattr(role, name) for name in ("name", "description", "permissions", "version")}
    form = RoleForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = {name: form.cleaned_data[name] for name in ("name", "description", "permissions", "reason")}
        expected = form.cleaned_data["version"]
        if tried(form, roles.update_role, role, by=request.member, expected_version=expected, **data):
            messages.success(request, _("Saved. It holds for everybody who has this role, from their next step on."))
            return redirect("team:role", role.number)
    return _role_form(request, form, _("Change the role"), role)


@requires(Permission.ROLE_MANAGE)
@require_POST
def copy_role(request, number):
    """A role of the clinic's own that begins with what another may do."""
    role, form = selectors.get_role(str(number)), CopyRoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Give the new role a name."))
        return redirect("team:role", role.number)
    name = form.cleaned_data["name"]
    done = _("The role %(name)s is there. Change it as you need it.") % {"name": name}
    attempt(request, done, roles.copy_role, role, name=name, by=request.member)
    return redirect("team:roles")


@requires(Permission.ROLE_MANAGE)
@require_POST
def delete_role(request, number):
    """Delete a role nobody has."""
    role = selectors.get_role(str(number))
    attempt(
        request, _("The role %(name)s is deleted.") % {"name": role.name}, roles.delete_role, role, by=request.member
    )
    return redirect("team:roles")


def _links():
    return [(reverse("team:list"), _("Staff")), (reverse("team:roles"), _("Roles"))]


def _role_form(request, form, title, role=None):
    links = [*_links(), *([(reverse("team:role", args=[role.number]), role.label)] if role else [])]
    context = {
        "form": form,
        "title": title,
        "role": role,
        "links": links,
        "sections": presenting.checkbox_sections(form.ticked()),
        "conflicts": conflicts_in_words(),
        "back_url": links[-1][0],
    }
    return render(request, "team/role_form.html", context, status=status_of(request))
