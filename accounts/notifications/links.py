"""Addresses in mails: whole, and made of what the installation says about itself.

Never of the request's Host header, which the caller chooses (security.md AU-31).
"""

from django.conf import settings


def absolute(path: str) -> str:
    """The whole address of a page: `absolute("/account/")` is `https://clinic.example.org/account/`."""
    if not is_path(path):
        raise ValueError("This needs a path that begins with one slash.")
    return f"{settings.PUBLIC_URL.rstrip('/')}{path}"


def is_path(path: str) -> bool:
    """Whether an address stays on this installation."""
    return path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
