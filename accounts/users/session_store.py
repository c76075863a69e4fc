"""Django's database sessions, with keys that are worth nothing to whoever reads the table.

The cookie carries the key, the table its SHA-256 (in base 85, which makes 32
bytes fit the 40 characters of the column). Reading `django_session` by an
injection or from a backup gives nobody a cookie to come in with. A key is a
random number of 165 bits, so the hash needs no salt and no rounds.
"""

import base64
import hashlib

from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore


class SessionStore(DatabaseSessionStore):
    """settings.SESSION_ENGINE. The synchronous half only: we serve WSGI."""

    def _get_session_from_db(self):
        key = self.session_key
        self._session_key = stored_key(key)
        try:
            return super()._get_session_from_db()
        finally:
            # The parent forgets a key that it does not know, so that it is not used again.
            if self._session_key is not None:
                self._session_key = key

    def exists(self, session_key):
        return super().exists(stored_key(session_key))

    def create_model_instance(self, data):
        row = super().create_model_instance(data)
        row.session_key = stored_key(row.session_key)
        return row

    def delete(self, session_key=None):
        key = session_key or self.session_key
        if key is not None:
            super().delete(stored_key(key))


def stored_key(session_key: str) -> str:
    """How the table names the session of this cookie: 40 characters."""
    return base64.b85encode(hashlib.sha256(session_key.encode()).digest()).decode()
