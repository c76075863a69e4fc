"""Two clinics to look at: staff who can sign in, hundreds of patients, a little history.

Everything is the same each time. A clinic is finished when its trail says
`demo_seeded`; until then the steps may be run again and do only what is missing.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from accounts.team.services import clinic as clinic_settings
from accounts.team.services import groups, rights, roles
from accounts.users import services as users
from accounts.users.models import Membership, User, identity_key
from clinic import fhir
from clinic.fhir.services import import_files
from clinic.names import from_given_and_family
from clinic.patients import emergencies
from clinic.patients import services as patients
from clinic.patients.custom_fields import define_custom_field
from clinic.patients.models import DocumentType, Gender, Insurer, Patient
from clinic.patients.restricting import restrict_chart
from clinic.practitioners.services import create_practitioner
from config.home import demo_book, demo_patient
from tenancy.audit import services as audit
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant

PASSWORD = "riverside-demo-2026"  # noqa: S105  (printed for everybody to see)
DATA = Path(fhir.__file__).parent / "data"
SEEDED = "demo_seeded"


@dataclass(frozen=True)
class DemoClinic:
    """What is said of a clinic; `staff` are (e-mail, name, role), the administrator first."""

    slug: str
    name: str
    time_zone: str
    country: str
    staff: tuple[tuple[str, str, str], ...]
    files: tuple[str, ...]


RIVERSIDE = DemoClinic(
    slug="demo",
    name="Riverside Clinic",
    time_zone="America/Bogota",
    country="CO",
    staff=(
        ("admin@demo.example", "Camila Restrepo Vélez", "admin"),
        ("doctor@demo.example", "Andrés Quintero Mejía", "doctor"),
        ("nurse@demo.example", "Luisa Fernanda Gómez", "nurse"),
        ("reception@demo.example", "Mateo Ospina Ruiz", "staff"),
        ("quality@demo.example", "Beatriz Cárdenas Soto", "quality_manager"),
        ("auditor@demo.example", "Hernán Duque Lara", "auditor"),
        ("float@demo.example", "Juliana Torres Peña", "nurse"),
        demo_patient.LOGIN,
    ),
    files=("demo_practitioners.ndjson", "demo_patients.ndjson"),
)
HARBOR = DemoClinic(
    slug="harbor",
    name="Harbor Clinic",
    time_zone="Europe/London",
    country="GB",
    staff=(
        ("admin@harbor.example", "Margaret Ellis", "admin"),
        ("nurse@harbor.example", "Thomas Whitaker", "nurse"),
        ("float@demo.example", "Juliana Torres Peña", "nurse"),
    ),
    files=("harbor_patients.ndjson",),
)
CLINICS = (RIVERSIDE, HARBOR)

# Mixed up easily on purpose: the second was registered in a hurry.
LOOKALIKES = (
    {"first_name": "Carlos", "second_name": "Andrés", "first_last_name": "Rodríguez", "second_last_name": "Gómez",
     "document_type": "CC", "document_number": "79412365", "cell_phone": "3104567890", "email": "carlos.r@example.com"},
    {"first_name": "Carlos", "first_last_name": "Rodriguez", "second_last_name": "Gomez", "cell_phone": "3104567890"},
)  # fmt: skip
# The same names as two patients of the demo clinic, other people.
NAMESAKES = (
    {"first_name": "Mariana", "first_last_name": "Jiménez", "second_last_name": "Muñoz", "birth_date": "1990-02-11",
     "cell_phone": "07400 123456", "city": "London", "country": "GB"},
    {"first_name": "Santiago", "first_last_name": "Martínez", "second_last_name": "Ramírez", "birth_date": "1986-09-30",
     "cell_phone": "07400 654321", "city": "Bristol", "country": "GB"},
)  # fmt: skip
# By patient number: what the nurse changed, then what the doctor did.
EDITS: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {
    1: ({"cell_phone": "3157001122"}, {"allergies": "Penicillin (rash)", "alerts": "Carries an adrenaline pen"}),
    2: ({"allergy_status": "none_known"}, {"medical_history": "Hypertension since 2018, controlled."}),
    3: ({"language": "Spanish", "city": "Bogotá"}, {"blood_type": "O+"}),
    4: ({"email": "moved.house@example.com"}, {"allergies": "Latex"}),
    5: ({"address": "Calle 72 # 10-34", "city": "Bogotá", "country": "CO"}, {"allergy_status": "none_known"}),
    6: ({"needs_interpreter": True, "language": "Wayuu"}, {"alerts": "Falls risk"}),
    7: ({"phone": "6017445566"}, {"medical_history": "Asthma; inhaler when needed."}),
    8: ({"alerts": "Hard of hearing: speak to the left side"}, {"alerts": "Hearing aid since March"}),
}
ARCHIVED = (9, "Registered twice by mistake; see the other chart")
RESTRICTED = (10, "Works in this clinic and asked for it")
BREAK_GLASS = ("covering", "Called from the ward at night: which medicines does she take?")
OPENED_BY_DOCTOR, OPENED_BY_NURSE = range(1, 7), range(4, 9)
SIGN_IN = {"idle_minutes": 30, "session_hours": 12, "allows_registration": True}
# Name, type, what for, the roles whose people are in it.
GROUPS = (
    ("Hygiene team", "Department", "Hands, rooms, instruments", ("nurse", "doctor", "quality_manager")),
    ("Front desk", "Job function", "Everybody who meets patients first", ("staff", "nurse")),
    ("Quality circle", "Custom", "Meets on the first Tuesday", ("quality_manager", "auditor", "doctor")),
)
WARD_CLERK = {
    "name": "Ward clerk",
    "description": "Reception of the ward: also sees earlier versions of a chart",
    "permissions": ["patients.view", "patients.edit", "patients.history", "practitioners.view", "documents.read"],
}


def seed(clinic: DemoClinic) -> bool:
    """Make one demo clinic or finish a begun one. False when it was finished before: then nothing is written."""
    tenant = Tenant.objects.filter(slug=clinic.slug).first()
    if tenant and _is_finished(tenant):
        return _give_book(tenant, clinic)
    tenant = tenant or _open(clinic)
    with tenant_context(tenant.id):
        staff = _hire(clinic)
    import_files([DATA / file for file in clinic.files], tenant_id=tenant.id)
    with tenant_context(tenant.id):
        # All of it or nothing, the marker included.
        if clinic is RIVERSIDE:
            _live_in(staff)
        else:
            for person in NAMESAKES:
                patients.create_patient(by=staff["nurse"], data=_data(person))
        audit.record(SEEDED, None, by=None)
    _give_book(tenant, clinic)
    return True


def _give_book(tenant: Tenant, clinic: DemoClinic) -> bool:
    """The visits of a clinic and its patient who signs in, in one transaction. False where it has them."""
    with tenant_context(tenant.id):
        has_book = demo_book.is_seeded()
        if not has_book:
            demo_book.seed_book(clinic.slug, _hire(clinic))
        if clinic is not RIVERSIDE or demo_patient.is_seeded():
            return not has_book
        demo_patient.seed_patient(_hire(clinic))
    return True


def _is_finished(tenant: Tenant) -> bool:
    with tenant_context(tenant.id):
        return AuditEntry.objects.filter(object_type="tenant", object_id=str(tenant.id), action=SEEDED).exists()


def _open(clinic: DemoClinic) -> Tenant:
    email, name, _role = clinic.staff[0]
    _user(email, name)
    tenant, _member = users.create_tenant(
        slug=clinic.slug,
        name=clinic.name,
        admin_email=email,
        time_zone=clinic.time_zone,
        country=clinic.country,
        language="en",
        two_factor_required=False,
    )
    return tenant


def _hire(clinic: DemoClinic) -> dict[str, Membership]:
    """The members by role; of two with the same role the first."""
    staff: dict[str, Membership] = {}
    for email, name, role in clinic.staff:
        user = _user(email, name)
        member = Membership.objects.filter(user=user).first() or users.add_member(user, roles=[role], by=None)
        staff.setdefault(role, member)
    password = make_password(PASSWORD)  # one hash for all of them: each costs a quarter of a second
    people = User.objects.filter(email_key__in=[identity_key(email) for email, _name, _role in clinic.staff])
    for user in people:
        if not user.has_usable_password():
            User.objects.filter(pk=user.pk).update(password=password)
    return staff


def _user(email: str, name: str) -> User:
    known = User.objects.filter(email_key=identity_key(email)).first()
    return known or users.create_user(email=email, name=name, password=None)


def _live_in(staff: dict[str, Membership]) -> None:
    """Months of work in a second: fields of its own, patients at the desk, changes, an archived chart, looks."""
    _define_fields(staff["admin"])
    doctor = from_given_and_family("Andrés", "Quintero Mejía")
    create_practitioner(
        by=staff["admin"],
        data={
            **vars(doctor), "title": "Dr.", "email": "doctor@demo.example", "member": staff["doctor"],
            "document_type": DocumentType.objects.get(code="CC"), "document_number": "80123456",
        },
    )  # fmt: skip
    for person in (*_composed(), *({"birth_date": "1979-06-03", **person} for person in LOOKALIKES)):
        patients.create_patient(by=staff["staff"], data=_data(person))
    known = {patient.number: patient for patient in Patient.objects.filter(number__lte=ARCHIVED[0])}
    for number, (by_nurse, by_doctor) in EDITS.items():
        patients.update_patient(known[number], by=staff["nurse"], changes=by_nurse)
        patients.update_patient(known[number], by=staff["doctor"], changes=by_doctor)
    patients.archive_patient(known[ARCHIVED[0]], by=staff["admin"], reason=ARCHIVED[1])
    for numbers, member in ((OPENED_BY_DOCTOR, staff["doctor"]), (OPENED_BY_NURSE, staff["nurse"])):
        for number in numbers:
            audit.record_read(known[number], by=member)
    _restrict(staff)
    _organise(staff)


def _organise(staff: dict[str, Membership]) -> None:
    """Groups, a role of the clinic's own, one permission for a time, and how people sign in."""
    admin = staff["admin"]
    clinic_settings.update_sign_in_settings(admin.tenant, by=admin, changes=SIGN_IN)
    for name, kind, description, whose in GROUPS:
        group = groups.create_group(name=name, kind=kind, description=description, by=admin)
        for role in whose:
            groups.add_group_member(group, staff[role], by=admin)
    clerk = roles.create_role(by=admin, **WARD_CLERK)
    rights.assign_roles(staff["staff"], ["staff", clerk.code], by=admin, reason="Covers the ward's desk")
    until = timezone.now() + timedelta(days=90)
    rights.grant_permission(
        staff["nurse"], "metrics.view", by=admin, reason="Prepares the infection report", valid_until=until
    )


def _restrict(staff: dict[str, Membership]) -> None:
    """One chart for few, which the nurse has opened in an emergency; the review waits for the quality manager."""
    number, reason = RESTRICTED
    chart = restrict_chart(Patient.objects.get(number=number), by=staff["doctor"], reason=reason)
    code, why = BREAK_GLASS
    chart.emergency = emergencies.break_glass(chart, by=staff["nurse"], reason_code=code, reason=why)
    emergencies.record_look(chart, by=staff["nurse"])
    emergencies.end_emergency_access(chart, by=staff["nurse"])


def _define_fields(admin: Membership) -> None:
    define_custom_field(
        by=admin,
        key="insurance_tier",
        label="Insurance tier",
        type="choice",
        choices=["contributory", "subsidised", "special"],
        is_filterable=True,
        position=1,
    )
    define_custom_field(by=admin, key="occupation", label="Occupation", type="text", position=2)
    define_custom_field(by=admin, key="organ_donor", label="Organ donor", type="yes_no", position=3)


def _composed() -> Iterable[dict[str, Any]]:
    for line in (DATA / "composed_patients.jsonl").read_text(encoding="utf-8").splitlines():
        person = json.loads(line)
        yield {**vars(from_given_and_family(person.pop("given"), person.pop("family"))), **person}


def _data(person: dict[str, Any]) -> dict[str, Any]:
    """Field values of a patient from words and codes."""
    data = {"gender": "unknown", **person}
    data["gender"] = Gender.objects.get(word=data["gender"])
    if "document_type" in data:
        data["document_type"] = DocumentType.objects.get(code=data["document_type"])
    if "insurer" in data:
        data["insurer"] = Insurer.objects.get(code=data["insurer"])
    return data
