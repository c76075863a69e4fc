"""The mails of this room, and what it tells members. Links are made here, when a mail leaves."""

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.notifications.kinds import Composed, Kind, MailKind, one_line, register, register_mail
from accounts.notifications.links import absolute
from accounts.notifications.models import Delivery
from accounts.users.models import User
from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.models import Tenant

from . import links, selectors
from .models import INVITATION_LIFETIME, Invitation

IF_NOT_YOU = gettext_lazy("If you did not expect this mail, do nothing: without the link nothing happens.")


def _compose_invitation(delivery: Delivery) -> Composed | None:
    invitation = Invitation.objects.open().filter(pk=delivery.about_id).select_related("invited_by__user").first()
    if invitation is None or invitation.is_expired or delivery.params.get("version") != str(invitation.version):
        return None
    clinic, link = _clinic(), absolute(reverse("joining:accept", args=[links.sign_invitation(invitation)]))
    days = ngettext("%(days)d day", "%(days)d days", INVITATION_LIFETIME.days) % {"days": INVITATION_LIFETIME.days}
    if invitation.invited_by is None:
        subject = _("Your registration at %(clinic)s") % {"clinic": clinic}
        lead = _("Somebody, probably you, registered at %(clinic)s with this address. You have an account already.")
        text = [lead % {"clinic": clinic}, _("To become a patient there, too, open this link and enter your password:")]
    else:
        subject = _("Invitation to join %(clinic)s") % {"clinic": clinic}
        lead = _("%(name)s invites you to join %(clinic)s. Your role: %(roles)s.")
        who = {
            "name": one_line(invitation.invited_by.display_name),
            "clinic": clinic,
            "roles": selectors.words_for_roles(invitation.roles),
        }
        text = [lead % who, _("To accept, open this link:")]
    text += [link, _("It works once, for %(days)s.") % {"days": days}, str(IF_NOT_YOU)]
    return Composed(subject, "\n\n".join([_greeting(invitation.name), *text]))


def _compose_confirm_registration(delivery: Delivery) -> Composed | None:
    user = _waiting_for_link(delivery)
    if user is None or not selectors.awaits_confirmation(user):
        return None
    text = [
        _greeting(user.email),  # the name is a stranger's words until this address is confirmed
        _("You have registered at %(clinic)s. To open your account, confirm this address:") % {"clinic": _clinic()},
        _address_link(user, user.email),
        _("You will be asked for the password you have chosen."),
        _("If you did not register, do nothing: the account stays closed."),
    ]
    return Composed(_("Confirm your registration at %(clinic)s") % {"clinic": _clinic()}, "\n\n".join(text))


def _compose_already_registered(delivery: Delivery) -> Composed | None:
    user = User.objects.filter(pk=delivery.about_id, is_active=True).first()
    if user is None:
        return None
    text = [
        _greeting(user.name),
        _("Somebody, probably you, wanted to register at %(clinic)s with this address. You have an account already.")
        % {"clinic": _clinic()},
        _("Sign in here:"),
        absolute(reverse("users:sign_in")),
        _("If you have forgotten your password, set a new one here:"),
        absolute(reverse("joining:reset_password")),
        str(_("If it was not you, do nothing: your account has not changed.")),
    ]
    return Composed(_("You already have an account"), "\n\n".join(text))


def _compose_confirm_address(delivery: Delivery) -> Composed | None:
    user = _waiting_for_link(delivery)
    if user is None or not user.is_active or delivery.address not in {user.pending_email, user.email}:
        return None
    text = [
        _greeting(user.name),
        _("Please confirm that you read mail at this address:"),
        _address_link(user, delivery.address),
        str(IF_NOT_YOU),
    ]
    return Composed(_("Confirm your e-mail address"), "\n\n".join(text))


def _compose_address_changed(delivery: Delivery) -> Composed | None:
    user = User.objects.filter(pk=delivery.about_id).first()
    if user is None:
        return None
    text = [
        _greeting(user.name),
        _("Your account has another e-mail address from now on; mail comes there and no longer here."),
        _("If you did not change it, tell your administrator at once: somebody else may have your account."),
    ]
    return Composed(_("Your e-mail address was changed"), "\n\n".join(text))


def _compose_password_reset(delivery: Delivery) -> Composed | None:
    return _password_mail(
        delivery,
        _("Set a new password"),
        _("Somebody, probably you, asked to set a new password for your account. To do so, open this link:"),
    )


def _compose_first_password(delivery: Delivery) -> Composed | None:
    return _password_mail(
        delivery,
        _("Welcome to %(clinic)s") % {"clinic": _clinic()},
        _("You are the administrator of %(clinic)s. To begin, set your password:") % {"clinic": _clinic()},
    )


def _password_mail(delivery: Delivery, subject: str, lead: str) -> Composed | None:
    user = _waiting_for_link(delivery)
    if user is None or not user.is_active:
        return None
    minutes = settings.PASSWORD_RESET_TIMEOUT // 60
    text = [
        _greeting(user.name),
        lead,
        absolute(reverse("joining:set_password", args=links.sign_password(user))),
        _("It works once, for %(minutes)d minutes. Later, ask for another one here:") % {"minutes": minutes},
        absolute(reverse("joining:reset_password")),
        _("If you did not expect this mail, do nothing: your password stays as it is."),
    ]
    return Composed(subject, "\n\n".join(text))


def _waiting_for_link(delivery: Delivery) -> User | None:
    """The person a link is for, unless a later one was asked for meanwhile."""
    user = User.objects.filter(pk=delivery.about_id).first()
    return user if user and delivery.params.get("version") == str(user.link_version) else None


def _address_link(user: User, email: str) -> str:
    token = links.sign_address(user, email=email, tenant_id=current_tenant_id())
    return absolute(reverse("joining:confirm_email", args=[token]))


def _greeting(name: str) -> str:
    return _("Hello %(name)s,") % {"name": one_line(name)}


def _clinic() -> str:
    return Tenant.objects.get(pk=current_tenant_id()).name


INVITATION = register_mail(MailKind("invitation", _compose_invitation, gettext_lazy("Invitation")))
CONFIRM_REGISTRATION = register_mail(
    MailKind("confirm_registration", _compose_confirm_registration, gettext_lazy("Registration"))
)
ALREADY_REGISTERED = register_mail(
    MailKind("already_registered", _compose_already_registered, gettext_lazy("Registration"))
)
CONFIRM_ADDRESS = register_mail(
    MailKind("confirm_address", _compose_confirm_address, gettext_lazy("Confirm your e-mail address"))
)
ADDRESS_CHANGED = register_mail(
    MailKind("address_changed", _compose_address_changed, gettext_lazy("Your e-mail address was changed"))
)
PASSWORD_RESET = register_mail(MailKind("password_reset", _compose_password_reset, gettext_lazy("Set a new password")))
FIRST_PASSWORD = register_mail(
    MailKind("first_password", _compose_first_password, gettext_lazy("The first administrator"))
)

INVITATION_ACCEPTED = register(
    Kind(
        "invitation_accepted",
        "team",
        title=gettext_lazy("%(name)s has accepted your invitation"),
        body=gettext_lazy("%(name)s is a member of the clinic from now on."),
        priority="low",
        mail="no",
    )
)
PASSWORD_CHANGED = register(
    Kind(
        "password_changed",
        "security",
        title=gettext_lazy("Your password was changed"),
        body=gettext_lazy(
            "Everybody who was signed in as you is signed out."
            " If it was not you, set a new password at once and tell your administrator."
        ),
        mutable=False,
    )
)
PASSWORD_SET_BY_LINK = register(
    Kind(
        "password_set_by_link",
        "security",
        title=gettext_lazy("A new password was set for your account"),
        body=gettext_lazy(
            "It was set with a link that was mailed to you. Everybody who was signed in as you is signed out."
            " If it was not you, somebody else reads your mail: tell your administrator at once."
        ),
        priority="high",
        mutable=False,
    )
)
