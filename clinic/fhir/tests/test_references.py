import pytest

from clinic.fhir.models import SourceRecord
from clinic.fhir.references import ReferenceTarget, find_rows, target_of
from clinic.fhir.services import import_files
from clinic.practitioners.models import Organization

from . import samples

SIBLINGS = {
    "urn:uuid:49a8": ("Organization", "49a8"),
    "https://there.example/fhir/Practitioner/7": ("Practitioner", "n7"),
}


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ({"reference": "urn:uuid:49a8"}, ReferenceTarget("Organization", "49a8")),
        ({"reference": "urn:uuid:unknown"}, ReferenceTarget("", "urn:uuid:unknown")),
        ({"reference": "https://there.example/fhir/Practitioner/7"}, ReferenceTarget("Practitioner", "n7")),
        ({"reference": "https://there.example/fhir/Practitioner/8"}, ReferenceTarget("Practitioner", "8")),
        ({"reference": "Organization/1"}, ReferenceTarget("Organization", "1")),
        ({"reference": "Organization/1/_history/3"}, ReferenceTarget("Organization", "1")),
        (
            {"reference": "Organization?identifier=https://x|a%7Cb"},
            ReferenceTarget("Organization", "", "https://x|a", "b"),
        ),
        ({"reference": "Organization?identifier=https://x|7"}, ReferenceTarget("Organization", "", "https://x", "7")),
        ({"reference": "https://there/Organization?identifier=s|7"}, ReferenceTarget("Organization", "", "s", "7")),
        ({"reference": "Organization?name=x"}, ReferenceTarget("Organization")),
        ({"reference": "#inside"}, ReferenceTarget("", "#inside")),
        (
            {"identifier": {"system": "s", "value": "7"}, "type": "Practitioner"},
            ReferenceTarget("Practitioner", "", "s", "7"),
        ),
        ({"display": "Pete's Veterinary Services"}, None),
    ],
)
def test_target_of_reads_every_form(reference, target):
    assert target_of(reference, SIBLINGS) == target


def test_find_rows_finds_by_id_and_by_identifier(clinic, tmp_path):
    organization = {
        "resourceType": "Organization",
        "id": "o1",
        "name": "Ward",
        "identifier": [{"system": "s", "value": "7"}],
    }
    import_files([samples.write_lines(tmp_path / "o.ndjson", organization)], tenant_id=clinic.id)
    row = Organization.objects.get()
    by_id, by_identifier = ReferenceTarget("Organization", "o1"), ReferenceTarget("Organization", "", "s", "7")
    of_any_type, unknown = ReferenceTarget("", "", "s", "7"), ReferenceTarget("Practitioner", "", "s", "7")

    found = find_rows([by_id, by_identifier, of_any_type, unknown, ReferenceTarget("Organization")])

    assert found == {by_id: row.pk, by_identifier: row.pk, of_any_type: row.pk}


def references(report):
    return report.unresolved_references


def test_import_files_resolves_inside_a_bundle_also_forwards(clinic, tmp_path):
    patient = samples.a_patient(
        managingOrganization={"reference": "urn:uuid:o1"}, generalPractitioner=[{"reference": "urn:uuid:d1"}]
    )
    organization = {"resourceType": "Organization", "id": "o1", "name": "Ward"}
    file = samples.write_json(tmp_path / "b.json", samples.a_bundle(patient, organization))

    # d1 is nowhere: the patient is taken all the same, and the one reference is counted.
    report = import_files([file], tenant_id=clinic.id)

    assert (report.total["created"], references(report)) == (2, 1)


def test_import_files_resolves_conditional_references_to_what_an_earlier_import_brought(clinic, tmp_path):
    organization = {
        "resourceType": "Organization",
        "id": "o1",
        "name": "Ward",
        "identifier": [{"system": "s", "value": "7"}],
    }
    patient = samples.a_patient(managingOrganization={"reference": "Organization?identifier=s|7"})
    file = samples.write_lines(tmp_path / "p.ndjson", patient)

    before = import_files([file], tenant_id=clinic.id)
    import_files([samples.write_lines(tmp_path / "o.ndjson", organization)], tenant_id=clinic.id)
    after = import_files([file], tenant_id=clinic.id)

    assert (references(before), references(after)) == (1, 0)


def test_import_files_does_not_resolve_to_a_neighbour_that_was_refused(clinic, tmp_path):
    patient = samples.a_patient(managingOrganization={"reference": "urn:uuid:o1"})
    nameless = {"resourceType": "Organization", "id": "o1", "active": "yes"}
    file = samples.write_json(tmp_path / "b.json", samples.a_bundle(nameless, patient))

    assert references(import_files([file], tenant_id=clinic.id)) == 1
    assert list(SourceRecord.objects.values_list("resource_type", flat=True)) == ["Patient"]
