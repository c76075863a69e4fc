"""Nothing typed is lost: kept while typing, kept when it is sent too late, there again after signing in."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.drafts.models import Draft
from accounts.drafts.restoring import page_of
from accounts.users.models import Session
from accounts.users.tests.factories import PASSWORD
from accounts.users.tests.fixtures import PageClient
from clinic.patients.models import Patient
from clinic.patients.services import update_patient
from clinic.patients.tests.factories import PatientFactory
from tenancy.tenants.models import Tenant

NEW = "/patients/new/"
FORMSET = {"numbers-TOTAL_FORMS": "0", "numbers-INITIAL_FORMS": "0", "numbers-known": "[]"}


@pytest.fixture
def patient(nurse):
    return PatientFactory(by=nurse, first_name="Elena", first_last_name="Restrepo")


def edit(patient):
    return f"/patients/{patient.pk}/edit/"


def typed(patient, **fields):
    """What the form of this patient sends, as it was opened, with some fields changed."""
    given = {"first_name": patient.first_name, "first_last_name": patient.first_last_name, "gender": patient.gender_id,
             "version": patient.version, "allergy_status": patient.allergy_status, "draft": edit(patient)}  # fmt: skip
    return given | FORMSET | fields


def fall_asleep(member, minutes=16):
    Session.objects.filter(membership=member).update(last_seen_at=timezone.now() - timedelta(minutes=minutes))


def value_of(page, name):
    """The value an input of this page shows."""
    return page.context["form"][name].value()


# --- While typing ----------------------------------------------------------------------------------------------------


def test_save_draft_answers_with_the_clinics_time(clinic, nurse, page_client):
    answer = page_client(nurse).post("/drafts/", {"draft": NEW, "city": "Cali"})

    local = Draft.objects.get(membership=nurse).updated_at.astimezone(clinic.zone)
    assert (answer.status_code, answer.json()) == (200, {"sentence": f"Draft saved {local:%H:%M}"})


def test_a_draft_stands_in_the_form_when_the_page_is_opened_again(clinic, receptionist, page_client):
    browser = page_client(receptionist)
    browser.post(
        "/drafts/", {"draft": NEW, **FORMSET, "city": "Cali", "birth_date_day": "14", "gender": "", "phone": "3"}
    )

    page = browser.get(NEW)

    assert value_of(page, "city") == "Cali"
    assert 'name="birth_date_day" value="14"' in page.text
    assert "Discard the draft" in page.text
    assert "field-error" not in page.text
    assert "Discard the draft" not in browser.get("/patients/").text


def test_discard_draft_shows_the_page_as_it_is(clinic, receptionist, page_client):
    browser = page_client(receptionist)
    browser.post("/drafts/", {"draft": NEW, "city": "Cali"})

    answer = browser.post("/drafts/discard/", {"draft": NEW})

    assert (answer.status_code, answer["Location"]) == (302, NEW)
    assert "Cali" not in browser.get(NEW).text


def test_a_draft_is_gone_when_its_form_was_saved(clinic, nurse, patient, page_client):
    browser = page_client(nurse)
    browser.post("/drafts/", typed(patient, city="Cali"))

    refused = browser.post(edit(patient), typed(patient, first_name=""))
    kept = Draft.objects.count()
    saved = browser.post(edit(patient), typed(patient, city="Cali"))

    assert (refused.status_code, kept) == (422, 1)
    assert (saved.status_code, Draft.objects.count()) == (302, 0)


def test_another_person_sees_nothing_of_a_draft(clinic, nurse, doctor, patient, page_client):
    page_client(nurse).post("/drafts/", typed(patient, city="Tumaco"))

    page = page_client(doctor).get(edit(patient))

    assert "Tumaco" not in page.text
    assert "Discard the draft" not in page.text


def test_a_draft_carries_its_version_so_a_stale_save_is_still_found(clinic, nurse, doctor, patient, page_client):
    browser = page_client(nurse)
    browser.post("/drafts/", typed(patient, city="Pasto"))
    update_patient(patient, by=doctor, changes={"city": "Cali"})

    page = browser.get(edit(patient))
    answer = browser.post(edit(patient), typed(patient, city="Pasto", version=value_of(page, "version")))

    assert answer.status_code == 422
    assert "Somebody saved this before you." in answer.text
    assert Patient.objects.get(pk=patient.pk).city == "Cali"


@pytest.mark.parametrize(
    "key",
    ["", "//evil.example/", "https://evil.example/", "/nowhere/", "/\\evil", "patients/new/", "/a" * 200, "/api/x"],
)
def test_only_pages_of_ours_have_drafts(clinic, nurse, page_client, key):
    assert page_of(key) == ""
    assert page_client(nurse).post("/drafts/", {"draft": key, "city": "Cali"}).status_code == 400
    assert page_client(nurse).post("/drafts/discard/", {"draft": key}).status_code == 404


def test_a_stranger_keeps_nothing(db, client):
    assert client.post("/drafts/", {"draft": NEW, "city": "Cali"}).status_code == 401
    assert client.post("/drafts/discard/", {"draft": NEW}).status_code == 404


def test_a_draft_that_is_too_long_is_refused_with_a_sentence(clinic, nurse, page_client):
    answer = page_client(nurse).post("/drafts/", {"draft": NEW, "note": "x" * 200_001})

    assert (answer.status_code, answer.json()) == (413, {"detail": "This is too much text to be kept as a draft."})


def test_a_draft_needs_the_csrf_token(clinic, nurse, page_client):
    browser = page_client(nurse, enforce_csrf_checks=True)

    assert browser.post("/drafts/", {"draft": NEW, "city": "Cali"}).status_code == 403
    assert not Draft.objects.exists()


# --- Sent too late, without script -----------------------------------------------------------------------------------


def sign_in(browser, member, **more):
    return browser.post("/sign-in/", {"username": member.user.email, "password": PASSWORD, **more})


def test_a_form_sent_after_the_lock_is_kept_and_stands_there_again(clinic, nurse, patient, page_client):
    browser = page_client(nurse)
    fall_asleep(nurse)

    late = browser.post(edit(patient), typed(patient, city="Tumaco"))

    assert (late.status_code, late["Location"]) == (302, f"/sign-in/?locked=&next={edit(patient).replace('/', '%2F')}")
    assert Patient.objects.get(pk=patient.pk).city == ""
    assert "Tumaco" not in browser.get(late["Location"]).text
    there = sign_in(browser, nurse, next=edit(patient))
    page = browser.get(there["Location"])
    assert value_of(page, "city") == "Tumaco"
    assert "Discard the draft" in page.text


def test_a_form_sent_after_the_absolute_end_is_kept_too(clinic, nurse, patient, page_client):
    browser = page_client(nurse)
    Session.objects.filter(membership=nurse).update(expires_at=timezone.now() - timedelta(seconds=1))

    browser.post(edit(patient), typed(patient, city="Tumaco"))

    assert Draft.objects.get(membership=nurse).values["city"] == ["Tumaco"]


def test_a_form_sent_after_the_lock_shows_nothing_to_the_next_person(clinic, nurse, doctor, patient, page_client):
    browser = page_client(nurse)
    fall_asleep(nurse)
    browser.post(edit(patient), typed(patient, city="Tumaco"))

    sign_in(browser, doctor, next=edit(patient))

    assert "Tumaco" not in browser.get(edit(patient)).text


def end_session(member):
    Session.objects.filter(membership=member).update(revoked_at=timezone.now())


def deactivate_member(member):
    type(member).objects.filter(pk=member.pk).update(is_active=False)


def change_password(member):
    member.user.set_password("another fine password")
    member.user.save()


def close_clinic(member):
    Tenant.objects.filter(pk=member.tenant_id).update(is_active=False)


@pytest.mark.parametrize("end", [end_session, deactivate_member, change_password, close_clinic])
def test_a_session_that_was_ended_keeps_no_words(clinic, nurse, patient, page_client, end):
    browser = page_client(nurse)
    end(nurse)

    answer = browser.post(edit(patient), typed(patient, city="Tumaco"))

    assert answer["Location"].startswith("/sign-in/")
    assert browser.post("/drafts/", typed(patient)).status_code == 401
    assert not Draft.objects.exists()


def test_an_asleep_session_keeps_words_and_opens_nothing(clinic, nurse, patient, page_client):
    browser = page_client(nurse)
    fall_asleep(nurse)

    assert browser.post("/drafts/", typed(patient, city="Tumaco")).status_code == 200
    assert browser.post("/drafts/discard/", {"draft": edit(patient)}).status_code == 404
    assert browser.get(edit(patient)).status_code == 302
    assert browser.post(f"/patients/{patient.pk}/archive/", {"reason": "x", "version": 1}).status_code == 302
    assert Draft.objects.count() == 1
    assert browser.post("/keep-alive/").status_code == 401


def test_a_forged_form_after_the_lock_becomes_no_draft(clinic, nurse, patient, page_client):
    browser = page_client(nurse, enforce_csrf_checks=True)
    fall_asleep(nurse)

    assert browser.post(edit(patient), typed(patient, city="Tumaco")).status_code == 403
    assert not Draft.objects.exists()


def test_a_late_form_never_leads_elsewhere(clinic, nurse, patient, page_client):
    browser = page_client(nurse)
    fall_asleep(nurse)

    answer = browser.post(edit(patient), typed(patient, draft="//evil.example/"))

    assert "evil" not in answer["Location"]
    assert not Draft.objects.exists()


def test_a_form_of_nobody_goes_to_the_sign_in_page(clinic, patient):
    assert PageClient().post(edit(patient), typed(patient))["Location"].startswith("/sign-in/?next=")
    assert not Draft.objects.exists()


def test_a_form_opened_before_the_last_sign_in_keeps_its_words(clinic, nurse, patient, page_client):
    browser = page_client(nurse, enforce_csrf_checks=True)

    answer = browser.post(edit(patient), typed(patient, city="Tumaco"), headers={"Sec-Fetch-Site": "same-origin"})

    assert (answer.status_code, answer["Location"]) == (302, edit(patient))
    assert Patient.objects.get(pk=patient.pk).city == ""
    assert value_of(browser.get(edit(patient)), "city") == "Tumaco"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_a_forged_form_becomes_no_draft(clinic, nurse, patient, page_client, site):
    browser = page_client(nurse, enforce_csrf_checks=True)

    answer = browser.post(edit(patient), typed(patient, city="Tumaco"), headers={"Sec-Fetch-Site": site})

    assert answer.status_code == 403
    assert not Draft.objects.exists()


def test_a_refused_permission_is_no_stale_form(clinic, patient, auditor, page_client):
    answer = page_client(auditor).post(edit(patient), typed(patient), headers={"Sec-Fetch-Site": "same-origin"})

    assert answer.status_code == 403
    assert not Draft.objects.exists()
