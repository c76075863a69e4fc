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
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.response import Response

from .paging import LARGEST_PAGE_SIZE, PageQuery
from .refusals import FieldsRefused

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
    """A value of ours in the words of another document: `words` is what each of our values is called there."""

    def __init__(self, words: Mapping[str, str | None], **options):
        super().__init__(**options)
        self.words = {str(ours): theirs for ours, theirs in words.items()}

    def to_representation(self, value):
        return self.words[value]


class OneWordSchema(OpenApiSerializerFieldExtension):
    """How the OpenAPI document says a OneWord: an enumeration of one would want a name of its own each time."""

    target_class = OneWord

    def map_serializer_field(self, auto_schema, direction):
        [word] = self.target.choices
        return {"type": "string", "const": word}


class WordFieldSchema(OpenApiSerializerFieldExtension):
    """How the OpenAPI document says a WordField."""

    target_class = WordField

    def map_serializer_field(self, auto_schema, direction):
        words = list(dict.fromkeys(self.target.words.values()))
        if None in words:
            return {"type": ["string", "null"], "examples": words[:3]}
        return {"type": "string", "enum": words}


def words_of_list(rows: Iterable[tuple[int, str, Any]]) -> dict[int | str, Any]:
    """`{1: value, "IN_PERSON": value, "in_person": value}` from (id, word, value): for `LookupField.find`."""
    found: dict[int | str, Any] = {}
    for number, word, value in rows:
        found |= {number: value, word: value, word.lower(): value}
    return found


# --- Finding by a body, and lists ------------------------------------------------------------------------------------


class SearchPayload(PayloadSerializer):
    """Filters in a body, where no log of addresses has them. `query_class` says what they become."""

    query_class: ClassVar[type[PageQuery]]

    page = serializers.IntegerField(min_value=1, max_value=100_000, required=False)
    pageSize = serializers.IntegerField(
        source="limit", min_value=1, max_value=1_000_000_000, required=False, help_text=f"{LARGEST_PAGE_SIZE} at most"
    )
    cursor = serializers.CharField(max_length=2_000, required=False)

    also: ClassVar = {"pageSize": ("limit", "size")}

    def query(self) -> PageQuery:
        """The same query as its parameters in an address would be. Raises FieldsRefused."""
        query = self.query_class(self.values)
        if problems := query.check():
            raise FieldsRefused([problem | {"loc": ["body", *problem["loc"][1:]]} for problem in problems])
        return query


@extend_schema_field({"type": "object", "maxProperties": 10, "additionalProperties": {"type": "string"}})
class FilterField(serializers.DictField):
    """Up to ten custom fields by key, each with one text, number, or true or false."""

    def to_internal_value(self, data):
        values = super().to_internal_value(data)
        if len(values) > 10 or any(not isinstance(value, str | int | float) for value in values.values()):
            raise serializers.ValidationError(_("Send at most 10 fields, each with one value."), code="filter")
        return values


@extend_schema_field({"type": ["integer", "string"]})
class EntryIdField(serializers.Field):
    """A number of a list all clinics share, a UUID of a clinic's own."""

    def to_representation(self, value):
        return value


class LookupRowSerializer(serializers.Serializer):
    """An entry of a list: `id` and `code` are both accepted where the list is used."""

    id = EntryIdField()
    code = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()


class LookupListSerializer(serializers.Serializer):
    items = LookupRowSerializer(many=True)
    total = serializers.IntegerField()


def lookup_answer(rows: list[tuple[Any, str, str, str]]) -> Response:
    """A list of (id, code, name, description) as all lists are answered."""
    items = [dict(zip(("id", "code", "name", "description"), row, strict=True)) for row in rows]
    return Response({"items": items, "total": len(items)})
