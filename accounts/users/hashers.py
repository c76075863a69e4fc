"""Password hashes: bcrypt-SHA256 with cost 12 (decision X25), and what accounts from elsewhere bring."""

from django.contrib.auth.hashers import BCryptPasswordHasher, BCryptSHA256PasswordHasher


class BCryptSHA256(BCryptSHA256PasswordHasher):
    """The specification's bcrypt, without its 72-byte limit."""

    rounds = 12


class PlainBCrypt(BCryptPasswordHasher):
    """Hashes as MediSecure stored them. bcrypt 5 raises above 72 bytes; that is a wrong password, not an error."""

    rounds = 12

    def verify(self, password, encoded):
        try:
            return super().verify(password, encoded)
        except ValueError:
            return False
