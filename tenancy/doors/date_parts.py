"""A known date typed in three boxes: day, month, year.

The browser's own date picker shows its own order of figures whatever the
page's language says, and is slow for a birth date (NHS and GOV.UK both advise
three boxes). The picker stays right for near dates.
"""

from datetime import date

from django import forms
from django.core.exceptions import ValidationError
from django.utils.dates import MONTHS, MONTHS_3
from django.utils.translation import gettext_lazy as _


class DatePartsWidget(forms.MultiWidget):
    """Sends `<name>_day`, `<name>_month` and `<name>_year`; reads one value `<name>` as ISO text as well."""

    template_name = "components/date_parts.html"
    use_fieldset = True

    def __init__(self, attrs=None):
        def box(length):
            return forms.TextInput({"inputmode": "numeric", "maxlength": length, "size": length, "autocomplete": "off"})

        # A month may be typed as a word, so its box takes more than two letters.
        month = forms.TextInput({"maxlength": 12, "size": 4, "autocomplete": "off"})
        super().__init__({"day": box(2), "month": month, "year": box(4)}, attrs)

    def decompress(self, value):
        if isinstance(value, str):
            value = _iso_date(value)
        return [value.day, value.month, value.year] if value else [None, None, None]

    def value_from_datadict(self, data, files, name):
        parts = super().value_from_datadict(data, files, name)
        whole = _iso_date(data.get(name) or "")
        return self.decompress(whole) if whole and not any(parts) else parts

    def value_omitted_from_data(self, data, files, name):
        return name not in data and super().value_omitted_from_data(data, files, name)

    def id_for_label(self, id_):
        return f"{id_}_0" if id_ else ""


class DatePartsField(forms.MultiValueField):
    """A `datetime.date`, or None when left empty and not required.

    Refuses with a sentence: a part that is missing, a day the month does not
    have, a year without four figures.
    """

    widget = DatePartsWidget
    default_error_messages = {
        "incomplete": _("Enter the day, the month and the year."),
        "required": _("Enter the day, the month and the year."),
        "no_date": _("This day does not exist. Check the day, the month and the year."),
        "short_year": _("Write the year with four figures, such as 1978."),
    }

    def __init__(self, **kwargs):
        part = forms.CharField(required=False)
        super().__init__((part, part, part), require_all_fields=False, **kwargs)

    def compress(self, parts):
        day, month, year = (str(part or "").strip() for part in (parts or ["", "", ""]))
        if not (day or month or year):
            return None
        if not (day and month and year):
            raise ValidationError(self.error_messages["incomplete"], code="incomplete")
        if len(year) != 4:
            raise ValidationError(self.error_messages["short_year"], code="short_year")
        try:
            return date(_figures(year), month_number(month), _figures(day))
        except ValueError:
            raise ValidationError(self.error_messages["no_date"], code="no_date") from None


def month_number(text: str) -> int:
    """1 to 12 from figures or from a month's name in the reader's language, whole or short; else ValueError."""
    if text.isdecimal():
        return int(text)
    word = text.casefold().rstrip(".")
    for number in range(1, 13):
        if word in (str(MONTHS[number]).casefold(), str(MONTHS_3[number]).casefold().rstrip(".")):
            return number
    raise ValueError(f"{text!r} is no month")


def _figures(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no number")
    return int(text)


def _iso_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
