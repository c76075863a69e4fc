"""A restricted chart: found and not opened, opened in an emergency, ended, reviewed; axe on each page."""

import re
from datetime import date

import pytest
from playwright.sync_api import expect

from accounts.users.tests.factories import MembershipFactory
from clinic.patients import restricting
from clinic.patients.tests.factories import PatientFactory

from .conftest import troubles_of

REASON = "Unconscious on arrival, allergies needed"


@pytest.fixture
def people(site):
    """A nurse who is on no list, and a reviewer, each new to this test."""

    def hire():
        return {
            "night_nurse": MembershipFactory(role="nurse", user__name="Noa Night"),
            "reviewer": MembershipFactory(role="quality_manager", user__name="Quirin Quality"),
        }

    site.members.update(site.work(hire))


def test_break_glass_from_the_list_to_the_review(site, opens, people):
    patient = site.patient(
        first_name="Valentina", first_last_name="Restricto", birth_date=date(1971, 7, 23), allergies="Latex"
    )
    doctor = opens("doctor")
    doctor.goto(f"/patients/{patient.pk}/")
    doctor.get_by_role("button", name="Restrict this chart").click()
    dialog = doctor.get_by_role("dialog")
    assert troubles_of(doctor) == []
    dialog.get_by_label("Reason").fill("Works in this clinic")
    dialog.get_by_role("button", name="Restrict").click()
    expect(doctor.get_by_role("main")).to_contain_text("This chart is restricted.")
    assert troubles_of(doctor) == []
    doctor.get_by_role("link", name="Change who may open it").click()
    expect(doctor.get_by_role("heading", name="Who may open it", level=1)).to_be_visible()
    assert troubles_of(doctor) == []

    nurse = opens("night_nurse")
    nurse.goto("/patients/?q=restricto")
    expect(nurse.get_by_role("heading", level=1)).to_contain_text("RESTRICTO, Valentina")
    assert troubles_of(nurse) == []
    nurse.goto("/patients/?sort=name")
    row = nurse.get_by_role("row").filter(has_text="RESTRICTO")
    expect(row).to_contain_text("Restricted")
    expect(row).not_to_contain_text("1971")
    assert troubles_of(nurse) == []
    row.get_by_role("link").click()
    nurse.get_by_role("button", name="Open in an emergency").click()
    expect(nurse.get_by_role("alert")).to_be_visible()
    assert troubles_of(nurse) == []
    nurse.get_by_label("Emergency treatment").check()
    nurse.get_by_role("textbox", name="Reason").fill(REASON)
    nurse.get_by_role("button", name="Open in an emergency").click()
    expect(nurse).to_have_url(f"{site.url}/patients/{patient.pk}/")
    line = nurse.get_by_role("region", name="Emergency access")
    expect(line).to_contain_text(REASON)
    expect(nurse.get_by_label("Patient RESTRICTO, Valentina")).to_contain_text("Latex")
    assert troubles_of(nurse) == []
    line.get_by_role("button", name="End now").click()
    expect(nurse.get_by_role("main")).to_contain_text("The emergency access has ended.")

    reviewer = opens("reviewer")
    reviewer.goto("/")
    reviewer.get_by_role("link", name=re.compile("Emergency access")).first.click()
    expect(reviewer.get_by_role("table")).to_contain_text("Noa Night")
    assert troubles_of(reviewer) == []
    reviewer.get_by_role("table").get_by_role("link").first.click()
    expect(reviewer.get_by_role("main")).to_contain_text("Opened the chart in an emergency")
    assert troubles_of(reviewer) == []
    reviewer.get_by_label("Justified", exact=True).check()
    reviewer.get_by_role("button", name="Save the review").click()
    expect(reviewer.get_by_role("main")).to_contain_text("Nothing waits for a review")
    assert troubles_of(reviewer) == []


def test_no_form_for_who_may_not_break_the_glass(site, opens):
    def restrict():
        site.members["desk"] = MembershipFactory(role="staff", user__name="Rosa Reception")
        patient = PatientFactory(by=site.members["doctor"], first_name="Wanda", first_last_name="Wenig")
        return restricting.restrict_chart(patient, by=site.members["doctor"], reason="Works here")

    patient = site.work(restrict)
    page = opens("desk")
    page.goto(f"/patients/{patient.pk}/")

    expect(page.get_by_role("main")).to_contain_text("Only the people who treat this patient open it.")
    expect(page.get_by_role("button", name="Open in an emergency")).to_have_count(0)
    assert troubles_of(page) == []
