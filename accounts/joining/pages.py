"""The HTML door: invite, accept, register, confirm an address, set and change a password."""

from functools import wraps

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from accounts.guards import public, requires
from accounts.permissions import Permission
from accounts.users import proof
from accounts.users.entering import device_of, end_of_sign_in, enter_clinic
from accounts.users.sessions import SignInRefused, factor_used
from tenancy.doors.addresses import client_address
from tenancy.doors.refusals import LimiterUnavailable
from tenancy.rules import NotAllowed, RuleBroken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.selectors import find_tenant, list_active_tenants

from . import limits, links, selectors
from .evenly import evenly
from .forms import (
    AskResetForm,
    ChangeAddressForm,
    ChangePasswordForm,
    InviteForm,
    NewPassword,
    OwnPasswordForm,
    RegisterForm,
    SignedUpForm,
)
from .services import addresses, invitations, passwords, registration

RESET_TOKEN = "password_reset_token"  # noqa: S105  (where the browser's session keeps it)
KEPT = "set"
WHO, WORK = ("name", "email", "roles"), ("phone", "department", "specialization", "specialties")
MOST_SHOWN = 100
BY_MAIL = "Whoever comes with a link from a mail is not signed in."


def answers_refused_links(page):
    """A link that opens nothing gets a page that says why: 404 where it never was one of ours, else 410."""

    @wraps(page)
    def answered(request, *args, **kwargs):
        try:
            return page(request, *args, **kwargs)
        except links.LinkRefused as refused:
            return render(request, "joining/refused.html", {"refused": refused}, status=410 if refused.is_gone else 404)

    return answered


# --- Inviting --------------------------------------------------------------------------------------------------------


@requires(Permission.USER_MANAGE)
def invite(request):
    """Whom to ask to join, and who was asked and has not answered yet."""
    roles = selectors.list_roles_to_give(by=request.member)
    form = InviteForm(request.POST or None, roles=roles)
    if request.method == "POST" and form.is_valid():
        try:
            invitation = invitations.invite(by=request.member, **form.cleaned_data)
        except (RuleBroken, NotAllowed) as broken:
            form.add_error(None, broken.sentence)
        else:
            messages.success(request, _("The invitation for %(name)s is on its way.") % {"name": invitation.name})
            return redirect("joining:invite")
    labels = {role.code: role.label for role in selectors.list_roles()}
    context = {
        "form": form,
        "who": [form[name] for name in WHO],
        "work": [form[name] for name in WORK],
        "rows": [
            {"invitation": invitation, "roles": selectors.words_for_roles(invitation.roles, labels)}
            for invitation in selectors.list_open_invitations()[:MOST_SHOWN]
        ],
    }
    return render(request, "joining/invite.html", context, status=_form_status(form))


@requires(Permission.USER_MANAGE)
@require_POST
def resend_invitation(request, invitation_id):
    """Send it again, with a new link."""
    invitation = selectors.get_invitation(invitation_id)
    try:
        invitations.resend_invitation(invitation, by=request.member)
    except (RuleBroken, NotAllowed) as broken:
        messages.error(request, broken.sentence)
    except LimiterUnavailable as unavailable:
        messages.error(request, str(unavailable.detail))
    else:
        messages.success(request, _("The invitation for %(name)s is on its way again.") % {"name": invitation.name})
    return redirect("joining:invite")


@requires(Permission.USER_MANAGE)
@require_POST
def withdraw_invitation(request, invitation_id):
    """Take it back."""
    invitation = selectors.get_invitation(invitation_id)
    try:
        invitations.withdraw_invitation(invitation, by=request.member)
    except RuleBroken as broken:
        messages.error(request, broken.sentence)
    else:
        messages.success(request, _("The invitation for %(name)s is withdrawn.") % {"name": invitation.name})
    return redirect("joining:invite")


# --- Accepting -------------------------------------------------------------------------------------------------------


@public(BY_MAIL)
@never_cache
@sensitive_post_parameters("password", "repeated", "code")
@answers_refused_links
def accept(request, token):
    """Look at an invitation, and accept it: with a new password, or with one's own where there is an account.

    Only the POST takes it: mail programs open links before their readers do.
    """
    claim = links.read_invitation(token)
    tenant = _open_tenant(claim.tenant_id)
    try:
        with tenant_context(tenant.id):
            return _accept(request, tenant, claim)
    except links.LinkRefused as refused:
        if request.method == "POST":
            invitations.note_refused_link(claim, refused)
        raise


def _accept(request, tenant, claim):
    invitation = selectors.find_invited(claim)
    user = selectors.find_person(invitation.email)
    is_new = user is None or selectors.awaits_confirmation(user)
    if is_new:
        form = SignedUpForm(request.POST or None, email=invitation.email, initial={"name": invitation.name})
    else:
        form = OwnPasswordForm(request.POST or None, needs_code=user.has_second_factor)
    status = _form_status(form)
    if request.method == "POST" and form.is_valid():
        try:
            return _let_in(request, tenant, claim, user=None if is_new else user, given=form.cleaned_data)
        except (RuleBroken, SignInRefused) as broken:
            if isinstance(broken, links.LinkRefused):
                raise
            is_about_code = getattr(broken, "code", "") in {"two_factor_required", "invalid_totp"}
            form.add_error("code" if is_about_code and "code" in form.fields else None, broken.sentence)
            status = getattr(broken, "status", 422) if getattr(broken, "status", 0) in {429, 503} else 422
        except LimiterUnavailable as unavailable:
            form.add_error(None, str(unavailable.detail))
            status = 503
    context = {
        "invitation": invitation,
        "clinic": tenant,
        "form": form,
        "is_new": is_new,
        "roles": selectors.words_for_roles(invitation.roles),
    }
    return render(request, "joining/accept.html", context, status=status)


def _let_in(request, tenant, claim, *, user, given):
    if user is None:
        member = invitations.accept_as_new(claim, name=given["name"], password=given["password"])
        user = member.user
    else:
        user = proof.prove_password(user.email, given["password"], device=device_of(request))
        if user.has_second_factor:
            proof.prove_second_factor(user, given.get("code", ""), device=device_of(request))
        invitations.accept_as_known(claim, user)
    enter_clinic(request, user, tenant, second_factor=factor_used(user))
    messages.success(request, _("You are a member of %(clinic)s now.") % {"clinic": tenant.name})
    return redirect("home:today")


# --- Registering -----------------------------------------------------------------------------------------------------


@public("Patients who have no account yet.")
@never_cache
@sensitive_post_parameters("password", "repeated")
def register(request):
    """A patient makes an account. The answer is the same for an address that is known (AU-02)."""
    clinics = _clinics_that_register(request)
    if not clinics:
        return render(request, "joining/no_registration.html", status=403)
    form = RegisterForm(request.POST or None, clinics=clinics)
    if request.method != "POST" or not form.is_valid():
        return render(request, "joining/register.html", {"form": form, "clinics": clinics}, status=_form_status(form))
    refusal = _over_limit(limits.REGISTER, request, form)
    if refusal:
        return render(request, "joining/register.html", {"form": form, "clinics": clinics}, **refusal)
    given = form.cleaned_data
    tenant = next((clinic for clinic in clinics if clinic.slug == given.get("clinic")), clinics[0])
    try:
        with evenly(), tenant_context(tenant.id):
            registration.register_patient_quietly(
                tenant, email=given["email"], name=given["name"], password=given["password"], phone=given["phone"]
            )
    except (RuleBroken, NotAllowed) as broken:
        form.add_error(None, broken.sentence)
        return render(request, "joining/register.html", {"form": form, "clinics": clinics}, status=422)
    return redirect("joining:registered")


@public("Says what happens next, to everybody alike.")
@require_safe
def registered(request):
    """A mail is on its way."""
    return render(request, "joining/registered.html")


def _clinics_that_register(request):
    """The clinic of this address where there is one, else all that offer it."""
    here = find_tenant(host=request.get_host())
    open_clinics = [here] if here else list_active_tenants()
    return [clinic for clinic in open_clinics if clinic.allows_registration][:50]


# --- Addresses -------------------------------------------------------------------------------------------------------


@public(BY_MAIL)
@never_cache
@sensitive_post_parameters("password")
@answers_refused_links
def confirm_email(request, token):
    """A button, because mail programs open links by themselves; and the chosen password after a registration."""
    claim = links.read_address(token)
    tenant = _open_tenant(claim.tenant_id)
    with tenant_context(tenant.id):
        user = selectors.find_claimant(claim)
        needs_password = selectors.awaits_confirmation(user)
        form = OwnPasswordForm(request.POST or None) if needs_password else None
        if request.method == "POST" and (form is None or form.is_valid()):
            try:
                password = form.cleaned_data["password"] if form else ""
                addresses.confirm_address(claim, password=password)
            except links.LinkRefused:
                raise
            except RuleBroken as broken:
                form = form or OwnPasswordForm({})
                form.add_error(None, broken.sentence)
            else:
                messages.success(request, _("Your address is confirmed."))
                return redirect("home:today")  # asks strangers to sign in, and lets others go on
        context = {"form": form, "email": claim.email, "clinic": tenant, "needs_password": needs_password}
        return render(request, "joining/confirm_email.html", context, status=_form_status(form))


@requires(Permission.OWN_PROFILE)
@sensitive_post_parameters("password")
def change_email(request):
    """Another address for one's own account: asked for here, taken over with the link that goes there."""
    user = request.member.user
    act = request.POST.get("act", "change") if request.method == "POST" else ""
    form = ChangeAddressForm(request.POST if act == "change" else None)
    if act in {"resend", "forget"}:
        return _about_waiting_address(request, act)
    status = 422
    if act == "change" and form.is_valid():
        try:
            with evenly():
                addresses.ask_address_change(request.member, **form.cleaned_data)
        except passwords.WrongPassword as wrong:
            form.add_error("password", wrong.sentence)
        except (RuleBroken, SignInRefused) as broken:
            form.add_error(None, broken.sentence)
            status = getattr(broken, "status", 422)
        except LimiterUnavailable as unavailable:
            form.add_error(None, str(unavailable.detail))
            status = 503
        else:
            messages.success(request, _("A link was sent to the new address. Open it to change over."))
            return redirect("joining:change_email")
    context = {"form": form, "person": user}
    return render(request, "joining/change_email.html", context, status=status if form.errors else 200)


def _about_waiting_address(request, act):
    try:
        if act == "resend":
            addresses.send_confirmation(request.member)
            messages.success(request, _("The link is on its way."))
        else:
            addresses.forget_address_change(request.member)
            messages.success(request, _("Your address stays as it is."))
    except RuleBroken as broken:
        messages.error(request, broken.sentence)
    except LimiterUnavailable as unavailable:
        messages.error(request, str(unavailable.detail))
    return redirect("joining:change_email")


# --- Passwords -------------------------------------------------------------------------------------------------------


@public("Whoever has forgotten a password can not sign in.")
@never_cache
def reset_password(request):
    """Ask for the link. The answer and its time are the same for everybody (AU-02)."""
    form = AskResetForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render(request, "joining/reset_password.html", {"form": form}, status=_form_status(form))
    if refusal := _over_limit(limits.ASK_RESET, request, form):
        return render(request, "joining/reset_password.html", {"form": form}, **refusal)
    try:
        with evenly():
            passwords.ask_password_reset(form.cleaned_data["email"])
    except LimiterUnavailable as unavailable:
        form.add_error(None, str(unavailable.detail))
        return render(request, "joining/reset_password.html", {"form": form}, status=503)
    return redirect("joining:reset_sent")


@public("Says what happens next, to everybody alike.")
@require_safe
def reset_sent(request):
    """A mail may be on its way."""
    return render(request, "joining/reset_sent.html")


@public(BY_MAIL)
@never_cache
@sensitive_post_parameters("password", "repeated")
@answers_refused_links
def set_password(request, uid, token):
    """Set a password with the link of a mail. The token leaves the address at once: the browser's session keeps it."""
    if token != KEPT:
        selectors.find_by_password_link(uid, token)
        request.session[RESET_TOKEN] = token
        return redirect("joining:set_password", uid, KEPT)
    token = request.session.get(RESET_TOKEN, "")
    user = selectors.find_by_password_link(uid, token)
    form = NewPassword(request.POST or None, person=user)
    if request.method == "POST" and form.is_valid():
        try:
            passwords.set_password_by_link(uid, token, password=form.cleaned_data["password"])
        except links.LinkRefused:
            raise
        except RuleBroken as broken:
            form.add_error("password", broken.sentence)
        else:
            request.session.flush()
            messages.success(request, _("Your new password is set. Sign in with it."))
            return redirect("users:sign_in")
    return render(request, "joining/set_password.html", {"form": form, "person": user}, status=_form_status(form))


@requires(Permission.OWN_PROFILE, while_enrolling=True)
@sensitive_post_parameters("current", "password", "repeated")
def change_password(request):
    """Change one's own password. Everybody who is signed in as this person is out; this browser goes on."""
    member, sign_in = request.member, request.sign_in
    form = ChangePasswordForm(request.POST or None, person=member.user)
    status = 422
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            user = passwords.change_password(member, current=given["current"], password=given["password"])
        except passwords.WrongPassword as wrong:
            form.add_error("current", wrong.sentence)
        except SignInRefused as refused:
            form.add_error(None, refused.sentence)
            status = refused.status
        except LimiterUnavailable as unavailable:
            form.add_error(None, str(unavailable.detail))
            status = 503
        except RuleBroken as broken:
            form.add_error("password", broken.sentence)
        else:
            return _go_on(request, user, sign_in)
    return render(request, "joining/change_password.html", {"form": form}, status=status if form.errors else 200)


def _go_on(request, user, sign_in):
    """The browser gets a session again, no longer than the one before; a visitor of the platform signs in anew."""
    if request.member.is_platform:
        return redirect("users:sign_in")
    enter_clinic(request, user, request.tenant, second_factor=sign_in.second_factor, until=end_of_sign_in(request))
    messages.success(request, _("Your password is changed. Every other sign-in has ended."))
    return redirect("joining:change_password")


# --- What they share -------------------------------------------------------------------------------------------------


def _open_tenant(tenant_id) -> Tenant:
    tenant = Tenant.objects.filter(pk=tenant_id, is_active=True).first()
    if tenant is None:
        raise links.invalid()
    return tenant


def _form_status(form):
    return 422 if form is not None and form.errors else 200


def _over_limit(limit, request, form) -> dict:
    """What `render` needs beside the form where this network address has asked too often; {} where it has not."""
    try:
        usage = limit.hit(client_address(request))
    except LimiterUnavailable as unavailable:
        form.add_error(None, str(unavailable.detail))
        return {"status": 503}
    if usage.allowed:
        return {}
    minutes = max(1, -(-usage.retry_after // 60))
    form.add_error(None, _("Too many tries. Please try again in %(minutes)d minute(s).") % {"minutes": minutes})
    return {"status": 429}
