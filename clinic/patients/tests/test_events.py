"""What other programs hear about patients (S25): one event for each write, in its transaction."""

import json

import pytest

from clinic.patients import restricting, services
from clinic.patients.models import DocumentType
from clinic.patients.tests.factories import PatientFactory
from tenancy.events.models import Event
from tenancy.events.tests.factories import open_endpoint
from tenancy.rules import RuleBroken


@pytest.fixture(autouse=True)
def endpoint(clinic):
    return open_endpoint("http://127.0.0.1:9/")


def heard(patient):
    return [(row.type, row.sequence) for row in Event.objects.filter(object_id=patient.pk).order_by("sequence")]


def test_s25_each_write_is_one_event_in_order(admin):
    patient = PatientFactory(by=admin)
    services.update_patient(patient, by=admin, changes={"phone": "+573001112233"})
    services.archive_patient(patient, by=admin, reason="Moved away")
    services.restore_patient(patient, by=admin)

    assert heard(patient) == [
        ("patient.created", 1),
        ("patient.updated", 2),
        ("patient.status_changed", 3),
        ("patient.deleted", 4),
        ("patient.status_changed", 5),
    ]
    assert set(Event.objects.values_list("actor_kind", "actor_id")) == {("member", admin.pk)}


def test_s25_what_changes_nothing_tells_nothing(admin):
    patient = PatientFactory(by=admin, phone="+573001112233")

    services.update_patient(patient, by=admin, changes={"phone": "+573001112233"})
    with pytest.raises(RuleBroken):
        services.archive_patient(patient, by=admin, reason=" ")

    assert heard(patient) == [("patient.created", 1)]


def test_s25_a_restriction_is_a_change_of_status_and_says_no_more(doctor):
    patient = PatientFactory(by=doctor)

    restricting.restrict_chart(patient, by=doctor, reason="CANARY")

    assert heard(patient)[-1] == ("patient.status_changed", 2)
    assert "CANARY" not in Event.objects.get(sequence=2).body
    assert "restrict" not in Event.objects.get(sequence=2).body


def test_wh16_no_word_about_a_person_leaves_the_house(admin):
    patient = PatientFactory(
        by=admin,
        first_name="CANARYGIVEN",
        first_last_name="CANARYFAMILY",
        phone="+573001234567",
        email="canary@example.org",
        document_type=DocumentType.objects.get(code="CC"),
        document_number="CANARY77",
        allergies="CANARYALLERGY",
    )
    services.update_patient(patient, by=admin, changes={"phone": "+573007654321"})
    services.archive_patient(patient, by=admin, reason="CANARYREASON")
    services.restore_patient(patient, by=admin)

    rows = Event.objects.filter(object_id=patient.pk)
    assert rows.count() == 5
    for row in rows.values():
        said = json.dumps(row, default=str).lower()
        assert "canary" not in said
        assert "57300" not in said
        body = json.loads(row["body"])
        assert set(body) == {"id", "type", "timestamp", "data"}
        assert set(body["data"]) == {"object", "id", "number", "sequence", "tenant_id"}
