"""Query parameters with types: what a list understands, and nothing else.

    class PatientQuery(PageQuery):
        search = Text(max_length=100, description="Name parts, document, phone end or e-mail")
        born_from = Date()

    query = PatientQuery.read(request)      # FieldsRefused (400) names every bad parameter
    query.search, query.born_from           # None where nothing was sent and there is no default

A viewset names its queries per action (`queries = {"list": PatientQuery}`);
`tenancy.doors.schema` writes them into the OpenAPI document from there.
Unknown and repeated parameters are refused: a mistyped filter must not answer
with everybody (design/security.md IN-12, IN-22).
"""

import datetime
import re
import uuid
from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter

from .refusals import FieldsRefused, problem
from .text import forbidden_character

MAX_PAIRS = 100


class Refused(ValueError):
    """One parameter is wrong; the text is the sentence for the caller."""

    def __init__(self, sentence: str, type: str = "invalid"):
        super().__init__(sentence)
        self.type = type


class Parameter:
    """One query parameter. `names` are the spellings accepted, the attribute's own name when none is given."""

    name: str = ""

    def __init__(
        self,
        *,
        default: Any = None,
        required: bool = False,
        names: Iterable[str] = (),
        description: str = "",
        example: Any = None,
    ):
        self.default = default
        self.required = required
        self.names = tuple(names)
        self.description = description
        self.example = example

    def __set_name__(self, owner, name):
        self.name = name
        self.names = self.names or (name,)

    def parse(self, text: str) -> Any:
        raise NotImplementedError

    def schema(self) -> dict:
        raise NotImplementedError

    def openapi(self) -> list[OpenApiParameter]:
        """The first spelling as OpenAPI describes it; the others are accepted and not advertised."""
        schema = self.schema()
        if self.default is not None:
            schema["default"] = self.default
        if self.example is not None:
            schema["examples"] = [self.example]
        return [OpenApiParameter(self.names[0], schema, required=self.required, description=self.description)]


class Text(Parameter):
    """Words as typed, outer space removed. Empty counts as not sent."""

    def __init__(self, *, max_length: int = 200, **options):
        super().__init__(**options)
        self.max_length = max_length

    def parse(self, text):
        text = text.strip()
        if len(text) > self.max_length:
            raise Refused(_("At most %(count)d characters.") % {"count": self.max_length}, "max_length")
        return text or self.default

    def schema(self):
        return {"type": "string", "maxLength": self.max_length}


class Integer(Parameter):
    """A whole number in ASCII digits; a bound that nobody set is that of 64 bits."""

    def __init__(self, *, minimum: int = -(2**63), maximum: int = 2**63 - 1, **options):
        super().__init__(**options)
        self.minimum = minimum
        self.maximum = maximum

    def parse(self, text):
        if not re.fullmatch(r"-?[0-9]{1,19}", text):
            raise Refused(_("Send a whole number."), "integer")
        number = int(text)
        if number < self.minimum:
            raise Refused(_("At least %(number)d.") % {"number": self.minimum}, "minimum")
        if number > self.maximum:
            raise Refused(_("At most %(number)d.") % {"number": self.maximum}, "maximum")
        return number

    def schema(self):
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


class Boolean(Parameter):
    def parse(self, text):
        if text not in {"true", "false"}:
            raise Refused(_("Send true or false."), "boolean")
        return text == "true"

    def schema(self):
        return {"type": "boolean"}


class Choice(Parameter):
    """One word out of a list, spelled exactly."""

    def __init__(self, choices: Iterable[str], **options):
        super().__init__(**options)
        self.choices = tuple(str(choice) for choice in choices)

    def parse(self, text):
        if text not in self.choices:
            raise Refused(_("Send one of: %(choices)s.") % {"choices": ", ".join(self.choices)}, "choice")
        return text

    def schema(self):
        return {"type": "string", "enum": list(self.choices)}


class Identifier(Parameter):
    """A UUID in its usual form."""

    FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

    def parse(self, text):
        if not self.FORM.fullmatch(text):
            raise Refused(_("Send an id such as 01890a5d-ac96-774b-bcce-b302099a8057."), "uuid")
        return uuid.UUID(text)

    def schema(self):
        return {"type": "string", "format": "uuid"}


class Date(Parameter):
    """A calendar day, `2026-03-14`. Years outside 1800 to 2199 are slips of the keyboard."""

    FIRST_YEAR, LAST_YEAR = 1800, 2199

    def parse(self, text):
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise Refused(_("Send a date such as 2026-03-14."), "date")
        try:
            day = datetime.date.fromisoformat(text)
        except ValueError:
            raise Refused(_("There is no such day."), "date") from None
        if not self.FIRST_YEAR <= day.year <= self.LAST_YEAR:
            raise Refused(_("The year has to lie between 1800 and 2199."), "date")
        return day

    def schema(self):
        return {"type": "string", "format": "date"}


class Moment(Parameter):
    """A point in time with its offset, `2026-03-14T09:00:00Z`; answered in UTC. Without an offset it is refused."""

    FORM = re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})"
    )

    def parse(self, text):
        # A plus sign that the caller did not escape arrives as a space.
        text = re.sub(r" (?=[0-9]{2}:[0-9]{2}$)", "+", text)
        if not self.FORM.fullmatch(text):
            raise Refused(_("Send a time with its offset, such as 2026-03-14T09:00:00Z."), "datetime")
        try:
            moment = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise Refused(_("There is no such time."), "datetime") from None
        if not Date.FIRST_YEAR <= moment.year <= Date.LAST_YEAR:
            raise Refused(_("The year has to lie between 1800 and 2199."), "datetime")
        return moment.astimezone(datetime.UTC)

    def schema(self):
        return {"type": "string", "format": "date-time"}


class Named(Parameter):
    """Pairs whose names the clinic defines, `custom[blood_group]=O+`; read as a dictionary, empty when none is sent.

    Values are texts of at most `max_length`; whether such a field exists is
    for the room to say.
    """

    def __init__(self, *, max_count: int = 10, max_length: int = 200, **options):
        super().__init__(default={}, **options)
        self.max_count = max_count
        self.value = Text(max_length=max_length, default="")

    def key(self, name: str) -> str | None:
        found = re.fullmatch(re.escape(self.names[0]) + r"\[([^\[\]]{1,100})\]", name)
        return found[1] if found else None

    def openapi(self):
        schema = {"type": "object", "maxProperties": self.max_count, "additionalProperties": self.value.schema()}
        return [
            OpenApiParameter(
                self.names[0], schema, description=self.description, style="deepObject", explode=True, required=False
            )
        ]


class Query:
    """The parameters of one list. Subclasses add parameters as attributes; instances hold the values read."""

    parameters: ClassVar[dict[str, Parameter]] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        bases = [vars(base).get("parameters", {}) for base in reversed(cls.__mro__)]
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Parameter)}
        cls.parameters = {name: value for known in (*bases, own) for name, value in known.items()}

    def __init__(self, values: dict[str, Any]):
        for name, parameter in self.parameters.items():
            setattr(self, name, values.get(name, parameter.default))

    @classmethod
    def read(cls, request) -> "Query":
        """The checked parameters of a Django or DRF request. Raises FieldsRefused with one problem a parameter."""
        reading = _Reading(cls.parameters)
        for name, values in _pairs(request).items():
            reading.take(name, values)
        reading.finish()
        query = cls(reading.values)
        if problems := reading.problems or query.check():
            raise FieldsRefused(problems)
        return query

    def check(self) -> list[dict]:
        """Problems that only several parameters together make (`from` after `to`). Subclasses extend it."""
        return []

    @classmethod
    def openapi(cls) -> list[OpenApiParameter]:
        return [described for parameter in cls.parameters.values() for described in parameter.openapi()]


class NoQuery(Query):
    """For actions that take no parameters at all."""


class _Reading:
    """The state of reading one query string: values by attribute, problems in the order met."""

    def __init__(self, parameters: dict[str, Parameter]):
        self.parameters = parameters
        self.by_name = {name: parameter for parameter in parameters.values() for name in parameter.names}
        self.values: dict[str, Any] = {}
        self.problems: list[dict] = []

    def take(self, name: str, values: list[str]) -> None:
        parameter, key = self._find(name)
        if parameter is None:
            self._refuse(name, Refused(_("There is no such parameter here."), "unknown"))
        elif len(values) > 1 or (key is None and parameter.name in self.values):
            self._refuse(name, Refused(_("Send it only once."), "repeated"))
        elif character := forbidden_character(name + values[0]):
            self._refuse(name, Refused(_("It contains the character %s.") % character, "forbidden_character"))
        else:
            self._parse(name, parameter, key, values[0])

    def _find(self, name: str) -> tuple[Parameter | None, str | None]:
        if name in self.by_name:
            found = self.by_name[name]
            return (None, None) if isinstance(found, Named) else (found, None)
        for parameter in self.parameters.values():
            if isinstance(parameter, Named) and (key := parameter.key(name)):
                return parameter, key
        return None, None

    def _parse(self, name: str, parameter: Parameter, key: str | None, text: str) -> None:
        try:
            if not isinstance(parameter, Named):
                self.values[parameter.name] = parameter.parse(text)
                return
            pairs = self.values.setdefault(parameter.name, {})
            if len(pairs) >= parameter.max_count:
                raise Refused(_("At most %(count)d of these.") % {"count": parameter.max_count}, "max_count")
            pairs[key] = parameter.value.parse(text)
        except Refused as refused:
            self._refuse(name, refused)

    def finish(self) -> None:
        """Parameters that had to be sent and were not."""
        named = {entry["loc"][1] for entry in self.problems}
        for parameter in self.parameters.values():
            if parameter.required and parameter.name not in self.values and not named & set(parameter.names):
                self._refuse(parameter.names[0], Refused(_("This parameter is required."), "required"))

    def _refuse(self, name: str, refused: Refused) -> None:
        shown = name if len(name) <= 100 and not forbidden_character(name) else "?"
        self.problems.append(problem("query", shown, msg=str(refused), type=refused.type))


def _pairs(request) -> dict[str, list[str]]:
    raw = request.META.get("QUERY_STRING", "")
    if raw.count("&") >= MAX_PAIRS:
        raise FieldsRefused([problem("query", msg=_("Too many parameters."), type="too_many")])
    try:
        unquote_to_bytes(raw.encode("latin-1")).decode()
    except UnicodeError:
        raise FieldsRefused([problem("query", msg=_("The address is not valid UTF-8."), type="encoding")]) from None
    return dict(request.GET.lists())
