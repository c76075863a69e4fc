"""Sealing a stream for somebody else's key: who can write backups can not read them.

    carewright-backup/1\\n
    {"recipients": […]}\\n      JSON; for each public key the file's own key, sealed
    chunk, chunk, … last chunk  one MiB each, ChaCha20-Poly1305

For each recipient an ephemeral X25519 key agrees on a wrapping key (HKDF-SHA256)
that seals the random key of the file. The chunks are sealed under a key
derived from that and from the hash of the header; a chunk's nonce is its
number and whether it is the last (the STREAM construction, as age does). So a
changed byte anywhere, a missing, moved or repeated chunk and a cut end are
all found, and nothing is handed out before it has been verified.
"""

import base64
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

MAGIC = b"carewright-backup/1\n"
CHUNK = 1 << 20
TAG = 16
LONGEST_HEADER = 64_000
PUBLIC, PRIVATE = "cwbackup-public-", "CWBACKUP-PRIVATE-"


class EnvelopeProblem(Exception):
    """The file, or the key for it, is not what it has to be. The text is a sentence for the operator."""


# --- Keys ------------------------------------------------------------------------------------------------------------


def make_key() -> tuple[str, str]:
    """A new pair as text: (private, public)."""
    private = X25519PrivateKey.generate()
    raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return PRIVATE + _text(raw), PUBLIC + _text(_raw(private.public_key()))


def read_public_key(text: str) -> X25519PublicKey:
    """Raises EnvelopeProblem where it is none."""
    return X25519PublicKey.from_public_bytes(_key_bytes(text, PUBLIC, "public"))


def read_private_key(text: str) -> X25519PrivateKey:
    """Raises EnvelopeProblem where it is none."""
    return X25519PrivateKey.from_private_bytes(_key_bytes(text, PRIVATE, "private"))


def read_private_keys(path: Path) -> list[X25519PrivateKey]:
    """The private keys in a file, one a line; lines that begin with # are notes. Raises EnvelopeProblem."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvelopeProblem(f"The key file {path} can not be read: {_reason(error)}.") from None
    keys = [read_private_key(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise EnvelopeProblem(f"The key file {path} holds no key.")
    return keys


def name_of(key: X25519PublicKey) -> str:
    """Sixteen hex digits that name a public key."""
    return hashlib.sha256(_raw(key)).hexdigest()[:16]


def _key_bytes(text: str, prefix: str, kind: str) -> bytes:
    if text.startswith(prefix):
        try:
            raw = base64.urlsafe_b64decode(text.removeprefix(prefix) + "=")
        except ValueError:
            raw = b""
        if len(raw) == 32:
            return raw
    raise EnvelopeProblem(f"This is no {kind} backup key: it begins with {prefix} and has 43 characters after that.")


# --- Writing ---------------------------------------------------------------------------------------------------------


class SealingWriter:
    """Seals what is written to it. Without `close` the end is missing, and no reader accepts the file."""

    def __init__(self, target: BinaryIO, recipients: Sequence[X25519PublicKey]):
        if not recipients:
            raise EnvelopeProblem("A backup is sealed for at least one key.")
        file_key = secrets.token_bytes(32)
        header = json.dumps({"recipients": [_seal_key(file_key, key) for key in recipients]}).encode() + b"\n"
        target.write(MAGIC + header)
        self._target, self._number, self._waiting = target, 0, bytearray()
        self._cipher = _chunk_cipher(file_key, header)

    def write(self, data: bytes) -> int:
        self._waiting += data
        # The last chunk is marked as such, so one chunk always waits for what comes after it.
        while len(self._waiting) > CHUNK:
            self._put(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def close(self) -> None:
        self._put(bytes(self._waiting), last=True)

    def _put(self, chunk: bytes, *, last: bool) -> None:
        self._target.write(self._cipher.encrypt(_nonce(self._number, last), chunk, None))
        self._number += 1


# --- Reading ---------------------------------------------------------------------------------------------------------


class OpeningReader(io.RawIOBase):
    """Reads what SealingWriter wrote; wrap it in io.BufferedReader. Raises EnvelopeProblem where anything is wrong."""

    def __init__(self, source: BinaryIO, keys: Iterable[X25519PrivateKey]):
        if source.read(len(MAGIC)) != MAGIC:
            raise EnvelopeProblem("This is not a backup of Carewright.")
        header = source.readline(LONGEST_HEADER)
        self._cipher = _chunk_cipher(_open_key(header, list(keys)), header)
        self._source, self._number, self._open = source, 0, b""
        self._next = source.read(CHUNK + TAG)
        if not self._next:
            raise EnvelopeProblem("The backup is cut off behind its head.")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._open and self._next:
            self._open = self._take()
        count = min(len(buffer), len(self._open))
        buffer[:count] = self._open[:count]
        self._open = self._open[count:]
        return count

    def _take(self) -> bytes:
        """The next chunk, verified. The last one is known by its mark, not by the end of the file."""
        sealed, self._next = self._next, self._source.read(CHUNK + TAG)
        nonce = _nonce(self._number, last=not self._next)
        self._number += 1
        try:
            return self._cipher.decrypt(nonce, sealed, None)
        except InvalidTag:
            where = (self._number - 1) * (CHUNK + TAG)
            raise EnvelopeProblem(f"The backup is damaged or cut off (in the MiB after byte {where:,}).") from None


def _seal_key(file_key: bytes, recipient: X25519PublicKey) -> dict[str, str]:
    ephemeral = X25519PrivateKey.generate()
    wrapping = _wrapping_key(ephemeral.exchange(recipient), ephemeral.public_key(), recipient)
    return {
        "name": name_of(recipient),
        "ephemeral": _text(_raw(ephemeral.public_key())),
        "key": _text(ChaCha20Poly1305(wrapping).encrypt(bytes(12), file_key, None)),
    }


def _open_key(header: bytes, keys: list[X25519PrivateKey]) -> bytes:
    names = {name_of(key.public_key()): key for key in keys}
    try:
        recipients = {recipient["name"]: recipient for recipient in json.loads(header)["recipients"]}
        for name in recipients.keys() & names.keys():
            ephemeral = X25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(recipients[name]["ephemeral"] + "="))
            private = names[name]
            wrapping = _wrapping_key(private.exchange(ephemeral), ephemeral, private.public_key())
            sealed = base64.urlsafe_b64decode(recipients[name]["key"] + "==")
            return ChaCha20Poly1305(wrapping).decrypt(bytes(12), sealed, None)
    except (ValueError, LookupError, TypeError, AttributeError, InvalidTag):
        raise EnvelopeProblem("The head of the backup is damaged.") from None
    raise EnvelopeProblem(
        f"None of the keys given opens this backup. It is sealed for {', '.join(sorted(recipients))};"
        f" given: {', '.join(sorted(names))}."
    )


def _wrapping_key(shared: bytes, ephemeral: X25519PublicKey, recipient: X25519PublicKey) -> bytes:
    salt = _raw(ephemeral) + _raw(recipient)
    return HKDF(SHA256(), 32, salt, b"carewright backup: key of a file").derive(shared)


def _chunk_cipher(file_key: bytes, header: bytes) -> ChaCha20Poly1305:
    salt = hashlib.sha256(header).digest()
    return ChaCha20Poly1305(HKDF(SHA256(), 32, salt, b"carewright backup: chunks").derive(file_key))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _raw(key: X25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _reason(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it is no text"
