"""Fields of payloads that say something of patients; scheduling names patients and doctors by them, too."""

import re
from datetime import date

import phonenumbers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenancy.doors.clear import Check, NotClear, clear_form, clear_text
from tenancy.doors.payloads import LookupField

from .models import DocumentType, Gender, Insurer
from .selectors import find_lookup

DIGITS = re.compile(r"[0-9]{6,10}")
LETTERS_AND_DIGITS = re.compile(r"[A-Z]{2}[0-9]{6,10}")
NUMBER_FORMS = {
    "CC": DIGITS,
    "CE": DIGITS,
    "TI": DIGITS,
    "RC": LETTERS_AND_DIGITS,
    "PA": LETTERS_AND_DIGITS,
}
"""How numbers of these documents look without separators (contract.md 5.2); numbers of others are taken as they are."""
SEPARATORS = re.compile(r"[\s.,-]+")
LOCAL_PHONE = re.compile(r"[0-9]{7,15}")


def tidy_document(type: DocumentType, number: str) -> str:
    """The number as it is kept. Raises ValidationError (DRF) for one that this document can not have."""
    form = NUMBER_FORMS.get(type.code)
    if form is None:
        return number
    number = SEPARATORS.sub("", number).upper()
    if not form.fullmatch(number):
        sentence = _("Invalid document number format for type %(id)s") % {"id": type.pk}
        raise serializers.ValidationError({"documentNumber": sentence}, code="document_number")
    return number


class GenderField(LookupField):
    """1 or M, 2 or F, 3 or O, 4 or N; the words male, female, other, unknown, too."""

    refusal = gettext_lazy("Invalid gender ID: %(given)s")

    def find(self, key):
        return find_lookup(Gender, key)


class DocumentTypeField(LookupField):
    """`1` or `CC`."""

    refusal = gettext_lazy("Invalid document type ID: %(given)s")

    def find(self, key):
        return find_lookup(DocumentType, key)


@extend_schema_field({"type": "string", "maxLength": 100, "examples": ["EPS001"]})
class InsurerField(LookupField):
    """The code of an insurer, `EPS001`."""

    refusal = gettext_lazy("Invalid EPS ID: %(given)s")

    def find(self, key):
        return find_lookup(Insurer, key)


class PhoneField(serializers.CharField):
    """A phone number, kept as `+573001234567`; numbers without a country are the clinic's country's."""

    default_error_messages = {"phone": gettext_lazy("Invalid phone number format")}

    def to_internal_value(self, data):
        text = super().to_internal_value(data)
        if not text:
            return ""
        try:
            return read_phone(text, self.context.get("country"))
        except ValueError:
            self.fail("phone")


def read_phone(text: str, country: str | None) -> str:
    """A number as it is kept; one without a country's code is of `country`. Raises ValueError."""
    if not country and LOCAL_PHONE.fullmatch(SEPARATORS.sub("", text)):
        return SEPARATORS.sub("", text)
    try:
        number = phonenumbers.parse(text, country or None)
    except phonenumbers.NumberParseException:
        raise ValueError(text) from None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise ValueError(text)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@clear_form(PhoneField)
def _clear_phone(field: PhoneField) -> Check:
    text = clear_text(field)

    def check(value, context):
        value = text(value, context)
        try:
            return value and read_phone(value, context.get("country"))
        except ValueError:
            raise NotClear from None

    return check


@extend_schema_field({"type": "string", "format": "date"})
class DayField(serializers.Field):
    """`1990-05-15` and no other spelling."""

    def to_internal_value(self, data):
        try:
            if not isinstance(data, str) or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", data):
                raise ValueError
            return date.fromisoformat(data)
        except ValueError:
            raise serializers.ValidationError(_("Send a date such as 1990-05-15."), code="date") from None

    def to_representation(self, value):
        return value


@clear_form(DayField)
def _clear_day(field: DayField) -> Check:
    def check(value, context):
        try:
            return field.to_internal_value(value)
        except serializers.ValidationError:
            raise NotClear from None

    return check
