"""Passwords: forgotten, set by a link, changed."""

from collections.abc import Iterator
from functools import partial

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.kinds import MailKind
from accounts.notifications.services import notify, send_mail
from accounts.users import proof, sessions
from accounts.users import selectors as users
from accounts.users.models import Membership, User
from accounts.users.passwords import LONGEST, find_problems
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant

from .. import limits, notices, selectors

MOST_CLINICS_TOLD = 50


class WrongPassword(RuleBroken):
    """The present password was asked for, and this is not it."""

    code = "wrong_password"


def ask_password_reset(email: str) -> None:
    """Send the link to set a new password, where somebody has this address. Runs outside of every clinic.

    Nobody learns whether somebody does: there is no answer, and the mail goes to
    the address as it is stored (AU-02). A newer link makes the earlier one worthless.
    At most three an hour go to one person.
    """
    user = selectors.find_person(email)
    if user is None or not user.is_active or not limits.MAILS_TO.hit(user.email_key).allowed:
        return
    with transaction.atomic():
        for clinic in _clinics_of(user):
            with tenant_context(clinic.id):
                member = users.get_member(user)
                if member is not None:
                    audit.record("password_reset_asked_for", member, by=None)
                    send_password_link(user, notices.PASSWORD_RESET)
                    return


def send_password_link(user: User, kind: MailKind) -> None:
    """Send the link that sets a password, in the current clinic's name; earlier ones work no more."""
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    user.link_version += 1
    user.save(update_fields=["link_version"])
    send_mail(kind, to=user.email, language=user.language, about_id=str(user.pk), params={"version": user.link_version})


def set_password_by_link(uid: str, token: str, *, password: str) -> User:
    """Set a new password with the link of a mail. Runs outside of every clinic.

    Everybody who is signed in as this person is out at their next request, in
    every clinic; the lock after wrong passwords is lifted (AU-08). A second factor
    is asked for at the next sign-in as ever (ASVS 6.4.3). Raises LinkRefused, and
    RuleBroken for a bad password, which leaves the link as it is.
    """
    with transaction.atomic():
        user = selectors.find_by_password_link(uid, token, lock=True)
        user.email_confirmed_at = user.email_confirmed_at or timezone.now()  # the mail has reached them
        _set_password(user, password)
        told = False
        for clinic in _clinics_of(user):
            with tenant_context(clinic.id):
                member = users.get_member(user)
                if member is None:
                    continue
                audit.record("password_reset", member, by=member)
                if not told:
                    sessions.sign_out_everywhere(user, by=member, reason_code="password_reset")
                    notify(notices.PASSWORD_SET_BY_LINK, [member])
                    told = True
        transaction.on_commit(partial(proof.forget_failed_sign_ins, user))
        return user


def change_password(by: Membership, *, current: str, password: str) -> User:
    """Change one's own password. Every session ends with it, this one too; the caller opens a new one for a browser.

    Raises WrongPassword, SignInRefused (429) after too many of those, and RuleBroken for a bad new one.
    """
    with transaction.atomic():
        user = check_own_password(by, current)
        if user.check_password(password[:LONGEST]):
            raise RuleBroken(_("This is the password you have already."), code="same_password")
        _set_password(user, password)
        audit.record("password_changed", by, by=by)
        sessions.sign_out_everywhere(user, by=by, reason_code="password_changed")
        notify(notices.PASSWORD_CHANGED, [by])
        return user


def check_own_password(by: Membership, password: str) -> User:
    """The person of this member, the row locked, where the password is theirs; counted in their own session only.

    Somebody who attacks from outside locks the sign-in and not this (AU-08). Raises WrongPassword, SignInRefused (429).
    """
    proof.count_try(limits.OWN_PASSWORD, str(by.user_id))
    user = User.objects.select_for_update(no_key=True).get(pk=by.user_id)
    if len(password) > LONGEST or not user.check_password(password):
        raise WrongPassword(_("This is not your present password."))
    limits.OWN_PASSWORD.reset(str(by.user_id))
    return user


def _set_password(user: User, password: str) -> None:
    if problems := find_problems(password, user):
        raise RuleBroken(" ".join(problems), code="password_refused")
    user.set_password(password)
    user.link_version += 1
    user.failed_sign_ins = 0
    user.save(update_fields=["password", "link_version", "failed_sign_ins", "email_confirmed_at"])


def _clinics_of(user: User) -> Iterator[Tenant]:
    """In one order for everybody, so that two who lock the trails of several clinics never wait for each other."""
    yield from users.list_workplaces(user).order_by("id")[:MOST_CLINICS_TOLD]
