"""Signed notes of where a chain stood, kept outside the database.

A chain alone can not tell that its tail was cut off or that yesterday's dump
was restored. An anchor can: it is one JSON line in `AUDIT_ANCHOR_FILE`,
signed with the installation's Ed25519 key. Keep a copy on other storage.
"""

import base64
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.conf import settings
from django.utils import timezone

from .hashing import canonical, instant
from .models import AuditHead

ANCHOR_TAG = b"carewright.audit.anchor.v1\n"
ANCHOR_FIELDS = {"v": int, "tenant": str, "seq": int, "entry_hash": str, "at": str, "kid": str, "sig": str}


class AnchorKeyUnusable(Exception):
    """AUDIT_ANCHOR_KEY is no base64 text of 32 bytes."""


def write_anchor(tenant_id: uuid.UUID) -> dict | None:
    """Append one signed line for the current clinic to the anchor file. None where nothing happened yet.

    Keys: v, tenant, seq, entry_hash, at (UTC), kid (which key), sig (base64 Ed25519 over the rest).
    """
    head = AuditHead.objects.first()
    if head is None or head.seq == 0:
        return None
    key = signing_key()
    anchor = {
        "v": 1,
        "tenant": str(tenant_id),
        "seq": head.seq,
        "entry_hash": head.entry_hash,
        "at": instant(timezone.now()),
        "kid": key_id(key.public_key()),
    }
    anchor["sig"] = base64.b64encode(key.sign(ANCHOR_TAG + canonical(anchor))).decode()
    path = Path(settings.AUDIT_ANCHOR_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(anchor, sort_keys=True) + "\n"
    with open(path, "a", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o640)) as file:
        file.write(line)  # one write of one line: O_APPEND keeps parallel writers apart
        file.flush()
        os.fsync(file.fileno())
    return anchor


def read_anchors(path: Path, tenant_id: uuid.UUID) -> Iterator[dict]:
    """The anchors of one clinic in a file, in the order written.

    A line that is no anchor is given as `{"broken": line number}`.
    """
    if not path.exists():
        return
    with open(path, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                anchor = json.loads(line)
                mine = anchor["tenant"] == str(tenant_id)
                well_formed = all(isinstance(anchor[name], kind) for name, kind in ANCHOR_FIELDS.items())
            except (ValueError, KeyError, TypeError, RecursionError):
                mine, well_formed = True, False
            if not well_formed:
                yield {"broken": number}
            elif mine:
                yield anchor


def signature_state(anchor: dict, known: Iterable[Ed25519PublicKey]) -> str:
    """`valid`, `forged`, or `unknown_key` where no known key has the anchor's kid."""
    by_id = {key_id(key): key for key in known}
    key = by_id.get(anchor["kid"])
    if key is None:
        return "unknown_key"
    body = {name: value for name, value in anchor.items() if name != "sig"}
    try:
        key.verify(base64.b64decode(anchor["sig"]), ANCHOR_TAG + canonical(body))
    except (InvalidSignature, ValueError):
        return "forged"
    return "valid"


def signing_key() -> Ed25519PrivateKey:
    """The installation's key: AUDIT_ANCHOR_KEY, else one made once in STATE_DIR (mode 0600)."""
    if settings.AUDIT_ANCHOR_KEY:
        try:
            text = settings.AUDIT_ANCHOR_KEY.rstrip("=")
            return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text + "=", validate=True))
        except ValueError:
            raise AnchorKeyUnusable("AUDIT_ANCHOR_KEY has to be 32 bytes in base64.") from None
    path = Path(settings.STATE_DIR) / "audit-anchor.key"
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except FileNotFoundError:
        return _make_key(path)


def _make_key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    except FileExistsError:  # somebody was faster
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """Sixteen hex digits that name a public key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]
