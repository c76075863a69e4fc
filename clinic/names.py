"""Names of people in every script: putting them together, taking them apart, writing them, folding them for search.

Given names and family names are two columns each (decision X13); MediSecure
reads and writes one `name`. Whatever is split here gives the same words back
when it is joined.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# Words that belong to the family name after them ("de la Cruz", "van den Berg", "al Sayed").
PARTICLES = frozenset(
    {"de", "del", "la", "las", "los", "da", "das", "do", "dos", "di", "du", "des", "den", "der", "van", "von", "vom"}
    | {"zu", "zum", "zur", "ter", "ten", "te", "y", "e", "i", "bin", "ibn", "binti", "al", "el", "abu"}
)

# Letters that no Unicode normalisation takes apart, as people type them on another keyboard.
_SAME_LETTER = str.maketrans(
    {"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "þ": "th", "æ": "ae", "œ": "oe", "ə": "e"}
    # Arabic and Persian keyboards have letters of their own for yeh and kaf; teh marbuta is often written heh.
    | {"ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ہ": "ه", "ـ": None}
)
_APOSTROPHES = "'`´‘’ʻʼʹʿʾ′＇"
_HYPHENS = "-‐‑‒–"
_WITHOUT_APOSTROPHES = str.maketrans(dict.fromkeys(_APOSTROPHES))
_WITHOUT_JOINERS = str.maketrans(dict.fromkeys(_APOSTROPHES + _HYPHENS))
# Only scripts whose capitals every reader and every font knows. Georgian has capitals in Unicode, but Georgians
# do not write them in names and most fonts show empty boxes.
SCRIPTS_WITH_CAPITALS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN")

_ASCII_WORD = re.compile("[a-z0-9]+")
_APART = str.maketrans(dict.fromkeys(_APOSTROPHES + _HYPHENS, " "))


@dataclass(frozen=True)
class Name:
    """The four parts of a name; any of them may be empty, but not all."""

    first_name: str = ""
    second_name: str = ""
    first_last_name: str = ""
    second_last_name: str = ""

    @property
    def given(self) -> str:
        return " ".join(part for part in (self.first_name, self.second_name) if part)

    @property
    def family(self) -> str:
        return " ".join(part for part in (self.first_last_name, self.second_last_name) if part)

    @property
    def whole(self) -> str:
        """As people write it: given name first, but Han and Hangul family first and without a space."""
        if self.given and self.family and is_unspaced(self.given + self.family):
            return self.family + self.given
        return " ".join(part for part in (self.given, self.family) if part)


def clinical_name(person: Any) -> str:
    """ "FAMILY, Given (Title)" of a person with `family_name` and `given_name`, or the four names a patient keeps."""
    return write_name(
        _joined(person, "family_name", "first_last_name", "second_last_name"),
        _joined(person, "given_name", "first_name", "second_name"),
        str(getattr(person, "title", "") or ""),
    )


def _joined(person: Any, whole: str, *parts: str) -> str:
    if hasattr(person, whole):
        return str(getattr(person, whole) or "")
    return " ".join(str(getattr(person, part)) for part in parts if getattr(person, part, ""))


def write_name(family: str = "", given: str = "", title: str = "") -> str:
    """A name as "FAMILY, Given (Title)"; parts that are missing leave no stray comma. "" when there is no name."""
    name = ", ".join(part for part in (capitals(family.strip()), given.strip()) if part)
    return f"{name} ({title.strip()})" if name and title.strip() else name


def capitals(text: str) -> str:
    """Capitals where a script has them; Arabic, Han, Thai, Georgian and the rest stay as written."""
    return text.upper() if text.isascii() else "".join(_capital(character) for character in text)


@lru_cache(maxsize=4096)
def _capital(character: str) -> str:
    if character == "ß":
        return "ẞ"  # "SS" would be another name
    if unicodedata.name(character, "").startswith(SCRIPTS_WITH_CAPITALS):
        return character.upper()
    return character


def split_name(whole: str) -> Name:
    """Take a whole name apart without losing or reordering a word of it.

    "Family, Given" goes by its comma; in Han, Hangul and Kana the first word is
    the family name. Otherwise the last two groups are family names when there
    are four or more words, the last one when there are two or three; particles
    stay with the word after them. A single word is a given name.
    """
    whole = " ".join(whole.split())
    family, comma, given = (part.strip() for part in whole.partition(","))
    if comma and family and given:
        return Name(*_two(given.split()), *_two(_groups(family.split())))
    words = whole.split()
    if len(words) > 1 and is_unspaced(whole):
        return Name(*_two(words[1:]), first_last_name=words[0])
    groups = _groups(words, begins_with_given=True)
    if len(groups) < 2:
        return Name(first_name=whole)
    families = 2 if len(groups) > 3 else 1
    return Name(*_two(groups[:-families]), *_two(groups[-families:]))


def from_given_and_family(given: str, family: str) -> Name:
    """The four parts from two (Quill, FHIR): the first word and the rest, particles kept together."""
    return Name(*_two(given.split()), *_two(_groups(family.split())))


def fold(text: str) -> str:
    """How text is compared: compatibility forms unified, marks removed, case folded.

    The same folding stands in stored columns and in queries, because under row
    policies no database function may do it (design/database.md).
    """
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    # Mn: accents, vowel points, tone marks. Cf: joiners and direction marks, which nobody sees.
    kept = "".join(c for c in decomposed if unicodedata.category(c) not in {"Mn", "Cf"})
    return kept.casefold().translate(_SAME_LETTER)


def words_of(text: str) -> list[str]:
    """The folded words of a text: runs of letters and digits in any script, apostrophes left out."""
    if text.isascii():
        return _ASCII_WORD.findall(text.translate(_WITHOUT_APOSTROPHES).lower())
    kept = "".join(c if _belongs_to_word(c) else " " for c in fold(text.translate(_WITHOUT_APOSTROPHES)))
    return kept.split()


def document_key(number: str) -> str:
    """What identity documents are compared by: letters and digits only, so that 10.203.040 is 10203040."""
    return "".join(words_of(number))[:50]


def spellings_of(name: str) -> set[str]:
    """The words a name may be looked for by: O'Brien as obrien and brien, Al-Sayed as sayed and alsayed."""
    return {word for table in (_WITHOUT_JOINERS, _APART) for word in words_of(name.translate(table))}


def is_unspaced(text: str) -> bool:
    """Whether a name is written without spaces: Han, Hangul, Kana only."""
    if text.isascii():
        return False
    letters = [c for c in text if not c.isspace()]
    return bool(letters) and all(_is_unspaced_letter(c) for c in letters)


def _is_unspaced_letter(character: str) -> bool:
    name = unicodedata.name(character, "")
    return name.startswith(("CJK ", "IDEOGRAPHIC ", "HANGUL", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA"))


def _belongs_to_word(character: str) -> bool:
    # Mc: vowel signs of Indic scripts, which are part of a word and no letters of their own.
    return character.isalnum() or unicodedata.category(character) == "Mc"


def _groups(words: list[str], *, begins_with_given: bool = False) -> list[str]:
    groups: list[str] = []
    waiting: list[str] = []
    for index, word in enumerate(words):
        may_be_particle = index < len(words) - 1 and not (begins_with_given and index == 0)
        if may_be_particle and word.casefold() in PARTICLES:
            waiting.append(word)
        else:
            groups.append(" ".join([*waiting, word]))
            waiting = []
    return groups


def _two(words: list[str]) -> tuple[str, str]:
    return (words[0] if words else "", " ".join(words[1:]))
