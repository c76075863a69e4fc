"""What a key looks like, and what may be read out of it before anybody has looked it up.

    cwk_<clinic, 22 characters>_<prefix, 8>_<secret, 43>     a clinic's key
    cwp_<prefix, 8>_<secret, 43>                             a platform key

The clinic's id stands in the text so that the look-up itself runs inside that
clinic (issue 5, part 1). It is a claim: only the hash of the whole text says
that it is true. The fixed lengths matter: base64url has `_` and `-` in it.
"""

import base64
import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass

KEY = re.compile(r"cwk_([A-Za-z0-9_-]{22})_([A-Za-z0-9]{8})_[A-Za-z0-9_-]{43}")
PLATFORM_KEY = re.compile(r"cwp_([A-Za-z0-9]{8})_[A-Za-z0-9_-]{43}")
SECRET_BYTES = 32
PREFIX_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that are taken for one another


@dataclass(frozen=True)
class SentKey:
    """A well-formed key as somebody sent it. `tenant_id` is None for a platform key."""

    tenant_id: uuid.UUID | None
    prefix: str
    key_hash: str


@dataclass(frozen=True)
class NewKey(SentKey):
    """A key just made. `plaintext` is shown once and kept nowhere."""

    plaintext: str


def make_key(tenant_id: uuid.UUID | None) -> NewKey:
    """A new random key of a clinic, or of the platform: 32 random bytes, kept as SHA-256 (contract.md 5.3)."""
    prefix = "".join(secrets.choice(PREFIX_LETTERS) for _ in range(8))
    whose = f"cwk_{_short(tenant_id)}" if tenant_id else "cwp"
    plaintext = f"{whose}_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return NewKey(tenant_id=tenant_id, prefix=prefix, key_hash=hash_of(plaintext), plaintext=plaintext)


def read_key(text: str) -> SentKey | None:
    """What a key text claims; None for anything that no key of ours looks like. Nothing is trimmed or folded."""
    if found := PLATFORM_KEY.fullmatch(text):
        return SentKey(None, found[1], hash_of(text))
    if found := KEY.fullmatch(text):
        raw = base64.urlsafe_b64decode(found[1] + "==")
        tenant_id = uuid.UUID(bytes=raw)
        # The last character holds four bits too many; only one spelling counts.
        return SentKey(tenant_id, found[2], hash_of(text)) if _short(tenant_id) == found[1] else None
    return None


def hash_of(plaintext: str) -> str:
    """SHA-256 as hex. No salt: 256 random bits can not be guessed, and the look-up is by this value."""
    return hashlib.sha256(plaintext.encode()).hexdigest()


def _short(tenant_id: uuid.UUID) -> str:
    return base64.urlsafe_b64encode(tenant_id.bytes).decode().rstrip("=")
