"""The page after signing in: what is mine, and nothing that is not."""

import html
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.users.tests.factories import MembershipFactory
from clinic.patients import emergencies, restricting, selectors, services
from clinic.patients.tests.factories import PatientFactory
from clinic.patients.tests.trails import reads_of
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant


def text_of(page):
    main = page.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def look_at(browser, *patients):
    for patient in patients:
        assert browser.get(f"/patients/{patient.pk}/").status_code == 200


def test_today_shows_the_charts_i_opened_last_newest_first(nurse, doctor, page_client):
    first, second, third = (PatientFactory(by=nurse, first_name=name) for name in ("Ana", "Bruno", "Camila"))
    browser = page_client(nurse)
    look_at(browser, first, second, first)
    look_at(page_client(doctor), third)

    page = browser.get("/")

    assert re.findall(r"DE LA HOZ, (\w+)", text_of(page)) == ["Ana", "Bruno"]
    assert "Patients 3" in text_of(page)
    assert page["Cache-Control"] == "no-store"
    assert reads_of(third) == ["chart"]


def test_today_says_where_to_begin(nurse, page_client):
    words = text_of(page_client(nurse).get("/"))

    assert "No chart opened yet" in words
    assert "Patients 0" in words
    assert "Register patient" in words


def test_today_counts_present_patients_only(nurse, admin, page_client):
    PatientFactory(by=nurse)
    services.archive_patient(PatientFactory(by=nurse), by=admin, reason="Moved away")

    assert "Patients 1" in text_of(page_client(nurse).get("/"))


def test_today_stops_counting_somewhere(nurse, page_client, monkeypatch):
    monkeypatch.setattr(selectors, "count_patients", lambda *, by, limit: 1_001)

    assert "more than 1,000" in text_of(page_client(nurse).get("/"))


def test_today_shows_patients_their_own_chart(nurse, patient_user, page_client):
    PatientFactory(by=nurse, first_name="Ana")
    PatientFactory(by=nurse, first_name="Pia", user=patient_user.user)

    words = text_of(page_client(patient_user).get("/"))

    assert "Your chart DE LA HOZ, Pia" in words
    assert "Ana" not in words


def test_today_says_to_patients_how_their_account_gets_its_chart(nurse, page_client):
    PatientFactory(by=nurse, first_name="Ana")

    words = text_of(page_client(MembershipFactory(role="patient")).get("/"))

    assert "Your account is not linked to a chart yet" in words
    assert "Ask at the desk" in words
    assert "Nothing here for you yet" not in words


def test_today_leads_reviewers_to_what_waits_for_them(nurse, doctor, page_client):
    reviewer = page_client(MembershipFactory(role="quality_manager"))
    before = text_of(reviewer.get("/"))
    chart = restricting.restrict_chart(PatientFactory(by=doctor), by=doctor, reason="Known in town")
    emergencies.break_glass(chart, by=nurse, reason_code="emergency", reason="Unconscious in the waiting room")

    page = reviewer.get("/")

    assert "Nothing waits for your review" in before
    assert "Waiting for your review 1 emergency access" in text_of(page)
    assert "Nothing" not in text_of(page)
    assert 'href="/patients/emergency-access/"' in page.text.partition("<main")[2]
    assert "Waiting for your review" not in text_of(page_client(nurse).get("/"))


@pytest.mark.parametrize("role", ["auditor", "user"])
def test_today_has_nothing_for_a_role_without_patients(nurse, page_client, role):
    PatientFactory(by=nurse, first_name="Ana")

    words = text_of(page_client(MembershipFactory(role=role)).get("/"))

    assert "Nothing here for you yet" in words
    assert "Ana" not in words
    assert "Register patient" not in words


def test_today_of_another_clinic_is_another_page(nurse, stranger, page_client):
    patient = PatientFactory(by=nurse, first_name="Ana")
    look_at(page_client(nurse), patient)
    with outside_tenant(), tenant_context(stranger.tenant_id):
        theirs = PatientFactory(by=stranger, first_name="Zoe")
    browser = page_client(stranger)
    look_at(browser, theirs)

    words = text_of(browser.get("/"))

    assert "DE LA HOZ, Zoe" in words
    assert "Ana" not in words
    assert "Patients 1" in words


def test_today_is_for_people_who_are_signed_in(client):
    answer = client.get("/")

    assert (answer.status_code, answer.url) == (302, "/sign-in/?next=/")


def test_today_is_read_only(nurse, page_client):
    assert page_client(nurse).post("/").status_code == 405


def test_today_takes_the_same_statements_for_one_and_three(nurse, page_client):
    browser = page_client(nurse)

    def queries():
        browser.get("/")
        with CaptureQueriesContext(connection) as captured:
            browser.get("/")
        return len(captured)

    look_at(browser, PatientFactory(by=nurse, first_name="Ana"))
    one = queries()
    look_at(browser, PatientFactory(by=nurse, first_name="Bruno"), PatientFactory(by=nurse, first_name="Camila"))

    assert queries() == one
    assert one <= 14
