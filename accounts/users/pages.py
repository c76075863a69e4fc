"""The HTML door: sign in, choose a clinic, stay in, see where one is signed in, sign out, change the language."""

import time

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import Http404, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.guards import public, requires
from accounts.permissions import Permission
from tenancy.doors.refusals import LimiterUnavailable
from tenancy.rules import RuleBroken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.selectors import find_tenant

from . import platform, proof, selectors, sessions
from .devices import describe_device
from .entering import (
    complete_sign_in,
    device_of,
    end_of_sign_in,
    enter_clinic,
    find_caller,
    hold_for_second_factor,
    hold_proved,
    next_page,
    speak_language_of,
)
from .forms import SignInForm, VisitForm
from .sessions import times_left

MOST_CLINICS_SHOWN = 50


@public("Nobody is signed in yet.")
@never_cache
@sensitive_post_parameters("password", "otp_code")
def sign_in(request):
    """Who are you? The second factor and the choice of a clinic have pages of their own (entering.py)."""
    form = SignInForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _show(request, form)
    given = form.cleaned_data
    device = device_of(request)
    tenant, wanted = request.POST.get("clinic", ""), request.POST.get("next", "")
    code = request.POST.get("otp_code", "")[:16]
    try:
        user = proof.check_password(given["username"], given["password"], device=device, otp_code=code)
        factor = sessions.factor_used(user)
        return complete_sign_in(request, user, second_factor=factor, tenant=tenant, wanted=wanted)
    except sessions.SignInRefused as refused:
        challenge = address_of("second_factor:challenge")
        if refused.code == "two_factor_required" and challenge:
            hold_for_second_factor(request, selectors.find_user(given["username"]), tenant=tenant, wanted=wanted)
            return redirect(challenge)
        here = find_tenant(host=request.get_host())
        sessions.record_failed_sign_in(given["username"], refused=refused, device=device, tenant=here)
        form.add_error(None, refused.sentence)
        response = _show(request, form, status=refused.status if refused.retry_after else 200)
        if refused.retry_after:
            response["Retry-After"] = str(refused.retry_after)
        return response
    except LimiterUnavailable:
        form.add_error(None, _("Signing in is not possible right now. Please try again in a minute."))
        response = _show(request, form, status=503)
        response["Retry-After"] = "60"
        return response


def _show(request, form, *, status=200):
    here = find_tenant(host=request.get_host())
    wanted = request.POST.get("next", request.GET.get("next", ""))
    context = {
        "form": form,
        "next": wanted,
        "goes_to": next_page(request, wanted),
        "reset_url": address_of("joining:reset_password"),
        "register_url": address_of("joining:register") if here and here.allows_registration else "",
        "was_locked": "locked" in request.GET,
        "now": int(time.time()),
    }
    return render(request, "users/sign_in.html", context, status=status)


def address_of(url_name):
    """The address of a page of a room above; "" where it is not installed."""
    try:
        return reverse(url_name)
    except NoReverseMatch:
        return ""


# --- Which clinic ----------------------------------------------------------------------------------------------------


@public("Stands outside of every clinic; who may choose is read from the browser's own sign-in.")
@never_cache
def choose_clinic(request):
    """Enter another of one's clinics, or any clinic as platform administrator with a reason."""
    caller = find_caller(request)
    if caller is None:
        return redirect("users:sign_in")
    speak_language_of(request, caller.user)
    workplaces = list(selectors.list_workplaces(caller.user))
    if request.method != "POST":
        return _show_clinics(request, caller, workplaces, VisitForm())
    slug = request.POST.get("tenant", "")
    own = next((clinic for clinic in workplaces if clinic.slug == slug), None)
    if own is not None:
        return _switch(request, caller, own)
    if not caller.user.is_platform_admin:
        raise Http404
    return _visit(request, caller, workplaces, get_object_or_404(platform.list_clinics(), slug=slug))


def _switch(request, caller, tenant):
    if caller.here != tenant:
        try:
            enter_clinic(request, caller.user, tenant, second_factor=caller.second_factor, until=caller.until)
        except sessions.SignInRefused:  # a membership that ended while this page stood open
            raise Http404 from None
    return redirect(next_page(request, caller.wanted))


def _visit(request, caller, workplaces, tenant):
    form = VisitForm(request.POST)
    if caller.here == tenant:
        return redirect(settings.LOGIN_REDIRECT_PATH)
    if form.is_valid():
        try:
            with tenant_context(tenant.id):
                platform.begin_visit(caller.user, reason=form.cleaned_data["reason"])
            enter_clinic(
                request, caller.user, tenant, second_factor=caller.second_factor, until=caller.until, visiting=True
            )
            request.session["visit_reason"] = form.cleaned_data["reason"]
            return redirect(settings.LOGIN_REDIRECT_PATH)
        except RuleBroken as broken:
            form.add_error(None, broken.sentence)
    return _show_clinics(request, caller, workplaces, form, chosen=tenant, status=422)


def _show_clinics(request, caller, workplaces, form, *, chosen=None, status=200):
    search = request.GET.get("q", "")[:100]
    context = {"caller": caller, "workplaces": workplaces, "form": form, "search": search, "chosen": chosen}
    if caller.user.is_platform_admin:
        mine = {clinic.pk for clinic in workplaces}
        found = [clinic for clinic in platform.list_clinics(search)[:MOST_CLINICS_SHOWN] if clinic.pk not in mine]
        context["chosen"] = chosen or next((c for c in found if c.slug == request.GET.get("tenant")), None)
        context |= {"clinics": found, "is_cut": len(found) >= MOST_CLINICS_SHOWN - len(mine)}
    return render(request, "users/choose_clinic.html", context, status=status)


@public("Ends a platform administrator's own visit; for anybody else there is nothing to end.")
@require_POST
def leave_clinic(request):
    """The platform administrator goes back to the list of clinics."""
    member, session = request.member, request.sign_in
    if member is None or not member.is_platform:
        raise Http404
    until = end_of_sign_in(request) or session.expires_at
    sessions.revoke_session(session, by=member, reason_code="platform_left")
    hold_proved(request, member.user, second_factor=session.second_factor, until=until)
    return redirect("users:choose_clinic")


# --- Staying in, and going -------------------------------------------------------------------------------------------


@public("Says how long the caller's own session still lasts, and nothing about anybody.")
@never_cache
@require_http_methods(["GET", "POST"])
def keep_alive(request):
    """POST keeps a session awake, or is refused; GET only asks. Seconds, read by session.js; all are 0 for nobody."""
    if request.sign_in is None and request.method == "POST":
        return JsonResponse({"detail": _("Please sign in again.")}, status=401)
    if request.sign_in is None:
        return JsonResponse({"idle": 0, "absolute": 0, "opened": 0})
    if request.method == "POST":
        sessions.touch_session(request.sign_in, at_once=True)
    return JsonResponse(times_left(request.sign_in))


@requires(Permission.OWN_PROFILE, while_enrolling=True)
@require_safe
def sign_ins(request):
    """Where am I signed in? In this clinic; what ended in the last 30 days stands below."""
    live, ended = selectors.list_sign_ins(request.member)
    live.sort(key=lambda session: session.pk != request.sign_in.pk)
    context = {
        "live": [_sign_in_row(session, request.sign_in) for session in live],
        "ended": [_sign_in_row(session, request.sign_in) for session in ended],
        "has_other_clinics": bool(request.other_clinics),
    }
    return render(request, "users/sign_ins.html", context)


def _sign_in_row(session, here):
    everywhere = session.membership.user.signed_out_before
    signed_out = session.revoked_at or (everywhere if everywhere and session.valid_from < everywhere else None)
    return {
        "session": session,
        "device": describe_device(session.device),
        "is_here": session.pk == here.pk,
        "signed_out_at": signed_out,
    }


@requires(Permission.OWN_PROFILE, while_enrolling=True)
@require_POST
def end_sign_in(request, session_id):
    """End one of one's own sessions, on whatever device it is."""
    session = selectors.get_sign_in(session_id, member=request.member)
    sessions.revoke_session(session, by=request.member, reason_code="ended_by_owner")
    if session.pk == request.sign_in.pk:
        return _gone(request)
    device = describe_device(session.device)
    messages.success(request, _("%(device)s is signed out. That holds from its next step on.") % {"device": device})
    return redirect("users:sign_ins")


@requires(Permission.OWN_PROFILE, while_enrolling=True)
@require_POST
def end_other_sign_ins(request):
    """End all of one's other sessions in this clinic."""
    sessions.end_other_sessions(request.sign_in, by=request.member)
    messages.success(request, _("You are signed out everywhere but here."))
    return redirect("users:sign_ins")


@requires(Permission.OWN_PROFILE, while_enrolling=True)
@require_POST
def end_all_sign_ins(request):
    """Sign out everywhere, this browser and other clinics included: for a lost phone, or a password somebody saw."""
    sessions.revoke_session(request.sign_in, by=request.member)
    sessions.sign_out_everywhere(request.member.user, by=request.member, reason_code="ended_by_owner")
    return _gone(request)


@public("Ends the caller's own session; without one there is nothing to end.")
@require_POST
def sign_out(request):
    """End this session on the server, and ask the browser to forget what it has stored."""
    if request.sign_in:
        sessions.revoke_session(request.sign_in, by=request.member)
    return _gone(request)


def _gone(request):
    logout(request)
    response = redirect("users:sign_in")
    response["Clear-Site-Data"] = '"storage"'
    return response


@public("The sign-in page has to be readable too.")
@require_POST
def set_language(request):
    """Show the pages in another language from now on; a signed-in person keeps it on other devices too."""
    language = request.POST.get("language", "")
    wanted = request.POST.get("next", "")
    target = wanted if url_has_allowed_host_and_scheme(wanted, {request.get_host()}) else "/"
    response = HttpResponseRedirect(target)
    if language in dict(settings.LANGUAGES):
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME, language, max_age=31_536_000, samesite="Lax", httponly=True,
            secure=settings.SESSION_COOKIE_SECURE,
        )  # fmt: skip
        translation.activate(language)
        if request.member:
            sessions.remember_language(request.member.user, language)
    return response
