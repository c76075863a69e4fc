"""A member's own data, and whether they may come in at all."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.users.models import Membership, Session, User
from accounts.users.rights import changing_rights, lock_rights, refuse_above, refuse_conflicts
from accounts.users.sessions import revoke_session
from tenancy.audit import services as audit
from tenancy.rules import RuleBroken

OF_THE_PERSON = ("name", "phone", "language")
OF_THE_MEMBER = ("specialization", "department", "specialties")


@transaction.atomic
def update_profile(member: Membership, *, by: Membership, changes: Mapping[str, Any]) -> Membership:
    """Change what people may change about themselves: name, phone, language, specialization, department.

    Name, phone and language belong to the person and hold in every clinic.
    Raises KeyError for any other field: the doors leave those out and say so.
    """
    _refuse_strays(changes, {*OF_THE_PERSON, "specialization", "department"})
    return _write(member, by, changes)


@transaction.atomic
def update_member(member: Membership, *, by: Membership, changes: Mapping[str, Any], reason: str = "") -> Membership:
    """Change what the clinic knows of a member's work: specialization, department, specialties."""
    _refuse_strays(changes, set(OF_THE_MEMBER))
    return _write(member, by, changes, reason)


def _refuse_strays(changes: Mapping[str, Any], allowed: set[str]) -> None:
    if strays := set(changes) - allowed:
        raise KeyError(", ".join(sorted(strays)))


def _write(member: Membership, by: Membership, values: Mapping[str, Any], reason: str = "") -> Membership:
    user = User.objects.select_for_update().get(pk=member.user_id)
    row = Membership.objects.select_for_update(of=("self",)).get(pk=member.pk)
    if values.get("name") is not None and not values["name"].strip():
        raise RuleBroken(_("A name is needed."))
    changes = {}
    for target, names in ((user, OF_THE_PERSON), (row, OF_THE_MEMBER)):
        changed = [name for name in names if name in values and getattr(target, name) != values[name]]
        for name in changed:
            changes[name] = (getattr(target, name), values[name])
            setattr(target, name, values[name])
        if changed:
            stamp = ["updated_at"] if isinstance(target, User) else []
            target.save(update_fields=[*changed, *stamp])
    row.user, row.tenant = user, member.tenant
    if changes:
        audit.record("member_updated", row, by=by, changes=changes, reason=reason.strip())
    return row


@transaction.atomic
def deactivate_member(member: Membership, *, by: Membership | None, reason: str) -> Membership:
    """Shut the clinic's door to somebody: every session of theirs here is over at its next request.

    What they did stays theirs, and they can be let in again. Raises RuleBroken
    without a reason, for oneself, and for the last administrator.
    """
    reason = _needed(reason)
    if by is not None and by.pk == member.pk:
        raise RuleBroken(_("Somebody else has to deactivate you."), code="own_rights")
    with changing_rights():
        row = Membership.objects.select_for_update(of=("self",)).select_related("user").get(pk=member.pk)
        if not row.is_active:
            raise RuleBroken(_("%(name)s is not active any more.") % {"name": row.display_name})
        refuse_above(row, by=by)
        row.is_active = False
        row.save(update_fields=["is_active"])
        ended = Session.objects.filter(membership=row, revoked_at__isnull=True).update(revoked_at=timezone.now())
    changes = {"is_active": (True, False)}
    audit.record("member_deactivated", row, by=by, changes=changes, reason=reason, details={"sessions_ended": ended})
    return row


@transaction.atomic
def reactivate_member(member: Membership, *, by: Membership | None, reason: str) -> Membership:
    """Let somebody in again, with the roles and permissions they had. Raises RuleBroken without a reason, for a
    person whose account is closed everywhere, and when their permissions conflict by now."""
    reason = _needed(reason)
    lock_rights()
    row = Membership.objects.select_for_update(of=("self",)).select_related("user").get(pk=member.pk)
    if row.is_active:
        raise RuleBroken(_("%(name)s is active already.") % {"name": row.display_name})
    if by is not None and by.pk == row.pk:
        raise RuleBroken(_("Somebody else has to let you in again."), code="own_rights")
    refuse_above(row, by=by)
    row.is_active = True
    row.save(update_fields=["is_active"])
    refuse_conflicts([row])
    audit.record("member_reactivated", row, by=by, changes={"is_active": (False, True)}, reason=reason)
    return row


def end_session(session: Session, *, by: Membership) -> None:
    """End one sign-in of a member of this clinic, as an administrator. Raises RuleBroken for one above the caller."""
    refuse_above(session.membership, by=by)
    revoke_session(session, by=by, reason_code="ended_by_administrator")


def _needed(reason: str) -> str:
    reason = reason.strip()[:300]
    if not reason:
        raise RuleBroken(_("Say why: the reason is kept in the audit trail."))
    return reason
