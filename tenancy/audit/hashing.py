"""How entries, payloads and batches are hashed. No database, no Django: a verifier could stand on this alone.

entry_hash   = SHA-256("carewright.audit.entry.v1\\n" || RFC 8785 JSON of the header)
payload_hash = SHA-256(salt || RFC 8785 JSON of the payload)
merkle_root  = RFC 6962 tree (0x00 leaf, 0x01 node) over the canonical rows
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

import orjson
import rfc8785

GENESIS = "0" * 64
ENTRY_TAG = b"carewright.audit.entry.v1\n"
READ_TAG = b"carewright.audit.read.v1\n"
HEADER_FIELDS = (
    "v", "tenant_id", "seq", "id", "at", "actor_ref", "on_behalf_ref", "actor_kind", "action", "object_type",
    "object_id", "object_version", "reason_code", "cause_id", "request_id", "signature_id", "payload_hash", "prev_hash",
)  # fmt: skip
READ_FIELDS = ("tenant_id", "id", "at", "actor_ref", "kind", "object_type", "object_id", "reason", "request_id")


def instant(at: datetime) -> str:
    """`2026-11-21T12:00:00.000001Z`: UTC, always six digits, so that one instant has one spelling."""
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def canonical(value: Any) -> bytes:
    """RFC 8785 JSON. Instants, ids and decimals become text first; floats and big integers keep their own text."""
    try:
        quick = orjson.dumps(_plain(value, _refuse_fraction), option=orjson.OPT_SORT_KEYS)
    except _Fraction:
        return rfc8785.dumps(_plain(value))
    # Printable ASCII without escapes, and no fraction: there is one way to write it, in a twentieth of the time.
    return quick if _ONE_SPELLING.fullmatch(quick) else rfc8785.dumps(_plain(value))


_ONE_SPELLING = re.compile(rb"[ -\[\]-~]*")


class _Fraction(Exception):
    """A number that is written differently by different writers."""


def _refuse_fraction(value: float) -> float:
    raise _Fraction


def entry_hash(header: dict) -> str:
    """The hash of one link; `header` maps each of HEADER_FIELDS to its value."""
    return hashlib.sha256(ENTRY_TAG + canonical({name: header[name] for name in HEADER_FIELDS})).hexdigest()


def payload_hash(salt: bytes | memoryview, body: str) -> str:
    """The hash that binds a payload to its entry; `body` is the stored canonical text."""
    return hashlib.sha256(bytes(salt) + body.encode()).hexdigest()


def read_leaf(row: dict) -> bytes:
    """The Merkle leaf of one read."""
    return hashlib.sha256(b"\x00" + READ_TAG + canonical({name: row[name] for name in READ_FIELDS})).digest()


def merkle_root(leaves: Iterable[bytes]) -> str:
    """Root over leaf hashes in the order given; an odd one moves up unpaired."""
    level: Sequence[bytes] = list(leaves)
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        paired = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        level = paired + ([level[-1]] if len(level) % 2 else [])
    return level[0].hex()


def _plain(value: Any, fraction: Callable[[float], float] = float) -> Any:
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item, fraction) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, fraction) for item in value]
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        return fraction(value)
    return str(value)
