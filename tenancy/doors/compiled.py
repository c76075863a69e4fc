"""JSON that PostgreSQL writes itself: a serializer's list of fields, compiled into the columns of one SELECT.

    V1_PATIENT = CompiledRows(V1PatientSerializer, Patient, computed={"is_restricted": "r.restricted_at IS NOT NULL"})
    V1_PATIENT.select         # 'SELECT row_to_json(…) FROM … r' with what the serializer would say about each row

A row goes from the disk to the wire without becoming a model, a dictionary and
text again (design/performance.md 1.4, ranks 2, 3 and 7). It works for plain
fields: columns of the table, columns of a row it points at, words for the
values of a column, and what is `computed` by an expression named here.
Whatever else a serializer does is refused when the module is read, so nothing is left out in silence; the test
beside each use holds both answers equal, and with them the OpenAPI document.
"""

from collections.abc import Mapping

from django.db import models
from rest_framework import serializers

from .payloads import WordField

# Serializer field: what columns it says plainly.
PLAIN: dict[type[serializers.Field], tuple[type[models.Field], ...]] = {
    serializers.UUIDField: (models.UUIDField, models.ForeignKey),
    serializers.CharField: (models.CharField, models.TextField),
    serializers.EmailField: (models.CharField,),
    serializers.IntegerField: (models.IntegerField, models.AutoField, models.ForeignKey),
    serializers.BooleanField: (models.BooleanField,),
    serializers.DateField: (models.DateField,),
    serializers.DateTimeField: (models.DateTimeField,),
    serializers.DictField: (models.JSONField,),
    serializers.JSONField: (models.JSONField,),
    WordField: (models.CharField,),
}
# As tenancy.doors.renderers writes a moment: UTC with a Z, and no fraction where there is none.
_MOMENT = "replace(to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '.000000Z', 'Z')"


class NotPlain(TypeError):
    """This serializer does more than say columns; it can not be compiled."""


class CompiledRows:
    """What a serializer says about rows of a model, as SQL. The table is `r`; what it points at, see `alias`."""

    def __init__(
        self,
        serializer: type[serializers.Serializer],
        model: type[models.Model],
        *,
        computed: Mapping[str, str] | None = None,
    ):
        """`computed` maps the source of a field that is no column to an SQL expression. Raises NotPlain."""
        if serializer.to_representation is not serializers.Serializer.to_representation:
            raise NotPlain(f"{serializer.__name__} has a to_representation of its own.")
        self.serializer, self.model = serializer, model
        self._computed, self._joins = dict(computed or {}), {}
        fields = serializer().fields.items()
        columns = [f'{self._expression(name, field)} AS "{name}"' for name, field in fields if not field.write_only]
        self.joins = "".join(
            f' LEFT JOIN "{to._meta.db_table}" {alias} ON {alias}."{to._meta.pk.column}" = r."{column}"'
            for column, (alias, to) in self._joins.items()
        )
        """To what a row `r` points at."""
        self.source = f'"{model._meta.db_table}" r{self.joins}'
        """What to select from; conditions are put behind it."""
        self.json = f"(SELECT row_to_json(x)::text FROM (SELECT {', '.join(columns)}) x)"  # noqa: S608
        """The text of one row."""

    def alias(self, name: str) -> str:
        """By which the columns of what a foreign key points at are named, for conditions on them."""
        return self._joins[self._field_of(self.model, name, name).column][0]

    def _expression(self, name: str, field: serializers.Field) -> str:
        source = str(field.source)
        if type(field) is serializers.SerializerMethodField or source == "*":
            raise NotPlain(f"{self.serializer.__name__}.{name} is worked out in Python.")
        if source in self._computed:
            return f"({self._computed[source]})"
        first, _dot, rest = source.partition(".")
        column = self._field_of(self.model, first, name)
        if not rest:
            return self._plain(name, field, column, f'r."{column.column}"')
        if not isinstance(column, models.ForeignKey) or "." in rest:
            raise NotPlain(f"{self.serializer.__name__}.{name}: {source} is not a column of a lookup.")
        alias, to = self._joins.setdefault(column.column, (f"l{len(self._joins)}", column.related_model))
        far = self._field_of(to, rest, name)
        return self._plain(name, field, far, f'{alias}."{far.column}"')

    def _field_of(self, model: type[models.Model], source: str, name: str) -> models.Field:
        for field in model._meta.concrete_fields:
            if source in (field.name, field.attname):
                return field
        raise NotPlain(f"{self.serializer.__name__}.{name}: {model.__name__} has no column {source}.")

    def _plain(self, name: str, field: serializers.Field, column: models.Field, expression: str) -> str:
        if not isinstance(column, PLAIN.get(type(field), ())):
            kind = f"{type(field).__name__} over {type(column).__name__}"
            raise NotPlain(f"{self.serializer.__name__}.{name}: {kind} is not plain.")
        if isinstance(field, WordField):
            return self._word(name, field, column, expression)
        return _MOMENT.format(expression) if isinstance(column, models.DateTimeField) else expression

    def _word(self, name: str, field: WordField, column: models.Field, expression: str) -> str:
        """The word for each value the column may have; one without a word would be an error the usual way."""
        values = {str(value) for value, _label in column.flatchoices} | ({""} if column.blank else set())
        if not values or values - field.words.keys():
            raise NotPlain(f"{self.serializer.__name__}.{name} has no word for {sorted(values - field.words.keys())}.")
        return words_as_sql(field.words, expression)


def words_as_sql(words: Mapping[str, str | None], expression: str) -> str:
    """The word that stands for the value of an expression; NULL for a value without one."""
    cases = " ".join(f"WHEN {_quoted(str(one))} THEN {_quoted(other)}" for one, other in words.items())
    return f"(CASE {expression} {cases} END)"


def _quoted(text: str | None) -> str:
    return "NULL" if text is None else "'" + str(text).replace("'", "''") + "'"
