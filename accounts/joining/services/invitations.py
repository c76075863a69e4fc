"""Inviting people, and letting in who accepts."""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notifications.services import notify, send_mail
from accounts.permissions import PLATFORM_ROLE, ROLE_ALIASES
from accounts.users import rights
from accounts.users import services as users
from accounts.users.models import Membership, Role, User, identity_key
from accounts.users.passwords import find_problems
from tenancy.audit import services as audit
from tenancy.rules import NotAllowed, RuleBroken
from tenancy.tenants.context import tenant_context

from .. import limits, notices, selectors
from ..links import InvitationClaim, LinkRefused
from ..models import INVITATION_LIFETIME, Invitation


def check_roles(codes: Sequence[str], *, by: Membership) -> list[str]:
    """The codes of the roles meant, where this member may let somebody in with all of them together.

    Names the specifications use are understood (decision X8). Raises RuleBroken
    for none, unknown ones and those that exclude each other, NotAllowed for
    roles that are not this member's to give.
    """
    wanted = list(dict.fromkeys(ROLE_ALIASES.get(code, code) for code in codes))
    known = {role.code: role for role in Role.objects.filter(code__in=wanted)}
    if not wanted:
        raise RuleBroken(_("Choose at least one role."))
    if missing := [code for code in wanted if code not in known or code == PLATFORM_ROLE]:
        raise RuleBroken(_("There is no role %(roles)s.") % {"roles": ", ".join(missing)}, code="unknown_role")
    allowed = set(selectors.list_roles_to_give(by=by).values_list("code", flat=True))
    if not allowed.issuperset(wanted):
        raise NotAllowed(_("You may invite people, but not give them this role."))
    rights.refuse_conflicting_codes({code for role in known.values() for code in role.permissions})
    return wanted


@transaction.atomic
def invite(*, by: Membership, email: str, name: str, roles: Sequence[str], **fields: Any) -> Invitation:
    """Ask somebody to join, by mail. `fields` are phone, specialization, department and specialties.

    Raises what `check_roles` does, and RuleBroken for members and for who has an open invitation.
    """
    codes = check_roles(roles, by=by)
    key = identity_key(email)
    if Membership.objects.filter(user__email_key=key).exists():
        raise RuleBroken(_("Somebody with this e-mail address is or was a member here. Look under People."))
    invitation = _create(key, email=email.strip(), name=name.strip(), roles=codes, invited_by=by, **fields)
    audit.record("invitation_sent", invitation, by=by, details={"roles": codes})
    _mail(invitation)
    return invitation


@transaction.atomic
def invite_known_patient(user: User, *, name: str) -> None:
    """Somebody known in another clinic registers here: they are let in by a mail to their own address.

    Without an open invitation one is made, that nobody of the clinic has
    written; where there is one its mail goes out again.
    """
    invitation = Invitation.objects.open().filter(email_key=user.email_key).first()
    if invitation is None:
        invitation = _create(user.email_key, email=user.email, name=name, roles=["patient"], invited_by=None)
        audit.record("invitation_asked_for", invitation, by=None)
    _mail(invitation)


def _create(key: str, **fields: Any) -> Invitation:
    try:
        with transaction.atomic():
            return Invitation.objects.create(email_key=key, expires_at=timezone.now() + INVITATION_LIFETIME, **fields)
    except IntegrityError:  # two people at once, or one of them last week
        raise RuleBroken(_("This person is invited already. Send the invitation again instead.")) from None


@transaction.atomic
def resend_invitation(invitation: Invitation, *, by: Membership) -> Invitation:
    """Send an invitation again, for another week, at most three times an hour. The link of the mail before works no
    more."""
    invitation = lock_invitation(invitation)
    check_roles(invitation.roles, by=by)
    if not limits.MAILS_TO.hit(invitation.email_key).allowed:
        raise RuleBroken(_("Several mails were sent to this address already. Please try again in an hour."))
    invitation.version += 1
    invitation.expires_at = timezone.now() + INVITATION_LIFETIME
    invitation.save(update_fields=["version", "expires_at"])
    audit.record("invitation_sent", invitation, by=by, details={"roles": invitation.roles, "again": True})
    _mail(invitation)
    return invitation


@transaction.atomic
def withdraw_invitation(invitation: Invitation, *, by: Membership) -> None:
    """Take an invitation back; its link works no more."""
    invitation = lock_invitation(invitation)
    invitation.withdrawn_at, invitation.withdrawn_by = timezone.now(), by
    invitation.save(update_fields=["withdrawn_at", "withdrawn_by"])
    audit.record("invitation_withdrawn", invitation, by=by)


def lock_invitation(invitation: Invitation) -> Invitation:
    """The invitation as it is now, nobody else's until the transaction ends. Raises RuleBroken when it is over."""
    invitation = Invitation.objects.select_for_update(of=("self",), no_key=True).get(pk=invitation.pk)
    if not invitation.is_open:
        raise RuleBroken(_("This invitation was accepted or withdrawn already."))
    return invitation


def _mail(invitation: Invitation) -> None:
    send_mail(
        notices.INVITATION,
        to=invitation.email,
        about_id=str(invitation.pk),
        params={"version": invitation.version},
    )


# --- Accepting -------------------------------------------------------------------------------------------------------


def accept_as_new(claim: InvitationClaim, *, name: str, password: str) -> Membership:
    """Let somebody in who has no account yet: the link shows that the address is theirs.

    Runs inside the clinic of the claim. A registration that nobody ever confirmed
    counts as no account, so that no stranger can occupy an address. Raises
    LinkRefused, and RuleBroken for a bad password and where an account has appeared meanwhile.
    """
    with transaction.atomic():
        invitation = selectors.find_invited(claim, lock=True)
        user = selectors.find_person(invitation.email)
        if user is not None and not selectors.awaits_confirmation(user):
            raise RuleBroken(_("There is an account with this address. Sign in with its password."))
        made: dict[str, Any] = {"email_confirmed_at": timezone.now(), "phone": invitation.phone}
        if user is None:
            user = users.create_user(email=invitation.email, name=name, password=password, **made)
        else:
            _take_over(user, name=name, password=password, **made)
        return _let_in(invitation, user)


def accept_as_known(claim: InvitationClaim, user: User) -> Membership:
    """Let somebody in who has an account, and has just shown that it is theirs. Runs inside the clinic of the claim.

    Their password, name and phone stay as they are. Raises LinkRefused, and RuleBroken for somebody else's account.
    """
    with transaction.atomic():
        invitation = selectors.find_invited(claim, lock=True)
        if user.email_key != invitation.email_key:
            raise RuleBroken(_("This invitation is for another address. Sign in as the person it was sent to."))
        if user.email_confirmed_at is None:
            user.email_confirmed_at = timezone.now()
            User.objects.filter(pk=user.pk).update(email_confirmed_at=user.email_confirmed_at)
        return _let_in(invitation, user)


def _take_over(user: User, *, name: str, password: str, **fields: Any) -> None:
    if problems := find_problems(password, user):
        raise RuleBroken(" ".join(problems))
    user.set_password(password)
    user.name, user.is_active, user.pending_email = name.strip(), True, ""
    user.link_version += 1
    for field, value in fields.items():
        setattr(user, field, value)
    user.save()


def _let_in(invitation: Invitation, user: User) -> Membership:
    roles = Role.objects.filter(code__in=invitation.roles)
    rights.refuse_conflicting_codes({code for role in roles for code in role.permissions})
    member = users.add_member(
        user,
        roles=invitation.roles,
        by=invitation.invited_by,
        specialization=invitation.specialization,
        department=invitation.department,
        specialties=invitation.specialties,
    )
    invitation.accepted_at, invitation.accepted_by = timezone.now(), member
    invitation.save(update_fields=["accepted_at", "accepted_by"])
    audit.record("invitation_accepted", invitation, by=member, details={"roles": invitation.roles})
    if invitation.invited_by:
        notify(
            notices.INVITATION_ACCEPTED,
            [invitation.invited_by],
            params={"name": user.name},
            about=member,
            event=f"invitation-accepted:{invitation.pk}",
        )
    return member


def note_refused_link(claim: InvitationClaim, refused: LinkRefused) -> None:
    """Leave a line in the clinic's trail: somebody tried a link of this clinic that opens nothing.

    Outside of the refused transaction, once in a quarter of an hour an invitation.
    """
    if not limits.REFUSED_LINK_NOTED.hit(str(claim.invitation_id)).allowed:
        return
    with tenant_context(claim.tenant_id):
        invitation = Invitation.objects.filter(pk=claim.invitation_id).first()
        audit.record("invitation_refused", invitation, by=None, reason_code=refused.code)
