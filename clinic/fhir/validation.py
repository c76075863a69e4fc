"""Whether a resource is what FHIR R4 says it is.

fhir.resources has no models of R4 (4.0.1) any more; those of R4B are the same
for the types read here. What its models let pass although the standard does
not is checked afterwards: they take "true" and 1 for a boolean, a number for
a moment, any word for a code, an id of any length. Reasons name the element
and the fault, never the value.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from tenancy.doors.text import forbidden_character

from .readers import Refused

LONGEST_ID = 64
GENDERS = frozenset({"male", "female", "other", "unknown"})
_KINDS: dict[str, tuple[type, str]] = {
    "active": (bool, "Input should be true or false."),
    "deceasedBoolean": (bool, "Input should be true or false."),
    "multipleBirthBoolean": (bool, "Input should be true or false."),
    "multipleBirthInteger": (int, "Input should be a whole number."),
    "birthDate": (str, "Input should be a date."),
    "deceasedDateTime": (str, "Input should be a date and time."),
}
_PLAINER = {
    "json_invalid": "Input should be an object",
    "string_pattern_mismatch": "Input has characters that are not allowed here",
}
_ELEMENT = re.compile(r"[A-Za-z_]{1,40}")


def check_resource(resource: dict[str, Any]) -> None:
    """Refuse (with Refused) what is no valid Patient, Practitioner or Organization."""
    for text in _texts(resource):
        if character := forbidden_character(text):
            raise Refused(f"It contains the character {character}, which can not be kept.")
    try:
        _model(str(resource["resourceType"])).model_validate(resource)
    except ValidationError as error:
        raise Refused(_reason(error)) from None
    # Whatever else its validators stumble over, it is a fault of this one resource and the import goes on.
    except (TypeError, ValueError, AttributeError, LookupError, ImportError, ArithmeticError) as error:
        raise Refused(f"It is not valid FHIR ({type(error).__name__}).") from None
    for element, (kind, sentence) in _KINDS.items():
        value = resource.get(element)
        if value is not None and type(value) is not kind:
            raise Refused(f"{element}: {sentence}")
    if len(resource.get("id") or "") > LONGEST_ID:
        raise Refused("id: It is longer than 64 characters.")
    if resource.get("gender") is not None and resource["gender"] not in GENDERS:
        raise Refused("gender: Input should be male, female, other or unknown.")


@cache
def _model(kind: str) -> Any:
    # Late: these models cost a quarter of a second and 40 MB, and only an import needs them.
    return getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    message = _PLAINER.get(first["type"]) or str(first["msg"]).removeprefix("Value error, ").split("\n")[0].rstrip(".")
    element = ".".join(str(part) if _is_plain(part) else "?" for part in first["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{element}: {message}.{more}" if element else f"{message}.{more}"


def _is_plain(part: str | int) -> bool:
    return isinstance(part, int) or bool(_ELEMENT.fullmatch(part))


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            yield from item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
