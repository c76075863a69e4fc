"""My profile, and how people sign in to this clinic."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.guards import requires
from accounts.permissions import Permission

from .. import presenting, selectors
from ..forms import ProfileForm, SignInSettingsForm
from ..services import clinic, members
from .answers import status_of, tried

SETTINGS = ("idle_minutes", "session_hours", "two_factor_required", "allows_registration")


@requires(Permission.OWN_PROFILE)
def profile(request):
    """Who I am here, what I may do, and what I can change about myself."""
    member = request.member
    initial = {name: getattr(member.user, name) for name in members.OF_THE_PERSON}
    initial |= {name: getattr(member, name) for name in ("specialization", "department")}
    form = ProfileForm(request.POST or None, initial=initial, works_here=member.is_staff)
    if (
        request.method == "POST"
        and form.is_valid()
        and tried(form, members.update_profile, member, by=member, changes=form.cleaned_data)
    ):
        messages.success(request, _("Saved."))
        return redirect("team:profile")
    context = {
        "form": form,
        "member": member,
        "roles": member.roles,
        "groups": selectors.list_groups_of(member),
        "permissions": presenting.permission_sections(member.permissions),
        "email_url": presenting.address_of("joining:change_email"),
        "password_url": presenting.address_of("joining:change_password"),
    }
    return render(request, "team/profile.html", context, status=status_of(request))


@requires(Permission.ADMIN_SITE)
def sign_in_settings(request):
    """Idle time, session length, second factor, who may register."""
    initial = {name: getattr(request.tenant, name) for name in SETTINGS}
    form = SignInSettingsForm(request.POST or None, initial=initial)
    if (
        request.method == "POST"
        and form.is_valid()
        and tried(form, clinic.update_sign_in_settings, request.tenant, by=request.member, changes=form.cleaned_data)
    ):
        messages.success(request, _("Saved."))
        return redirect("team:settings")
    return render(request, "team/settings.html", {"form": form}, status=status_of(request))
