"""`make messages`: collect every text of code and templates, keep the Spanish catalogue in step, compile it.

Needs no gettext programs: Python is read by `ast`, templates by Django's own
`templatize`, files are written by polib. What is in the catalogue already
keeps its translation; a text that changed a little keeps it as a suggestion
(fuzzy); what nobody says any more goes. Exit code 1 while anything waits for
a translator, with the list of it. `--check` writes nothing.
"""

import ast
import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polib
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ["config", "tenancy", "accounts", "clinic", "quality"]
CATALOGUE = ROOT / "config" / "locale" / "es" / "LC_MESSAGES" / "django.po"
HEADER = {
    "Project-Id-Version": "Carewright",
    "Language": "es",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=UTF-8",
    "Content-Transfer-Encoding": "8bit",
    "Plural-Forms": "nplurals=2; plural=(n != 1);",
}

# Which arguments of a function are context, text and plural.
GETTEXT = {
    "gettext": (None, 0, None),
    "gettext_lazy": (None, 0, None),
    "gettext_noop": (None, 0, None),
    "ngettext": (None, 0, 1),
    "ngettext_lazy": (None, 0, 1),
    "pgettext": (0, 1, None),
    "pgettext_lazy": (0, 1, None),
    "npgettext": (0, 1, 2),
    "npgettext_lazy": (0, 1, 2),
}
LITERAL = r"""u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
TEMPLATE_CALL = re.compile(rf"\b(_|n?p?gettext)\(\s*{LITERAL}(?:\s*,\s*{LITERAL})?(?:\s*,\s*{LITERAL})?")
FORMAT = re.compile(r"%(?:\(\w+\))?[sdf]|\{\w*\}")
CLOSE_ENOUGH = 0.8


class Message(NamedTuple):
    """What gettext looks up. `context` and `plural` are None for most."""

    text: str
    plural: str | None = None
    context: str | None = None


# --- Collecting ------------------------------------------------------------------------------------------------------


def collect() -> dict[Message, list[str]]:
    """Every message with the files that say it, in the order of files and of lines."""
    found: dict[Message, list[str]] = {}
    for path in list_sources():
        source = path.read_text(encoding="utf-8")
        read = read_python if path.suffix == ".py" else read_template
        for message in read(source):
            places = found.setdefault(message, [])
            if (place := path.relative_to(ROOT).as_posix()) not in places:
                places.append(place)
    return found


def list_sources() -> list[Path]:
    code = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py")) if not is_apart(path)]
    return code + sorted(path for kind in ("html", "txt") for path in (ROOT / "templates").rglob(f"*.{kind}"))


def is_apart(path: Path) -> bool:
    """Tests speak to nobody, and migrations repeat what models say."""
    return not {"tests", "migrations"}.isdisjoint(path.parts)


def read_python(source: str) -> Iterator[Message]:
    tree = ast.parse(source)
    names = gettext_names(tree)
    for call in walk_in_order(tree):
        kind = gettext_kind(call, names)
        if kind and (message := _message(kind, [literal(argument) for argument in call.args])):
            yield message


def walk_in_order(node: ast.AST) -> Iterator[ast.Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child
        yield from walk_in_order(child)


def gettext_names(tree: ast.Module) -> dict[str, str]:
    """What this module calls Django's functions: `_` is gettext, gettext_lazy or gettext_noop as it was imported."""
    return {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
        if alias.name in GETTEXT
    }


def gettext_kind(call: ast.Call, names: dict[str, str]) -> str | None:
    if isinstance(call.func, ast.Name):
        return names.get(call.func.id)
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        return call.func.attr if call.func.value.id == "translation" and call.func.attr in GETTEXT else None
    return None


def literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def read_template(source: str) -> Iterator[Message]:
    for call in TEMPLATE_CALL.finditer(templatize(source)):
        kind = "gettext" if call[1] == "_" else call[1]
        message = _message(kind, [ast.literal_eval(words) for words in call.groups()[1:] if words])
        if message:
            yield message


def _message(kind: str, arguments: list[str | None]) -> Message | None:
    """None where the text is only known when the program runs."""
    context, text, plural = (None if at is None else arguments[at : at + 1] for at in GETTEXT[kind])
    if not text or not text[0]:
        return None
    return Message(text[0], plural[0] if plural else None, context[0] if context else None)


# --- Keeping the catalogue -------------------------------------------------------------------------------------------


def merge(found: dict[Message, list[str]], old: polib.POFile) -> polib.POFile:
    """A catalogue of exactly what was found, with every translation that still fits."""
    known = {message_of(entry): entry for entry in old if not entry.obsolete}
    leaving = {
        message.text: known[message] for message in known if message not in found and known[message].translated()
    }
    new = polib.POFile(wrapwidth=110)
    new.metadata = HEADER
    for message, places in found.items():
        entry = polib.POEntry(
            msgid=message.text,
            msgid_plural=message.plural or "",
            msgctxt=message.context,
            occurrences=[(place, "") for place in places],
            flags=["python-format"] if "%" in message.text else [],
        )
        if message in known:
            _take(entry, known[message], fuzzy=known[message].fuzzy)
        elif near := difflib.get_close_matches(message.text, leaving, 1, CLOSE_ENOUGH):
            _take(entry, leaving[near[0]], fuzzy=True)
        elif message.plural:
            entry.msgstr_plural = {0: "", 1: ""}
        new.append(entry)
    return new


def _take(entry: polib.POEntry, old: polib.POEntry, *, fuzzy: bool) -> None:
    entry.tcomment = old.tcomment
    if entry.msgid_plural:
        entry.msgstr_plural = dict(old.msgstr_plural) or {0: old.msgstr, 1: old.msgstr}
    else:
        entry.msgstr = old.msgstr or old.msgstr_plural.get(0, "")
    if fuzzy:
        entry.flags.append("fuzzy")
        entry.previous_msgid = old.previous_msgid or (old.msgid if old.msgid != entry.msgid else None)


def message_of(entry: polib.POEntry) -> Message:
    return Message(entry.msgid, entry.msgid_plural or None, entry.msgctxt)


def read_catalogue(path: Path = CATALOGUE) -> polib.POFile:
    return polib.pofile(str(path), wrapwidth=110) if path.exists() else polib.POFile(wrapwidth=110)


def list_faults(catalogue: polib.POFile) -> list[str]:
    """What a translator has to look at, as `file: text: what is wrong`."""
    return [
        f"{entry.occurrences[0][0] if entry.occurrences else 'nowhere'}: {entry.msgid}: {fault}"
        for entry in catalogue
        for fault in _faults(entry)
    ]


def _faults(entry: polib.POEntry) -> Iterator[str]:
    texts = [entry.msgstr_plural.get(number, "") for number in range(2)] if entry.msgid_plural else [entry.msgstr]
    if entry.obsolete:
        yield "nobody says this any more"
    elif not all(texts):
        yield "has no Spanish text"
    elif entry.fuzzy:
        yield "is only a suggestion; correct it and take away the word fuzzy"
    else:
        for english, spanish in zip([entry.msgid, entry.msgid_plural], texts, strict=False):
            if sorted(FORMAT.findall(english)) != sorted(FORMAT.findall(spanish)):
                yield "has other placeholders in Spanish"
            if _ending(english) != _ending(spanish):
                yield "ends otherwise in Spanish"


def _ending(text: str) -> str:
    """The mark or the space a text ends with; a page puts texts side by side and relies on it."""
    return text[-1:] if text[-1:] in ".:;,?!… \n" else ""


def compile_catalogue(catalogue: polib.POFile) -> bytes:
    return catalogue.to_binary()


def main(arguments: list[str]) -> int:
    catalogue = merge(collect(), read_catalogue())
    if "--check" not in arguments:
        CATALOGUE.parent.mkdir(parents=True, exist_ok=True)
        catalogue.save(str(CATALOGUE))
        CATALOGUE.with_suffix(".mo").write_bytes(compile_catalogue(read_catalogue()))
    faults = list_faults(catalogue)
    print("\n".join([f"{len(catalogue)} messages, {len(faults)} to look at", *faults]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
