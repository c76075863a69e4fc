"""What people are told of: one `Kind` for each occasion, declared by the room it happens in.

A room lists its kinds in `notices.py` and imports that from `AppConfig.ready()`:

    ROLE_CHANGED = register(
        Kind(
            "role_changed",
            "security",
            title=_("Your role was changed"),
            body=_("%(by)s gave you the role %(role)s. If you did not expect this, ask your administrator."),
            mutable=False,
        )
    )

Rows keep the code and the values of the places; the words are put together in
the reader's language when somebody reads. A text names people, rooms of the
software and links, and never anything about a patient's health: mail is a postcard.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

if TYPE_CHECKING:
    from .models import Delivery

CATEGORIES = {
    "security": _("Security of your account"),
    "account": _("Your account"),
    "team": pgettext_lazy("notifications", "Staff and roles"),
    "care": _("Patients and care"),
    "quality": _("Quality and documents"),
    "system": _("The installation"),
}
PRIORITIES = {"low": _("Low"), "normal": _("Normal"), "high": _("High"), "urgent": _("Urgent")}

Words = str | Promise
Mail = Literal["now", "digest", "no"]


@dataclass(frozen=True)
class Kind:
    """One occasion. `title` and `body` may hold places, `%(name)s`, that `notify(params=…)` fills.

    `mail` is what happens unless the reader prefers otherwise: at once, in the
    daily digest, or never. `mutable=False` leaves the reader no choice. `inbox=False`
    sends the mail alone.
    """

    code: str
    category: str
    title: Words
    body: Words
    priority: str = "normal"
    mail: Mail = "now"
    inbox: bool = True
    mutable: bool = True

    def __post_init__(self) -> None:
        if self.category not in CATEGORIES or self.priority not in PRIORITIES:
            raise ValueError(f"{self.code}: unknown category {self.category!r} or priority {self.priority!r}.")


@dataclass(frozen=True)
class Composed:
    """A mail as it leaves: a subject of one line, plain text, and files as (name, content, type)."""

    subject: str
    text: str
    files: tuple[tuple[str, bytes, str], ...] = ()


@dataclass(frozen=True)
class MailKind:
    """A mail to an address that may belong to no member: an invitation, a reset.

    `compose(delivery)` runs in the worker, inside the clinic and in
    `delivery.language`, each time the mail is tried; so a link with a token is
    made when it is sent and stored nowhere. It reads `delivery.about_id`,
    `delivery.address` and `delivery.params`. None means that the mail has become
    pointless (the invitation was taken back) and is dropped. `label` names the
    occasion for administrators who look at mails that failed.
    """

    code: str
    compose: "Callable[[Delivery], Composed | None]"
    label: Words = ""


_kinds: dict[str, Kind] = {}
_mail_kinds: dict[str, MailKind] = {}


def register(kind: Kind) -> Kind:
    """Make a kind known, once. Returns it, so that a module can name it."""
    if _kinds.setdefault(kind.code, kind) is not kind:
        raise ValueError(f"There are two kinds of notification called {kind.code}.")
    return kind


def register_mail(kind: MailKind) -> MailKind:
    """Make a kind of mail known, once."""
    if _mail_kinds.setdefault(kind.code, kind) is not kind:
        raise ValueError(f"There are two kinds of mail called {kind.code}.")
    return kind


def find_kind(code: str) -> Kind | None:
    """The kind of a row, or None where an older or newer release wrote it."""
    return _kinds.get(code)


def find_mail_kind(code: str) -> MailKind | None:
    """The kind of a mail, or None where another release wrote it."""
    return _mail_kinds.get(code)


def all_kinds() -> list[Kind]:
    """Every kind that is known, in the order of their rooms."""
    return list(_kinds.values())


class _Places(dict[str, Any]):
    """A place nobody filled stays empty: a text with a gap is better than none."""

    def __missing__(self, name: str) -> str:
        return ""


def fill(words: Words, params: Mapping[str, Any]) -> str:
    """A title or body with its places filled, in the language that is active now."""
    return str(words) % _Places(params)


def one_line(text: str, *, limit: int = 200) -> str:
    """Text as it may stand in a mail's header or a list: no line breaks, no control characters, not endless."""
    visible = "".join(
        " " if character.isspace() else character
        for character in text
        if character.isprintable() or character.isspace()
    )
    return re.sub(r" +", " ", visible).strip()[:limit]
