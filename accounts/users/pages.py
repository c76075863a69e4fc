"""The HTML door: sign in, sign out, change the language."""

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from accounts.guards import public
from tenancy.doors.refusals import LimiterUnavailable
from tenancy.tenants.selectors import find_tenant

from . import selectors, sessions
from .entering import device_of, enter_clinic, next_page
from .forms import SignInForm


@public("Nobody is signed in yet.")
@never_cache
@sensitive_post_parameters("password", "otp_code")
def sign_in(request):
    """Who are you, and in which clinic? A person with several clinics is asked which."""
    form = SignInForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _show(request, form)
    given = form.cleaned_data
    device = device_of(request)
    try:
        user = sessions.check_password(given["username"], given["password"], device=device, otp_code=given["otp_code"])
        clinics = list(selectors.list_workplaces(user))
        tenant = _chosen(request, clinics)
        if tenant is None and len(clinics) > 1:
            return _show(request, SignInForm(initial=given, clinics=clinics), choose=True)
        if tenant is None:
            raise sessions.SignInRefused(_("Invalid email or password"), status=401, code="invalid_credentials")
        enter_clinic(request, user, tenant, second_factor=sessions.factor_used(user))
    except sessions.SignInRefused as refused:
        here = find_tenant(host=request.get_host())
        sessions.record_failed_sign_in(given["username"], refused=refused, device=device, tenant=here)
        form.add_error(None, refused.sentence)
        response = _show(request, form, status=429 if refused.status == 429 else 200)
        if refused.retry_after:
            response["Retry-After"] = str(refused.retry_after)
        return response
    except LimiterUnavailable:
        form.add_error(None, _("Signing in is not possible right now. Please try again in a minute."))
        return _show(request, form, status=503)
    return HttpResponseRedirect(next_page(request, request.POST.get("next", "")))


def _show(request, form, *, status=200, choose=False):
    context = {"form": form, "next": request.POST.get("next", request.GET.get("next", "")), "choose_clinic": choose}
    return render(request, "users/sign_in.html", context, status=status)


def _chosen(request, clinics):
    """The clinic picked on the form, else the only one, else the one this address belongs to."""
    picked = request.POST.get("clinic")
    here = find_tenant(named=picked or None, host=request.get_host())
    return next((c for c in clinics if here and c.id == here.id), clinics[0] if len(clinics) == 1 else None)


@public("Ends the caller's own session; without one there is nothing to end.")
@require_POST
def sign_out(request):
    """End this session on the server, and ask the browser to forget what it has stored."""
    if request.sign_in:
        sessions.revoke_session(request.sign_in, by=request.member)
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
