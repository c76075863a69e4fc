"""Bodies that are beyond doubt: a serializer's fields, compiled into one plain check each.

    CLEAR = ClearPayload(V1PatientCreateSerializer)
    given = CLEAR.read(body, context)        # a serializer that has been checked, or NotClear

A check takes a value only where the serializer would take it, too, and makes
the same of it; of everything else it says NotClear, and the serializer itself
is asked in the usual way, which has all the sentences. So this can refuse too
much and cost time, and never let pass or read differently; a test holds both
to it. A kind of field without a clear form is refused when the module is read.
(design/performance.md 1.4, rank 4: most of a create was the validation.)
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from rest_framework import serializers

from .payloads import LookupField, OneWord, PayloadSerializer

UNRULED = type(serializers.DictField().child)
"""The rule of values that have none."""
Check = Callable[[Any, Mapping[str, Any]], Any]
"""From a value and the context to what the serializer makes of it; raises NotClear."""

# A subset of Django's EmailValidator that needs no second look.
_EMAIL = re.compile(
    r"[a-z0-9_+-]{1,40}(?:\.[a-z0-9_+-]{1,40})*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?\.)+[a-z]{2,20}",
    re.ASCII | re.IGNORECASE,
)


class NotClear(Exception):
    """Ask the serializer."""


class NoClearForm(TypeError):
    """Nobody has said what a clear value of this kind of field is."""


_forms: dict[type[serializers.Field], Callable[[Any], Check]] = {}


def clear_form(kind: type[serializers.Field]):
    """Say for a kind of field (and those derived from it) what its clear values are: `make(field) -> check`."""

    def remember(make: Callable[[Any], Check]):
        _forms[kind] = make
        return make

    return remember


class ClearPayload:
    """The checks of a PayloadSerializer, in the order of its fields."""

    def __init__(self, serializer: type[PayloadSerializer], *, never: Collection[str] = ()):
        """Fields in `never`, by their source, are not for the lane: a body with one is NotClear. Raises NoClearForm."""
        self.serializer = serializer
        model = serializer()
        self._fields = [
            (name, str(field.source), field.required, field.allow_null, _check_of(field))
            for name, field in model.fields.items()
            if field.source not in never
        ]
        checked = {name for name, *_rest in self._fields}
        self._names = {spelling: name for spelling, name in model._spellings().items() if name in checked}

    def read(self, body: Any, context: dict[str, Any]) -> PayloadSerializer:
        """The serializer as it is after `is_valid()`. Raises NotClear."""
        if type(body) is not dict:
            raise NotClear
        sent: dict[str, Any] = {}
        for key, value in body.items():
            name = self._names.get(key)
            if name is None or name in sent:
                raise NotClear
            sent[name] = value
        values: dict[str, Any] = {}
        for name, source, required, allow_null, check in self._fields:
            if name not in sent:
                if required:
                    raise NotClear
                continue
            value = sent[name]
            if value is None:
                if not allow_null:
                    raise NotClear
                values[source] = None
            else:
                values[source] = check(value, context)
        return self._checked(values, context)

    def _checked(self, values: dict[str, Any], context: dict[str, Any]) -> PayloadSerializer:
        given = self.serializer(context=context)
        try:
            given._validated_data = given.validate(values)
        except serializers.ValidationError:
            raise NotClear from None
        given._errors = {}
        return given


def _check_of(field: serializers.Field) -> Check:
    if "." in str(field.source) or field.source == "*":
        raise NoClearForm(f"{type(field.parent).__name__}.{field.field_name} goes to more than one value.")
    for kind in type(field).__mro__:
        if kind in _forms:
            # A derived class that reads values in its own way is another kind.
            if kind is not type(field) and "to_internal_value" in _between(type(field), kind):
                break
            return _forms[kind](field)
    raise NoClearForm(f"{type(field.parent).__name__}.{field.field_name}: {type(field).__name__} has no clear form.")


def _between(kind: type, ancestor: type) -> set[str]:
    names: set[str] = set()
    for one in kind.__mro__:
        if one is ancestor:
            return names
        names |= set(vars(one))
    return names


@clear_form(serializers.CharField)
def clear_text(field: serializers.CharField) -> Check:
    """Printable text within its length; for kinds derived from CharField to begin with."""
    longest, blank = field.max_length, field.allow_blank

    def check(value, context):
        if type(value) is not str or (longest is not None and len(value) > longest) or not value.isprintable():
            raise NotClear
        value = value.strip(" ")
        if not value and not blank:
            raise NotClear
        return value

    return check


@clear_form(serializers.EmailField)
def _email(field: serializers.EmailField) -> Check:
    text = clear_text(field)

    def check(value, context):
        value = text(value, context)
        if value and not _EMAIL.fullmatch(value):
            raise NotClear
        return value

    return check


@clear_form(serializers.BooleanField)
def _yes_no(field: serializers.BooleanField) -> Check:
    def check(value, context):
        if value is not True and value is not False:
            raise NotClear
        return value

    return check


@clear_form(OneWord)
def _word(field: OneWord) -> Check:
    def check(value, context):
        if type(value) is not str or value not in field.choices:
            raise NotClear
        return value

    return check


@clear_form(serializers.DictField)
def _object(field: serializers.DictField) -> Check:
    """An object of whatever; one whose values have a rule of their own may only be empty."""
    may_be_full = isinstance(field.child, UNRULED) and field.allow_empty

    def check(value, context):
        if type(value) is not dict or (value and not may_be_full):
            raise NotClear
        return value

    return check


@clear_form(LookupField)
def _entry(field: LookupField) -> Check:
    def check(value, context):
        if type(value) not in (int, str):
            raise NotClear
        try:
            return field.to_internal_value(value)
        except serializers.ValidationError:
            raise NotClear from None

    return check
