"""What a test asks the audit trail and the version table."""

from clinic.patients.models import Patient, PatientVersion
from tenancy.audit import selectors
from tenancy.audit.models import AuditRead
from tenancy.tenants.context import finish_pending


def entries_about(obj) -> list[dict]:
    """The trail of one object, oldest first, as the audit room describes it."""
    finish_pending()
    found = selectors.list_entries(resource_type=obj._meta.model_name, resource_id=str(obj.pk))
    return selectors.describe_entries(found)[::-1]


def actions_about(obj) -> list[str]:
    return [entry["action"] for entry in entries_about(obj)]


def version_numbers(patient: Patient) -> list[int]:
    """`version` of every kept state, oldest first."""
    kept = PatientVersion.objects.filter(pgh_obj_id=patient.pk).order_by("pgh_id")
    return list(kept.values_list("version", flat=True))


def reads_of(patient: Patient) -> list[str]:
    """The kinds of looks at this chart, oldest first."""
    return list(AuditRead.objects.filter(object_id=str(patient.pk)).order_by("at", "id").values_list("kind", flat=True))
