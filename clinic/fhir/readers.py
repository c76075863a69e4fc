"""From files to resources: one reading only, and a reason for everything that can not be read.

`.ndjson` (and `.jsonl`) files are read line by line, other files whole. A
bundle is taken apart into its entries wherever it stands. Nothing here looks
into a resource further than its type.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

LONGEST_LINE = 5_000_000
LARGEST_FILE = 100_000_000
DEEPEST = 64
"""Levels of nesting in one JSON text. The deepest published FHIR example has 22."""

READ_BUNDLES = frozenset({"transaction", "batch", "collection", "searchset"})
LINED = frozenset({".ndjson", ".jsonl"})
FOUND_IN_FOLDERS = frozenset({".json", ".ndjson"})
TOO_DEEP = "The JSON is nested too deeply."

_TYPE = re.compile(r"[A-Z][A-Za-z]{0,63}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Refused(Exception):
    """One resource, line or file is not taken. The text is a reason for the operator and holds no personal data."""


@dataclass(frozen=True)
class Place:
    """Where something stood: file as it was named, line of an NDJSON file, entry of a bundle; both count from 1."""

    file: str
    line: int | None = None
    entry: int | None = None


@dataclass(frozen=True)
class Found:
    """One resource as it came. `siblings` are the resources of its bundle by `fullUrl`: (type, id)."""

    place: Place
    resource: dict[str, Any]
    full_url: str = ""
    siblings: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return str(self.resource["resourceType"])

    @property
    def id(self) -> str:
        """The resource's own id; in a bundle that leaves it out, the UUID the bundle calls it by."""
        return id_of(self.resource, self.full_url)


@dataclass(frozen=True)
class Unreadable:
    """A place where no resource could be read, and why. `type` is "" where not even that is known."""

    place: Place
    reason: str
    type: str = ""


def list_files(paths: Iterable[Path]) -> list[Path]:
    """The files meant by these paths: themselves, and every *.json and *.ndjson below a folder, sorted.

    Hidden files are left out of folders. Raises FileNotFoundError for a path that is not there.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in FOUND_IN_FOLDERS and file.is_file() and not file.name.startswith(".")
            )
        elif path.exists():
            files.append(path)
        else:
            raise FileNotFoundError(str(path))
    return list(dict.fromkeys(files))


def read_file(path: Path) -> Iterator[Found | Unreadable]:
    """Every resource of a file in its order, or why there is none. Never raises for what is in the file."""
    place = Place(str(path))
    try:
        size = path.stat().st_size
        if not size:
            yield Unreadable(place, "The file is empty.")
        elif path.suffix.lower() in LINED:
            yield from _read_lines(path)
        elif size > LARGEST_FILE:
            yield Unreadable(place, "The file is larger than 100 MB. Hand it over as NDJSON, one resource a line.")
        else:
            yield from _read_text(path.read_bytes(), place)
    except OSError as error:
        yield Unreadable(place, f"The file can not be read: {error.strerror}.")


def id_of(resource: dict[str, Any], full_url: str = "") -> str:
    """The id a resource has by itself or by its bundle, or ""."""
    if isinstance(own := resource.get("id"), str) and own:
        return own
    scheme, _, value = full_url.rpartition(":")
    return value if scheme in {"urn:uuid", "urn:oid"} else ""


def read_json(body: bytes) -> Any:
    """The value of a JSON text. Raises Refused with line or column where it is not JSON as RFC 8259 and we want it."""
    if body.startswith(_BYTE_ORDER_MARK):
        raise Refused("It begins with a byte order mark. Save it as UTF-8 without one.")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(_why_no_json(body, error)) from None
    if _depth(value) > DEEPEST:
        raise Refused(TOO_DEEP)
    # Only the standard library tells of a key that stands twice; it is safe now that the depth is known.
    json.loads(body, object_pairs_hook=_unique, parse_int=str, parse_float=str)
    return value


def _read_lines(path: Path) -> Iterator[Found | Unreadable]:
    with path.open("rb") as file:
        number = 0
        seen = False
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            place = Place(str(path), line=number)
            if len(line) > LONGEST_LINE:
                _skip_rest_of_line(file, line)
                seen = True
                yield Unreadable(place, "The line is longer than 5 MB.")
            elif line.strip():
                seen = True
                yield from _read_text(line.rstrip(), place)
    if not seen:
        yield Unreadable(Place(str(path)), "The file is empty.")


def _skip_rest_of_line(file, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(LONGEST_LINE)


def _read_text(body: bytes, place: Place) -> Iterator[Found | Unreadable]:
    try:
        value = read_json(body)
        kind = _type_of(value)
    except Refused as refused:
        yield Unreadable(place, str(refused))
        return
    if kind == "Bundle":
        yield from _open_bundle(value, place)
    else:
        yield Found(place, value)


def _open_bundle(bundle: dict[str, Any], place: Place) -> Iterator[Found | Unreadable]:
    kind, entries = bundle.get("type"), bundle.get("entry")
    if kind not in READ_BUNDLES:
        yield Unreadable(place, f"Of bundles only {', '.join(sorted(READ_BUNDLES))} are read.", "Bundle")
        return
    if not isinstance(entries, list) or not entries:
        yield Unreadable(place, "The bundle has no entries.", "Bundle")
        return
    siblings = _siblings(entries)
    for number, entry in enumerate(entries, start=1):
        at = Place(place.file, place.line, number)
        try:
            yield _open_entry(entry, at, siblings)
        except Refused as refused:
            yield Unreadable(at, str(refused))


def _open_entry(entry: Any, place: Place, siblings: dict[str, tuple[str, str]]) -> Found:
    if not isinstance(entry, dict):
        raise Refused("An entry of a bundle is a JSON object.")
    if entry.get("resource") is None:
        raise Refused("The entry holds no resource.")
    if _type_of(entry["resource"]) == "Bundle":
        raise Refused("A bundle inside of a bundle is not read.")
    full_url = entry.get("fullUrl")
    return Found(place, entry["resource"], full_url if isinstance(full_url, str) else "", siblings)


def _siblings(entries: list[Any]) -> dict[str, tuple[str, str]]:
    """(type, id) of the resources of a bundle by their `fullUrl`, also of those that stand further down."""
    found = {}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(full_url := entry.get("fullUrl"), str):
            with suppress(Refused):
                found[full_url] = (_type_of(entry.get("resource")), id_of(entry["resource"], full_url))
    return found


def _type_of(value: Any) -> str:
    if not isinstance(value, dict):
        raise Refused("A resource is a JSON object.")
    kind = value.get("resourceType")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise Refused("There is no resourceType.")
    return kind


def _why_no_json(body: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        return f"The text is not UTF-8 (byte {wrong.start + 1})."
    if not body.strip():
        return "There is nothing in it."
    if "depth" in error.msg:
        return TOO_DEEP
    line = f"line {error.lineno}, " if b"\n" in body else ""
    return f"This is not valid JSON ({line}column {error.colno})."


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        depth += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = [item for item in below if isinstance(item, dict | list)]
    return depth


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _value in pairs}) != len(pairs):
        raise Refused("A key stands twice in one JSON object.")
