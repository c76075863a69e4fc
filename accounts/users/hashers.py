"""Password hashes: bcrypt-SHA256 with cost 12 (decision X25), and what accounts from elsewhere bring."""

import unicodedata

from django.contrib.auth.hashers import BCryptPasswordHasher, BCryptSHA256PasswordHasher

from . import hashing


def normalised(password: str) -> str:
    """One spelling for what one person types on two keyboards: NFKC, as NIST SP 800-63B-4 asks for (AU-10)."""
    return unicodedata.normalize("NFKC", password)


class BCryptSHA256(BCryptSHA256PasswordHasher):
    """The specification's bcrypt, without its 72-byte limit. Hashes from elsewhere are checked as they were made."""

    rounds = 12

    def _load_library(self):
        return hashing

    def encode(self, password, salt):
        return super().encode(normalised(password), salt)


class PlainBCrypt(BCryptPasswordHasher):
    """Hashes as MediSecure stored them. bcrypt 5 raises above 72 bytes; that is a wrong password, not an error."""

    rounds = 12

    def _load_library(self):
        return hashing

    def verify(self, password, encoded):
        try:
            return super().verify(password, encoded)
        except ValueError:
            return False
