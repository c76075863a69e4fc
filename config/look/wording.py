"""How dates, ages, names and numbers are written for clinical readers.

The rules are those of the NHS Common User Interface guidance: no date in
figures only, family name first and in capitals, age beside the birth date,
"Not known" instead of a blank. Nothing here reads a clock or a request; "now",
"today" and the zone are handed in.
"""

import re
from datetime import date, datetime, tzinfo
from functools import lru_cache

from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.formats import number_format
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


def write_date(value: date | datetime | str | None) -> str:
    """A date such as "14 Mar 1978" in the reader's language; an empty value gives "".

    A partial FHIR date keeps what it knows: "1978-03" gives "Mar 1978" and
    "1978" stays "1978". Text that is no ISO date comes back unchanged.
    """
    if not value:
        return ""
    if isinstance(value, str):
        return _write_iso_date(value)
    return _write_day(value.year, value.month, value.day, get_language() or "en")


@lru_cache(maxsize=4096)
def _write_day(year: int, month: int, day: int, language: str) -> str:
    """A list page writes dozens of dates, and Django's formatter takes 20 us for each."""
    return format_date(date(year, month, day), f"j {_month_letter(language)} Y")


def _write_iso_date(text: str) -> str:
    try:
        if re.fullmatch(r"\d{4}-\d{2}", text):
            return format_date(date.fromisoformat(f"{text}-01"), f"{_month_letter(get_language() or 'en')} Y")
        return write_date(date.fromisoformat(text[:10])) if len(text) >= 10 else text
    except ValueError:
        return text


def _month_letter(language: str) -> str:
    """Django's format letter for a short month: "Mar" in the languages that write months large, else "mar"."""
    return "M" if language.startswith(("en", "de")) else "b"


def write_age(born: date | None, on: date) -> str:
    """The age on a day: years; months under two years; days under one month. "" for no or a later birth date."""
    if not born or born > on:
        return ""
    months = (on.year - born.year) * 12 + on.month - born.month - (on.day < born.day)
    if months >= 24:
        years = months // 12
        return ngettext("%(count)d year", "%(count)d years", years) % {"count": years}
    if months >= 1:
        return ngettext("%(count)d month", "%(count)d months", months) % {"count": months}
    days = (on - born).days
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


def write_document_number(value: object, country: str = "") -> str:
    """A long number in the groups people of that country read it in; anything with letters stays as it is.

    `country` is the ISO 3166 code of the clinic: Colombia and Spain group by
    points (1.020.345.678), a ten-figure British number is an NHS number
    (943 476 5919), everywhere else threes are parted by a no-break space.
    Leading zeros stay, they belong to the number.
    """
    text = str(value or "").strip()
    if not re.fullmatch(r"[0-9]{5,}", text):
        return text
    if country == "GB" and len(text) == 10:
        return NO_BREAK_SPACE.join((text[:3], text[3:6], text[6:]))
    separator = "." if country in {"CO", "ES", "AR", "CL", "BR"} else NO_BREAK_SPACE
    return re.sub(r"(?<=\d)(?=(?:\d{3})+$)", separator, text)


def write_count(number: int) -> str:
    """How many, with the thousands parted as the reader's language does: "12,345", in Spanish "12.345"."""
    return number_format(number, force_grouping=True)


def write_time(instant: datetime | None, zone: tzinfo, *, with_date: bool = True, with_zone: bool = True) -> str:
    """An instant in a clinic's zone on the 24-hour clock with the zone named: "14 Mar 2026, 09:51 GMT".

    The instant has to be aware. Zones without letters of their own are named
    by their offset: "UTC-5", with a real minus sign.
    """
    if not instant:
        return ""
    local = timezone.localtime(instant, zone)
    text = local.strftime("%H:%M")
    if with_date:
        text = _("%(date)s, %(time)s") % {"date": write_date(local), "time": text}
    return f"{text} {zone_name(local)}" if with_zone else text


def zone_name(local: datetime) -> str:
    """The zone of an aware time as people say it: "GMT", "CEST", or "UTC-5" where it has no letters."""
    name = local.tzname() or ""
    if name.isalpha():
        return name
    hours, minutes = divmod(int(abs(local.utcoffset()).total_seconds()) // 60, 60)
    sign = MINUS if local.utcoffset().total_seconds() < 0 else "+"
    return f"UTC{sign}{hours}" + (f":{minutes:02}" if minutes else "")
