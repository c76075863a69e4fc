"""Two people at the same moment, on two connections that really commit."""

import threading

import pytest
from django.db import IntegrityError, ProgrammingError, connection
from django.utils import timezone

from accounts.notifications.models import Notification
from accounts.users.tests.factories import MembershipFactory, open_clinic
from clinic.patients import emergencies, services
from clinic.patients.models import DocumentType, EmergencyAccess, Patient
from clinic.patients.restricting import restrict_chart
from tenancy.audit.models import AuditEntry
from tenancy.rules import StaleVersion
from tenancy.tenants.context import tenant_context

from .factories import CITIZENSHIP_CARD, PatientFactory
from .trails import version_numbers


@pytest.fixture
def busy_clinic(committed_db):
    tenant, admin = open_clinic()
    return tenant, admin


def at_once(tenant, *acts):
    """Run each act in its own thread, inside the clinic; answers what it returned or the exception it raised."""
    ready, outcomes = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place, act):
        try:
            with tenant_context(tenant.id):
                ready.wait(timeout=20)
                outcomes[place] = act()
        except Exception as error:
            outcomes[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return outcomes


def test_same_document_at_once_is_registered_once(busy_clinic):
    tenant, admin = busy_clinic
    card = {"document_type": DocumentType.objects.get(pk=CITIZENSHIP_CARD), "document_number": "1001"}

    outcomes = at_once(tenant, *[lambda: PatientFactory(by=admin, **card)] * 2)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DuplicateDocument", "Patient"]
    with tenant_context(tenant.id):
        assert list(Patient.objects.values_list("number", "document_key")) == [(1, "1001")]
        assert AuditEntry.objects.filter(action="patient_created").count() == 1


def test_numbers_have_no_gaps_and_no_doubles(busy_clinic):
    tenant, admin = busy_clinic

    def register():
        return PatientFactory(by=admin).number

    def fail():
        PatientFactory(by=admin)
        raise RuntimeError("the power went out")

    at_once(tenant, register, fail, register, fail, register, register)

    with tenant_context(tenant.id):
        assert sorted(Patient.objects.values_list("number", flat=True)) == [1, 2, 3, 4]


def test_two_saves_on_the_same_version_lose_nothing(busy_clinic):
    tenant, admin = busy_clinic
    with tenant_context(tenant.id):
        patient = PatientFactory(by=admin)

    def save(**changes):
        return services.update_patient(patient, by=admin, changes=changes, expected_version=1)

    outcomes = at_once(tenant, lambda: save(city="Cali"), lambda: save(phone="601 555 0101"))

    refused = [outcome for outcome in outcomes if isinstance(outcome, StaleVersion)]
    with tenant_context(tenant.id):
        kept = Patient.objects.get(pk=patient.pk)
        assert (len(refused), kept.version, version_numbers(kept)) == (1, 2, [1, 2])
        assert bool(kept.city) != bool(kept.phone)


def test_saves_without_a_version_queue_up(busy_clinic):
    tenant, admin = busy_clinic
    with tenant_context(tenant.id):
        patient = PatientFactory(by=admin)

    def save(**changes):
        return services.update_patient(patient, by=admin, changes=changes)

    at_once(tenant, lambda: save(city="Cali"), lambda: save(phone="601 555 0101"))

    with tenant_context(tenant.id):
        kept = Patient.objects.get(pk=patient.pk)
        assert (kept.version, kept.city, kept.phone) == (3, "Cali", "601 555 0101")


def test_glass_broken_twice_at_once_is_one_access_and_is_told_once(busy_clinic):
    tenant, admin = busy_clinic
    with tenant_context(tenant.id):
        doctor, nurse = (MembershipFactory(role=role) for role in ("doctor", "nurse"))
        patient = restrict_chart(PatientFactory(by=admin), by=doctor, reason="Works here")
        nurse.permissions
    why = {"reason_code": "emergency", "reason": "Unconscious on arrival"}

    outcomes = at_once(tenant, *[lambda: emergencies.break_glass(patient, by=nurse, **why)] * 4)

    assert len({outcome.pk for outcome in outcomes}) == 1
    with tenant_context(tenant.id):
        assert EmergencyAccess.objects.count() == 1
        assert Notification.objects.filter(recipient=doctor, kind="break_glass_to_list").count() == 1
        assert AuditEntry.objects.filter(action="chart_opened_by_break_glass").count() == 1


def test_app_role_can_not_prolong_an_emergency_access_or_rewrite_its_reason(busy_clinic):
    tenant, admin = busy_clinic
    with tenant_context(tenant.id):
        doctor, nurse = (MembershipFactory(role=role) for role in ("doctor", "nurse"))
        patient = restrict_chart(PatientFactory(by=admin), by=doctor, reason="Works here")
        emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason="Unconscious on arrival")
    for changes in ({"expires_at": timezone.now()}, {"reason": "Something nicer"}, {"member": doctor}):
        with pytest.raises(ProgrammingError, match="permission denied"), tenant_context(tenant.id):
            EmergencyAccess.objects.update(**changes)
    with pytest.raises(ProgrammingError, match="permission denied"), tenant_context(tenant.id):
        EmergencyAccess.objects.all().delete()
    with pytest.raises(IntegrityError, match="patients_emergency_own_chk"), tenant_context(tenant.id):
        EmergencyAccess.objects.update(reviewed_at=timezone.now(), reviewed_by=nurse, verdict="justified")
    with tenant_context(tenant.id):
        assert EmergencyAccess.objects.update(ended_at=timezone.now()) == 1
