"""What lies in the database and must be opened again: seeds of second factors, secrets of webhooks.

Sealed with a key made of SECRET_KEY by HKDF (RFC 5869), another for each
purpose and owner: a row copied to another owner opens nothing, and neither
does a stolen database. SECRET_KEY_FALLBACKS still open what an earlier key has
closed (ASVS 6.5.2, 11.2.2; HIPAA 164.312(a)(2)(iv)).
"""

import base64
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

__all__ = ["InvalidToken", "derive_keys", "seal", "unseal"]


def seal(plain: bytes, *, purpose: str, owner_id: UUID) -> bytes:
    """Bytes as they are stored. `purpose` is a few words, the same at opening."""
    return _fernet(purpose, owner_id).encrypt(plain)


def unseal(sealed: bytes, *, purpose: str, owner_id: UUID) -> bytes:
    """What was sealed for this purpose and owner. Raises InvalidToken for anything else."""
    return _fernet(purpose, owner_id).decrypt(bytes(sealed))


def derive_keys(purpose: str, owner_id: UUID) -> list[bytes]:
    """Keys of 32 bytes for one purpose and owner: today's first, then those of earlier SECRET_KEYs."""
    info = f"carewright {purpose} {owner_id}".encode()
    secret_keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [HKDF(SHA256(), length=32, salt=None, info=info).derive(key.encode()) for key in secret_keys]


def _fernet(purpose: str, owner_id: UUID) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derive_keys(purpose, owner_id)])
