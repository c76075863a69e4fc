"""Every permission in plain words: what somebody who holds it may do.

Pages, refusals and the API say these; the codes are for programs.
"""

from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from .permissions import CONFLICTS, Permission

P = Permission

WORDS = {
    P.OWN_PROFILE: _("See and change their own profile"),
    P.PATIENT_VIEW: _("See patients and their charts"),
    P.PATIENT_VIEW_OWN: _("See their own chart as a patient"),
    P.PATIENT_CREATE: _("Register patients"),
    P.PATIENT_EDIT: _("Change what a chart says about the patient"),
    P.PATIENT_ARCHIVE: _("Archive charts and bring them back"),
    P.PATIENT_HISTORY: _("See earlier versions of a chart"),
    P.PATIENT_RESTRICT: _("Restrict a chart to those who treat the patient"),
    P.CUSTOM_FIELD_MANAGE: _("Define the clinic's own fields in charts"),
    P.PRACTITIONER_VIEW: _("See the practitioners"),
    P.PRACTITIONER_MANAGE: _("Add practitioners and change what is known of them"),
    P.APPOINTMENT_VIEW: _("See the book of appointments"),
    P.APPOINTMENT_VIEW_OWN: _("See their own appointments"),
    P.APPOINTMENT_BOOK: _("Book, move and cancel appointments"),
    P.APPOINTMENT_BOOK_OWN: _("Book, move and cancel their own appointments"),
    P.APPOINTMENT_MOVE: _("Note who arrived, was seen or did not come"),
    P.APPOINTMENT_OVERBOOK: _("Book over other appointments, with a reason"),
    P.SCHEDULE_MANAGE: _("Set hours, leave, places and kinds of appointments"),
    P.QUALIFICATION_OVERRIDE: _("Book somebody who lacks a qualification, with a reason"),
    P.QUALIFICATION_MANAGE: _("Record licences, privileges and training of others"),
    P.DOCUMENT_VIEW_EFFECTIVE: _("Read documents that are in force"),
    P.DOCUMENT_VIEW_DRAFT: _("Read drafts of documents"),
    P.DOCUMENT_VIEW_OBSOLETE: _("Read documents that are no longer in force"),
    P.DOCUMENT_CREATE: _("Start new documents"),
    P.DOCUMENT_EDIT_DRAFT: _("Write in drafts of documents"),
    P.DOCUMENT_SUBMIT: _("Send a document to be reviewed"),
    P.DOCUMENT_REVIEW: _("Review documents"),
    P.DOCUMENT_APPROVE: _("Approve documents"),
    P.DOCUMENT_RELEASE: _("Put approved documents into force"),
    P.DOCUMENT_RETIRE: _("Take documents out of force"),
    P.DOCUMENT_CANCEL_DRAFT: _("Discard drafts of documents"),
    P.DOCUMENT_DOWNLOAD: _("Download documents"),
    P.DOCUMENT_PRINT_CONTROLLED: _("Print numbered copies of documents"),
    P.DOCUMENT_MANAGE_COPIES: _("Keep the list of printed copies"),
    P.DOCUMENT_COMPARE: _("Compare versions of a document"),
    P.DOCUMENT_COMMENT: _("Comment on documents"),
    P.DOCUMENT_TYPE_MANAGE: _("Define the types of documents"),
    P.TEMPLATE_USE: _("Start documents from a template"),
    P.TEMPLATE_MANAGE: _("Write and change templates"),
    P.WORKFLOW_VIEW: _("See the workflows of documents"),
    P.WORKFLOW_MANAGE: _("Write and change workflows"),
    P.WORKFLOW_APPROVE_TEMPLATE: _("Approve workflows"),
    P.WORKFLOW_MIGRATE_INSTANCE: _("Move a running approval to another workflow"),
    P.TRAINING_VIEW_OWN: _("See their own training"),
    P.TRAINING_COMPLETE: _("Complete their own training"),
    P.TRAINING_VIEW_TEAM: _("See the training of their team"),
    P.TRAINING_VIEW_ALL: _("See everybody's training"),
    P.TRAINING_ASSIGN: _("Assign training"),
    P.TRAINING_MANAGE_MATRIX: _("Decide who needs which training"),
    P.TRAINING_MANAGE_QUIZ: _("Write the questions of a training"),
    P.TRAINING_ASSESS: _("Judge whether somebody has learned it"),
    P.TRAINING_WAIVE: _("Excuse somebody from a training"),
    P.DEVIATION_REPORT: _("Report a deviation"),
    P.DEVIATION_VIEW_OWN: _("See deviations they reported"),
    P.DEVIATION_VIEW_ALL: _("See all deviations"),
    P.DEVIATION_TRIAGE: _("Sort new deviations and name who looks into them"),
    P.DEVIATION_INVESTIGATE: _("Look into deviations"),
    P.DEVIATION_APPROVE: _("Approve what was found out about a deviation"),
    P.DEVIATION_CLOSE: _("Close deviations"),
    P.DEVIATION_REOPEN: _("Open closed deviations again"),
    P.DEVIATION_MANAGE_FORMS: _("Define the forms for reporting"),
    P.CAPA_CREATE: _("Start corrective or preventive work (CAPA)"),
    P.CAPA_VIEW: _("See corrective and preventive work"),
    P.CAPA_EDIT_PLAN: _("Plan corrective and preventive work"),
    P.CAPA_APPROVE_DRAFT: _("Approve a draft of corrective work"),
    P.CAPA_APPROVE_PLAN: _("Approve the plan of corrective work"),
    P.CAPA_DO_ACTION: _("Carry out corrective actions"),
    P.CAPA_VERIFY_ACTION: _("Check that corrective actions were carried out"),
    P.CAPA_EXTEND: _("Grant more time for corrective work"),
    P.CAPA_REVIEW_EFFECTIVENESS: _("Judge whether corrective work has helped"),
    P.CAPA_CLOSE: _("Close corrective work"),
    P.CHANGE_VIEW: _("See planned changes"),
    P.CHANGE_CREATE: _("Propose changes"),
    P.CHANGE_MANAGE: _("Manage planned changes"),
    P.CHANGE_CLOSE: _("Close planned changes"),
    P.COMPLAINT_VIEW: _("See complaints"),
    P.COMPLAINT_CREATE: _("Write down a complaint"),
    P.COMPLAINT_MANAGE: _("Manage complaints"),
    P.COMPLAINT_CLOSE: _("Close complaints"),
    P.INSPECTION_VIEW: _("See inspections of our quality"),
    P.INSPECTION_CREATE: _("Plan inspections of our quality"),
    P.INSPECTION_MANAGE: _("Manage inspections and who carries them out"),
    P.INSPECTION_CLOSE: _("Close inspections"),
    P.SUPPLIER_VIEW: _("See suppliers"),
    P.SUPPLIER_CREATE: _("Add suppliers"),
    P.SUPPLIER_MANAGE: _("Manage suppliers"),
    P.SUPPLIER_CLOSE: _("End the work with a supplier"),
    P.RISK_VIEW: _("See risks"),
    P.RISK_CREATE: _("Write down a risk"),
    P.RISK_MANAGE: _("Manage risks"),
    P.RISK_CLOSE: _("Close risks"),
    P.SIGNATURE_SIGN: _("Sign"),
    P.SIGNATURE_REQUEST: _("Ask others to sign"),
    P.SIGNATURE_VERIFY: _("Check signatures"),
    P.SIGNATURE_WITHDRAW_OWN: _("Withdraw their own signature before all have signed"),
    P.METRIC_VIEW: _("See the quality figures"),
    P.METRIC_MANAGE: _("Define quality figures and their limits"),
    P.AUDIT_VIEW_RECORD: _("See who did what to a single record"),
    P.AUDIT_VIEW_ALL: _("See the whole audit trail"),
    P.AUDIT_EXPORT: _("Export the audit trail"),
    P.AUDIT_REVIEW: _("Review the audit trail"),
    P.AUDIT_VERIFY: _("Check that the audit trail is whole"),
    P.PHI_VIEW: _("See patients' data in quality records"),
    P.PHI_EXPORT: _("Export patients' data"),
    P.AI_USE: _("Use the assistant"),
    P.AI_CONFIGURE: _("Set up the assistant"),
    P.USER_MANAGE: _("Manage people: invite, change, deactivate"),
    P.ROLE_MANAGE: _("Manage roles and who may do what"),
    P.GROUP_MANAGE: _("Manage groups"),
    P.ADMIN_SITE: _("Change the clinic's settings"),
    P.INTEGRATION_MANAGE: _("Connect other systems"),
    P.LEGAL_HOLD: _("Keep records from being disposed of"),
    P.RETENTION_DISPOSE: _("Dispose of records whose time is over"),
    P.BREAK_GLASS: _("Open restricted charts in an emergency"),
}

SECTIONS = (
    (_("Own account"), ("profile",)),
    (_("Patients and practitioners"), ("patients", "practitioners")),
    (_("Appointments"), ("appointments",)),
    (_("Qualifications"), ("qualifications",)),
    (_("Documents"), ("documents",)),
    (_("Types, templates and workflows"), ("doctypes", "templates", "workflows")),
    (_("Training"), ("training",)),
    (_("Deviations"), ("deviations",)),
    (_("Corrective and preventive work (CAPA)"), ("capa",)),
    (_("Changes"), ("changes",)),
    (_("Complaints"), ("complaints",)),
    (_("Inspections"), ("audits",)),
    (_("Suppliers"), ("suppliers",)),
    (_("Risks"), ("risks",)),
    (_("Signatures"), ("signatures",)),
    (_("Quality figures"), ("metrics",)),
    (_("Audit trail"), ("audit",)),
    (_("Patients' data in quality records"), ("phi",)),
    (_("Assistant"), ("ai",)),
    (_("Administration"), ("admin",)),
)
"""Headings for people, and the rooms of the codes below each."""


def words_for(code: str) -> str:
    """A permission in words; a code this release does not know stays as it is."""
    return str(WORDS[P(code)]) if code in WORDS else code


def sections() -> list[tuple[str, list[Permission]]]:
    """All permissions under their headings, in the order people read them."""
    return [
        (str(title), [permission for permission in P if permission.partition(".")[0] in rooms])
        for title, rooms in SECTIONS
    ]


def conflict_sentence(pair: tuple[Permission, Permission], name: str = "") -> str:
    """Why two permissions are refused together, naming both; `name` is who would hold them."""
    one, other = (words_for(code) for code in pair)
    if name:
        sentence = _now("%(name)s would hold two permissions that nobody may hold together: “%(one)s” and “%(other)s”.")
        return sentence % {"name": name, "one": one, "other": other}
    return _now("Nobody may hold these two permissions together: “%(one)s” and “%(other)s”.") % {
        "one": one,
        "other": other,
    }


def conflicts_in_words() -> list[tuple[str, str]]:
    """The refused pairs as people read them."""
    return [(words_for(one), words_for(other)) for one, other in CONFLICTS]
