"""What a role may do: one list of permissions, one table of default roles, readable aloud.

A role is a row of a clinic (decision X8): the table below is copied into each
new clinic. Code asks for a permission, never a role.
"""

from collections.abc import Iterable
from enum import StrEnum

from django.utils.translation import gettext_lazy as _


class Permission(StrEnum):
    """Room, dot, what is done. Below the line: the 94 codes of quality.md 6.15, in its order."""

    OWN_PROFILE = "profile.own"

    PATIENT_VIEW = "patients.view"
    PATIENT_VIEW_OWN = "patients.view_own"
    PATIENT_CREATE = "patients.create"
    PATIENT_EDIT = "patients.edit"
    PATIENT_ARCHIVE = "patients.archive"
    PATIENT_HISTORY = "patients.history"
    PATIENT_RESTRICT = "patients.restrict"
    CUSTOM_FIELD_MANAGE = "patients.manage_fields"
    PRACTITIONER_VIEW = "practitioners.view"
    PRACTITIONER_MANAGE = "practitioners.manage"
    APPOINTMENT_VIEW = "appointments.view"
    APPOINTMENT_VIEW_OWN = "appointments.view_own"
    APPOINTMENT_BOOK = "appointments.book"
    APPOINTMENT_BOOK_OWN = "appointments.book_own"
    APPOINTMENT_MOVE = "appointments.change_state"
    APPOINTMENT_OVERBOOK = "appointments.overbook"
    SCHEDULE_MANAGE = "appointments.manage_hours"
    QUALIFICATION_OVERRIDE = "appointments.override_qualification"
    QUALIFICATION_MANAGE = "qualifications.manage"

    # --- quality.md 6.15 ---------------------------------------------------------------------------------------------
    DOCUMENT_VIEW_EFFECTIVE = "documents.view_effective"
    DOCUMENT_VIEW_DRAFT = "documents.view_draft"
    DOCUMENT_VIEW_OBSOLETE = "documents.view_obsolete"
    DOCUMENT_CREATE = "documents.create"
    DOCUMENT_EDIT_DRAFT = "documents.edit_draft"
    DOCUMENT_SUBMIT = "documents.submit"
    DOCUMENT_REVIEW = "documents.review"
    DOCUMENT_APPROVE = "documents.approve"
    DOCUMENT_RELEASE = "documents.release"
    DOCUMENT_RETIRE = "documents.retire"
    DOCUMENT_CANCEL_DRAFT = "documents.cancel_draft"
    DOCUMENT_DOWNLOAD = "documents.download"
    DOCUMENT_PRINT_CONTROLLED = "documents.print_controlled"
    DOCUMENT_MANAGE_COPIES = "documents.manage_copies"
    DOCUMENT_COMPARE = "documents.compare"
    DOCUMENT_COMMENT = "documents.comment"
    DOCUMENT_TYPE_MANAGE = "doctypes.manage"
    TEMPLATE_USE = "templates.use"
    TEMPLATE_MANAGE = "templates.manage"
    WORKFLOW_VIEW = "workflows.view"
    WORKFLOW_MANAGE = "workflows.manage"
    WORKFLOW_APPROVE_TEMPLATE = "workflows.approve_template"
    WORKFLOW_MIGRATE_INSTANCE = "workflows.migrate_instance"
    TRAINING_VIEW_OWN = "training.view_own"
    TRAINING_COMPLETE = "training.complete"
    TRAINING_VIEW_TEAM = "training.view_team"
    TRAINING_VIEW_ALL = "training.view_all"
    TRAINING_ASSIGN = "training.assign"
    TRAINING_MANAGE_MATRIX = "training.manage_matrix"
    TRAINING_MANAGE_QUIZ = "training.manage_quiz"
    TRAINING_ASSESS = "training.assess"
    TRAINING_WAIVE = "training.waive"
    DEVIATION_REPORT = "deviations.report"
    DEVIATION_VIEW_OWN = "deviations.view_own"
    DEVIATION_VIEW_ALL = "deviations.view_all"
    DEVIATION_TRIAGE = "deviations.triage"
    DEVIATION_INVESTIGATE = "deviations.investigate"
    DEVIATION_APPROVE = "deviations.approve"
    DEVIATION_CLOSE = "deviations.close"
    DEVIATION_REOPEN = "deviations.reopen"
    DEVIATION_MANAGE_FORMS = "deviations.manage_forms"
    CAPA_CREATE = "capa.create"
    CAPA_VIEW = "capa.view"
    CAPA_EDIT_PLAN = "capa.edit_plan"
    CAPA_APPROVE_DRAFT = "capa.approve_draft"
    CAPA_APPROVE_PLAN = "capa.approve_plan"
    CAPA_DO_ACTION = "capa.do_action"
    CAPA_VERIFY_ACTION = "capa.verify_action"
    CAPA_EXTEND = "capa.extend"
    CAPA_REVIEW_EFFECTIVENESS = "capa.review_effectiveness"
    CAPA_CLOSE = "capa.close"
    CHANGE_VIEW = "changes.view"
    CHANGE_CREATE = "changes.create"
    CHANGE_MANAGE = "changes.manage"
    CHANGE_CLOSE = "changes.close"
    COMPLAINT_VIEW = "complaints.view"
    COMPLAINT_CREATE = "complaints.create"
    COMPLAINT_MANAGE = "complaints.manage"
    COMPLAINT_CLOSE = "complaints.close"
    INSPECTION_VIEW = "audits.view"
    INSPECTION_CREATE = "audits.create"
    INSPECTION_MANAGE = "audits.manage"
    INSPECTION_CLOSE = "audits.close"
    SUPPLIER_VIEW = "suppliers.view"
    SUPPLIER_CREATE = "suppliers.create"
    SUPPLIER_MANAGE = "suppliers.manage"
    SUPPLIER_CLOSE = "suppliers.close"
    RISK_VIEW = "risks.view"
    RISK_CREATE = "risks.create"
    RISK_MANAGE = "risks.manage"
    RISK_CLOSE = "risks.close"
    SIGNATURE_SIGN = "signatures.sign"
    SIGNATURE_REQUEST = "signatures.request"
    SIGNATURE_VERIFY = "signatures.verify"
    SIGNATURE_WITHDRAW_OWN = "signatures.withdraw_own"
    METRIC_VIEW = "metrics.view"
    METRIC_MANAGE = "metrics.manage"
    AUDIT_VIEW_RECORD = "audit.view_record"
    AUDIT_VIEW_ALL = "audit.view_all"
    AUDIT_EXPORT = "audit.export"
    AUDIT_REVIEW = "audit.review"
    AUDIT_VERIFY = "audit.verify"
    PHI_VIEW = "phi.view"
    PHI_EXPORT = "phi.export"
    AI_USE = "ai.use"
    AI_CONFIGURE = "ai.configure"
    USER_MANAGE = "admin.users"
    ROLE_MANAGE = "admin.roles"
    GROUP_MANAGE = "admin.groups"
    ADMIN_SITE = "admin.settings"
    INTEGRATION_MANAGE = "admin.integrations"
    LEGAL_HOLD = "admin.legal_hold"
    RETENTION_DISPOSE = "admin.retention_dispose"
    BREAK_GLASS = "admin.break_glass"


P = Permission

QUALITY_CODES = tuple(P)[tuple(P).index(P.DOCUMENT_VIEW_EFFECTIVE) :]

PATIENT_PORTAL = frozenset({P.OWN_PROFILE, P.PATIENT_VIEW_OWN, P.APPOINTMENT_VIEW_OWN, P.APPOINTMENT_BOOK_OWN})
"""Whoever may only this is treated here and does not work here."""

_EVERYBODY = {P.OWN_PROFILE}
_EMPLOYEE = _EVERYBODY | {
    *[P.DOCUMENT_VIEW_EFFECTIVE, P.DOCUMENT_DOWNLOAD, P.TRAINING_VIEW_OWN, P.TRAINING_COMPLETE],
    *[P.DEVIATION_REPORT, P.DEVIATION_VIEW_OWN, P.COMPLAINT_CREATE, P.SIGNATURE_SIGN, P.SIGNATURE_WITHDRAW_OWN],
}
_BOOK = {P.APPOINTMENT_VIEW, P.APPOINTMENT_BOOK, P.APPOINTMENT_MOVE}
_CARE = _EMPLOYEE | {P.PATIENT_VIEW, P.PATIENT_EDIT, P.PATIENT_HISTORY, P.PRACTITIONER_VIEW, P.BREAK_GLASS, *_BOOK}
_DESK = _EMPLOYEE | {P.PATIENT_VIEW, P.PATIENT_CREATE, P.PATIENT_EDIT, P.PRACTITIONER_VIEW, *_BOOK}
_QUALITY = _EMPLOYEE | {
    *[P.PRACTITIONER_VIEW, P.DOCUMENT_VIEW_DRAFT, P.DOCUMENT_VIEW_OBSOLETE, P.DOCUMENT_CREATE, P.DOCUMENT_EDIT_DRAFT],
    *[P.DOCUMENT_SUBMIT, P.DOCUMENT_REVIEW, P.DOCUMENT_APPROVE, P.DOCUMENT_CANCEL_DRAFT, P.DOCUMENT_COMPARE],
    *[P.DOCUMENT_COMMENT, P.TEMPLATE_USE, P.WORKFLOW_VIEW, P.TRAINING_ASSIGN, P.TRAINING_VIEW_ALL],
    *[P.DEVIATION_VIEW_ALL, P.DEVIATION_TRIAGE, P.DEVIATION_INVESTIGATE, P.CAPA_CREATE, P.CAPA_VIEW],
    *[P.CAPA_EDIT_PLAN, P.CAPA_REVIEW_EFFECTIVENESS, P.CHANGE_VIEW, P.CHANGE_CREATE, P.COMPLAINT_VIEW],
    *[P.INSPECTION_VIEW, P.SUPPLIER_VIEW, P.SUPPLIER_CREATE, P.RISK_VIEW, P.RISK_CREATE, P.SIGNATURE_REQUEST],
    *[P.SIGNATURE_VERIFY, P.METRIC_VIEW, P.AUDIT_VIEW_RECORD, P.AUDIT_VIEW_ALL, P.AI_USE],
}

DEFAULT_ROLES = {
    "admin": (
        _("Administrator"),
        _DESK
        | {P.PATIENT_ARCHIVE, P.PATIENT_HISTORY, P.PATIENT_RESTRICT, P.CUSTOM_FIELD_MANAGE}
        | {P.PRACTITIONER_MANAGE, P.SCHEDULE_MANAGE, P.APPOINTMENT_OVERBOOK, P.QUALIFICATION_MANAGE}
        | {P.USER_MANAGE, P.ROLE_MANAGE, P.GROUP_MANAGE, P.ADMIN_SITE, P.INTEGRATION_MANAGE, P.LEGAL_HOLD}
        | {P.DOCUMENT_TYPE_MANAGE, P.WORKFLOW_VIEW, P.WORKFLOW_MANAGE, P.DEVIATION_MANAGE_FORMS, P.AI_CONFIGURE}
        | {P.AUDIT_VIEW_RECORD, P.AUDIT_VIEW_ALL, P.AUDIT_EXPORT, P.AUDIT_VERIFY, P.METRIC_VIEW},
    ),
    "doctor": (
        _("Doctor"),
        _CARE
        | {P.PATIENT_ARCHIVE, P.PATIENT_RESTRICT, P.AUDIT_VIEW_RECORD}
        | {P.APPOINTMENT_OVERBOOK, P.QUALIFICATION_OVERRIDE},
    ),
    "nurse": (_("Nurse"), _CARE | {P.PATIENT_CREATE}),
    "staff": (_("Reception"), _DESK),
    "patient": (_("Patient"), set(PATIENT_PORTAL)),
    "quality_manager": (
        _("Quality manager"),
        _QUALITY
        | {P.DOCUMENT_RELEASE, P.DOCUMENT_RETIRE, P.DOCUMENT_PRINT_CONTROLLED, P.DOCUMENT_MANAGE_COPIES}
        | {P.DOCUMENT_TYPE_MANAGE, P.TEMPLATE_MANAGE, P.WORKFLOW_APPROVE_TEMPLATE, P.WORKFLOW_MIGRATE_INSTANCE}
        | {P.TRAINING_MANAGE_MATRIX, P.TRAINING_MANAGE_QUIZ, P.TRAINING_ASSESS, P.TRAINING_WAIVE}
        | {P.DEVIATION_APPROVE, P.DEVIATION_CLOSE, P.DEVIATION_REOPEN, P.DEVIATION_MANAGE_FORMS}
        | {P.CAPA_APPROVE_DRAFT, P.CAPA_APPROVE_PLAN, P.CAPA_VERIFY_ACTION, P.CAPA_EXTEND, P.CAPA_CLOSE}
        | {P.CHANGE_MANAGE, P.CHANGE_CLOSE, P.COMPLAINT_MANAGE, P.COMPLAINT_CLOSE, P.INSPECTION_CREATE}
        | {P.INSPECTION_MANAGE, P.INSPECTION_CLOSE, P.SUPPLIER_MANAGE, P.SUPPLIER_CLOSE, P.RISK_MANAGE, P.RISK_CLOSE}
        | {P.METRIC_MANAGE, P.AUDIT_EXPORT, P.AUDIT_REVIEW, P.AUDIT_VERIFY, P.PHI_VIEW, P.RETENTION_DISPOSE}
        | {P.QUALIFICATION_MANAGE},
    ),
    "qa": (_("Quality specialist"), _QUALITY | {P.CAPA_DO_ACTION, P.PHI_VIEW}),
    "training_manager": (
        _("Training manager"),
        _EMPLOYEE
        | {P.QUALIFICATION_MANAGE}
        | {P.PRACTITIONER_VIEW, P.TRAINING_VIEW_TEAM, P.TRAINING_VIEW_ALL, P.TRAINING_ASSIGN, P.TRAINING_WAIVE}
        | {P.TRAINING_MANAGE_MATRIX, P.TRAINING_MANAGE_QUIZ, P.TRAINING_ASSESS},
    ),
    "auditor": (
        _("Auditor"),
        _EMPLOYEE
        | {P.PRACTITIONER_VIEW, P.DOCUMENT_VIEW_OBSOLETE, P.DOCUMENT_COMPARE, P.WORKFLOW_VIEW, P.TRAINING_VIEW_ALL}
        | {P.DEVIATION_VIEW_ALL, P.CAPA_VIEW, P.CHANGE_VIEW, P.COMPLAINT_VIEW, P.INSPECTION_VIEW, P.SUPPLIER_VIEW}
        | {P.RISK_VIEW, P.SIGNATURE_VERIFY, P.METRIC_VIEW}
        | {P.AUDIT_VIEW_RECORD, P.AUDIT_VIEW_ALL, P.AUDIT_EXPORT, P.AUDIT_VERIFY},
    ),
    "user": (_("User"), _EMPLOYEE),
}
"""code: (name, permissions). The order is also the order of precedence for "the primary role" of a member."""

ROLE_PURPOSES = {
    "admin": _("Runs the clinic's accounts, roles and settings, and works at the desk. Approves nothing."),
    "doctor": _("Treats people here: writes in charts, restricts and archives them."),
    "nurse": _("Cares for people here: registers them and writes in their charts."),
    "staff": _("Works at the desk: registers people and keeps their details up to date."),
    "patient": _("Is treated here: sees their own chart and nothing else."),
    "quality_manager": _("Answers for quality: puts documents into force, closes cases, reviews emergency access."),
    "qa": _("Works on quality: writes documents, looks into deviations, carries out improvements."),
    "training_manager": _("Plans who learns what, and sees who has learned it."),
    "auditor": _("Reads the records of quality and the audit trail, and changes nothing."),
    "user": _("Reads documents in force, does their own training, reports what went wrong."),
    "platform": _("Somebody of the platform who helps: sees settings and people, no charts."),
}
"""What each built-in role is for, in a sentence. Roles of the clinic's own have a description of their own."""

PLATFORM_ROLE = "platform"
"""The role a platform administrator holds while working inside a clinic: its settings and people, no patient."""

PLATFORM_PERMISSIONS = _EVERYBODY | {
    *[P.USER_MANAGE, P.ROLE_MANAGE, P.GROUP_MANAGE, P.ADMIN_SITE, P.INTEGRATION_MANAGE],
    P.AUDIT_VERIFY,  # and not the reading of it: the trail names patients
}

ROLE_ALIASES = {
    "Clinician": "doctor",
    "QA Manager": "quality_manager",
    "QA": "qa",
    "Admin": "admin",
    "User": "user",
    "External Auditor": "auditor",
}
"""Names the specifications use for the same roles (decision X8)."""

BUNDLES: dict[str, tuple[Permission, ...]] = {
    "documents.create": (P.DOCUMENT_CREATE, P.DOCUMENT_SUBMIT),
    "documents.read": (P.DOCUMENT_VIEW_EFFECTIVE, P.DOCUMENT_DOWNLOAD),
    "documents.update": (P.DOCUMENT_EDIT_DRAFT, P.DOCUMENT_COMMENT),
    "documents.delete": (P.DOCUMENT_CANCEL_DRAFT,),
    "documents.approve": (P.DOCUMENT_APPROVE, P.DOCUMENT_REVIEW),
    "documents.release": (P.DOCUMENT_RELEASE,),
    "documents.view_versions": (P.DOCUMENT_VIEW_OBSOLETE, P.DOCUMENT_COMPARE),
    "deviations.create": (P.DEVIATION_REPORT,),
    "deviations.read": (P.DEVIATION_VIEW_OWN, P.DEVIATION_VIEW_ALL),
    "deviations.update": (P.DEVIATION_TRIAGE, P.DEVIATION_INVESTIGATE),
    "deviations.approve": (P.DEVIATION_APPROVE,),
    "deviations.close": (P.DEVIATION_CLOSE,),
    "capa.create": (P.CAPA_CREATE,),
    "capa.read": (P.CAPA_VIEW,),
    "capa.update": (P.CAPA_EDIT_PLAN, P.CAPA_DO_ACTION),
    "capa.approve": (P.CAPA_APPROVE_DRAFT, P.CAPA_APPROVE_PLAN),
    "capa.close": (P.CAPA_CLOSE,),
    "training.read": (P.TRAINING_VIEW_OWN,),
    "training.complete": (P.TRAINING_COMPLETE,),
    "training.assign": (P.TRAINING_ASSIGN,),
    "training.view_reports": (P.TRAINING_VIEW_ALL, P.TRAINING_VIEW_TEAM),
    "audit.read": (P.AUDIT_VIEW_RECORD,),
    "audit.create": (P.INSPECTION_CREATE,),
    "audit.view_trails": (P.AUDIT_VIEW_ALL,),
    "audit.export_reports": (P.AUDIT_EXPORT,),
    "audit.manage_auditors": (P.INSPECTION_MANAGE,),
    "users.read": (P.USER_MANAGE,),
    "users.manage": (P.USER_MANAGE,),
    "roles.manage": (P.ROLE_MANAGE,),
    "metrics.view_dashboard": (P.METRIC_VIEW,),
}
"""The seed's names and the codes each stands for (quality.md 6.15): accepted wherever permissions are written."""

_APPROVALS = (
    *[P.DOCUMENT_APPROVE, P.DEVIATION_APPROVE, P.CAPA_APPROVE_DRAFT, P.CAPA_APPROVE_PLAN],
    P.WORKFLOW_APPROVE_TEMPLATE,
)

CONFLICTS = (
    *[(P.ROLE_MANAGE, approval) for approval in _APPROVALS],
    (P.CAPA_DO_ACTION, P.CAPA_VERIFY_ACTION),
)
"""Pairs nobody may hold together (quality.md 6.15). Who may change roles approves nothing: they could give
themselves the rest. The pairs that concern one version of one thing are refused there, when it is signed."""


def expand_bundles(codes: Iterable[str]) -> set[str]:
    """Permission codes for codes and bundle names. A name that is both is itself and its bundle.

    Raises ValueError naming the first that is neither.
    """
    known, found = {str(permission) for permission in P}, set()
    for code in codes:
        if code not in known and code not in BUNDLES:
            raise ValueError(code)
        found |= {str(permission) for permission in BUNDLES.get(code, ())}
        if code in known:
            found.add(code)
    return found


def conflicts_in(codes: Iterable[str]) -> list[tuple[Permission, Permission]]:
    """The pairs of CONFLICTS of which both are among these codes."""
    held = set(codes)
    return [pair for pair in CONFLICTS if held.issuperset(pair)]


def bundles_of(codes: Iterable[str]) -> list[str]:
    """The seed's names whose every code is among these, in the order of the table."""
    held = set(codes)
    return [name for name, parts in BUNDLES.items() if held.issuperset(parts)]
