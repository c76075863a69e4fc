"""What a test asks the version table and the log of reads of a patient."""

from clinic.patients.models import Patient, PatientVersion
from tenancy.audit.models import AuditRead


def version_numbers(patient: Patient) -> list[int]:
    """`version` of every kept state, oldest first."""
    kept = PatientVersion.objects.filter(pgh_obj_id=patient.pk).order_by("pgh_id")
    return list(kept.values_list("version", flat=True))


def reads_of(patient: Patient) -> list[str]:
    """The kinds of looks at this chart, oldest first."""
    return list(AuditRead.objects.filter(object_id=str(patient.pk)).order_by("at", "id").values_list("kind", flat=True))
