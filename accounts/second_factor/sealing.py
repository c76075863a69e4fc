"""What of a second factor lies in the database, so that reading the database is not enough to use it.

Seeds are sealed, recovery codes kept as fingerprints, each with a key of its
own for each person (`tenancy.sealing`): a row copied to somebody else opens
nothing (ASVS 6.5.2, 6.5.3).
"""

import hmac
import re
import secrets
from uuid import UUID

from tenancy import sealing
from tenancy.sealing import InvalidToken

SEED = "authenticator seed"
SEED_BYTES = 20
CODE_LENGTH = 12
# Crockford's base 32: no letter that looks like a digit. Twelve of them are 60 bits.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LOOK_ALIKES = str.maketrans("oil", "011")

__all__ = ["InvalidToken", "fingerprints", "new_code", "new_seed", "plain_code", "seal", "unseal"]


def new_seed() -> bytes:
    """160 random bits, what RFC 4226 recommends for a shared secret."""
    return secrets.token_bytes(SEED_BYTES)


def seal(seed: bytes, user_id: UUID) -> bytes:
    """A seed as it is stored."""
    return sealing.seal(seed, purpose=SEED, owner_id=user_id)


def unseal(sealed: bytes, user_id: UUID) -> bytes:
    """The seed in a row of this person. Raises InvalidToken where it was sealed for somebody else or elsewhere."""
    return sealing.unseal(sealed, purpose=SEED, owner_id=user_id)


def new_code() -> str:
    """A recovery code as people see it: `7k2m-9xqd-04vt`, 60 random bits."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
    return "-".join(letters[start : start + 4] for start in range(0, CODE_LENGTH, 4))


def plain_code(text: str) -> str:
    """What somebody typed, as a recovery code without hyphens and in one spelling; "" where it can be none."""
    letters = re.sub(r"[\s-]", "", text.lower()).translate(LOOK_ALIKES)
    return letters if len(letters) == CODE_LENGTH and set(letters) <= set(ALPHABET) else ""


def fingerprints(code: str, user_id: UUID) -> list[str]:
    """HMAC-SHA256 of a plain code in hex, the one of today's key first, then those of earlier keys."""
    return [hmac.digest(key, code.encode(), "sha256").hex() for key in sealing.derive_keys("recovery code", user_id)]
