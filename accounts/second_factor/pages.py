"""The HTML door: prove the second factor at the sign-in, set it up, look after it, reset somebody else's."""

from datetime import timedelta

import segno
from django.contrib import messages
from django.http import JsonResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import public, requires
from accounts.permissions import Permission
from accounts.users import sessions
from accounts.users.entering import PENDING, complete_sign_in, device_of, held_person
from tenancy.doors.origins import our_origins
from tenancy.rules import RuleBroken
from tenancy.tenants.selectors import find_tenant

from . import passkeys, selectors, services
from .forms import ChallengeForm, ConfirmForm, EnrolForm, KeptForm, PasskeyForm, ResetForm
from .passkeys import Ceremonies

REGISTRATION, AUTHENTICATION = "passkey_registration", "passkey_authentication"
MOST_TRIES = 5
SPOILED = "second_factor_spoiled"

# --- At the sign-in --------------------------------------------------------------------------------------------------


@public("The second step of signing in: the password was right, nobody is signed in yet.")
@never_cache
@sensitive_post_parameters("code", "answer")
def challenge(request):
    """A code or a passkey, at most five wrong ones; then the sign-in begins again (security.md AU-14, AU-16)."""
    user = held_person(request, PENDING)
    if user is None:
        return _sign_in_again(request)
    form = ChallengeForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _show_challenge(request, user, form)
    held = request.session[PENDING]
    try:
        factor = _prove(request, user, form.cleaned_data)
    except RuleBroken as refused:
        return _refuse(request, user, form, refused)
    try:
        return complete_sign_in(request, user, second_factor=factor, tenant=held["tenant"], wanted=held["next"])
    except sessions.SignInRefused as refused:
        sessions.record_failed_sign_in(user.email, refused=refused, device=device_of(request))
        messages.error(request, refused.sentence)
        return redirect("users:sign_in")


def _prove(request, user, given):
    if given["answer"]:
        state = request.session.pop(AUTHENTICATION, None)
        return services.prove_passkey(user, ceremonies=_ceremonies(request), state=state, answer=given["answer"])
    return services.prove_code(user, given["code"])


def _refuse(request, user, form, refused):
    """Count a wrong try, note it in the trail, and end the challenge with the fifth."""
    retry_after = getattr(refused, "retry_after", None)
    held = request.session[PENDING]
    held["tries"] = held.get("tries", 0) + 1
    request.session[PENDING] = held
    _note(request, user, refused, retry_after)
    if retry_after or held["tries"] >= MOST_TRIES:
        del request.session[PENDING]
        return _spoiled(request, refused, retry_after)
    form.add_error("code", _in_words(refused))
    return _show_challenge(request, user, form)


def _note(request, user, refused, retry_after):
    tenant = find_tenant(named=request.session[PENDING]["tenant"] or None, host=request.get_host())
    failure = sessions.SignInRefused(
        refused.sentence, status=429 if retry_after else 400, code=refused.code, retry_after=retry_after
    )
    sessions.record_failed_sign_in(user.email, refused=failure, device=device_of(request), tenant=tenant)


def _spoiled(request, refused, retry_after):
    """The end of a challenge: five wrong tries, in this one or for this account."""
    seconds = retry_after or int(timedelta(minutes=1).total_seconds())
    sentence = refused.sentence if retry_after else _("Too many wrong codes. Please sign in again.")
    response = render(request, "second_factor/spoiled.html", {"sentence": sentence}, status=429)
    response["Retry-After"] = str(seconds)
    return response


def _show_challenge(request, user, form):
    has_passkey = selectors.list_passkeys(user).exists() and _passkeys_possible(request)
    has_codes = selectors.get_authenticator(user) is not None
    context = {"form": form, "has_passkey": has_passkey, "has_authenticator": has_codes}
    return render(request, "second_factor/challenge.html", context, status=_status(request))


def _sign_in_again(request):
    messages.info(request, _("That took too long. Please sign in again."))
    return redirect("users:sign_in")


@public("The second step of signing in: options for the passkeys of the person whose password was right.")
@never_cache
@require_POST
def begin_challenge(request):
    """What the browser needs to ask for a passkey (JSON)."""
    user = held_person(request, PENDING)
    if user is None:
        return JsonResponse({"detail": _("That took too long. Please sign in again.")}, status=403)
    options, state = _ceremonies(request).authenticate_begin(user=user, require_user_verification=False)
    request.session[AUTHENTICATION] = state
    return JsonResponse(options)


# --- Setting up ------------------------------------------------------------------------------------------------------


@requires(Permission.OWN_PROFILE, while_enrolling=True)
@never_cache
@sensitive_post_parameters("code", "password")
def enrol(request):
    """Scan, type the first code, keep the recovery codes. An authenticator in use is never shown again (AU-15)."""
    if selectors.get_authenticator(request.member.user):
        return redirect("second_factor:security")
    form = EnrolForm(request.POST or None, needs_password=_needs_password(request))
    if request.method == "POST" and form.is_valid():
        try:
            codes = services.confirm_authenticator(
                session=request.sign_in, code=form.cleaned_data["code"], password=form.password
            )
            return _done(request, codes, _("Your authenticator is set up."))
        except RuleBroken as refused:
            form.add_error(_field_of(refused, form), _in_words(refused))
    return _show_enrolment(request, form)


def _show_enrolment(request, form=None, passkey_form=None):
    device = services.begin_authenticator(request.member.user)
    needs_password = _needs_password(request)
    drawing = segno.make(device.provision_uri, micro=False, error="m")
    context = {
        "layout": "centred.html" if request.must_enrol else "base.html",
        "form": form or EnrolForm(needs_password=needs_password),
        "passkey_form": passkey_form or PasskeyForm(needs_password=needs_password, prefix="passkey"),
        "passkeys_possible": _passkeys_possible(request),
        "qr_code": mark_safe(
            drawing.svg_inline(
                omitsize=True, border=4, light="#fff", svgclass="qr-code", title=_("QR code of the authenticator")
            )
        ),
        "seed": [device.typed_seed[start : start + 4] for start in range(0, len(device.typed_seed), 4)],
    }
    return render(request, "second_factor/enrol.html", context, status=_status(request))


def _needs_password(request):
    return not selectors.was_recently_proved(request.sign_in)


@sensitive_variables("codes")
def _done(request, codes, sentence):
    """A new key for the browser's cookie; and new recovery codes, in this answer and in no other."""
    request.session.cycle_key()
    if not codes:
        messages.success(request, sentence)
        return redirect("second_factor:security")
    return render(request, "second_factor/codes.html", _codes_shown(codes, sentence, KeptForm()))


def _codes_shown(codes, sentence, form):
    lines = [_("Carewright recovery codes. Each works once."), "", *codes, ""]
    return {"codes": codes, "sentence": sentence, "form": form, "as_text": "\n".join(lines)}


# --- Passkeys --------------------------------------------------------------------------------------------------------


@requires(Permission.OWN_PROFILE, while_enrolling=True)
@never_cache
@require_POST
def begin_passkey(request):
    """What the browser needs to make a passkey (JSON)."""
    options, state = _ceremonies(request).register_begin(request.member.user)
    request.session[REGISTRATION] = state
    return JsonResponse(options)


@requires(Permission.OWN_PROFILE, while_enrolling=True)
@never_cache
@require_POST
@sensitive_post_parameters("passkey-password", "passkey-answer")
def add_passkey(request):
    """Take what the browser made. The form stands on the page of enrolling."""
    form = PasskeyForm(request.POST, needs_password=_needs_password(request), prefix="passkey")
    state = request.session.pop(REGISTRATION, None)
    if form.is_valid():
        try:
            codes = services.add_passkey(
                session=request.sign_in,
                ceremonies=_ceremonies(request),
                state=state,
                answer=form.cleaned_data["answer"],
                name=form.cleaned_data["name"],
                password=form.password,
            )
            return _done(request, codes, _("Your passkey is set up."))
        except RuleBroken as refused:
            form.add_error(_field_of(refused, form), _in_words(refused))
    if selectors.get_authenticator(request.member.user):
        return _show_security(request, form)
    return _show_enrolment(request, passkey_form=form)


@requires(Permission.OWN_PROFILE)
@never_cache
@sensitive_post_parameters("password")
def remove_passkey(request, pk):
    """Forget one passkey, after the password."""
    passkey = selectors.get_passkey(pk, user=request.member.user)

    def act(password):
        services.remove_passkey(passkey, session=request.sign_in, password=password)

    words = {
        "title": _("Remove the passkey %(name)s") % {"name": passkey.name},
        "lead": _("Nobody can sign in with it any more. You are signed out everywhere else."),
        "button": _("Remove the passkey"),
        "done": _("The passkey is removed."),
    }
    return _confirm(request, words, act)


# --- Looking after it ------------------------------------------------------------------------------------------------


@requires(Permission.OWN_PROFILE)
@never_cache
@require_safe
def security(request):
    """What signs me in, in words, and what I can do about it."""
    return _show_security(request)


def _show_security(request, passkey_form=None):
    user = request.member.user
    context = {
        "authenticator": selectors.get_authenticator(user),
        "passkeys": selectors.list_passkeys(user),
        "recovery_codes": selectors.get_recovery_codes(user),
        "codes_left": selectors.count_recovery_codes(user),
        "due": request.member.second_factor_due,
        "passkey_form": passkey_form or PasskeyForm(needs_password=_needs_password(request), prefix="passkey"),
        "passkeys_possible": _passkeys_possible(request),
        "password_url": _address("joining:change_password"),
        "sign_ins_url": _address("users:sign_ins"),
    }
    return render(request, "second_factor/security.html", context, status=_status(request))


@requires(Permission.OWN_PROFILE)
@never_cache
@sensitive_post_parameters("password")
def disable_authenticator(request):
    """Switch the authenticator off, after the password."""
    if selectors.get_authenticator(request.member.user) is None:
        return redirect("second_factor:security")

    def act(password):
        services.disable_authenticator(session=request.sign_in, password=password, is_recent_enough=False)

    words = {
        "title": _("Switch off the authenticator"),
        "lead": _(
            "Its codes will not work any more, also not after you set it up again. You are signed out everywhere else."
        ),
        "button": _("Switch off"),
        "done": _("The authenticator is switched off."),
    }
    return _confirm(request, words, act)


@requires(Permission.OWN_PROFILE)
@never_cache
@sensitive_post_parameters("password")
def renew_recovery_codes(request):
    """Ten new codes, after the password; shown in the answer and never again."""
    if not request.member.user.has_second_factor:
        return redirect("second_factor:security")

    def act(password):
        return services.renew_recovery_codes(session=request.sign_in, password=password)

    words = {
        "title": _("Make new recovery codes"),
        "lead": _("You get ten new codes. The earlier ones, used or not, stop working at once."),
        "button": _("Make new codes"),
        "done": _("Here are your new recovery codes."),
    }
    return _confirm(request, words, act)


def _confirm(request, words, act):
    """A page of its own for something that needs the password: works without script, and says what will happen."""
    form = ConfirmForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _done(request, act(form.cleaned_data["password"]), words["done"])
        except RuleBroken as refused:
            form.add_error(_field_of(refused, form), _in_words(refused))
    return render(request, "second_factor/confirm.html", {"form": form, "words": words}, status=_status(request))


@requires(Permission.OWN_PROFILE)
@require_POST
def keep_recovery_codes(request):
    """The person says that the codes are written down."""
    if KeptForm(request.POST).is_valid():
        services.keep_recovery_codes(request.member.user)
        messages.success(request, _("Noted: your recovery codes are kept."))
    else:
        messages.warning(
            request, _("You have not said that you kept your recovery codes. Make new ones if you did not.")
        )
    return redirect("second_factor:security")


# --- Somebody else's -------------------------------------------------------------------------------------------------


@requires(Permission.USER_MANAGE)
@never_cache
def reset_second_factor(request, pk):
    """For a member who has lost theirs. The form also stands on the page of the person."""
    member = selectors.get_member(pk)
    form = ResetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.reset_second_factor(member, by=request.member, reason=form.cleaned_data["reason"])
            messages.success(
                request, _("%(name)s can set up a new second factor at the next sign-in.") % {"name": member}
            )
            return redirect(_person_url(member))
        except RuleBroken as refused:
            form.add_error(None, refused.sentence)
    context = {"form": form, "person": member, "person_url": _person_url(member)}
    return render(request, "second_factor/reset.html", context, status=_status(request))


def _person_url(member):
    return _address("team:person", member.pk) or reverse("home:today")


# --- Shared by these pages -------------------------------------------------------------------------------------------


def _ceremonies(request):
    return Ceremonies(our_origins(request))


def _passkeys_possible(request):
    return passkeys.is_possible(f"{request.scheme}://{request.get_host()}")


def _field_of(refused, form):
    """Where a refusal is shown: beside what was typed wrong."""
    field = "password" if refused.code in {"invalid_password", services.ProofNeeded.code} else "code"
    return field if field in form.fields else None


def _in_words(refused):
    """The specification's words for a wrong code are short; whoever stands before the page may wonder what to do."""
    if refused.code == services.CodeRefused.code:
        return _("This code is not right, or was used before. Wait for the next one and try again.")
    return refused.sentence


def _status(request):
    return 422 if request.method == "POST" else 200


def _address(url_name, *args):
    """The address of a page of another room, "" where it is not installed."""
    try:
        return reverse(url_name, args=args)
    except NoReverseMatch:
        return ""
