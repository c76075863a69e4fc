"""Passkeys: the two ceremonies of WebAuthn, spoken by django-otp-webauthn's helper.

Only as a second factor: a sign-in names the person first, so nobody learns
which credentials exist. The browser's answers come as the text of a form field.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import DataError, IntegrityError, transaction
from django.utils.translation import gettext as _
from django_otp_webauthn.exceptions import OTPWebAuthnApiError
from django_otp_webauthn.helpers import WebAuthnHelper
from django_otp_webauthn.models import WebAuthnCredential
from webauthn.helpers.exceptions import WebAuthnException

from tenancy.rules import RuleBroken

CHALLENGE_SECONDS = 10 * 60
LONGEST_ANSWER = 50_000
LONGEST_ID = 1023  # bytes, WebAuthn Level 3
# What hostile bytes make of the parsers; anything else is a bug and rises.
REFUSALS = (WebAuthnException, OTPWebAuthnApiError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class PasskeyRefused(RuleBroken):
    """The browser's answer proves nothing: too late, for another page, altered, or of another person."""

    code = "passkey_refused"

    def __init__(self) -> None:
        super().__init__(_("This passkey could not be checked. Please try again."))


class Ceremonies(WebAuthnHelper):
    """The library's helper with our names. `origins` are the addresses a browser may have asked from."""

    def __init__(self, origins: Iterable[str]):
        super().__init__(request=None)
        self.origins = list(origins)

    def get_allowed_origins(self):
        return self.origins

    def get_credential_name(self, user):
        return user.username

    def get_credential_display_name(self, user):
        return user.name or user.username

    def register_complete(self, user, state, data):
        """The credential, saved. Raises PasskeyRefused."""
        return _checked(state, data, lambda: self._register(user, state, data))

    def authenticate_complete(self, user, state, data):
        """The credential of this person that answered, its counter moved on. Raises PasskeyRefused."""
        return _checked(state, data, lambda: self._authenticate(user, state, data))

    def _register(self, user, state, data):
        return super().register_complete(user, state, data)

    def _authenticate(self, user, state, data):
        # Locked, so that one answer sent twice at once moves the counter once.
        list(WebAuthnCredential.objects.filter(user=user).select_for_update())
        credential = super().authenticate_complete(user, state, data)
        if not credential.confirmed:
            raise ValueError("switched off")
        return credential

    def create_credential(self, user, response, parsed_credential, original_data):
        if len(response.credential_id) > LONGEST_ID:
            raise ValueError("credential id is too long")
        # What it reads beside the parsed answer is the hint `credProps` alone.
        return super().create_credential(user, response, parsed_credential, {})


def is_possible(origin: str) -> bool:
    """Whether browsers allow passkeys at this address: a domain of ours, by https or on the machine itself."""
    scheme, _slashes, host = origin.partition("://")
    name = host.rpartition(":")[0] or host
    ours = name == settings.OTP_WEBAUTHN_RP_ID or name.endswith(f".{settings.OTP_WEBAUTHN_RP_ID}")
    return ours and (scheme == "https" or name == "localhost" or name.endswith(".localhost"))


def _checked(state: Any, data: str, ceremony: Callable[[], WebAuthnCredential]) -> WebAuthnCredential:
    """Run a ceremony; whatever is wrong with the answer is one refusal, and a challenge is good for one answer."""
    if not isinstance(state, dict) or not data or len(data) > LONGEST_ANSWER or not _spend_challenge(state):
        raise PasskeyRefused
    try:
        with transaction.atomic():
            return ceremony()
    except REFUSALS as error:
        raise PasskeyRefused from error
    except (DataError, IntegrityError) as error:  # a credential that is known already, a counter beyond every bound
        raise PasskeyRefused from error


def _spend_challenge(state: dict) -> bool:
    digest = hashlib.sha256(str(state.get("challenge")).encode()).hexdigest()
    return bool(cache.add(f"passkey-challenge:{digest}", 1, CHALLENGE_SECONDS))
