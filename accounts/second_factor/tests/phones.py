"""The telephone of a test: an authenticator in use, and the codes it shows."""

import base64
import time

import pyotp

from accounts.second_factor import services
from accounts.second_factor.models import STEP_SECONDS, Authenticator
from accounts.users.models import User


def enrolled(user: User) -> pyotp.TOTP:
    """Give a person an authenticator, without codes and mails; returns their telephone."""
    device = services.begin_authenticator(user)
    device.confirmed = True
    device.save()
    User.objects.filter(pk=user.pk).update(has_second_factor=True)
    user.has_second_factor = True
    return phone_of(device)


def phone_of(device: Authenticator) -> pyotp.TOTP:
    """What has scanned the QR code of this authenticator."""
    return pyotp.parse_uri(device.provision_uri)


def code(phone: pyotp.TOTP, *, steps: int = 0) -> str:
    """What the telephone shows now, or some steps of thirty seconds from now."""
    return phone.at(int(time.time()) + steps * STEP_SECONDS)


def wrong_code(phone: pyotp.TOTP) -> str:
    """Six digits that it shows neither now nor around now."""
    near = {code(phone, steps=steps) for steps in range(-3, 4)}
    return next(text for number in range(10) if (text := f"{number:06}") not in near)


def typed_seed(seed: bytes) -> str:
    return base64.b32encode(seed).decode()
