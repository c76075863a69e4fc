"""Which POSTs take an `Idempotency-Key`: all of the API, but for those whose viewset says why not.

    class AuthViewSet(ViewSet):
        keyless = {"login": "Every sign-in is a new one."}

`tenancy.retries` keeps the answers, `tenancy.doors.schema` documents the header.
"""

from rest_framework.views import APIView

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
LONGEST_KEY = 255


def why_keyless(view: type[APIView] | APIView, action: str) -> str:
    """The reason why an action takes no key, "" where it does."""
    return getattr(view, "keyless", {}).get(action, "")
