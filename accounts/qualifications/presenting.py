"""Qualifications in words for a page."""

from collections.abc import Iterable
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from .models import Qualification

SOON_DAYS = 30


def qualification_rows(rows: Iterable[Qualification]) -> list[dict[str, Any]]:
    """Each with its state in a word and a tone: lapsed and withdrawn ones say so."""
    return [{"row": row, **_state(row)} for row in rows]


def _state(row: Qualification) -> dict[str, Any]:
    today = timezone.localdate()
    if row.withdrawn_at:
        return {"word": _("Taken back"), "tone": "bad", "is_open": False}
    if row.valid_until and row.valid_until < today:
        return {"word": _("Lapsed on %(day)s") % {"day": _day(row.valid_until)}, "tone": "bad", "is_open": False}
    if row.valid_from > today:
        return {"word": _("From %(day)s on") % {"day": _day(row.valid_from)}, "tone": "info", "is_open": True}
    if row.valid_until and (row.valid_until - today).days <= SOON_DAYS:
        return {"word": _("Lapses on %(day)s") % {"day": _day(row.valid_until)}, "tone": "warn", "is_open": True}
    return {"word": _("Valid"), "tone": "ok", "is_open": True}


def _day(day) -> str:
    return date_format(day, pgettext("how a date is written", "j M Y"))
