import pytest
from django.core.exceptions import ValidationError
from django.http import Http404

from clinic.practitioners import selectors, services
from clinic.practitioners.models import Practitioner
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import finish_pending

NPI = {"identifier_system": "npi", "identifier": "99"}


def trail():
    finish_pending()
    return list(AuditEntry.objects.order_by("seq").values_list("action", flat=True))


def test_create_practitioner_keeps_the_fields_and_leaves_a_line(admin):
    practitioner = services.create_practitioner(
        by=admin, data={"title": "Dr.", "first_name": " Luz  Marina ", "first_last_name": "Peña", "email": "Luz@X.org"}
    )

    practitioner.refresh_from_db()
    assert (practitioner.name, practitioner.email) == ("Dr. Luz Marina Peña", "luz@x.org")
    assert trail()[-1] == "practitioner_created"


def test_create_practitioner_links_a_member(admin, doctor):
    practitioner = services.create_practitioner(by=admin, data={"first_name": "Dario", "member": doctor})

    assert Practitioner.objects.get(member=doctor) == practitioner


@pytest.mark.parametrize(
    "data",
    [{}, {"first_name": " "}, {"first_name": "x" * 121}, {"first_name": "A", "email": "no address"}],
)
def test_create_practitioner_refuses_what_can_not_be_kept(admin, data):
    with pytest.raises(ValidationError):
        services.create_practitioner(by=admin, data=data)


def test_create_practitioner_takes_a_family_name_alone(admin):
    assert services.create_practitioner(by=admin, data={"first_last_name": "Voigt"}).name == "Voigt"


def test_create_practitioner_refuses_an_identifier_twice(admin):
    services.create_practitioner(by=admin, data={"first_name": "A"} | NPI)

    with pytest.raises(services.DuplicateIdentifier):
        services.create_practitioner(by=admin, data={"first_name": "B"} | NPI)


def test_update_practitioner_writes_only_what_differs(admin):
    practitioner = services.create_practitioner(by=admin, data={"first_name": "A", "phone": "1"})

    assert not services.update_practitioner(practitioner, by=admin, changes={"first_name": "A", "phone": "1"})
    assert services.update_practitioner(practitioner, by=admin, changes={"phone": "2", "is_active": False})

    practitioner.refresh_from_db()
    assert (practitioner.phone, practitioner.is_active) == ("2", False)
    assert trail().count("practitioner_updated") == 1


def test_update_organization_changes_its_name(admin):
    organization = services.create_organization(by=admin, data={"name": "Ward"} | NPI)

    assert services.update_organization(organization, by=admin, changes={"name": "Ward Seven"})

    organization.refresh_from_db()
    assert organization.name == "Ward Seven"


def test_create_organization_needs_a_name(admin):
    with pytest.raises(ValidationError, match="name"):
        services.create_organization(by=admin, data={})


def test_list_practitioners_shows_the_active_by_name(admin, nurse):
    for name, is_active in (("Zora", True), ("Ana", True), ("Gone", False)):
        services.create_practitioner(by=admin, data={"first_last_name": name, "is_active": is_active})

    assert [row.name for row in selectors.list_practitioners(by=nurse)] == ["Ana", "Zora"]
    assert selectors.list_practitioners(by=nurse, include_inactive=True).count() == 3


def test_list_practitioners_shows_nothing_to_a_patient(admin, patient_user):
    practitioner = services.create_practitioner(by=admin, data={"first_name": "Ana"})

    assert list(selectors.list_practitioners(by=patient_user)) == []
    with pytest.raises(Http404):
        selectors.get_practitioner(practitioner.pk, by=patient_user)


def test_get_practitioner_finds_the_inactive_too(admin, nurse):
    practitioner = services.create_practitioner(by=admin, data={"first_name": "Ana", "is_active": False})

    assert selectors.get_practitioner(practitioner.pk, by=nurse) == practitioner
