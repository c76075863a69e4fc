"""Fields a clinic adds: what each type takes, the limits of everything else, and the index behind the filter."""

from datetime import date

import pytest
from django.core.exceptions import ValidationError

from clinic.patients import custom_fields, services
from clinic.patients.models import CustomField, Patient, PatientFieldValue
from tenancy.audit.tests.trails import entries_about
from tenancy.rules import RuleBroken

from .factories import PatientFactory
from .trails import version_numbers


@pytest.fixture
def define(admin):
    def define(key="extra", type="text", **fields):
        return custom_fields.define_custom_field(by=admin, key=key, label=key.title(), type=type, **fields)

    return define


def refusal(values):
    with pytest.raises(ValidationError) as refused:
        custom_fields.check_custom_fields(values)
    assert list(refused.value.message_dict) == ["custom_fields"]
    return refused.value.messages[0]


# --- Values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "given", "kept"),
    [
        ("text", " blue ", "blue"),
        ("text", "", ""),
        ("text", None, None),
        ("number", 5, 5),
        ("number", "5.0", 5),
        ("number", 2.5, 2.5),
        ("date", "2026-03-14", "2026-03-14"),
        ("date", date(2026, 3, 14), "2026-03-14"),
        ("yes_no", True, True),
        ("yes_no", "false", False),
        ("choice", "red", "red"),
    ],
)
def test_check_custom_fields_takes_what_the_type_means(define, type, given, kept):
    define(type=type, choices=["red", "blue"])

    checked = custom_fields.check_custom_fields({"extra": given})["extra"]

    assert (checked, checked.__class__) == (kept, kept.__class__)


@pytest.mark.parametrize(
    ("type", "given", "sentence"),
    [
        ("text", 5, "Extra: Enter a text."),
        ("text", "x" * 1001, "A text in a custom field has at most 1,000 characters."),
        ("number", "five", "Extra: Enter a number."),
        ("number", True, "Extra: Enter a number."),
        ("number", [5], "Extra: Enter a number."),
        ("number", float("nan"), "Extra: Enter a number."),
        ("number", "inf", "Extra: Enter a number."),
        ("number", 10**16, "Extra: Enter a number."),
        ("date", "14/03/2026", "Extra: Enter a date such as 2026-03-14."),
        ("date", 20260314, "Extra: Enter a date such as 2026-03-14."),
        ("yes_no", "maybe", "Extra: Answer yes or no."),
        ("yes_no", 1, "Extra: Answer yes or no."),
        ("choice", "green", "Extra: Choose one of: red, blue."),
        ("choice", ["red"], "Extra: Choose one of: red, blue."),
    ],
)
def test_check_custom_fields_refuses_what_the_type_does_not_mean(define, type, given, sentence):
    define(type=type, choices=["red", "blue"])

    assert refusal({"extra": given}) == sentence


def test_check_custom_fields_keeps_what_nobody_has_defined(clinic):
    values = {"their own": {"a": [1, "two"]}, "ñ": None, "n": 1.5}

    assert custom_fields.check_custom_fields(values) == values


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([], "Custom fields are an object."),
        ("text", "Custom fields are an object."),
        ({f"key{n}": n for n in range(51)}, "Too many custom fields (max 50)"),
        ({"k" * 101: 1}, "A key has between 1 and 100 characters."),
        ({"": 1}, "A key has between 1 and 100 characters."),
        ({"a": {"b": {"c": {"d": 1}}}}, "Custom fields nested too deeply (max depth 3)"),
        ({"a": [[[[]]]]}, "Custom fields nested too deeply (max depth 3)"),
        ({"a": {"b": "x" * 1001}}, "A text in a custom field has at most 1,000 characters."),
    ],
)
def test_check_custom_fields_refuses_what_is_too_much(clinic, values, sentence):
    assert refusal(values) == sentence


@pytest.mark.parametrize(
    "values", [{f"key{n}": n for n in range(50)}, {"k" * 100: "x" * 1000}, {"a": {"b": {"c": {}}}}]
)
def test_check_custom_fields_takes_the_most_that_is_allowed(clinic, values):
    assert custom_fields.check_custom_fields(values) == values


def test_patients_can_be_changed_when_a_definition_has_changed_since(nurse, define, admin):
    field = define(type="choice", choices=["red", "blue"])
    patient = PatientFactory(by=nurse, custom_fields={"extra": "red", "theirs": "kept"})
    field.choices = ["blue", "green"]
    custom_fields.relabel_custom_field(field, by=admin)
    define(key="theirs", type="number")

    services.update_patient(patient, by=nurse, changes={"phone": "601 555 0101"})
    services.update_patient(patient, by=nurse, changes={"custom_fields": {"extra": "red", "theirs": "kept", "new": 1}})

    patient.refresh_from_db()
    assert patient.custom_fields == {"extra": "red", "theirs": "kept", "new": 1}
    with pytest.raises(ValidationError, match="Choose one of"):
        services.update_patient(patient, by=nurse, changes={"custom_fields": {"extra": "violet"}})


def test_update_patient_replaces_custom_fields_whole(nurse):
    patient = PatientFactory(by=nurse, custom_fields={"a": 1, "b": 2})

    services.update_patient(patient, by=nurse, changes={"custom_fields": {"b": 2, "c": 3}})

    assert Patient.objects.get(pk=patient.pk).custom_fields == {"b": 2, "c": 3}
    assert entries_about(patient)[-1]["changes"] == {"custom_fields": [{"a": 1, "b": 2}, {"b": 2, "c": 3}]}


# --- The filter ------------------------------------------------------------------------------------------------------


def test_patients_with_finds_by_a_filterable_field(nurse, define):
    define(key="team", is_filterable=True)
    define(key="vip", type="yes_no", is_filterable=True)
    blue = PatientFactory(by=nurse, custom_fields={"team": "Blue", "vip": True})
    PatientFactory(by=nurse, custom_fields={"team": "red", "vip": False})
    PatientFactory(by=nurse)

    for key, value in (("team", "blue"), ("team", " BLUE "), ("vip", True)):
        assert [row["patient_id"] for row in custom_fields.patients_with(key, value)] == [blue.pk]


def test_patients_with_follows_changes(nurse, define):
    define(key="team", is_filterable=True)
    patient = PatientFactory(by=nurse, custom_fields={"team": "blue"})

    services.update_patient(patient, by=nurse, changes={"custom_fields": {"team": "red"}})
    assert list(custom_fields.patients_with("team", "blue")) == []
    assert len(custom_fields.patients_with("team", "red")) == 1

    services.update_patient(patient, by=nurse, changes={"custom_fields": {}})
    assert list(PatientFieldValue.objects.all()) == []


def test_patients_with_refuses_other_fields(define):
    define(key="team")

    for key in ("team", "nobody-has-this"):
        with pytest.raises(RuleBroken, match=f"by the field {key}"):
            custom_fields.patients_with(key, "blue")


# --- Definitions -----------------------------------------------------------------------------------------------------


def test_define_custom_field_leaves_a_line_in_the_trail(define, admin):
    field = define(key="team", type="choice", choices=[" red ", "blue", "red", ""])

    (entry,) = entries_about(field)
    assert field.choices == ["red", "blue"]
    assert (entry["action"], entry["user"]["id"]) == ("custom_field_defined", admin.user_id)
    assert entry["details"] == {"key": "team", "type": "choice"}


def test_define_custom_field_refuses_a_key_in_use_and_one_choice(define):
    define(key="team")

    with pytest.raises(RuleBroken, match="team"):
        define(key="team")
    with pytest.raises(ValidationError, match="at least two"):
        define(key="colour", type="choice", choices=["red"])
    with pytest.raises(ValidationError):
        define(key="with space")

    assert [field.key for field in CustomField.objects.all()] == ["team"]


def test_retire_custom_field_keeps_the_values(nurse, define, admin):
    field = define(key="team", type="choice", choices=["red", "blue"], is_filterable=True)
    patient = PatientFactory(by=nurse, custom_fields={"team": "red"})

    custom_fields.retire_custom_field(field, by=admin)

    with pytest.raises(RuleBroken):
        custom_fields.patients_with("team", "red")
    changed = services.update_patient(patient, by=nurse, changes={"custom_fields": {"team": "anything goes"}})
    assert changed.custom_fields == {"team": "anything goes"}
    assert [entry["action"] for entry in entries_about(field)] == ["custom_field_defined", "custom_field_retired"]


def test_relabel_custom_field_leaves_patients_alone(nurse, define, admin):
    field = define(key="team")
    patient = PatientFactory(by=nurse, custom_fields={"team": "red"})

    field.label = "Crew"
    custom_fields.relabel_custom_field(field, by=admin)

    assert version_numbers(patient) == [1]
    assert [entry["action"] for entry in entries_about(field)] == ["custom_field_defined", "custom_field_relabelled"]


# --- Through the doors -----------------------------------------------------------------------------------------------


def test_the_api_filters_by_a_field_that_can_be_searched_for(nurse, define, api_client):
    define(key="team", is_filterable=True)
    blue = PatientFactory(by=nurse, custom_fields={"team": "Blue"})
    PatientFactory(by=nurse, custom_fields={"team": "red"})

    answer = api_client(nurse).get("/api/patients?custom[team]=blue")

    assert [row["id"] for row in answer.json()["patients"]] == [str(blue.pk)]


def test_the_api_refuses_to_filter_by_any_other_field(nurse, define, api_client):
    define(key="team")

    for key in ("team", "nobody-has-this"):
        answer = api_client(nurse).get(f"/api/patients?custom[{key}]=blue")
        assert answer.status_code == 400
        assert answer.json()["detail"][0]["loc"] == ["query", "custom"]


def test_an_administrator_retires_a_field_in_the_admin(settings, admin, define, page_client):
    settings.DEMO = True
    field = define(key="team")
    browser = page_client(admin)

    answer = browser.post(
        f"/admin/patients/customfield/{field.pk}/change/", {"label": "Crew", "choices": "[]", "position": "3"}
    )

    assert answer.status_code == 302
    field.refresh_from_db()
    assert (field.label, field.position, field.is_active) == ("Crew", 3, False)
