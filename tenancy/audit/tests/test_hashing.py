"""Hashes are the same for ever, on every machine: vectors from the standards, and our own pinned."""

import hashlib
import json
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tenancy.audit.hashing import (
    GENESIS,
    HEADER_FIELDS,
    READ_FIELDS,
    canonical,
    entry_hash,
    instant,
    merkle_root,
    payload_hash,
    read_leaf,
)

NOON = datetime(2026, 3, 14, 12, 0, 0, 1, tzinfo=timezone.utc)
HEADER = {
    "v": 1, "tenant_id": uuid.UUID(int=1), "seq": 7, "id": uuid.UUID(int=2), "at": NOON, "actor_ref": uuid.UUID(int=3),
    "on_behalf_ref": None, "actor_kind": "member", "action": "patient_updated", "object_type": "patient",
    "object_id": str(uuid.UUID(int=4)), "object_version": "3", "reason_code": "", "cause_id": None,
    "request_id": "6f0c2d7e", "signature_id": None, "payload_hash": "a" * 64, "prev_hash": GENESIS,
}  # fmt: skip


def test_canonical_follows_the_sample_of_rfc_8785():
    given = (
        '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],'
        '"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}'
    )
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )

    assert canonical(json.loads(given)) == expected.encode()


def test_canonical_sorts_keys_as_rfc_8785_does():
    given = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}

    assert list(json.loads(canonical(given)).values()) == [2, 4, 6, 7, 1, 5, 3]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NOON, '"2026-03-14T12:00:00.000001Z"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.10"), '"1.10"'),
        (2**53, '"9007199254740992"'),
        (2**53 - 1, "9007199254740991"),
        (True, "true"),
        ({"a": (1, [2])}, '{"a":[1,[2]]}'),
        ({1: 2}, '{"1":2}'),
        ("Jos\u00e9", '"José"'),
        ("Jose\u0301", '"Jose\u0301"'),
    ],
)
def test_canonical_has_one_spelling_for_each_value(value, text):
    assert canonical(value) == text.encode()


def test_instant_is_utc_with_six_digits():
    bogota = timezone(timedelta(hours=-5))

    assert instant(datetime(2026, 3, 14, 7, 0, tzinfo=bogota)) == "2026-03-14T12:00:00.000000Z"


def test_entry_hash_is_pinned():
    """A change here breaks every chain that exists: it needs a new version tag, never a new value."""
    assert entry_hash(HEADER) == "1c6b99234e610f1a838da768675fc8a57580ad0262f4eb4a27e2842ab304ee50"
    assert entry_hash(dict(reversed(HEADER.items()))) == entry_hash(HEADER)
    assert entry_hash(HEADER | {"entry_hash": "x", "_state": object()}) == entry_hash(HEADER)


@pytest.mark.parametrize("field", HEADER_FIELDS)
def test_entry_hash_depends_on_every_field(field):
    other = HEADER[field] + 1 if isinstance(HEADER[field], int) else "other"

    assert entry_hash(HEADER | {field: other}) != entry_hash(HEADER)


def test_payload_hash_is_of_salt_and_text():
    body = '{"reason":"é"}'

    assert payload_hash(b"salt", body) == hashlib.sha256(b"salt" + body.encode()).hexdigest()
    assert payload_hash(memoryview(b"salt"), body) == payload_hash(b"salt", body)
    assert payload_hash(b"pepper", body) != payload_hash(b"salt", body)


def rfc_6962(leaves):
    """The definition, word for word: split at the largest power of two that is smaller."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + rfc_6962(leaves[:split]) + rfc_6962(leaves[split:])).digest()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 33])
def test_merkle_root_is_that_of_rfc_6962(count):
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(count)]

    assert merkle_root(leaves) == rfc_6962(leaves).hex()


def test_merkle_root_of_nothing_is_the_hash_of_nothing():
    assert merkle_root([]) == hashlib.sha256(b"").hexdigest()


def test_read_leaf_depends_on_every_field():
    row = dict.fromkeys(READ_FIELDS, "x") | {"at": NOON}

    leaves = {read_leaf(row), *(read_leaf(row | {field: "other"}) for field in READ_FIELDS)}

    assert len(leaves) == len(READ_FIELDS) + 1


QUEER = st.sampled_from(['"\\/', "\x7f", "\u2028", "é😀", "\x00\x1f", "\ud7ff"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text() | QUEER,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_the_quick_writer_writes_what_rfc_8785_says(value):
    assert canonical(value) == rfc8785.dumps(value)
