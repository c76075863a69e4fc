"""Bodies that other servers send to `/v1`: camelCase or snake_case, in an envelope or without one (decision X16, S9).

A field is declared in camelCase and read by its `source`:

    class PatientPayload(PayloadSerializer):
        eventType = OneWord("PATIENT")
        actionType = OneWord("CREATE")
        firstName = serializers.CharField(source="first_name")

accepts `firstName` and `first_name`. The same field twice is fine while both
say the same. Errors name a field as it was sent.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import orjson
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

_HUMP = re.compile(r"(?<!^)(?=[A-Z])")


def snake_case(name: str) -> str:
    """`startAppointment` as `start_appointment`."""
    return _HUMP.sub("_", name).lower()


class OneWord(serializers.ChoiceField):
    """`eventType` or `actionType`: may be left out, and may say nothing else than this word."""

    def __init__(self, word: str):
        super().__init__(choices=[word], required=False, write_only=True)


class PayloadSerializer(serializers.Serializer):
    """Takes each field in either casing and under the further names in `also`; refuses what it does not know by name.

    `values` are the checked values by source, without the envelope.
    """

    also: ClassVar[dict[str, tuple[str, ...]]] = {}
    envelope = ("eventType", "actionType")

    def run_validation(self, data=empty):
        self.sent: dict[str, str] = {}
        self.is_snake = False
        if isinstance(data, Mapping):
            data = self._by_field(data)
        try:
            return super().run_validation(data)
        except serializers.ValidationError as refused:
            raise serializers.ValidationError(self._as_sent(refused.detail)) from None

    @property
    def values(self) -> dict[str, Any]:
        """What was sent, checked, by the names the services know."""
        return {name: value for name, value in self.validated_data.items() if name not in self.envelope}

    def name_sent(self, name: str) -> str:
        """How the caller spelled a field, or would have; `name` as declared or as the services know it."""
        field = next((f for f in self.fields.values() if name in (f.field_name, f.source)), None)
        if field is None:
            return name
        return self.sent.get(field.field_name) or (snake_case(field.field_name) if self.is_snake else field.field_name)

    def _by_field(self, data: Mapping) -> dict[str, Any]:
        spellings = self._spellings()
        values: dict[str, Any] = {}
        problems: dict[str, list] = {}
        for key, value in data.items():
            field = spellings.get(key)
            if field is None:
                problems[str(key)[:100]] = [serializers.ErrorDetail(_("There is no such field."), code="unknown")]
            elif field in values and not _is_same(values[field], value):
                sentence = _("%(one)s and %(other)s say different things.")
                sentence %= {"one": self.sent[field], "other": key}
                problems[key] = [serializers.ErrorDetail(sentence, code="conflict")]
            elif field not in values:
                values[field], self.sent[field] = value, key
        if problems:
            raise serializers.ValidationError(problems)
        self.is_snake = any("_" in key for key in self.sent.values())
        return values

    def _spellings(self) -> dict[str, str]:
        names = {spelling: field for field, more in self.also.items() for spelling in more}
        return names | {spelling: field for field in self.fields for spelling in (field, snake_case(field))}

    def _as_sent(self, detail: Any) -> Any:
        return {self.name_sent(name): errors for name, errors in detail.items()} if isinstance(detail, dict) else detail


def _is_same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1, 1.0, "1" and true are four different things."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


@extend_schema_field({"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string", "maxLength": 40}]})
class LookupField(serializers.Field):
    """An entry of a list, named by its id or by its word. Subclasses say what `find` finds; the answer has `source`.

    Ids may come as a number or in ASCII digits, as form nodes of n8n send them.
    """

    refusal = ""

    def find(self, key: int | str) -> Any:
        """The entry with this id (int) or word (str), else None."""
        raise NotImplementedError

    def to_internal_value(self, data):
        key = int(data) if isinstance(data, str) and re.fullmatch("[0-9]{1,9}", data) else data
        is_known = isinstance(key, int | str) and not isinstance(key, bool)
        found = self.find(key) if is_known else None
        if found is None:
            shown = str(data)[:40] if isinstance(data, int | str) else "?"
            raise serializers.ValidationError(self.refusal % {"given": shown}, code="lookup")
        return found

    def to_representation(self, value):
        return value


class WordField(serializers.Field):
    """A word of ours in the words of another document, one for one: `words` is what a row's value is called there."""

    def __init__(self, words: Mapping[str, str], **options):
        super().__init__(read_only=True, **options)
        self.words = {str(ours): theirs for ours, theirs in words.items()}

    def to_representation(self, value):
        return self.words[value]


def word_field(words: Mapping[str, str], **options) -> WordField:
    """A WordField that the OpenAPI document describes with its words."""
    field = WordField(words, **options)
    return extend_schema_field({"type": "string", "enum": list(dict.fromkeys(field.words.values()))})(field)


def words_of_list(rows: Iterable[tuple[int, str, Any]]) -> dict[int | str, Any]:
    """`{1: value, "IN_PERSON": value, "in_person": value}` from (id, word, value): for `LookupField.find`."""
    found: dict[int | str, Any] = {}
    for number, word, value in rows:
        found |= {number: value, word: value, word.lower(): value}
    return found
