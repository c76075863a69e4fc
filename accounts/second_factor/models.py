"""What a person has beside the password. Global: a person signs in with the same telephone everywhere.

Passkeys are rows of django-otp-webauthn. All three are devices of django-otp,
so that `match_token` and `user_has_device` of that library, which the sign-in
asks, know them without knowing this room.
"""

import base64
import re
import time
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

import structlog
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_otp.models import Device, ThrottlingMixin, TimestampMixin, VerifyNotAllowed
from django_otp.oath import TOTP

from accounts.users.models import Session, User

from .sealing import InvalidToken, fingerprints, plain_code, seal, unseal

log = structlog.get_logger(__name__)
STEP_SECONDS = 30
DIGITS = 6
TOLERANCE = 1  # steps of a clock that runs slow or fast (contract.md 1.2)
MOST_TRIES = 5
LOCKED_FOR = timedelta(minutes=15)
SETUP_LASTS = timedelta(minutes=30)


class CountedDevice(ThrottlingMixin, TimestampMixin, Device):
    """A device that is guessed at five times at most: then it is shut for 15 minutes (security.md AU-14).

    The count stands in the row, so that no new challenge and no emptied Redis
    begins it afresh. `verify_token` needs the row locked, as `match_token` does.
    """

    factor: str

    user = models.OneToOneField(User, models.CASCADE, verbose_name=_("person"))

    class Meta:
        abstract = True

    @property
    def locked_until(self) -> datetime | None:
        """When it may be tried again; None when it may be tried now."""
        if self.throttling_failure_count < MOST_TRIES or self.throttling_failure_timestamp is None:
            return None
        until = self.throttling_failure_timestamp + LOCKED_FOR
        return until if until > timezone.now() else None

    def verify_is_allowed(self):
        if until := self.locked_until:
            count = self.throttling_failure_count
            return False, {"reason": VerifyNotAllowed.N_FAILED_ATTEMPTS, "failure_count": count, "locked_until": until}
        return True, None

    def get_throttle_factor(self):
        return 1  # asked by the library; the waiting time is `locked_until`

    def verify_token(self, token):
        """Whether this is a code of this device that was never used. It is used now; a wrong one is counted.

        What has another form than the codes of this device is left to the other devices and not counted.
        """
        if not self.understands(token) or self.locked_until:
            return False
        if not self.spend(token):
            self._count_failure()
            return False
        self.throttle_reset(commit=False)
        self.set_last_used_timestamp(commit=False)
        self.save(update_fields=["throttling_failure_count", "throttling_failure_timestamp", "last_used_at"])
        return True

    def understands(self, token: str) -> bool:
        """Whether a text has the form of this device's codes."""
        raise NotImplementedError

    def spend(self, token: str) -> bool:
        """Use a code, once and for all, and say whether it was right. One statement: no lock is relied on."""
        raise NotImplementedError

    def _count_failure(self) -> None:
        now, last = timezone.now(), self.throttling_failure_timestamp
        in_a_row = self.throttling_failure_count if last and now - last < LOCKED_FOR else 0
        self.throttling_failure_count, self.throttling_failure_timestamp = in_a_row + 1, now
        self.save(update_fields=["throttling_failure_count", "throttling_failure_timestamp"])


class Authenticator(CountedDevice):
    """An application on a telephone that shows six digits every thirty seconds (RFC 6238).

    `last_t` is the step of the last code taken. No code of that step or an
    earlier one is taken again, whatever the server's clock says (ASVS 6.5.1, 6.5.8).
    """

    factor = Session.Factor.TOTP

    sealed_seed = models.BinaryField(editable=False)
    last_t = models.BigIntegerField(default=-1, editable=False)

    class Meta:
        verbose_name = _("authenticator")
        verbose_name_plural = _("authenticators")

    def __str__(self):
        return f"authenticator of {self.user_id}"

    @property
    def seed(self) -> bytes:
        return unseal(self.sealed_seed, self.user_id)

    @seed.setter
    def seed(self, seed: bytes) -> None:
        self.sealed_seed = seal(seed, self.user_id)

    @property
    def is_pending(self) -> bool:
        """Begun and not confirmed yet, and not so long ago that somebody else may have seen the seed."""
        return not self.confirmed and timezone.now() - self.created_at < SETUP_LASTS

    @property
    def typed_seed(self) -> str:
        """The seed in base 32, for those who cannot scan."""
        return base64.b32encode(self.seed).decode().rstrip("=")

    @property
    def provision_uri(self) -> str:
        """What the QR code says (Google's Key URI format); the account is the user name (contract 1.2)."""
        issuer = settings.OTP_TOTP_ISSUER
        label = quote(f"{issuer}:{self.user.username}", safe=":@")
        fields = {"secret": self.typed_seed, "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS}
        return f"otpauth://totp/{label}?{urlencode({**fields, 'period': STEP_SECONDS}, quote_via=quote)}"

    def understands(self, token):
        return re.fullmatch(r"[0-9]{6}", token) is not None

    def spend(self, token):
        try:
            totp = TOTP(self.seed, step=STEP_SECONDS, digits=DIGITS)
        except InvalidToken:
            log.error("seed_unreadable", user=str(self.user_id))  # SECRET_KEY was changed without a fallback
            return False
        totp.time = time.time()
        if not totp.verify(int(token), tolerance=TOLERANCE, min_t=self.last_t + 1):
            return False
        self.last_t = totp.t()
        return type(self).objects.filter(pk=self.pk, last_t__lt=self.last_t).update(last_t=self.last_t) == 1


class RecoveryCodes(CountedDevice):
    """Ten codes on paper, each good for one sign-in, for the day the telephone is gone."""

    factor = Session.Factor.RECOVERY

    kept_at = models.DateTimeField(null=True, editable=False, help_text=_("when the person said they have kept them"))

    class Meta:
        verbose_name = _("recovery codes")
        verbose_name_plural = _("recovery codes")

    def __str__(self):
        return f"recovery codes of {self.user_id}"

    def understands(self, token):
        return plain_code(token) != ""

    def spend(self, token):
        digests = fingerprints(plain_code(token), self.user_id)
        return self.codes.filter(digest__in=digests, used_at__isnull=True).update(used_at=timezone.now()) == 1


class RecoveryCode(models.Model):
    """One of the ten. Only its fingerprint is kept; nobody can be shown it again."""

    sheet = models.ForeignKey(RecoveryCodes, models.CASCADE, related_name="codes")
    digest = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sheet", "digest"], name="second_factor_code_uniq")]

    def __str__(self):
        return f"recovery code {self.pk}"
