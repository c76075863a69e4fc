"""Registering: by an administrator with any role of theirs, by patients themselves where the clinic allows it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.services import send_mail
from accounts.users import services as users
from accounts.users.models import Membership, User, identity_key
from accounts.users.passwords import find_problems
from tenancy.audit import services as audit
from tenancy.rules import NotAllowed, RuleBroken
from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.models import Tenant

from .. import limits, notices, selectors
from ..models import Invitation
from .invitations import check_roles, invite_known_patient

SELF_REGISTERED_ROLE = "patient"


@transaction.atomic
def register_member(
    *,
    by: Membership,
    email: str,
    name: str,
    password: str,
    username: str = "",
    phone: str = "",
    roles: Sequence[str],
    **fields: Any,
) -> Membership:
    """Make a person and member at once, as an administrator (C2, D6). `fields` as in `invite`.

    The address counts as confirmed only when its owner says so. Raises what
    `check_roles` does, `users.services.Taken`, and RuleBroken for a bad password.
    """  # fmt: skip
    codes = check_roles(roles, by=by)
    user = _create_user(email=email, name=name, password=password, username=username, phone=phone)
    member = users.add_member(user, roles=codes, by=by, **fields)
    for invitation in Invitation.objects.open().filter(email_key=user.email_key):
        invitation.withdrawn_at, invitation.withdrawn_by = timezone.now(), by
        invitation.save(update_fields=["withdrawn_at", "withdrawn_by"])
        audit.record("invitation_withdrawn", invitation, by=by, reason_code="registered")
    return member


@transaction.atomic
def register_patient(
    tenant: Tenant, *, email: str, name: str, password: str, username: str = "", phone: str = ""
) -> User:
    """Somebody registers as a patient. Nobody is let in before the address is confirmed: the person is made inactive.

    Runs inside the clinic. Raises NotAllowed where the clinic does not offer it,
    `users.services.Taken`, and RuleBroken for a bad password.
    """
    _need_registration(tenant)
    user = _create_user(
        email=email, name=name, password=password, username=username, phone=phone, is_active=False,
        pending_email=email.strip(),
    )  # fmt: skip
    _ask_to_confirm(user)
    return user


@transaction.atomic
def register_patient_quietly(tenant: Tenant, *, email: str, name: str, password: str, phone: str = "") -> None:
    """As `register_patient`, and nobody learns from it who is known here: what happens is said by mail only (AU-02).

    An unknown address gets the link to confirm it; so does one that registered
    before and never confirmed, with the new password. A member is told that there
    is an account; who is known elsewhere may join. At most three mails an hour
    go to one address. Raises RuleBroken for a bad password, whoever it is for.
    """
    _need_registration(tenant)
    user = selectors.find_person(email)
    if problems := find_problems(password, User(email=email, username=email, name=name)):
        raise RuleBroken(" ".join(problems))
    if user is None:
        register_patient(tenant, email=email, name=name, password=password, phone=phone)
        return
    make_password(password)  # as much work as for somebody new
    if not limits.MAILS_TO.hit(user.email_key).allowed:
        return
    if selectors.awaits_confirmation(user):
        _register_again(user, name=name, password=password, phone=phone)
    elif not user.is_active:
        return
    elif Membership.objects.filter(user=user).exists():
        send_mail(notices.ALREADY_REGISTERED, to=user.email, language=user.language, about_id=str(user.pk))
    else:
        invite_known_patient(user, name=user.name)


def _register_again(user: User, *, name: str, password: str, phone: str) -> None:
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not selectors.awaits_confirmation(user):
        return
    user.name, user.phone = name.strip(), phone
    user.set_password(password)
    user.link_version += 1
    user.save()
    _ask_to_confirm(user)


def _need_registration(tenant: Tenant) -> None:
    if not tenant.allows_registration:
        raise NotAllowed(_("This clinic does not offer registration. Ask its reception for an invitation."))


def _create_user(**fields: Any) -> User:
    try:
        with transaction.atomic():
            return users.create_user(**fields)
    except IntegrityError:  # the same address twice at the same moment (CC-08)
        raise users.Taken(_("Somebody with this e-mail address exists already."), field="email") from None


def _ask_to_confirm(user: User) -> None:
    audit.record("registration_asked_for", None, by=None, details={"user": str(user.pk)})
    send_mail(
        notices.CONFIRM_REGISTRATION,
        to=user.email,
        about_id=str(user.pk),
        params={"version": user.link_version},
    )


def complete_registration(user: User, *, tenant_id: UUID) -> Membership:
    """Let somebody in whose address was just confirmed. A part of `confirm_address`, which has locked the row."""
    assert tenant_id == current_tenant_id()
    user.is_active, user.email_confirmed_at, user.pending_email = True, timezone.now(), ""
    user.link_version += 1
    user.save(update_fields=["is_active", "email_confirmed_at", "pending_email", "link_version"])
    return users.add_member(user, roles=[SELF_REGISTERED_ROLE], by=None)


def is_free(email: str) -> bool:
    """Whether nobody signs in by this address or name."""
    key = identity_key(email)
    return not User.objects.filter(email_key=key).exists() and not User.objects.filter(username_key=key).exists()
