"""Every way out of a service: what is written, what is refused, and that nothing is half-written."""

from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import ProgrammingError, connection, transaction
from django.http import Http404
from django.utils import timezone

from clinic.patients import selectors, services
from clinic.patients.models import Consent, DocumentType, Gender, Patient, PatientIdentifier, PatientToken
from tenancy.audit.models import AuditEntry
from tenancy.audit.tests.trails import actions_about, entries_about
from tenancy.rules import RuleBroken, StaleVersion
from tenancy.tenants.context import finish_pending, tenant_context
from tenancy.tenants.models import Counter
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import CITIZENSHIP_CARD, FEMALE, MALE, PASSPORT, PatientFactory
from .trails import version_numbers


def card(number):
    return {"document_type": DocumentType.objects.get(pk=CITIZENSHIP_CARD), "document_number": number}


def everything():
    """How many rows of each kind there are: the same before and after a refusal."""
    finish_pending()
    models = (Patient, PatientToken, PatientIdentifier, Consent, AuditEntry)
    return {model.__name__: model.objects.count() for model in models} | {
        "versions": sum(len(version_numbers(patient)) for patient in Patient.objects.all()),
        "numbers": list(Counter.objects.filter(name="patient").values_list("value", flat=True)),
    }


# --- Registering -----------------------------------------------------------------------------------------------------


def test_create_patient_writes_row_words_consent_version_and_trail(nurse):
    patient = services.create_patient(
        by=nurse,
        data={
            "first_name": " María  José ",
            "first_last_name": "García",
            "birth_date": date(1978, 3, 14),
            "gender": Gender.objects.get(pk=FEMALE),
            "email": "MJ.Garcia@Example.com",
            "country": "co",
            "allergies": "Penicillin",
            "habeas_data": True,
            **card("52.123.456"),
        },
        identifiers=[{"kind": "MR", "system": "", "value": "HC-77"}],
        reason="Walked in",
    )

    kept = Patient.objects.get(pk=patient.pk)
    assert (kept.first_name, kept.email, kept.country) == ("María José", "mj.garcia@example.com", "CO")
    assert (kept.number, kept.version, kept.sort_name) == (1, 1, "garcia maria jose")
    assert (kept.document_key, kept.allergy_status) == ("52123456", "recorded")
    assert kept.updated_by == nurse
    assert set(kept.tokens.values_list("token", flat=True)) >= {"maria", "jose", "garcia", "52123456", "hc77", "1"}
    assert [(c.kind, c.granted, c.recorded_by) for c in kept.consents.all()] == [("habeas_data", True, nurse)]
    assert [(i.kind, i.value) for i in kept.identifiers.all()] == [("MR", "HC-77")]
    assert version_numbers(kept) == [1]
    (entry,) = entries_about(kept)
    assert (entry["action"], entry["user"]["id"], entry["reason"]) == ("patient_created", nurse.user_id, "Walked in")
    assert entry["changes"]["birth_date"] == [None, "1978-03-14"]
    assert entry["changes"]["gender"] == [None, "F"]


def test_create_patient_without_consent_writes_no_answer(nurse):
    assert list(PatientFactory(by=nurse).consents.all()) == []


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"first_name": "", "first_last_name": ""}, "first_name"),
        ({"birth_date": date.today() + timedelta(days=2)}, "birth_date"),
        ({"birth_date": date(1850, 1, 1)}, "birth_date"),
        ({"died_on": date.today() + timedelta(days=2)}, "died_on"),
        ({"birth_date": date(1990, 1, 2), "died_on": date(1990, 1, 1)}, "died_on"),
        ({"document_number": "123"}, "document_type"),
        ({"allergies": "Latex", "allergy_status": "none_known"}, "allergies"),
        ({"email": "no address"}, "email"),
        ({"phone": "1" * 31}, "phone"),
        ({"blood_type": "Z"}, "blood_type"),
        ({"custom_fields": []}, "custom_fields"),
    ],
)
def test_create_patient_refuses_by_field(nurse, fields, wrong):
    before = everything()

    with pytest.raises(ValidationError) as refused:
        PatientFactory(by=nurse, **fields)

    assert list(refused.value.message_dict) == [wrong]
    assert everything() == before


def test_create_patient_needs_a_sex(nurse):
    with pytest.raises(ValidationError) as refused:
        services.create_patient(by=nurse, data={"first_name": "Aurelia"})

    assert list(refused.value.message_dict) == ["gender"]


def test_create_patient_takes_one_name_alone(nurse):
    assert PatientFactory(by=nurse, first_name="", first_last_name="Mao").name == "Mao"
    assert PatientFactory(by=nurse, first_name="Suharto", first_last_name="").name == "Suharto"


def test_create_patient_calls_an_unknown_field_a_bug(nurse):
    with pytest.raises(TypeError, match="number"):
        PatientFactory(by=nurse, number=7)


def test_create_patient_refuses_the_document_of_another_however_it_is_spelled(nurse):
    PatientFactory(by=nurse, **card("52.123.456"))
    before = everything()

    with pytest.raises(services.DuplicateDocument, match="52 123 456"):
        PatientFactory(by=nurse, **card("52 123 456"))

    assert everything() == before


def test_create_patient_takes_the_same_number_on_another_kind_of_document(nurse):
    PatientFactory(by=nurse, **card("52123456"))

    PatientFactory(by=nurse, document_type=DocumentType.objects.get(pk=PASSPORT), document_number="52123456")

    assert Patient.objects.count() == 2


def test_create_patient_refuses_an_identifier_of_another_and_writes_nothing(nurse):
    number = {"kind": "MR", "system": "Harbor", "value": "77"}
    PatientFactory(by=nurse, identifiers=[number])
    before = everything()

    with pytest.raises(RuleBroken, match="belongs to another patient"):
        PatientFactory(by=nurse, identifiers=[number], habeas_data=True)

    assert everything() == before


@pytest.mark.parametrize(
    "bad", [{"kind": "ZZ", "value": "1"}, {"kind": "MR", "value": "  "}, {"kind": "MR", "value": "1" * 101}]
)
def test_create_patient_refuses_a_number_without_shape(nurse, bad):
    before = everything()

    with pytest.raises(ValidationError) as refused:
        PatientFactory(by=nurse, identifiers=[bad])

    assert list(refused.value.message_dict) == ["identifiers"]
    assert everything() == before


@pytest.mark.parametrize("step", ["filterable_values", "_store_identifiers", "changes_of_new"])
def test_create_patient_leaves_nothing_when_a_later_step_fails(nurse, monkeypatch, step):
    PatientFactory(by=nurse)
    before = everything()

    def fail(*args, **kwargs):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(services, step, fail)
    with pytest.raises(RuntimeError):
        PatientFactory(by=nurse, habeas_data=True)

    assert everything() == before


def test_create_patient_gives_the_number_of_a_failed_registration_to_the_next(nurse):
    number = {"kind": "MR", "value": "7"}
    PatientFactory(by=nurse, identifiers=[number])
    with pytest.raises(RuleBroken):
        PatientFactory(by=nurse, identifiers=[number])

    assert PatientFactory(by=nurse).number == 2


# --- Changing --------------------------------------------------------------------------------------------------------


def test_update_patient_writes_what_changed_and_nothing_else(nurse, doctor):
    patient = PatientFactory(by=nurse, phone="601 555 0101", city="Bogotá")

    changed = services.update_patient(
        patient, by=doctor, changes={"phone": "601 555 0202", "city": "Bogotá"}, expected_version=1, reason="Called"
    )

    assert (changed.version, changed.phone, changed.updated_by) == (2, "601 555 0202", doctor)
    assert changed.updated_at > patient.updated_at
    assert version_numbers(patient) == [1, 2]
    entry = entries_about(patient)[-1]
    assert (entry["action"], entry["user"]["id"], entry["reason"]) == ("patient_updated", doctor.user_id, "Called")
    assert entry["changes"] == {"phone": ["601 555 0101", "601 555 0202"]}
    assert list(selectors.list_patients(by=nurse, search="0202")) == [changed]
    assert list(selectors.list_patients(by=nurse, search="0101")) == []


def test_update_patient_unchanged_writes_nothing(nurse):
    patient = PatientFactory(by=nurse, phone="601 555 0101", identifiers=[{"kind": "MR", "system": "", "value": "7"}])
    before = everything()

    same = services.update_patient(
        patient,
        by=nurse,
        changes={"phone": "601  555 0101 ", "first_name": "Aurelia"},
        identifiers=[{"kind": "MR", "system": "", "value": " 7 "}],
    )

    assert (same.version, same.updated_at) == (1, patient.updated_at)
    assert everything() == before


def test_update_patient_takes_line_ends_of_a_browser_for_the_same_text(nurse):
    patient = PatientFactory(by=nurse, medical_history="Asthma\nAppendectomy 1999")

    same = services.update_patient(patient, by=nurse, changes={"medical_history": "Asthma\r\nAppendectomy 1999\r\n"})

    assert (same.version, version_numbers(patient)) == (1, [1])


def test_update_patient_notes_what_follows_from_a_change(nurse):
    patient = PatientFactory(by=nurse, **card("52123456"))

    services.update_patient(
        patient, by=nurse, changes={"allergies": "Latex", "died_on": date(2020, 1, 2), "document_number": ""}
    )

    assert entries_about(patient)[-1]["changes"] == {
        "allergies": ["", "Latex"],
        "allergy_status": ["not_asked", "recorded"],
        "died_on": [None, "2020-01-02"],
        "is_deceased": [False, True],
        "document_number": ["52123456", ""],
        "document_type": ["CC", None],
    }


def test_update_patient_refuses_a_version_somebody_else_has_replaced(nurse, doctor):
    patient = PatientFactory(by=nurse)
    services.update_patient(patient, by=doctor, changes={"city": "Cali"}, expected_version=1)
    before = everything()

    with pytest.raises(StaleVersion):
        services.update_patient(patient, by=nurse, changes={"city": "Pasto"}, expected_version=1)

    patient.refresh_from_db()
    assert patient.city == "Cali"
    assert everything() == before


def test_update_patient_refuses_an_archived_one(nurse, admin):
    patient = services.archive_patient(PatientFactory(by=nurse), by=admin, reason="Moved away")
    before = everything()

    with pytest.raises(RuleBroken, match="archived"):
        services.update_patient(patient, by=nurse, changes={"city": "Pasto"})

    assert everything() == before


def test_update_patient_refuses_the_document_of_another(nurse):
    PatientFactory(by=nurse, **card("1001"))
    patient = PatientFactory(by=nurse, **card("1002"))
    before = everything()

    with pytest.raises(services.DuplicateDocument, match="1001"):
        services.update_patient(patient, by=nurse, changes={"document_number": "1001"})

    patient.refresh_from_db()
    assert patient.document_number == "1002"
    assert everything() == before


def test_update_patient_refuses_the_identifier_of_another_and_keeps_its_own(nurse):
    PatientFactory(by=nurse, identifiers=[{"kind": "MR", "value": "7"}])
    patient = PatientFactory(by=nurse, identifiers=[{"kind": "MR", "value": "8"}])
    before = everything()

    with pytest.raises(RuleBroken, match="belongs to another"):
        services.update_patient(patient, by=nurse, changes={"city": "Cali"}, identifiers=[{"kind": "MR", "value": "7"}])

    patient.refresh_from_db()
    assert (patient.city, patient.version) == ("", 1)
    assert [i.value for i in patient.identifiers.all()] == ["8"]
    assert everything() == before


def test_update_patient_replaces_identifiers_and_says_so(nurse):
    patient = PatientFactory(by=nurse, identifiers=[{"kind": "MR", "value": "8"}])

    services.update_patient(patient, by=nurse, changes={}, identifiers=[{"kind": "SS", "system": "X", "value": "9"}])

    assert [(i.kind, i.system, i.value) for i in patient.identifiers.all()] == [("SS", "X", "9")]
    assert version_numbers(patient) == [1, 2]
    assert entries_about(patient)[-1]["changes"] == {"identifiers": [[["MR", "", "8"]], [["SS", "X", "9"]]]}


def test_update_patient_leaves_identifiers_alone_when_none_are_given(nurse):
    patient = PatientFactory(by=nurse, identifiers=[{"kind": "MR", "value": "8"}])

    services.update_patient(patient, by=nurse, changes={"city": "Cali"})

    assert [i.value for i in patient.identifiers.all()] == ["8"]
    assert list(selectors.list_patients(by=nurse, search="8")) == [patient]


@pytest.mark.parametrize("step", ["store_tokens", "store_field_values", "_add_consent", "_store_identifiers"])
def test_update_patient_leaves_nothing_when_a_later_step_fails(nurse, monkeypatch, step):
    patient = PatientFactory(by=nurse, identifiers=[{"kind": "MR", "value": "8"}], custom_fields={"team": "red"})
    before = everything()

    def fail(*args, **kwargs):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(services, step, fail)
    with pytest.raises(RuntimeError):
        services.update_patient(
            patient,
            by=nurse,
            changes={"city": "Cali", "habeas_data": True},
            identifiers=[{"kind": "MR", "value": "9"}],
        )

    patient.refresh_from_db()
    assert (patient.city, patient.version) == ("", 1)
    assert [i.value for i in patient.identifiers.all()] == ["8"]
    assert everything() == before


def test_update_patient_notes_consent_both_ways(nurse):
    patient = PatientFactory(by=nurse)

    services.update_patient(patient, by=nurse, changes={"habeas_data": True})
    services.update_patient(patient, by=nurse, changes={"habeas_data": False})

    assert [c.granted for c in selectors.list_consents(patient)] == [False, True]


# --- Archive, restore, consent ---------------------------------------------------------------------------------------


def test_archive_patient_takes_it_out_of_lists_and_restore_patient_puts_it_back(nurse, admin):
    patient = PatientFactory(by=nurse)

    archived = services.archive_patient(patient, by=admin, reason=" Moved away ", expected_version=1)

    assert (archived.is_archived, archived.archive_reason, archived.version) == (True, "Moved away", 2)
    assert list(selectors.list_patients(by=nurse)) == []
    assert list(selectors.list_patients(by=nurse, include_archived=True)) == [patient]

    restored = services.restore_patient(patient, by=admin, expected_version=2)

    assert (restored.is_archived, restored.archive_reason, restored.version) == (False, "", 3)
    assert list(selectors.list_patients(by=nurse)) == [patient]
    assert version_numbers(patient) == [1, 2, 3]
    trail = [(entry["action"], entry["reason"].strip()) for entry in entries_about(patient)]
    assert trail == [("patient_created", ""), ("patient_archived", "Moved away"), ("patient_restored", "")]


def test_archive_patient_needs_a_reason(nurse, admin):
    patient = PatientFactory(by=nurse)

    with pytest.raises(RuleBroken, match="Say why"):
        services.archive_patient(patient, by=admin, reason="  ")

    patient.refresh_from_db()
    assert not patient.is_archived


def test_archive_patient_and_restore_patient_refuse_what_is_so_already(nurse, admin):
    patient = PatientFactory(by=nurse)

    with pytest.raises(RuleBroken, match="not archived"):
        services.restore_patient(patient, by=admin)
    services.archive_patient(patient, by=admin, reason="Moved away")
    with pytest.raises(RuleBroken, match="archived already"):
        services.archive_patient(patient, by=admin, reason="Moved away")

    assert version_numbers(patient) == [1, 2]


def test_archive_patient_and_restore_patient_refuse_a_stale_version(nurse, admin):
    patient = PatientFactory(by=nurse)
    services.update_patient(patient, by=nurse, changes={"city": "Cali"})

    with pytest.raises(StaleVersion):
        services.archive_patient(patient, by=admin, reason="Moved away", expected_version=1)
    services.archive_patient(patient, by=admin, reason="Moved away")
    with pytest.raises(StaleVersion):
        services.restore_patient(patient, by=admin, expected_version=1)

    assert actions_about(patient) == ["patient_created", "patient_updated", "patient_archived"]


def test_record_consent_keeps_every_answer_and_the_newest_counts(nurse):
    patient = PatientFactory(by=nurse)

    services.record_consent(patient, by=nurse, kind="habeas_data", granted=True, note=" By  phone ")
    services.record_consent(patient, by=nurse, kind="habeas_data", granted=False)

    patient.refresh_from_db()
    assert (patient.habeas_data, patient.version) == (False, 3)
    assert [(c.granted, c.note) for c in selectors.list_consents(patient)] == [(False, ""), (True, "By phone")]
    assert actions_about(patient) == ["patient_created", "consent_recorded", "consent_recorded"]
    assert entries_about(patient)[1]["details"] == {"kind": "habeas_data", "granted": True, "note": " By  phone "}


def test_record_consent_about_something_else_leaves_the_patient_alone(nurse):
    patient = PatientFactory(by=nurse)

    services.record_consent(patient, by=nurse, kind="research", granted=True)

    patient.refresh_from_db()
    assert (patient.habeas_data, patient.version) == (False, 1)


def test_record_consent_refuses_a_kind_that_does_not_exist(nurse):
    patient = PatientFactory(by=nurse)
    before = everything()

    with pytest.raises(RuleBroken, match="no such kind"):
        services.record_consent(patient, by=nurse, kind="tattoo", granted=True)

    assert everything() == before


def test_record_consent_refuses_an_archived_one(nurse, admin):
    patient = PatientFactory(by=nurse)
    services.archive_patient(patient, by=admin, reason="Moved away")
    before = everything()

    with pytest.raises(RuleBroken, match="archived"):
        services.record_consent(patient, by=nurse, kind="habeas_data", granted=True)

    assert everything() == before
    services.restore_patient(patient, by=admin)
    assert services.record_consent(patient, by=nurse, kind="habeas_data", granted=True).granted


# --- Demographics (Quill) --------------------------------------------------------------------------------------------


def test_replace_demographics_replaces_the_whole_but_name_and_sex(nurse):
    patient = PatientFactory(by=nurse, birth_date=date(1978, 3, 14))
    services.replace_demographics(
        patient,
        by=nurse,
        data={
            "given_name": "Ana Lucía",
            "family_name": "de la Cruz Peña",
            "date_of_birth": date(1979, 1, 2),
            "gender": Gender.objects.get(pk=MALE),
            "address": {"city": "Cali"},
            "contact": {"phone": "601 555 0101", "email": "A@b.example", "fax": "1"},
            "meta": {"source": "Quill"},
        },
    )
    patient.refresh_from_db()
    assert (
        (patient.given, patient.family)
        if hasattr(patient, "given")
        else (
            patient.name_parts.given,
            patient.name_parts.family,
        )
        == ("Ana Lucía", "de la Cruz Peña")
    )
    assert (patient.birth_date, patient.gender_id) == (date(1979, 1, 2), MALE)
    assert (patient.phone, patient.email) == ("601 555 0101", "a@b.example")
    assert patient.demographics == {
        "address": {"city": "Cali"},
        "contact": {"phone": "601 555 0101", "email": "A@b.example", "fax": "1"},
        "meta": {"source": "Quill"},
    }

    services.replace_demographics(patient, by=nurse, data={"meta": {"source": "again"}})

    patient.refresh_from_db()
    assert (patient.name, patient.gender_id) == ("Ana Lucía de la Cruz Peña", MALE)
    assert (patient.birth_date, patient.demographics) == (None, {"meta": {"source": "again"}})
    assert version_numbers(patient) == [1, 2, 3]
    assert actions_about(patient) == ["patient_created", "patient_updated", "patient_updated"]


def test_replace_demographics_refuses_by_field(nurse):
    patient = PatientFactory(by=nurse)

    with pytest.raises(ValidationError) as refused:
        services.replace_demographics(patient, by=nurse, data={"contact": {"email": "no address"}})

    assert list(refused.value.message_dict) == ["email"]


def test_replace_demographics_refuses_a_stale_version(nurse):
    patient = PatientFactory(by=nurse)
    services.update_patient(patient, by=nurse, changes={"city": "Cali"})

    with pytest.raises(StaleVersion):
        services.replace_demographics(patient, by=nurse, data={}, expected_version=1)


# --- Versions, whoever writes ----------------------------------------------------------------------------------------


def test_every_write_to_the_row_keeps_a_version(nurse):
    patient = PatientFactory(by=nurse, city="Cali")

    Patient.objects.filter(pk=patient.pk).update(city="Pasto", version=2)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE patients_patient SET city = 'Tunja', version = 3 WHERE id = %s", [patient.pk])
        cursor.execute("UPDATE patients_patient SET city = 'Tunja' WHERE id = %s", [patient.pk])

    changes = selectors.list_versions(patient)
    assert [(c.version.version, c.version.city) for c in changes] == [(3, "Tunja"), (2, "Pasto"), (1, "Cali")]
    assert [c.changes for c in changes] == [(("city", "Pasto", "Tunja"),), (("city", "Cali", "Pasto"),), ()]


@pytest.mark.parametrize(
    "statement", ["UPDATE patients_patientversion SET city = 'x'", "DELETE FROM patients_patientversion"]
)
def test_versions_can_not_be_changed(nurse, statement):
    PatientFactory(by=nurse)

    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_nobody_can_switch_the_history_off(nurse):
    """django-pgtrigger's own setting, which the app role may set like anybody, changes nothing."""
    patient = PatientFactory(by=nurse)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('pgtrigger.ignore', array_agg(tgname)::text, true), count(*) FROM pg_trigger"
            " WHERE tgrelid = 'patients_patient'::regclass AND tgname ~ '^pgtrigger_'"
        )
        assert cursor.fetchone()[1] == 2
    with transaction.atomic():
        Patient.objects.filter(pk=patient.pk).update(city="Cali", version=2)
    later = PatientFactory(by=nurse)

    assert (version_numbers(patient), version_numbers(later)) == ([1, 2], [1])


def test_get_version_shows_the_patient_as_of_a_moment(nurse):
    patient = PatientFactory(by=nurse, city="Cali")
    services.update_patient(patient, by=nurse, changes={"city": "Pasto"})
    first, second = (change.version for change in reversed(selectors.list_versions(patient)))

    assert selectors.get_version(patient, at=first.pgh_created_at).city == "Cali"
    assert selectors.get_version(patient, at=second.pgh_created_at - timedelta(microseconds=1)).city == "Cali"
    assert selectors.get_version(patient, at=timezone.now() + timedelta(days=1)).city == "Pasto"
    assert selectors.get_version(patient, number=1).city == "Cali"
    with pytest.raises(Http404):
        selectors.get_version(patient, at=first.pgh_created_at - timedelta(microseconds=1))
    with pytest.raises(Http404):
        selectors.get_version(patient, number=3)


def test_list_versions_says_what_changed_in_custom_fields(nurse):
    patient = PatientFactory(by=nurse, custom_fields={"team": "blue", "room": 4})
    services.update_patient(patient, by=nurse, changes={"custom_fields": {"team": "red"}})

    assert selectors.list_versions(patient)[0].changes == (
        ("custom:room", 4, None),
        ("custom:team", "blue", "red"),
    )


def test_other_clinics_have_other_patients_and_their_own_numbers(nurse, stranger):
    mine = PatientFactory(by=nurse, **card("1001"))
    with outside_tenant(), tenant_context(stranger.tenant_id):
        theirs = PatientFactory(by=stranger, **card("1001"))
        with pytest.raises(Http404):
            selectors.get_patient(mine.pk, by=stranger)
        assert list(selectors.list_patients(by=stranger, search="aurelia")) == [theirs]

    assert (mine.number, theirs.number) == (1, 1)
    assert list(selectors.list_patients(by=nurse, search="aurelia")) == [mine]
