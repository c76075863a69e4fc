"""Restricted charts: who opens them, what the others see of them, and that nothing else gets out (decision 9)."""

import json
import re
from datetime import date, timedelta

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.urls import reverse
from django.utils import timezone

from accounts.notifications.models import Notification
from accounts.users.models import Membership, User
from accounts.users.tests.factories import MembershipFactory
from clinic.patients import custom_fields, emergencies, masking, restricting, selectors, services
from clinic.patients.models import ChartAccess, DocumentType, EmergencyAccess, Insurer, Patient
from tenancy.audit.models import AuditRead
from tenancy.audit.tests.trails import actions_about, entries_about
from tenancy.rules import NotAllowed, RuleBroken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import CITIZENSHIP_CARD, PatientFactory
from .trails import reads_of

REASON = "Unconscious on arrival, allergies needed"
WHY_RESTRICTED = "Works in this clinic canaryreason"
SECRETS = {
    "birth_date": date(1971, 7, 23),
    "document_number": "90817263",
    "cell_phone": "3009998877",
    "phone": "6015554433",
    "email": "canary.mail@example.org",
    "address": "Canary Street 7",
    "city": "Canaryville",
    "allergies": "Canarycillin",
    "alerts": "Canary alert",
    "medical_history": "Canary history",
    "previous_names": "Canarywright",
}
CANARIES = [
    *["1971-07-23", "23 Jul 1971", "90817263", "90.817.263", "90,817,263", "3009998877", "6015554433", "canary"],
    *["Canary", "SN-555"],
]


@pytest.fixture
def patient(doctor):
    """Somebody restricted by the doctor, who is the only one on the list."""
    custom_fields.define_custom_field(by=doctor, key="ward", label="Ward", type="text", is_filterable=True)
    made = PatientFactory(
        by=doctor,
        document_type=DocumentType.objects.get(pk=CITIZENSHIP_CARD),
        insurer=Insurer.objects.first(),
        custom_fields={"ward": "canaryward"},
        identifiers=[{"kind": "SN", "system": "Insurer", "value": "SN-555"}],
        **SECRETS,
    )
    return restricting.restrict_chart(made, by=doctor, reason=WHY_RESTRICTED)


@pytest.fixture
def reviewer(clinic):
    return MembershipFactory(role="quality_manager", user__name="Quirin Quality")


@pytest.fixture
def colleague(clinic):
    """Another doctor, not on the list."""
    return MembershipFactory(role="doctor", user__name="Dora Doctor")


@pytest.fixture
def own(patient):
    """The patient, with an account of their own."""
    member = MembershipFactory(role="patient", user__name="Aurelia Own")
    Patient.objects.filter(pk=patient.pk).update(user=member.user)
    return member


def pages_of(patient):
    """Every page of this chart, found in the URLs themselves: (name, address, method)."""
    from clinic.patients.urls import urlpatterns

    for pattern in urlpatterns:
        route = str(pattern.pattern)
        if "patient_id" in route and "member_id" not in route:
            yield pattern.name, reverse(f"patients:{pattern.name}", args=[patient.pk])


def api_of(patient):
    root = f"/api/patients/{patient.pk}"
    return {
        "retrieve": ("GET", root),
        "partial_update": ("PATCH", root),
        "archive": ("POST", f"{root}/archive"),
        "restore": ("POST", f"{root}/restore"),
        "demographics": ("GET", f"{root}/demographics"),
        "put_demographics": ("PUT", f"{root}/demographics"),
        "looks": ("GET", f"{root}/looks"),
    }


def leaks(response, canaries=CANARIES):
    body = b"".join(response.streaming_content) if response.streaming else response.content
    text = body.decode() + json.dumps(dict(response.headers))
    return [word for word in canaries if word in text]


OUTSIDERS = ["nurse", "colleague", "admin", "receptionist"]


@pytest.fixture
def outsider(request, nurse, colleague, admin, receptionist):
    return {"nurse": nurse, "colleague": colleague, "admin": admin, "receptionist": receptionist}[request.param]


# --- What comes out of the database ----------------------------------------------------------------------------------


def test_masking_keeps_no_field_but_the_named_ones(patient, nurse):
    row = Patient.objects.visible_to(nurse).get(pk=patient.pk)

    assert row.is_masked
    blank = Patient(gender_id=4)
    for field in Patient._meta.concrete_fields:
        if field.name not in masking.SHOWN | {"updated_at"}:
            assert getattr(row, field.attname) == getattr(blank, field.attname), field.name
    assert (row.name, row.number, row.gender.word) == (patient.name, patient.number, "unknown")


def test_masking_holds_for_rows_that_load_few_columns(patient, nurse):
    row = Patient.objects.visible_to(nurse).only("first_name").get(pk=patient.pk)

    assert (row.birth_date, row.allergies, row.gender.word) == (None, "", "unknown")


@pytest.mark.parametrize("name", sorted(masking.SHOWN))
def test_masking_shows_fields_that_exist(name):
    try:
        Patient._meta.get_field(name)
    except FieldDoesNotExist:
        pytest.fail(name)


def test_visible_to_masks_nothing_that_is_not_restricted(nurse):
    row = Patient.objects.visible_to(nurse).get(pk=PatientFactory(by=nurse, **SECRETS | {"document_number": ""}).pk)

    assert not row.is_masked
    assert row.birth_date == SECRETS["birth_date"]


# --- The matrix: every door, everybody -------------------------------------------------------------------------------


@pytest.mark.parametrize("outsider", OUTSIDERS, indirect=True)
def test_no_page_of_a_restricted_chart_says_more_than_name_and_number(patient, outsider, page_client):
    browser = page_client(outsider)
    for name, address in pages_of(patient):
        for method in ("get", "post"):
            response = getattr(browser, method)(address, {"reason": "x", "kind": "research", "granted": "yes"})

            assert leaks(response) == [], (name, method)
            if name != "break_glass":
                assert response.status_code in {302, 403, 405}, (name, method, response.status_code)
    patient.refresh_from_db()
    assert (patient.is_archived, patient.is_restricted, patient.consents.count()) == (False, True, 0)


@pytest.mark.parametrize("outsider", OUTSIDERS, indirect=True)
def test_no_route_of_a_restricted_chart_answers(patient, outsider, api_client):
    program = api_client(outsider)
    for name, (method, address) in api_of(patient).items():
        response = program.generic(method, address, b'{"reason": "x", "phone": "1"}', content_type="application/json")

        assert response.status_code == 403, name
        assert response.json()["code"] in {"chart_restricted", "permission_denied"}
        assert leaks(response) == []


def test_api_says_how_to_go_on(patient, nurse, receptionist, api_client):
    address = f"/api/patients/{patient.pk}"
    for member, words in ((nurse, "break-glass"), (receptionist, "people who treat")):
        answer = api_client(member).get(address)

        assert (answer.status_code, answer.json()["code"]) == (403, "chart_restricted")
        assert words in answer.json()["detail"]


def test_matrix_covers_every_action_of_the_viewset(patient):
    from clinic.patients.api import PatientViewSet

    assert set(api_of(patient)) == set(PatientViewSet.requires) - {"list", "create", "repositories", "break_glass"}


def test_who_is_on_the_list_works_as_usual(patient, doctor, page_client, api_client):
    assert "Canarycillin" in page_client(doctor).get(f"/patients/{patient.pk}/").text
    assert api_client(doctor).get(f"/api/patients/{patient.pk}").json()["dateOfBirth"] == "1971-07-23"
    answer = api_client(doctor).patch(f"/api/patients/{patient.pk}", {"phone": "123"}, format="json")
    assert answer.status_code == 200


def test_the_patient_opens_their_own_restricted_chart(own, patient, page_client, api_client):
    assert "Canarycillin" in page_client(own).get(f"/patients/{patient.pk}/").text
    assert api_client(own).get(f"/api/patients/{patient.pk}").json()["dateOfBirth"] == "1971-07-23"


def test_a_member_of_staff_who_is_the_patient_opens_it(patient, nurse, page_client):
    Patient.objects.filter(pk=patient.pk).update(user=nurse.user)

    assert page_client(nurse).get(f"/patients/{patient.pk}/").status_code == 200


def test_another_clinic_finds_nothing(patient, stranger, page_client, api_client):
    assert page_client(stranger).get(f"/patients/{patient.pk}/").status_code == 404
    assert page_client(stranger).get(f"/patients/{patient.pk}/break-glass/").status_code == 404
    answer = api_client(stranger).post(
        f"/api/patients/{patient.pk}/break-glass", {"reason_code": "emergency", "reason": REASON}, format="json"
    )
    assert answer.status_code == 404


def test_other_patients_do_not_find_it(patient, patient_user, page_client):
    assert page_client(patient_user).get(f"/patients/{patient.pk}/").status_code == 404


def test_admin_site_shows_a_masked_row_and_no_chart(settings, patient, admin, page_client):
    settings.DEMO = True
    browser = page_client(admin)
    assert leaks(browser.get("/admin/patients/patient/")) == []
    assert leaks(browser.get("/admin/patients/patient/?q=Aurelia")) == []
    change = browser.get(f"/admin/patients/patient/{patient.pk}/change/")
    assert change.status_code == 302
    assert "/break-glass/" in change["Location"]
    history = browser.get(f"/admin/patients/patient/{patient.pk}/history/")
    assert leaks(history) == []
    assert reads_of(patient) == []


@pytest.mark.parametrize("column", [3, 4, 5])
def test_admin_site_sorts_by_nothing_masked(settings, patient, admin, page_client, column):
    settings.DEMO = True
    listed = page_client(admin).get(f"/admin/patients/patient/?o={column}")

    assert f"?o={column}" not in listed.text
    ordered = listed.context["cl"].queryset.query.order_by if listed.status_code == 200 else ()
    assert not {"birth_date", "gender", "document_number", "-birth_date"} & set(ordered)


# --- Lists and searches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outsider", OUTSIDERS, indirect=True)
def test_lists_show_a_restricted_chart_as_name_number_and_word(patient, outsider, page_client, api_client):
    listed = page_client(outsider).get("/patients/")

    assert "DE LA HOZ, Aurelia" in listed.text
    assert "Restricted" in listed.text
    assert leaks(listed) == []
    for address in ("/api/patients", "/api/patients/repositories"):
        answer = api_client(outsider).get(address)
        assert answer.json()["total"] == 1
        assert answer.json()["patients"][0]["restricted"] is True
        assert leaks(answer) == []
    assert reads_of(patient) == []  # nothing was seen, so nobody looked


SEARCHES = ["1971-07-23", "23.7.1971", "3009998877", "8877", "90817263", "9081", "canary.mail@example.org", "SN-555"]


@pytest.mark.parametrize("words", [*SEARCHES, "Aurelia 1971-07-23", "Aurelia 8877", "Canarywright"])
def test_no_search_confirms_what_is_masked(patient, nurse, doctor, words):
    for member in (nurse, doctor):
        assert not selectors.list_patients(by=member, search=words).exists(), words


@pytest.mark.parametrize("words", [*SEARCHES, "Aurelia 1971-07-23", "Aurelia 8877", "Canarywright"])
def test_the_same_searches_find_it_when_it_is_not_restricted(patient, doctor, nurse, words):
    restricting.lift_restriction(patient, by=doctor, reason="Not needed any more")

    assert selectors.list_patients(by=nurse, search=words).exists()


def test_search_finds_name_and_number(patient, nurse):
    for words in ("Aurelia", "hoz aurelia", str(patient.number)):
        assert [row.is_masked for row in selectors.list_patients(by=nurse, search=words)] == [True]


def test_filter_by_custom_field_does_not_find_it(patient, nurse, doctor):
    assert not selectors.list_patients(by=nurse, custom={"ward": "canaryward"}).exists()
    services.update_patient(patient, by=doctor, changes={"custom_fields": {"ward": "canarytwo"}, "phone": "77"})
    assert not selectors.list_patients(by=nurse, custom={"ward": "canarytwo"}).exists()
    assert not selectors.list_patients(by=nurse, search="canary").exists()
    restricting.lift_restriction(patient, by=doctor, reason="Over")
    assert selectors.list_patients(by=nurse, custom={"ward": "canarytwo"}).exists()


def test_list_by_birth_date_leaves_restricted_charts_out(patient, nurse, page_client):
    PatientFactory(by=nurse, first_name="Ana", first_last_name="Zapata", birth_date=date(1971, 7, 22))
    by_name, by_birth = (page_client(nurse).get(f"/patients/?sort={word}") for word in ("name", "born"))

    assert "Aurelia" in by_name.text
    assert "Ana" in by_birth.text
    assert "Aurelia" not in by_birth.text


@pytest.mark.parametrize("known", ["birth_date", "document", "email", "cell_phone"])
def test_registering_somebody_confirms_nothing_masked(patient, nurse, known):
    data = {"first_name": "Aurelio", "first_last_name": "de la Hoza", "gender": patient.gender}
    if known == "document":
        data |= {"document_type": patient.document_type, "document_number": SECRETS["document_number"]}
    else:
        data[known] = SECRETS[known]
    candidate = services.build_patient(data)

    assert selectors.find_possible_duplicates(candidate, by=nurse) == []
    Patient.objects.filter(pk=patient.pk).update(restricted_at=None)
    if known in {"birth_date", "document"}:  # the words of the other two are gone
        assert selectors.find_possible_duplicates(candidate, by=nurse) != []


def test_same_name_is_said_without_more(patient, nurse, page_client):
    form = {"first_name": "Aurelia", "first_last_name": "de la Hoz", "gender": "2", "allergy_status": "not_asked"}
    form |= {"numbers-TOTAL_FORMS": "0", "numbers-INITIAL_FORMS": "0"}
    answer = page_client(nurse).post("/patients/new/", form)

    assert "Is it one of these?" in answer.text
    assert leaks(answer) == []


def test_recent_charts_are_masked_once_they_are_restricted(nurse, doctor, patient, page_client):
    restricting.lift_restriction(patient, by=doctor, reason="Begin again")
    page_client(nurse).get(f"/patients/{patient.pk}/")
    restricting.restrict_chart(patient, by=doctor, reason="Again")

    today = page_client(nurse).get("/")

    assert "DE LA HOZ, Aurelia" in today.text
    assert leaks(today) == []


# --- The trail -------------------------------------------------------------------------------------------------------


def test_the_trail_withholds_what_a_restricted_chart_holds(patient, admin, auditor, doctor, api_client):
    entries_about(patient)
    for member in (admin, auditor):
        for address in ("/api/audit", "/api/audit/export"):
            assert leaks(api_client(member).get(address)) == [], address
    actions = {row["action"] for row in api_client(auditor).get("/api/audit").json()["items"]}
    assert {"patient_created", "chart_restricted"} <= actions


def test_the_trail_says_all_again_when_the_restriction_is_lifted(patient, auditor, doctor, api_client):
    restricting.lift_restriction(patient, by=doctor, reason="Over")
    entries_about(patient)

    assert leaks(api_client(auditor).get("/api/audit")) != []


# --- Restricting and the list ----------------------------------------------------------------------------------------


def test_restrict_and_lift_by_the_pages(nurse, doctor, page_client):
    patient = PatientFactory(by=nurse)
    browser = page_client(doctor)

    assert browser.post(f"/patients/{patient.pk}/restrict/", {"reason": " "}).status_code == 302
    patient.refresh_from_db()
    assert not patient.is_restricted
    browser.post(f"/patients/{patient.pk}/restrict/", {"reason": "A colleague's chart"})
    patient.refresh_from_db()
    assert patient.is_restricted
    chart = browser.get(f"/patients/{patient.pk}/")
    assert "A colleague" in chart.text
    browser.post(f"/patients/{patient.pk}/lift-restriction/", {"reason": "No longer"})
    patient.refresh_from_db()
    assert not patient.is_restricted
    assert actions_about(patient)[-2:] == ["chart_restricted", "chart_restriction_lifted"]
    assert not ChartAccess.objects.filter(patient=patient, ended_at=None).exists()


def test_a_nurse_may_not_restrict(nurse, page_client):
    patient = PatientFactory(by=nurse)

    assert page_client(nurse).post(f"/patients/{patient.pk}/restrict/", {"reason": "x"}).status_code == 403


def test_list_of_a_chart_is_kept_by_those_on_it(patient, doctor, nurse, colleague, page_client):
    browser, address = page_client(doctor), f"/patients/{patient.pk}/allowed/"
    assert browser.post(address, {"member": str(nurse.pk)}).status_code == 302
    assert page_client(nurse).get(f"/patients/{patient.pk}/").status_code == 200
    assert browser.post(f"{address}{nurse.pk}/end/").status_code == 302
    assert page_client(nurse).get(f"/patients/{patient.pk}/").status_code == 302
    assert actions_about(patient)[-2:] == ["chart_access_given", "chart_access_ended"]


def test_somebody_stays_on_the_list(patient, doctor, nurse):
    with pytest.raises(RuleBroken, match="stay on the list"):
        restricting.disallow_member(patient, member=doctor, by=doctor)


def test_nobody_is_listed_who_may_not_see_patients(patient, doctor, auditor, stranger, page_client):
    with pytest.raises(RuleBroken, match="may not open charts"):
        restricting.allow_member(patient, member=auditor, by=doctor)
    answer = page_client(doctor).post(f"/patients/{patient.pk}/allowed/", {"member": str(stranger.pk)})
    assert answer.status_code == 422


def test_emergency_access_decides_nothing_about_the_list(patient, colleague, nurse):
    emergencies.break_glass(patient, by=colleague, reason_code="emergency", reason=REASON)

    with pytest.raises(RuleBroken, match="Only people on the list"):
        restricting.lift_restriction(patient, by=colleague, reason="I want to")
    with pytest.raises(RuleBroken, match="Only people on the list"):
        restricting.allow_member(patient, member=colleague, by=colleague)


def test_a_list_without_anybody_left_can_be_taken_over(patient, doctor, admin, reviewer, page_client):
    address = f"/patients/{patient.pk}/take-over/"
    page_client(admin).post(address, {"reason": "Too early"})
    assert not selectors.is_listed(patient, member=admin)
    Membership.objects.filter(pk=doctor.pk).update(is_active=False)

    assert "works here any more" in page_client(admin).get(f"/patients/{patient.pk}/break-glass/").text
    page_client(admin).post(address, {"reason": "The doctor has left"})

    assert page_client(admin).get(f"/patients/{patient.pk}/").status_code == 200
    assert actions_about(patient)[-1] == "chart_list_taken_over"
    assert Notification.objects.filter(recipient=reviewer, kind="restricted_chart_taken_over").exists()


# --- Breaking the glass ----------------------------------------------------------------------------------------------


def test_break_glass_by_the_page(patient, nurse, page_client):
    browser = page_client(nurse)
    asked = browser.get(f"/patients/{patient.pk}/history/")
    form = browser.get(asked["Location"])
    assert leaks(form) == []
    assert 'name="reason_code"' in form.text

    short = browser.post(f"/patients/{patient.pk}/break-glass/", {"reason_code": "emergency", "reason": "short"})
    assert short.status_code == 422
    history = f"/patients/{patient.pk}/history/"
    sent = {"reason_code": "emergency", "reason": REASON, "next": history}
    opened = browser.post(f"/patients/{patient.pk}/break-glass/", sent)
    assert opened["Location"] == history

    chart = browser.get(f"/patients/{patient.pk}/")
    assert "Canarycillin" in chart.text
    assert "Emergency access until" in chart.text
    assert REASON in chart.text
    browser.get(history)
    assert reads_of(patient) == ["break_glass", "break_glass_history"]
    assert AuditRead.objects.filter(object_id=str(patient.pk)).first().reason == REASON
    assert "chart_opened_by_break_glass" in actions_about(patient)


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/admin/", "/patients/x\\y", "javascript:1"]
)
def test_break_glass_leads_only_to_the_chart(patient, nurse, page_client, wanted):
    sent = {"reason_code": "emergency", "reason": REASON, "next": wanted}
    answer = page_client(nurse).post(f"/patients/{patient.pk}/break-glass/", sent)

    assert answer["Location"] == f"/patients/{patient.pk}/"


@pytest.mark.parametrize("outsider", ["admin", "receptionist"], indirect=True)
def test_without_the_right_there_is_no_form_and_no_way(patient, outsider, page_client, api_client):
    address = f"/patients/{patient.pk}/break-glass/"
    page = page_client(outsider).get(address)
    assert (page.status_code, 'name="reason_code"' in page.text) == (403, False)
    sent = {"reason_code": "emergency", "reason": REASON}
    assert page_client(outsider).post(address, sent).status_code == 403
    assert api_client(outsider).post(f"/api/patients/{patient.pk}/break-glass", sent, format="json").status_code == 403
    with pytest.raises(NotAllowed):
        emergencies.break_glass(patient, by=outsider, **sent)
    assert not EmergencyAccess.objects.exists()


def test_break_glass_over_the_api(patient, nurse, api_client):
    program, root = api_client(nurse), f"/api/patients/{patient.pk}"
    sent = {"reason_code": "covering", "reason": REASON}
    made = program.post(f"{root}/break-glass", sent, format="json")

    assert made.status_code == 201
    assert made.json()["reason_code"] == "covering"
    again = program.post(f"{root}/break-glass", sent, format="json")
    assert (again.status_code, again.json()["expires_at"]) == (200, made.json()["expires_at"])
    assert program.get(root).json()["dateOfBirth"] == "1971-07-23"
    assert program.get("/api/patients/repositories").json()["patients"][0]["demographics"]["date_of_birth"]
    assert reads_of(patient) == ["break_glass_api", "break_glass_api"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason_code": "emergency"},
        {"reason_code": "nosy", "reason": REASON},
        {"reason_code": "emergency", "reason": "too short"},
        {"reason_code": "emergency", "reason": "a" + " " * 30 + "b"},
        {"reason_code": "emergency", "reason": "x" * 501},
        {"reason_code": "emergency", "reason": REASON, "minutes": 600},
        {"reason_code": ["emergency"], "reason": {"a": 1}},
    ],
)
def test_break_glass_refuses_bad_bodies(patient, nurse, api_client, body):
    answer = api_client(nurse).post(f"/api/patients/{patient.pk}/break-glass", body, format="json")

    assert answer.status_code == 400
    assert not EmergencyAccess.objects.exists()


def test_break_glass_for_a_chart_that_needs_none(nurse, doctor, patient, api_client):
    sent = {"reason_code": "emergency", "reason": REASON}
    other = PatientFactory(by=nurse)
    assert api_client(nurse).post(f"/api/patients/{other.pk}/break-glass", sent, format="json").status_code == 409
    assert api_client(doctor).post(f"/api/patients/{patient.pk}/break-glass", sent, format="json").status_code == 409


def test_emergency_access_ends_by_the_clock_and_asks_again(patient, nurse, page_client, api_client, monkeypatch):
    access = emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason=REASON)
    browser, program = page_client(nurse), api_client(nurse)
    assert browser.get(f"/patients/{patient.pk}/").status_code == 200
    now = timezone.now

    for minutes, status in ((59, 200), (61, 302)):
        # Only the room of patients sees the other clock: the sign-in would be idle for too long.
        monkeypatch.setattr("clinic.patients.models.timezone.now", lambda m=minutes: now() + timedelta(minutes=m))
        opened = EmergencyAccess.objects.live(timezone.now()).filter(pk=access.pk).exists()
        monkeypatch.undo()
        assert opened is (status == 200)

    _backdate(access, minutes=61)
    assert browser.get(f"/patients/{patient.pk}/").status_code == 302
    assert browser.post(f"/patients/{patient.pk}/edit/", {"first_name": "X"}).status_code == 302
    assert program.get(f"/api/patients/{patient.pk}").status_code == 403
    assert leaks(program.get("/api/patients")) == []
    again = emergencies.break_glass(patient, by=nurse, reason_code="other", reason="Still here after an hour")
    assert again.pk != access.pk


def _backdate(access, *, minutes=0, days=0):
    """A second access like it, opened earlier, in place of it: the app role may not move the times of a row."""
    earlier = timezone.now() - timedelta(minutes=minutes, days=days)
    EmergencyAccess.objects.filter(pk=access.pk).update(ended_at=earlier)
    return EmergencyAccess.objects.create(
        patient_id=access.patient_id,
        member_id=access.member_id,
        reason_code=access.reason_code,
        reason=access.reason,
        opened_at=earlier,
        expires_at=earlier + emergencies.OPEN_FOR,
    )


def test_end_now_closes_the_chart(patient, nurse, page_client):
    emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason=REASON)
    browser = page_client(nurse)
    assert browser.get(f"/patients/{patient.pk}/").status_code == 200

    browser.post(f"/patients/{patient.pk}/end-emergency/")

    assert browser.get(f"/patients/{patient.pk}/").status_code == 302
    assert actions_about(patient)[-1] == "break_glass_ended"


def test_the_right_taken_away_closes_the_chart_at_once(patient, nurse, page_client):
    emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason=REASON)
    role = nurse.roles[0]
    role.permissions = [code for code in role.permissions if code != "admin.break_glass"]
    role.save()

    assert page_client(nurse).get(f"/patients/{patient.pk}/").status_code == 302


def test_break_glass_opens_one_chart_for_one_member(patient, nurse, doctor, colleague, page_client):
    other = restricting.restrict_chart(PatientFactory(by=doctor), by=doctor, reason="Another")
    emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason=REASON)

    assert page_client(nurse).get(f"/patients/{other.pk}/").status_code == 302
    assert page_client(colleague).get(f"/patients/{patient.pk}/").status_code == 302


def test_a_service_refuses_what_was_restricted_after_the_page_was_loaded(nurse, doctor):
    patient = PatientFactory(by=nurse)
    loaded = selectors.get_patient(patient.pk, by=nurse)
    restricting.restrict_chart(patient, by=doctor, reason="Meanwhile")

    with pytest.raises(selectors.ChartRestricted):
        services.update_patient(loaded, by=nurse, changes={"phone": "1"})


# --- Who is told -----------------------------------------------------------------------------------------------------


def test_reviewers_and_the_list_are_told_without_a_name(patient, nurse, doctor, reviewer, admin):
    emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason=REASON)

    told = {(row.recipient_id, row.kind): row for row in Notification.objects.filter(kind__startswith="break_glass")}
    assert set(told) == {(doctor.pk, "break_glass_to_list"), (reviewer.pk, "break_glass")}
    for row in told.values():
        words = json.dumps([row.params, row.url])
        assert row.priority == "high"
        assert [w for w in ("Aurelia", "Hoz", REASON, *CANARIES) if w in words] == []


def test_the_list_is_told_and_not_asked_to_review(patient, nurse, doctor, reviewer, page_client):
    emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason=REASON)

    listed, asked = (page_client(member).get("/notifications/").text for member in (doctor, reviewer))

    assert "you need not do anything" in listed
    assert "waiting for a review" not in listed
    assert "waiting for a review" in asked


def test_administrators_are_told_where_nobody_reviews(patient, nurse, admin):
    emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason=REASON)

    assert Notification.objects.filter(kind="break_glass", recipient=admin).exists()


def test_more_than_five_in_a_day_is_urgent(doctor, nurse, reviewer):
    for number in range(6):
        chart = restricting.restrict_chart(PatientFactory(by=doctor), by=doctor, reason=f"Number {number}")
        emergencies.break_glass(chart, by=nurse, reason_code="emergency", reason=REASON)

    kinds = list(Notification.objects.filter(recipient=reviewer).order_by("number").values_list("kind", "priority"))
    assert kinds == [("break_glass", "high")] * 5 + [("break_glass_often", "urgent")]


# --- Reviews ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(patient, nurse, page_client):
    """A break-glass of the nurse that is over, with what was seen."""
    emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason=REASON)
    page_client(nurse).get(f"/patients/{patient.pk}/")
    emergencies.end_emergency_access(patient, by=nurse)
    return EmergencyAccess.objects.get()


def test_reviewer_sees_the_log_and_not_the_chart(waiting, reviewer, patient, page_client):
    browser = page_client(reviewer)
    listed, one = browser.get("/patients/emergency-access/"), browser.get(f"/patients/emergency-access/{waiting.pk}/")

    for page in (listed, one):
        assert "Nora Nurse" in page.text
        assert REASON in page.text
        assert leaks(page) == []
    assert "Opened the chart in an emergency" in one.text
    assert browser.get(f"/patients/{patient.pk}/").status_code == 403
    assert re.search(r'Emergency access\s*<span class="count">1', listed.text)


def test_review_by_the_page(waiting, reviewer, nurse, page_client):
    browser, address = page_client(reviewer), f"/patients/emergency-access/{waiting.pk}/"

    assert browser.post(address, {"verdict": "not_justified"}).status_code == 422
    assert browser.post(address, {"verdict": "not_justified", "note": "No emergency"}).status_code == 302
    waiting.refresh_from_db()
    assert (waiting.verdict, waiting.reviewed_by_id) == ("not_justified", reviewer.pk)
    assert actions_about(waiting) == ["break_glass_reviewed"]
    assert Notification.objects.filter(recipient=nurse, kind="break_glass_not_justified").exists()
    assert "Not justified" in browser.get("/patients/emergency-access/").text
    assert "No emergency" in page_client(nurse).get(address).text
    with pytest.raises(RuleBroken, match="reviewed already"):
        emergencies.review_emergency_access(waiting, by=reviewer, verdict="justified")


def test_nobody_reviews_their_own(patient, clinic, page_client):
    both = MembershipFactory(roles=["nurse", "quality_manager"], user__name="Both")
    emergencies.break_glass(patient, by=both, reason_code="emergency", reason=REASON)
    emergencies.end_emergency_access(patient, by=both)
    access = EmergencyAccess.objects.get()

    with pytest.raises(RuleBroken, match="their own"):
        emergencies.review_emergency_access(access, by=both, verdict="justified")
    assert (
        page_client(both).post(f"/patients/emergency-access/{access.pk}/", {"verdict": "justified"}).status_code == 403
    )
    assert selectors.count_open_reviews(both) == 0


def test_open_access_is_reviewed_when_it_is_over(patient, nurse, reviewer):
    access = emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason=REASON)

    with pytest.raises(RuleBroken, match="still open"):
        emergencies.review_emergency_access(access, by=reviewer, verdict="justified")


def test_open_access_says_to_the_reviewer_when_it_can_be_reviewed(patient, clinic, nurse, reviewer, page_client):
    access = emergencies.break_glass(patient, by=nurse, reason_code="emergency", reason=REASON)
    address = f"/patients/emergency-access/{access.pk}/"
    ends = timezone.localtime(access.until, clinic.zone)

    assert f"once the access has ended, at {ends:%H:%M}" in " ".join(
        re.sub("<[^>]*>", "", page_client(reviewer).get(address).text).split()
    )
    assert "It can be reviewed" not in page_client(nurse).get(address).text
    emergencies.end_emergency_access(patient, by=nurse)
    assert "It can be reviewed" not in page_client(reviewer).get(address).text


@pytest.mark.parametrize("role", ["admin", "doctor", "nurse", "staff", "auditor", "patient"])
def test_only_reviewers_see_the_reviews(waiting, reviewer, role, page_client):
    browser = page_client(MembershipFactory(role=role))

    assert browser.get("/patients/emergency-access/").status_code == 403
    assert browser.get(f"/patients/emergency-access/{waiting.pk}/").status_code in {403, 404}


def test_administrators_review_where_nobody_else_can(waiting, admin, page_client):
    assert page_client(admin).get("/patients/emergency-access/").status_code == 200


def test_review_late_after_five_days_is_said_in_words(waiting, reviewer, page_client):
    assert "late" not in page_client(reviewer).get("/patients/emergency-access/").text
    _backdate(waiting, days=7)

    assert "3 days late" in page_client(reviewer).get("/patients/emergency-access/").text


def test_months_are_counted(waiting, reviewer, page_client):
    emergencies.review_emergency_access(waiting, by=reviewer, verdict="not_justified", note="No")

    [month] = selectors.count_by_month()
    assert (month.opened, month.reviewed, month.not_justified) == (1, 1, 1)
    assert "opened 1, reviewed 1, not justified 1" in page_client(reviewer).get("/patients/emergency-access/").text


# --- The patient's own account ---------------------------------------------------------------------------------------


@pytest.fixture
def confirmed(clinic):
    member = MembershipFactory(role="patient", user__name="Pia Patient", user__email="pia@example.org")
    User.objects.filter(pk=member.user_id).update(email_confirmed_at=timezone.now())
    return member


def test_staff_link_a_confirmed_account(confirmed, nurse, page_client):
    patient = PatientFactory(by=nurse, email="Pia@Example.org")
    browser = page_client(nurse)
    assert "Give this person access" in browser.get(f"/patients/{patient.pk}/").text

    browser.post(f"/patients/{patient.pk}/link-account/")

    assert page_client(confirmed).get(f"/patients/{patient.pk}/").status_code == 200
    browser.post(f"/patients/{patient.pk}/unlink-account/")
    assert page_client(confirmed).get(f"/patients/{patient.pk}/").status_code == 404
    assert actions_about(patient)[-2:] == ["patient_account_linked", "patient_account_unlinked"]


@pytest.mark.parametrize("spoiled", ["not confirmed", "other address", "no patient", "has a chart"])
def test_no_account_is_linked_that_is_not_clearly_theirs(confirmed, nurse, page_client, spoiled):
    patient = PatientFactory(by=nurse, email="pia@example.org")
    if spoiled == "not confirmed":
        User.objects.filter(pk=confirmed.user_id).update(email_confirmed_at=None)
    elif spoiled == "other address":
        services.update_patient(patient, by=nurse, changes={"email": "somebody@example.org"})
    elif spoiled == "no patient":
        confirmed.held_roles.update(role=nurse.roles[0])
    else:
        Patient.objects.filter(pk=PatientFactory(by=nurse).pk).update(user=confirmed.user)
    browser = page_client(nurse)

    assert "Give this person access" not in browser.get(f"/patients/{patient.pk}/").text
    browser.post(f"/patients/{patient.pk}/link-account/")

    patient.refresh_from_db()
    assert patient.user_id is None


def test_emergency_access_gives_nobody_else_the_chart(confirmed, patient, colleague, doctor, page_client):
    emergencies.break_glass(patient, by=colleague, reason_code="emergency", reason=REASON)
    services.update_patient(patient, by=colleague, changes={"email": "pia@example.org"})

    page_client(colleague).post(f"/patients/{patient.pk}/link-account/")

    patient.refresh_from_db()
    assert patient.user_id is None


def test_emergency_rows_of_another_clinic_are_not_there(waiting, strange_admin, page_client):
    assert page_client(strange_admin).get(f"/patients/emergency-access/{waiting.pk}/").status_code == 404
    with outside_tenant(), tenant_context(strange_admin.tenant_id):
        assert not EmergencyAccess.objects.exists()
