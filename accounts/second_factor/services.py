"""Setting up a second factor, proving it, taking it away.

Every change of what a person can prove ends their sign-ins everywhere but the
one that made it, tells them by mail and leaves a line in the trail.

Functions that check a code are no transaction as a whole: a wrong code is
counted, and the count has to outlive the exception that says so.
"""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django_otp_webauthn.models import WebAuthnCredential, WebAuthnUserHandle

from accounts.notifications.services import notify
from accounts.permissions import Permission
from accounts.users import sessions
from accounts.users.limits import SECOND_FACTOR_PERSON
from accounts.users.models import Membership, Session, User
from accounts.users.rights import refuse_above
from tenancy.audit import services as audit
from tenancy.rules import NotAllowed, RuleBroken

from . import limits, notices, selectors
from .models import Authenticator, CountedDevice, RecoveryCode, RecoveryCodes
from .passkeys import Ceremonies
from .sealing import fingerprints, new_code, new_seed, plain_code

HOW_MANY_CODES = 10
MOST_PASSKEYS = 10
NAMES = {
    Session.Factor.TOTP: gettext_noop("Authenticator"),
    Session.Factor.PASSKEY: gettext_noop("Passkey"),
}


class CodeRefused(RuleBroken):
    """A code or password that is not right. `retry_after` is in seconds where even a right one has to wait."""

    code = "invalid_totp"

    def __init__(self, sentence: str, *, code: str | None = None, retry_after: int | None = None):
        super().__init__(sentence, code=code)
        self.retry_after = retry_after


class ProofNeeded(RuleBroken):
    """Somebody who sits down at an open browser must not change who can sign in (ASVS 7.5.1)."""

    code = "reauthentication_required"

    def __init__(self) -> None:
        super().__init__(_("Enter your password again to change how you sign in."))


# --- Proving ---------------------------------------------------------------------------------------------------------


def prove_code(user: User, code: str) -> str:
    """Use up a code of the authenticator, or a recovery code; returns the Session.Factor it proves.

    Of many tries at once with one code exactly one succeeds: the row is locked,
    and the step or code is taken by one conditional UPDATE (security.md AU-12, AU-17).
    Raises CodeRefused: `invalid_totp`, or `too_many_attempts` after five wrong
    ones in a row, for 15 minutes and whatever is entered (AU-14): counted in
    Redis over all codes of the person, and in the device's own row.
    """
    text = "".join(code.split())
    usage = SECOND_FACTOR_PERSON.hit(str(user.pk))
    if not usage.allowed:
        raise _too_many(usage.retry_after)
    with transaction.atomic():
        device = _device_for(user, text)
        locked_until = device.locked_until if device else None
        is_right = device is not None and device.verify_token(text)
    if locked_until:
        raise _too_many(int((locked_until - timezone.now()).total_seconds()) + 1)
    if device is None or not is_right:
        raise CodeRefused(_("Invalid two-factor code"))
    SECOND_FACTOR_PERSON.reset(str(user.pk))
    return device.factor


def _device_for(user: User, text: str) -> CountedDevice | None:
    """The one device whose codes look like this, locked until the transaction ends."""
    model = RecoveryCodes if plain_code(text) else Authenticator
    return model.objects.select_for_update().filter(user=user, confirmed=True).first()


def _too_many(seconds: int) -> CodeRefused:
    minutes = max(1, -(-seconds // 60))
    sentence = _("Too many failed attempts. Please try again in %(minutes)d minute(s).") % {"minutes": minutes}
    return CodeRefused(sentence, code="too_many_attempts", retry_after=seconds)


@transaction.atomic
def prove_passkey(user: User, *, ceremonies: Ceremonies, state: Any, answer: str) -> str:
    """Check a browser's answer to `authenticate_begin`; returns Session.Factor.PASSKEY. Raises PasskeyRefused."""
    ceremonies.authenticate_complete(user, state, answer)
    return Session.Factor.PASSKEY.value


def prove_again(session: Session, *, password: str = "", code: str = "", is_recent_enough: bool = True) -> None:
    """The person of a sign-in is still the one who sits there: by password, by a code, or by what they just did.

    Raises CodeRefused for a wrong password or code, ProofNeeded where neither
    came and the sign-in itself is no recent proof (ASVS 7.5.1).
    """
    user = session.membership.user
    if password:
        usage = limits.PASSWORD_AGAIN.hit(str(user.pk))
        if not usage.allowed:
            raise _too_many(usage.retry_after)
        if len(password) > 256 or not user.check_password(password):
            raise CodeRefused(_("This is not your password."), code="invalid_password")
        limits.PASSWORD_AGAIN.reset(str(user.pk))
    elif code:
        prove_code(user, code)
    elif not is_recent_enough or not selectors.was_recently_proved(session):
        raise ProofNeeded


# --- The authenticator -----------------------------------------------------------------------------------------------


@transaction.atomic
def begin_authenticator(user: User) -> Authenticator:
    """The authenticator to be set up: the one begun before, or a new one where there is none or that was long ago.

    Raises RuleBroken where one is in use: its seed is never shown again and
    never overwritten (security.md AU-15).
    """
    _lock(user)
    device = Authenticator.objects.filter(user=user).first()
    if device and device.confirmed:
        raise RuleBroken(
            _("An authenticator is set up already. Switch it off before you set up another."), code="totp_active"
        )
    if device and device.is_pending:
        return device
    if device:
        device.delete()
    device = Authenticator(user=user, name="authenticator", confirmed=False)
    device.seed = new_seed()
    device.save(force_insert=True)
    return device


def confirm_authenticator(*, session: Session, code: str, password: str = "") -> list[str]:
    """Put the authenticator that was begun into use by its first code.

    Returns ten recovery codes, to be shown this once, or none where the person
    has some already. Raises CodeRefused (`no_totp_secret`, `invalid_totp`,
    `too_many_attempts`), ProofNeeded, or RuleBroken where one is in use.
    """
    user = session.membership.user
    prove_again(session, password=password)
    with transaction.atomic():
        _lock(user)
        device = Authenticator.objects.select_for_update().filter(user=user).first()
        if device and device.confirmed:
            raise RuleBroken(_("An authenticator is set up already."), code="totp_active")
        if device is None or not device.is_pending:
            raise CodeRefused(_("No TOTP secret set"), code="no_totp_secret")
        locked_until = device.locked_until
        is_right = device.verify_token("".join(code.split()))
    if locked_until:
        raise _too_many(int((locked_until - timezone.now()).total_seconds()) + 1)
    if not is_right:
        raise CodeRefused(_("Invalid code"))
    with transaction.atomic():
        _lock(user)
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        return _add_factor(session, Session.Factor.TOTP)


def disable_authenticator(
    *, session: Session, password: str = "", code: str = "", is_recent_enough: bool = True
) -> None:
    """Erase the authenticator's seed. Where there is none nothing happens.

    Raises CodeRefused or ProofNeeded as `prove_again` does.
    """
    user = session.membership.user
    if selectors.get_authenticator(user):
        prove_again(session, password=password, code=code, is_recent_enough=is_recent_enough)
    with transaction.atomic():
        _lock(user)
        was_in_use = selectors.get_authenticator(user) is not None
        Authenticator.objects.filter(user=user).delete()
        if was_in_use:
            _remove_factor(session, Session.Factor.TOTP)


# --- Passkeys --------------------------------------------------------------------------------------------------------


def add_passkey(
    *, session: Session, ceremonies: Ceremonies, state: Any, answer: str, name: str, password: str = ""
) -> list[str]:
    """Put a passkey into use: the browser's answer to `ceremonies.register_begin`, and what the person calls it.

    Returns recovery codes as `confirm_authenticator` does. Raises
    PasskeyRefused, CodeRefused, ProofNeeded, or RuleBroken for an eleventh.
    """
    user = session.membership.user
    prove_again(session, password=password)
    with transaction.atomic():
        _lock(user)
        if selectors.list_passkeys(user).count() >= MOST_PASSKEYS:
            raise RuleBroken(_("You have %(count)d passkeys. Remove one first.") % {"count": MOST_PASSKEYS})
        passkey = ceremonies.register_complete(user, state, answer)
        passkey.name = name.strip()[:64] or str(_("Passkey"))
        passkey.save(update_fields=["name"])
        return _add_factor(session, Session.Factor.PASSKEY)


def remove_passkey(passkey: WebAuthnCredential, *, session: Session, password: str) -> None:
    """Forget a passkey of the person of this sign-in. Raises CodeRefused or ProofNeeded."""
    prove_again(session, password=password, is_recent_enough=False)
    with transaction.atomic():
        _lock(session.membership.user)
        deleted, _rows = selectors.list_passkeys(session.membership.user).filter(pk=passkey.pk).delete()
        if deleted:
            _remove_factor(session, Session.Factor.PASSKEY)


# --- Recovery codes --------------------------------------------------------------------------------------------------


def renew_recovery_codes(
    *, session: Session, password: str = "", code: str = "", is_recent_enough: bool = False
) -> list[str]:
    """Ten new codes, to be shown this once; all earlier ones are worthless (security.md AU-17).

    Raises RuleBroken where no second factor is set up, CodeRefused or ProofNeeded.
    """
    member = session.membership
    prove_again(session, password=password, code=code, is_recent_enough=is_recent_enough)
    with transaction.atomic():
        _lock(member.user)
        if not selectors.has_second_factor(member.user):
            raise RuleBroken(_("Set up a second factor first."))
        codes = _make_codes(member.user)
        audit.record("recovery_codes_renewed", member, by=member)
        notify(notices.RECOVERY_CODES_RENEWED, [member], url="/account/security/")
    return codes


def keep_recovery_codes(user: User) -> None:
    """Note that the person says they have written their codes down."""
    RecoveryCodes.objects.filter(user=user, kept_at__isnull=True).update(kept_at=timezone.now())


def _make_codes(user: User) -> list[str]:
    sheet, _made = RecoveryCodes.objects.select_for_update().get_or_create(
        user=user, defaults={"name": "recovery codes"}
    )
    sheet.codes.all().delete()
    sheet.kept_at = None
    sheet.throttle_reset(commit=False)
    sheet.save()
    codes = [new_code() for _number in range(HOW_MANY_CODES)]
    RecoveryCode.objects.bulk_create(
        [RecoveryCode(sheet=sheet, digest=fingerprints(plain_code(code), user.pk)[0]) for code in codes]
    )
    return codes


# --- Losing it -------------------------------------------------------------------------------------------------------


@transaction.atomic
def reset_second_factor(member: Membership, *, by: Membership, reason: str) -> None:
    """Take every second factor from a person who has lost theirs; at the next sign-in they set up a new one.

    Told to the person and to the other administrators. Raises NotAllowed
    without the permission; RuleBroken for oneself, for who may change roles
    where the caller may not, without a reason, where there is nothing to take,
    and for somebody whose account is not this clinic's alone: the second factor
    of another clinic's staff is not ours to remove.
    """
    if not by.may(Permission.USER_MANAGE):
        raise NotAllowed(_("You may not do this."))
    user = _lock(member.user)
    reason = reason.strip()
    if not reason:
        raise RuleBroken(_("Say why, so that others can understand it later."))
    if member.user_id == by.user_id:
        raise RuleBroken(_("Somebody else has to reset your second factor."))
    refuse_above(member, by=by)
    if not by.user.is_platform_admin and (user.is_platform_admin or selectors.works_elsewhere(member)):
        raise RuleBroken(
            _("%(name)s also works in other clinics. Only a platform administrator can reset this second factor.")
            % {"name": user.name}
        )
    if not user.has_second_factor and not selectors.has_second_factor(user):
        raise RuleBroken(_("%(name)s has no second factor.") % {"name": user.name})
    _forget_everything(user)
    User.objects.filter(pk=user.pk).update(has_second_factor=False, second_factor_reset_at=timezone.now())
    sessions.sign_out_everywhere(user, by=by, reason_code="second_factor_reset")
    audit.record("second_factor_reset", member, by=by, reason=reason[:300])
    names = {"by": by.user.name, "name": user.name}
    notify(notices.SECOND_FACTOR_RESET, [member], params=names)
    others = selectors.list_user_admins().exclude(pk__in=[by.pk, member.pk])
    notify(notices.SECOND_FACTOR_OF_COLLEAGUE_RESET, others, params=names)


def _forget_everything(user: User) -> None:
    Authenticator.objects.filter(user=user).delete()
    RecoveryCodes.objects.filter(user=user).delete()
    WebAuthnCredential.objects.filter(user=user).delete()
    WebAuthnUserHandle.objects.filter(user=user).delete()


# --- What every change does ------------------------------------------------------------------------------------------


def _lock(user: User) -> User:
    """The person as they are now. Two changes of their factors at once follow one another."""
    return User.objects.select_for_update().get(pk=user.pk)


def _add_factor(session: Session, factor: Session.Factor) -> list[str]:
    member = session.membership
    codes = [] if selectors.count_recovery_codes(member.user) else _make_codes(member.user)
    User.objects.filter(pk=member.user_id).update(has_second_factor=True, second_factor_reset_at=None)
    member.user.has_second_factor, member.user.second_factor_reset_at = True, None
    _change_session(session, factor, reason_code="second_factor_added")
    audit.record("second_factor_added", member, by=member, details={"factor": factor.value})
    notify(notices.SECOND_FACTOR_ADDED, [member], params={"factor": _(NAMES[factor])}, url="/account/security/")
    return codes


def _remove_factor(session: Session, factor: Session.Factor) -> None:
    member = session.membership
    has_another = selectors.has_second_factor(member.user)
    if not has_another:
        RecoveryCodes.objects.filter(user=member.user).delete()
    User.objects.filter(pk=member.user_id).update(has_second_factor=has_another)
    member.user.has_second_factor = has_another
    proved = session.second_factor if has_another else Session.Factor.NONE.value
    _change_session(session, proved, reason_code="second_factor_removed")
    audit.record("second_factor_removed", member, by=member, details={"factor": factor.value})
    notify(notices.SECOND_FACTOR_REMOVED, [member], params={"factor": _(NAMES[factor])}, url="/account/security/")


def _change_session(session: Session, factor: str, *, reason_code: str) -> None:
    sessions.confirm_second_factor(session, str(factor))
    sessions.sign_out_everywhere(session.membership.user, keep=session, by=session.membership, reason_code=reason_code)
