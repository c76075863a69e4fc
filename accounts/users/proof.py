"""Is this the person they say they are: password and second factor, counted before anything is compared.

The order is what keeps a flood away (security.md F13, AU-03 to AU-09):

    address    counted; over its limit nothing else is looked at
    turn       one password at a time in a process; who has to wait too long is asked to come again
    person     counted by whichever of their names, before the hash is computed
    password   hashed in every case, so that unknown, wrong, inactive and switched off take as long

What turns out right is given back to both counts. Beside them the person's row
counts failures in a row, which no emptied Redis forgets.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import make_password
from django.db.models import F
from django.utils.translation import gettext as _
from django_otp import match_token, user_has_device

from tenancy.doors.limits import SlidingLimit, Usage

from . import hashing, limits, selectors, shedding
from .models import User, identity_key
from .sessions import Device, SignInRefused

MOST_FAILURES_IN_A_ROW = 100
"""NIST SP 800-63B, 5.2.2: from then on the password is worthless until a new one is set by mail (AU-09)."""


def check_password(identifier: str, password: str, *, device: Device, otp_code: str = "") -> User:
    """The person whose password this is, and whose second factor where one is set up.

    Raises SignInRefused: 401 for unknown, wrong, inactive and switched off, with
    one sentence and in the same time; 429 after 5 failures in any 15 minutes;
    503 when too many come at once; 400 with `two_factor_required` or
    `invalid_totp` (decision C1, M2, M19). Raises LimiterUnavailable without Redis.
    """
    user = prove_password(identifier, password, device=device)
    if user_has_device(user):
        prove_second_factor(user, otp_code, device=device)
    return user


def prove_password(identifier: str, password: str, *, device: Device) -> User:
    """The person whose password this is. Raises what `check_password` does, but for the second factor."""
    by_address = _count_address(device)
    with _given_back(limits.SIGN_IN_ADDRESS, device.address, by_address), _turn():
        user = selectors.find_user(identifier)
        key = str(user.pk) if user else identity_key(identifier)[:300]
        _refuse_when_forgotten(user, count_try(limits.SIGN_IN_PERSON, key))
        if not _password_matches(user, password):
            if user:
                User.objects.filter(pk=user.pk).update(failed_sign_ins=F("failed_sign_ins") + 1)
            raise SignInRefused(_("Invalid email or password"), status=401, code="invalid_credentials")
    assert user is not None
    limits.SIGN_IN_ADDRESS.give_back(device.address, by_address)
    forget_failed_sign_ins(user)
    return user


def prove_second_factor(user: User, code: str, *, device: Device) -> None:
    """Accept a code of the person's authenticator, or a recovery code. `user.otp_device` says which it was.

    Five wrong ones in 15 minutes lock it (AU-14). Raises SignInRefused: 400 without or with a wrong code, or 429.
    """
    if not code.strip():
        raise SignInRefused(_("Two-factor required"), status=400, code="two_factor_required")
    by_address = _count_address(device)
    with _given_back(limits.SIGN_IN_ADDRESS, device.address, by_address):
        count_try(limits.SECOND_FACTOR_PERSON, str(user.pk))
        matched = match_token(user, "".join(code.split())[:32])
        if matched is None:
            raise SignInRefused(_("Invalid two-factor code"), status=400, code="invalid_totp")
    limits.SIGN_IN_ADDRESS.give_back(device.address, by_address)
    limits.SECOND_FACTOR_PERSON.reset(str(user.pk))
    user.otp_device = matched


def count_try(limit: SlidingLimit, key: str) -> Usage:
    """Count one try. Raises SignInRefused (429, with the sentence of M2) when there were too many."""
    usage = limit.hit(key)
    if not usage.allowed:
        raise _locked(usage.retry_after)
    return usage


def _count_address(device: Device) -> Usage:
    try:
        return count_try(limits.SIGN_IN_ADDRESS, device.address)
    except SignInRefused as refused:
        shedding.remember(device.address, refused.retry_after or 1)
        raise


def forget_failed_sign_ins(user: User) -> None:
    """Start the person's counts afresh: after the right password, and when a new one was set by a link (AU-08)."""
    limits.SIGN_IN_PERSON.reset(str(user.pk))
    user.failed_sign_ins = 0
    User.objects.filter(pk=user.pk, failed_sign_ins__gt=0).update(failed_sign_ins=0)


@contextmanager
def _given_back(limit: SlidingLimit, key: str, usage: Usage) -> Iterator[None]:
    """A try that nothing was compared in does not count: others at the same address have done nothing wrong."""
    try:
        yield
    except SignInRefused as refused:
        if refused.status in {429, 503}:
            limit.give_back(key, usage)
        raise


@contextmanager
def _turn() -> Iterator[None]:
    try:
        with hashing.take_turn():
            yield
    except hashing.Busy:
        seconds = hashing.COME_AGAIN_SECONDS
        raise SignInRefused(shedding.many_people(), status=503, code="sign_in_busy", retry_after=seconds) from None


def _refuse_when_forgotten(user: User | None, usage: Usage) -> None:
    """Redis was emptied less than a window ago, and the person's row knows of more failures than it does (AU-06)."""
    left = limits.SIGN_IN_PERSON.seconds - usage.kept_for
    if user and left > 0 and user.failed_sign_ins >= usage.limit:
        raise _locked(left)


def _password_matches(user: User | None, password: str) -> bool:
    if not password or len(password) > 256:
        password = "\x00"  # noqa: S105  (nobody has it)
    if user is None or not user.has_usable_password() or user.failed_sign_ins >= MOST_FAILURES_IN_A_ROW:
        make_password(password)  # as much work as for somebody who exists
        return False
    return user.check_password(password) and user.is_active


def _locked(seconds: int) -> SignInRefused:
    sentence = shedding.too_many_attempts(seconds)
    return SignInRefused(sentence, status=429, code="too_many_attempts", retry_after=seconds)
