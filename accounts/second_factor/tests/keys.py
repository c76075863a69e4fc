"""A passkey made of software, for answers that no honest browser gives."""

import base64
import hashlib
import json
import os

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, ATTESTED = 0x01, 0x40


def text_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class SoftKey:
    """One credential. `origin`, `rp_id` and `counter` may be set to what they should not be."""

    def __init__(self, origin="http://localhost", rp_id="localhost"):
        self.origin, self.rp_id, self.counter = origin, rp_id, 0
        self.id = os.urandom(32)
        self.private = ec.generate_private_key(ec.SECP256R1())

    def create(self, options: dict, **changes) -> str:
        """The answer to `register_begin`, as the form field holds it."""
        client = self._client("webauthn.create", options, changes)
        numbers = self.private.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(public)
        data = self._authenticator_data(PRESENT | ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(client, {"attestationObject": text_of(attestation)})

    def get(self, options: dict, **changes) -> str:
        """The answer to `authenticate_begin`."""
        self.counter += 1
        client = self._client("webauthn.get", options, changes)
        data = self._authenticator_data(changes.get("flags", PRESENT))
        signature = self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(client, {"authenticatorData": text_of(data), "signature": text_of(signature)})

    def _authenticator_data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _client(self, kind, options, changes):
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(said | {name: value for name, value in changes.items() if name in said}).encode()

    def _answer(self, client, response):
        name = text_of(self.id)
        response = {"clientDataJSON": text_of(client), **response}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})
