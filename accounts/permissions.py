"""What a role may do: one list of permissions, one table of default roles, readable aloud.

A role is a row of a clinic (decision X8): the table below is copied into each
new clinic and may be changed there. Code asks for a permission, never a role.
"""

from enum import StrEnum

from django.utils.translation import gettext_lazy as _


class Permission(StrEnum):
    """Codes as quality.md 6.15 spells them: room, dot, what is done."""

    OWN_PROFILE = "profile.own"

    PATIENT_VIEW = "patients.view"
    PATIENT_VIEW_OWN = "patients.view_own"
    PATIENT_CREATE = "patients.create"
    PATIENT_EDIT = "patients.edit"
    PATIENT_ARCHIVE = "patients.archive"
    PATIENT_HISTORY = "patients.history"
    CUSTOM_FIELD_MANAGE = "patients.manage_fields"
    PRACTITIONER_VIEW = "practitioners.view"

    AUDIT_VIEW_RECORD = "audit.view_record"
    AUDIT_VIEW_ALL = "audit.view_all"
    AUDIT_EXPORT = "audit.export"

    USER_VIEW = "admin.users"
    ADMIN_SITE = "admin.settings"


P = Permission

_EVERYBODY = {P.OWN_PROFILE}
_CARE = _EVERYBODY | {P.PATIENT_VIEW, P.PATIENT_EDIT, P.PATIENT_HISTORY, P.PRACTITIONER_VIEW}
_DESK = _EVERYBODY | {P.PATIENT_VIEW, P.PATIENT_CREATE, P.PATIENT_EDIT, P.PRACTITIONER_VIEW}
_QUALITY = _EVERYBODY | {P.PRACTITIONER_VIEW}

DEFAULT_ROLES = {
    "admin": (
        _("Administrator"),
        _DESK
        | {P.PATIENT_ARCHIVE, P.PATIENT_HISTORY, P.CUSTOM_FIELD_MANAGE, P.ADMIN_SITE, P.USER_VIEW}
        | {P.AUDIT_VIEW_RECORD, P.AUDIT_VIEW_ALL, P.AUDIT_EXPORT},
    ),
    "doctor": (_("Doctor"), _CARE | {P.PATIENT_ARCHIVE, P.AUDIT_VIEW_RECORD}),
    "nurse": (_("Nurse"), _CARE | {P.PATIENT_CREATE}),
    "staff": (_("Reception"), _DESK),
    "patient": (_("Patient"), _EVERYBODY | {P.PATIENT_VIEW_OWN}),
    "quality_manager": (_("Quality manager"), _QUALITY | {P.AUDIT_VIEW_RECORD, P.AUDIT_VIEW_ALL, P.AUDIT_EXPORT}),
    "qa": (_("Quality specialist"), _QUALITY | {P.AUDIT_VIEW_RECORD, P.AUDIT_VIEW_ALL}),
    "training_manager": (_("Training manager"), _QUALITY),
    "auditor": (_("Auditor"), _QUALITY | {P.AUDIT_VIEW_RECORD, P.AUDIT_VIEW_ALL, P.AUDIT_EXPORT}),
    "user": (_("User"), _EVERYBODY),
}
"""code: (name, permissions). The order is also the order of precedence for "the primary role" of a member."""

ROLE_ALIASES = {"Clinician": "doctor", "QA Manager": "quality_manager", "QA": "qa", "Admin": "admin", "User": "user"}
"""Names the specifications use for the same roles (decision X8)."""
