"""E-mail addresses: confirming one, changing one."""

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.services import send_mail
from accounts.users import selectors as users
from accounts.users.models import Membership, User, identity_key
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

from .. import limits, notices, selectors
from ..links import AddressClaim, used
from .passwords import check_own_password
from .registration import complete_registration, is_free


class PasswordNeeded(RuleBroken):
    """A first confirmation is for who registered, and not for everybody who reads the mailbox."""

    code = "password_needed"


@transaction.atomic
def ask_address_change(by: Membership, *, email: str, password: str) -> None:
    """Send a link to a new address; the account keeps the old one until it is used (AU-33).

    Whether somebody else has the address is not said: they get no mail, and the
    link is never made. Raises WrongPassword, and SignInRefused after too many.
    """
    user = check_own_password(by, password)
    email = email.strip()
    if identity_key(email) == user.email_key:
        raise RuleBroken(_("This is your address already."))
    user.pending_email = email
    user.link_version += 1
    user.save(update_fields=["pending_email", "link_version"])
    audit.record("email_change_asked_for", by, by=by)
    if is_free(email) and limits.MAILS_TO.hit(identity_key(email)).allowed:
        _send_link(user, email)


@transaction.atomic
def send_confirmation(by: Membership) -> None:
    """Send the link once more: to the new address where one is waited for, else to the present one."""
    user = User.objects.select_for_update(no_key=True).get(pk=by.user_id)
    email = user.pending_email or user.email
    if not user.pending_email and user.email_confirmed_at:
        raise RuleBroken(_("Your address is confirmed already."))
    if not limits.MAILS_TO.hit(identity_key(email)).allowed:
        raise RuleBroken(_("Several mails were sent to this address already. Please try again in an hour."))
    if email == user.email or is_free(email):
        _send_link(user, email)


def _send_link(user: User, email: str) -> None:
    send_mail(
        notices.CONFIRM_ADDRESS,
        to=email,
        language=user.language,
        about_id=str(user.pk),
        params={"version": user.link_version},
    )


@transaction.atomic
def forget_address_change(by: Membership) -> None:
    """Stay with the present address; the link to the new one works no more."""
    user = User.objects.select_for_update(no_key=True).get(pk=by.user_id)
    if not user.pending_email:
        raise RuleBroken(_("No other address is waited for."))
    user.pending_email = ""
    user.link_version += 1
    user.save(update_fields=["pending_email", "link_version"])
    audit.record("email_change_forgotten", by, by=by)


def confirm_address(claim: AddressClaim, *, password: str = "") -> User:
    """Use the link of a mail: the address is the person's from now on. Runs inside the clinic it was asked for in.

    A first confirmation of somebody who registered takes the password they have
    chosen, too: whoever registers with another person's address must not find the
    account opened by that person's click. Raises LinkRefused, PasswordNeeded,
    and RuleBroken where the address has become somebody else's.
    """
    with transaction.atomic():
        user = selectors.find_claimant(claim, lock=True)
        if selectors.awaits_confirmation(user):
            _check_chosen_password(user, password)
            complete_registration(user, tenant_id=claim.tenant_id)
        elif claim.email == user.pending_email:
            _change_address(user, claim.email)
        elif user.email_confirmed_at:
            raise used()
        else:
            user.email_confirmed_at = timezone.now()
            user.link_version += 1
            user.save(update_fields=["email_confirmed_at", "link_version"])
        audit.record("email_confirmed", users.get_member(user), by=users.get_member(user))
        return user


def _check_chosen_password(user: User, password: str) -> None:
    if not password:
        raise PasswordNeeded(_("Enter the password you have chosen when you registered."))
    if not limits.CHOSEN_PASSWORD.hit(str(user.pk)).allowed:
        raise PasswordNeeded(_("Too many wrong passwords. Register again, and choose another one."))
    if len(password) > 256 or not user.check_password(password):
        raise PasswordNeeded(
            _("This is not the password of this registration. If you have forgotten it, register again."),
            code="wrong_password",
        )


def _change_address(user: User, email: str) -> None:
    if not is_free(email):
        raise RuleBroken(_("This address belongs to another account by now."))
    before = user.email
    if user.username_key == user.email_key:
        user.username, user.username_key = email, identity_key(email)
    user.email, user.email_key = email, identity_key(email)
    user.email_confirmed_at, user.pending_email = timezone.now(), ""
    user.link_version += 1
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise RuleBroken(_("This address belongs to another account by now.")) from None
    send_mail(notices.ADDRESS_CHANGED, to=before, language=user.language, about_id=str(user.pk))
