"""What a key may do, in words other programs know; each scope is a set of permissions of the house."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from accounts.permissions import Permission

P = Permission

READ_PATIENTS = frozenset({P.PATIENT_VIEW})
READ_APPOINTMENTS = frozenset({P.APPOINTMENT_VIEW, P.PRACTITIONER_VIEW})

SCOPES: dict[str, frozenset[Permission]] = {
    "patients:read": READ_PATIENTS,
    "patients:write": READ_PATIENTS | {P.PATIENT_CREATE, P.PATIENT_EDIT, P.PATIENT_ARCHIVE},
    "appointments:read": READ_APPOINTMENTS,
    "appointments:write": READ_APPOINTMENTS | {P.APPOINTMENT_BOOK, P.APPOINTMENT_MOVE},
    "admin": frozenset({P.INTEGRATION_MANAGE}),
}
"""Scope to permissions. A later room adds its own line. `admin` brings all others along."""

ADMIN = "admin"

SCOPE_WORDS = {
    "patients:read": _("Read patients"),
    "patients:write": _("Register, change and archive patients"),
    "appointments:read": _("Read appointments, practitioners and free times"),
    "appointments:write": _("Book, move and cancel appointments"),
    ADMIN: _("Everything above, API keys and webhooks"),
}


def permissions_of(scopes: Iterable[str]) -> frozenset[str]:
    """The permission codes a key with these scopes has. A scope that is gone since gives nothing."""
    scopes = set(scopes)
    named = SCOPES if ADMIN in scopes else scopes & SCOPES.keys()
    return frozenset(str(code) for scope in named for code in SCOPES[scope])
