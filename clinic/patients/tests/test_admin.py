"""The back door of patients: looking leaves a line, and what an address asks is answered or refused."""

import pytest

from .factories import PatientFactory
from .trails import reads_of

LIST = "/admin/patients/patient/"


@pytest.fixture
def browser(settings, admin, page_client):
    settings.DEMO = True
    return page_client(admin)


def test_admin_notes_who_looked_at_a_patient(browser, nurse):
    patient = PatientFactory(by=nurse)

    assert browser.get(LIST).status_code == 200
    assert reads_of(patient) == []
    assert browser.get(f"{LIST}{patient.pk}/change/").status_code == 200
    assert reads_of(patient) == ["admin"]


def test_a_look_from_the_admin_has_its_words(browser, nurse, doctor, page_client):
    patient = PatientFactory(by=nurse)
    browser.get(f"{LIST}{patient.pk}/change/")

    assert "Opened it in the administration" in page_client(doctor).get(f"/patients/{patient.pk}/looks/").text


@pytest.mark.parametrize(
    "address",
    [
        f"{LIST}?medical_history__regex=(",
        f"{LIST}?custom_fields__a=%00",
        f"{LIST}?sort_name=%00",
        f"{LIST}?medical_history__contains=HIV",
        "/admin/users/session/?device=%00",
        "/admin/users/session/?refresh_jti__startswith=a",
        "/admin/users/membership/?user__password__startswith=a",
        "/admin/practitioners/practitioner/?is_active__exact=%00",
        "/admin/practitioners/practitioner/?is_active__regex=(",
    ],
)
def test_admin_lists_filter_by_what_they_offer_and_by_nothing_else(browser, address):
    assert browser.get(address).status_code == 400


@pytest.mark.parametrize("query", ["", "?is_active__exact=1", "?q=Ana", "?o=-1", "?p=2", "?q=%00"])
def test_admin_lists_answer_what_they_offer(browser, query):
    assert browser.get(f"/admin/practitioners/practitioner/{query}").status_code in {200, 302}
