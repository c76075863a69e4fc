"""Finding patients by anything somebody remembers: the words they are stored under, and the query.

Words are folded here, in Python, both when they are stored and when they are
asked for (clinic.names.fold). Measured rules: design/database.md, performance.md 2.3.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from uuid import UUID

import phonenumbers
from django.db import connection

from clinic.names import fold, is_unspaced, spellings_of, words_of
from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.models import Tenant

from .models import Patient, PatientToken

LONGEST_TOKEN = 120
MOST_WORDS = 8
REVERSED = "~"
"""Before the reversed digits of a phone number, so that its tail is a prefix, too."""
HEAD = 3
PAIR = "="
"""Before the first three letters of two name words, `=gar+mar`: two common beginnings together are rare,
and this finds them without walking through everybody who has one of them."""

_DIGITS_AND_SEPARATORS = re.compile(r"[\d\s().+/-]+")
_DATES = (
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})"),
    re.compile(r"(?P<d>\d{1,2})[./](?P<m>\d{1,2})[./](?P<y>\d{4})"),
)


def tokens_of(patient: Patient, identifier_values: Iterable[str] = ()) -> set[str]:
    """Every word this patient can be found by: names (old ones too), numbers, phones both ways round, e-mail.

    A restricted chart has its name and patient number only, so no search tells
    anything else (docs/decisions/0009).
    """
    names = [
        patient.first_name,
        patient.second_name,
        patient.first_last_name,
        patient.second_last_name,
        "" if patient.is_restricted else patient.previous_names,
    ]
    tokens = {word for name in names for word in spellings_of(name)}
    tokens |= _pairs(tokens)
    tokens |= {word for name in (*names, patient.name) if is_unspaced(name) for word in _suffixes(name)}
    if patient.number is not None:  # a new one gets its number when it is written
        tokens.add(str(patient.number))
    if patient.is_restricted:
        return {token[:LONGEST_TOKEN] for token in tokens if token}
    for number in (patient.document_number, *identifier_values):
        tokens |= _number_tokens(number)
    for phone in filter(None, (patient.phone, patient.cell_phone)):
        for digits in _phone_digits(phone, patient.tenant.country):
            tokens |= {digits, REVERSED + digits[::-1]}
    if patient.email:
        tokens.add(fold(patient.email))
    return {token[:LONGEST_TOKEN] for token in tokens if token}


def store_tokens(patient: Patient, identifier_values: Iterable[str]) -> None:
    """Bring the stored words of a patient up to date, in the transaction of the change."""
    wanted = tokens_of(patient, identifier_values)
    stored = set(PatientToken.objects.filter(patient=patient).values_list("token", flat=True))
    if gone := stored - wanted:
        PatientToken.objects.filter(patient=patient, token__in=gone).delete()
    PatientToken.objects.bulk_create([PatientToken(patient=patient, token=token) for token in sorted(wanted - stored)])


def patients_under(tokens: Iterable[str]):
    """Ids of the patients who have one of these words, whole."""
    wanted = [token[:LONGEST_TOKEN] for token in tokens if token]
    return PatientToken.objects.filter(token__in=wanted).values("patient_id")


def find_by_phone(phone: str, columns: tuple[str, ...]) -> list[UUID]:
    """Ids of the patients with this number in one of these columns, with or without the country's code."""
    country = Tenant.objects.get(pk=current_tenant_id()).country
    asked = _phone_digits(phone, country)
    rows = Patient.objects.filter(id__in=patients_under(asked)).values_list("id", *columns)
    return [pk for pk, *numbers in rows if any(_phone_digits(number, country) & asked for number in numbers if number)]


@dataclass(frozen=True)
class Asked:
    """What was typed: words that must all fit, and birth dates that were recognised among them."""

    words: tuple[str, ...] = ()
    born_on: date | None = None

    @property
    def is_empty(self) -> bool:
        return not self.words and self.born_on is None


def read_query(text: str) -> Asked:
    """Make words of what somebody typed. A day such as 1978-03-14 or 14/3/1978 asks for the birth date."""
    born_on = None
    for pattern in _DATES:
        if (match := pattern.search(text)) and (day := _day(match)):
            born_on, text = day, text.replace(match[0], " ")
    if _DIGITS_AND_SEPARATORS.fullmatch(text) and (digits := _digits(text)):
        return Asked((digits[:LONGEST_TOKEN],), born_on)
    words: list[str] = []
    for part in text.split():
        words += [fold(part)] if "@" in part else (_number_words(part) or words_of(part))
    return Asked(tuple(dict.fromkeys(word[:LONGEST_TOKEN] for word in words))[:MOST_WORDS], born_on)


def find_patient_ids(
    words: tuple[str, ...], *, limit: int, born_on: date | None = None, present_only: bool = False
) -> list[UUID]:
    """Ids of at most `limit` patients of the current clinic that fit every word; whole numbers before longer ones.

    A birth date leads, two words that look like names lead by their pair;
    otherwise the rarest word leads. The remaining words are looked up for each
    patient found so (`make bench BENCH_ARGS=search` prints the times on 200,000
    patients). `present_only` leaves out archived ones; it and `born_on` are
    asked here, because among 200 of a common name the right one may be missing.
    """
    if not words:
        return []
    tenant_id = current_tenant_id()
    with connection.cursor() as cursor:
        leading, others = _leading(cursor, tenant_id, words, born_on)
        return _find(cursor, tenant_id, leading, others, limit, present_only)


_BORN = (
    "SELECT id AS patient_id FROM patients_patient WHERE tenant_id = %s AND birth_date = %s AND restricted_at IS NULL"
)
_IS = "SELECT patient_id FROM patients_patienttoken WHERE tenant_id = %s AND token = %s"
_BEGINS = "SELECT patient_id FROM patients_patienttoken WHERE tenant_id = %s AND token ^@ %s"


def _leading(cursor, tenant_id, words, born_on) -> tuple[list[tuple[str, object]], list[str]]:
    """Where to begin: statements with what they ask for, and the words that remain to be looked up."""
    if born_on:
        return [(_BORN, born_on)], list(words)
    if two := _two_names(words):
        # A word of three letters is all in the pair; a longer one has to fit to its end.
        others = [word for word in words if word not in two or len(word) > HEAD]
        return [(_BEGINS, pair) for pair in sorted(_pairs(set(two)))], others
    first, *others = _rarest_first(cursor, tenant_id, words)
    # Patient 42 comes before all whose phone begins or ends with 42.
    whole = [(_IS, first)] if first.isdigit() else []
    return whole + [(_BEGINS, prefix) for prefix in _ranges(first)], others


def _find(cursor, tenant_id, leading, others: list[str], limit: int, present_only: bool) -> list[UUID]:
    """Patients the leading statements give, each looked up for all the other words."""
    probes, probe_values = [], []
    if present_only:
        probes.append(
            "(SELECT p.archived_at IS NULL FROM patients_patient p WHERE p.tenant_id = %s AND p.id = led.patient_id)"
        )
        probe_values.append(tenant_id)
    for word in others:
        fits = " OR ".join("o.token ^@ %s" for _ in _ranges(word))
        # A scalar subquery is looked up per row; EXISTS may become a hash of everything that begins with "mar".
        probes.append(
            "(SELECT true FROM patients_patienttoken o WHERE o.tenant_id = %s"
            f" AND o.patient_id = led.patient_id AND ({fits}) LIMIT 1)"
        )
        probe_values += [tenant_id, *_ranges(word)]
    where = f"WHERE {' AND '.join(probes)}" if probes else ""
    # The limit stops the scan early; one patient may be there under several tokens, hence three times.
    union = " UNION ALL ".join(statement for statement, _ in leading)
    values = [value for _, asked in leading for value in (tenant_id, asked)]
    cursor.execute(f"SELECT patient_id FROM ({union}) led {where} LIMIT %s", [*values, *probe_values, limit * 3])
    return list(dict.fromkeys(row[0] for row in cursor.fetchall()))[:limit]


def _pairs(words: set[str]) -> set[str]:
    heads = sorted({word[:HEAD] for word in words if len(word) >= HEAD})
    return {f"{PAIR}{first}+{second}" for first, second in combinations(heads, 2)}


def _two_names(words: tuple[str, ...]) -> list[str]:
    """The two longest words that look like names and begin differently; [] where there are no such two."""
    names = {word[:HEAD]: word for word in sorted(words, key=len) if len(word) >= HEAD and _looks_like_name(word)}
    longest = sorted(names.values(), key=len)[-2:]
    return longest if len(longest) == 2 else []


def _looks_like_name(word: str) -> bool:
    # An unspaced name may be one word here although two were asked for; it is found by its suffixes.
    return "@" not in word and not is_unspaced(word) and not any(character.isdigit() for character in word)


def _rarest_first(cursor, tenant_id, words: tuple[str, ...]) -> list[str]:
    if len(words) == 1:
        return list(words)
    one = (
        "(SELECT count(*) FROM (SELECT 1 FROM patients_patienttoken"
        " WHERE tenant_id = %s AND token ^@ %s LIMIT 3000) counted)"
    )
    counts = [" + ".join([one] * len(_ranges(word))) for word in words]
    values = [value for word in words for prefix in _ranges(word) for value in (tenant_id, prefix)]
    cursor.execute(f"SELECT {', '.join(counts)}", values)
    frequency = dict(zip(words, cursor.fetchone(), strict=True))
    return sorted(words, key=lambda word: frequency[word])


def _ranges(word: str) -> list[str]:
    """The prefixes a word may begin with: itself, and where it is digits the tail of a phone number."""
    return [word, REVERSED + word[::-1]] if word.isascii() and word.isdigit() and len(word) >= 3 else [word]


def _suffixes(name: str) -> set[str]:
    compact = "".join(name.split())
    return {"".join(words_of(compact[start:])) for start in range(len(compact))}


def _number_tokens(number: str) -> set[str]:
    compact = "".join(words_of(number))
    return {compact, _digits(number)} if len(_digits(number)) >= 3 else {compact}


def _phone_digits(phone: str, country: str) -> set[str]:
    """The digits as typed, with the country's code and without it: people write and remember all three."""
    written = {_digits(phone)}
    with suppress(phonenumbers.NumberParseException):
        number = phonenumbers.parse(phone, country)
        written |= {str(number.national_number), f"{number.country_code}{number.national_number}"}
    return {digits for digits in written if len(digits) >= 4}


def _number_words(part: str) -> list[str]:
    """`12.345-6` and `X-123` are one number each, not several words."""
    compact = "".join(words_of(part))
    return [compact] if any(c.isdigit() for c in compact) and not any(c.isspace() for c in part) else []


def _digits(text: str) -> str:
    if text.isascii():
        return "".join(filter(str.isdecimal, text))
    return "".join(str(int(c)) for c in text if c.isdecimal())


def _day(match: re.Match) -> date | None:
    try:
        return date(int(match["y"]), int(match["m"]), int(match["d"]))
    except ValueError:
        return None
