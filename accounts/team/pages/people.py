"""People of the clinic: the list, one of them, and what an administrator does to them."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import requires
from accounts.permissions import Permission
from accounts.qualifications.presenting import qualification_rows
from accounts.qualifications.selectors import list_qualifications
from accounts.users.models import Membership
from tenancy.audit import selectors as trail
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Choice, Text
from tenancy.doors.refusals import FieldsRefused

from .. import presenting, selectors
from ..forms import GrantForm, MemberForm, ReasonForm, RolesForm
from ..services import members, rights
from .answers import attempt, status_of, tried

LINES_OF_HISTORY = 20


class PeopleQuery(PageQuery):
    """`/people/?q=…&role=…&state=…`"""

    sorts = {"name": ("user__name",), "since": ("created_at",)}
    default_sort = "name asc"

    q = Text(max_length=200)
    role = Text(max_length=40)
    state = Choice(["active", "inactive", "all"], default="active")


@requires(Permission.USER_MANAGE)
@require_safe
def people(request):
    """Everybody by name; the search takes the beginning of any part of the name, or of the e-mail address."""
    try:
        query = PeopleQuery.read(request)
        wanted = {"active": True, "inactive": False}.get(query.state)
        found = selectors.list_members(by=request.member, search=query.q or "", role=query.role or "", is_active=wanted)
        page = paginate(found, query)
    except FieldsRefused:
        return redirect("team:list")
    context = {
        "rows": presenting.people_rows(page.items),
        "page": page,
        "query": query,
        "roles": selectors.list_roles(),
        "states": [("active", _("Active")), ("inactive", _("Not active any more")), ("all", _("All"))],
        "invite_url": presenting.address_of("joining:invite"),
        "is_filtered": bool(query.q or query.role or query.state != "active"),
    }
    return render(request, "team/people.html", context)


@requires(Permission.USER_MANAGE)
@require_safe
def person(request, member_id):
    """One person: who, what they may do and why, where they are signed in, what happened."""
    member = _member(request, member_id)
    may_change_rights = _may_change_rights(request, member)
    now = timezone.now()
    context = {
        "member": member,
        "facts": presenting.person_facts(member),
        "seen_at": selectors.last_seen([member]).get(member.pk),
        "roles": member.roles,
        "grants": presenting.grant_rows(selectors.list_grants(member), now),
        "groups": selectors.list_groups_of(member),
        "sessions": presenting.session_rows(member),
        "permissions": presenting.permission_sections(member.permissions),
        "history": _history(request, member),
        "is_oneself": member.pk == request.member.pk,
        "may_change_rights": may_change_rights,
        "reset_url": presenting.address_of("second_factor:reset", member.pk) if member.user.has_second_factor else "",
        "reason_form": ReasonForm(auto_id="deactivate_%s"),
        "reset_form": ReasonForm(auto_id="reset_%s"),
        "due_at": member.second_factor_due,
        "qualifications": qualification_rows(list_qualifications(member)),
        "may_qualify": request.member.may(Permission.QUALIFICATION_MANAGE),
    }
    return render(request, "team/person.html", context)


def _member(request, member_id) -> Membership:
    return selectors.get_member_by_id(member_id, by=request.member)


def _may_change_rights(request, member):
    may = request.member.may(Permission.ROLE_MANAGE)
    return may and member.pk != request.member.pk and not member.is_platform


def _history(request, member):
    if not (request.member.may(Permission.AUDIT_VIEW_ALL) or request.member.may(Permission.AUDIT_VIEW_RECORD)):
        return []
    entries = trail.list_entries(resource_type="membership", resource_id=str(member.pk))[:LINES_OF_HISTORY]
    labels = {role.code: role.label for role in selectors.list_roles()}
    return presenting.history(trail.describe_entries(entries), labels)


@requires(Permission.USER_MANAGE)
def edit_person(request, member_id):
    """Department, specialization, specialties."""
    member = _member(request, member_id)
    initial = {name: getattr(member, name) for name in ("specialization", "department")}
    initial["specialties"] = "\n".join(member.specialties)
    form = MemberForm(request.POST or None, initial=initial)
    if (
        request.method == "POST"
        and form.is_valid()
        and tried(form, members.update_member, member, by=request.member, changes=form.cleaned_data)
    ):
        messages.success(request, _("Saved."))
        return redirect("team:person", member.pk)
    return _person_form(request, member, form, _("Change work details"))


@requires(Permission.ROLE_MANAGE)
def edit_roles(request, member_id):
    """Which roles somebody has."""
    member = _member(request, member_id)
    form = RolesForm(
        request.POST or None,
        roles=selectors.list_roles(),
        initial={"roles": [role.code for role in member.roles]},
    )
    if (
        request.method == "POST"
        and form.is_valid()
        and tried(
            form,
            rights.assign_roles,
            member,
            form.cleaned_data["roles"],
            by=request.member,
            reason=form.cleaned_data["reason"],
        )
    ):
        messages.success(request, _("Saved. It holds from their next step on."))
        return redirect("team:person", member.pk)
    return _person_form(request, member, form, _("Change roles"))


@requires(Permission.ROLE_MANAGE)
def new_grant(request, member_id):
    """Give somebody one permission, or keep one from them, for a time and with a reason."""
    member = _member(request, member_id)
    form = GrantForm(request.POST or None, zone=request.tenant.zone)
    if request.method == "POST" and form.is_valid():
        data = form.grant_data()
        is_denial = form.cleaned_data["effect"] == "deny"
        act = rights.deny_permission if is_denial else rights.grant_permission
        if tried(form, act, member, data.pop("permission"), by=request.member, **data):
            messages.success(request, _("Saved. It holds from their next step on."))
            return redirect("team:person", member.pk)
    return _person_form(request, member, form, _("A single permission"))


def _person_form(request, member, form, title):
    links = [(reverse("team:list"), _("Staff")), (reverse("team:person", args=[member.pk]), member.display_name)]
    context = {"member": member, "form": form, "title": title, "links": links}
    return render(request, "team/person_form.html", context, status=status_of(request))


@requires(Permission.ROLE_MANAGE)
@require_POST
def end_grant(request, member_id, grant_id):
    """Take a single permission back."""
    member = _member(request, member_id)
    grant = selectors.get_grant(member, grant_id)
    attempt(request, _("Ended. It holds from their next step on."), rights.end_grant, grant, by=request.member)
    return redirect("team:person", member.pk)


@requires(Permission.USER_MANAGE)
@require_POST
def end_session(request, member_id, session_id):
    """End one sign-in of somebody."""
    member = _member(request, member_id)
    session = selectors.get_session(member, session_id)
    attempt(request, _("This sign-in is over."), members.end_session, session, by=request.member)
    return redirect("team:person", member.pk)


@requires(Permission.USER_MANAGE)
@require_POST
def deactivate_person(request, member_id):
    """Keep somebody out from now on, with a reason."""
    member = _member(request, member_id)
    done = _("%(name)s is out of the clinic and can not sign in here any more.") % {"name": member.display_name}
    attempt(request, done, members.deactivate_member, member, by=request.member, reason=request.POST.get("reason", ""))
    return redirect("team:person", member.pk)


@requires(Permission.USER_MANAGE)
@require_POST
def reactivate_person(request, member_id):
    """Let somebody in again, with a reason."""
    member = _member(request, member_id)
    done = _("%(name)s can sign in here again.") % {"name": member.display_name}
    attempt(request, done, members.reactivate_member, member, by=request.member, reason=request.POST.get("reason", ""))
    return redirect("team:person", member.pk)
