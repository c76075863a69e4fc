"""Finding people by whatever somebody remembers of them."""

import json
import re
from datetime import date

import pytest
from django.db import connection

from accounts.users.tests.factories import open_clinic
from clinic.patients import search, selectors, services
from clinic.patients.models import DocumentType, Gender, Patient, PatientToken
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import new_id
from tenancy.tenants.tests.contexts import outside_tenant
from tenancy.tenants.tests.databases import as_superuser

from .factories import CITIZENSHIP_CARD, FEMALE, PatientFactory


@pytest.fixture
def find(nurse):
    """`find("garcia")`: the first names of those found, sorted."""

    def find(words, **options):
        return sorted(patient.first_name for patient in selectors.list_patients(by=nurse, search=words, **options))

    return find


@pytest.fixture
def people(nurse):
    """Three who are easily taken for each other."""
    PatientFactory(
        by=nurse,
        first_name="María",
        second_name="José",
        first_last_name="García",
        second_last_name="Márquez",
        previous_names="Peñalosa",
        birth_date=date(1978, 3, 14),
        document_type=DocumentType.objects.get(pk=CITIZENSHIP_CARD),
        document_number="52.123.456",
        cell_phone="+57 300 123 4567",
        email="MJ.Garcia+clinic@Example.com",
        identifiers=[{"kind": "MR", "system": "Harbor", "value": "HC-0077/B"}],
    )
    PatientFactory(
        by=nurse, first_name="Mario", first_last_name="Garcés", birth_date=date(1978, 3, 14), phone="(601) 555-0101"
    )
    PatientFactory(by=nurse, first_name="Siobhán", first_last_name="O'Brien-Smith")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        # names, in any order, from their beginnings, without accents or capitals
        ("García", ["María"]),
        ("garcia", ["María"]),
        ("GARCÍA", ["María"]),
        ("gar", ["Mario", "María"]),
        ("g", ["Mario", "María"]),
        ("mar gar", ["Mario", "María"]),
        ("gar mar", ["Mario", "María"]),
        ("marquez maria", ["María"]),
        ("márquez, maría josé", ["María"]),
        ("García Márquez María José", ["María"]),
        ("mari garc mar", ["Mario", "María"]),
        ("maria maria", ["María"]),
        ("garcia bruno", []),
        ("arcia", []),
        ("penalosa", ["María"]),
        ("ga\u0301rcia", ["María"]),
        ("Garci\u0301a", ["María"]),
        ("  garcia\t maria ", ["María"]),
        # apostrophes and hyphens
        ("O'Brien", ["Siobhán"]),
        ("O’Brien", ["Siobhán"]),
        ("obrien", ["Siobhán"]),
        ("smith", ["Siobhán"]),
        ("brien-smith", ["Siobhán"]),
        ("o'brien-smith", ["Siobhán"]),
        ("siobhan smith", ["Siobhán"]),
        # documents, record numbers, the clinic's own number
        ("52.123.456", ["María"]),
        ("52123456", ["María"]),
        ("52 123 456", ["María"]),
        ("52123", ["María"]),
        ("HC-0077/B", ["María"]),
        ("hc0077b", ["María"]),
        ("3", ["María", "Siobhán"]),
        # phones: whole, with and without country, any tail of three figures or more
        ("+57 300 123 4567", ["María"]),
        ("573001234567", ["María"]),
        ("300 123 4567", ["María"]),
        ("4567", ["María"]),
        ("567", ["María"]),
        ("601 555 0101", ["Mario"]),
        ("+57 601 5550101", ["Mario"]),
        ("0101", ["Mario"]),
        ("garcia 4567", ["María"]),
        # e-mail
        ("mj.garcia+clinic@example.com", ["María"]),
        ("MJ.GARCIA+clinic@", ["María"]),
        ("garcia@example.com", []),
        # birth dates
        ("1978-03-14", ["Mario", "María"]),
        ("14/3/1978", ["Mario", "María"]),
        ("14.03.1978", ["Mario", "María"]),
        ("garcia 14/03/1978", ["María"]),
        ("14/3/1978 mar gar", ["Mario", "María"]),
        ("1978-03-15", []),
        ("garcia 1978-03-15", []),
        ("31/2/1978", []),
        # nothing that anybody could be found by
        ("%", []),
        ("_", []),
        ("\\", []),
        ("' OR '1'='1", []),
        ("~", []),
        ("=gar+mar", ["Mario", "María"]),
        ("🦄", []),
        ("...", []),
        ("/", []),
    ],
)
def test_list_patients_finds(people, find, words, found):
    assert find(words) == sorted(found)


@pytest.mark.parametrize("words", ["a" * 200, "a " * 100, "9" * 200, "a@" * 90, "garcia " * 28, "\u0301" * 200, "٣٤٥"])
def test_list_patients_takes_anything_typed(people, find, words):
    assert find(words) in ([], ["María"])


def test_list_patients_without_words_is_everybody(people, find):
    assert find("") == ["Mario", "María", "Siobhán"]


def test_list_patients_finds_archived_ones_only_when_asked(people, find, nurse, admin):
    services.archive_patient(Patient.objects.get(first_name="Mario"), by=admin, reason="Moved away")

    assert find("gar") == ["María"]
    assert find("14/3/1978") == ["María"]
    assert find("gar", include_archived=True) == ["Mario", "María"]


def test_list_patients_never_finds_those_of_another_clinic(people, stranger):
    with outside_tenant(), tenant_context(stranger.tenant_id):
        theirs = PatientFactory(by=stranger, first_name="María", first_last_name="García")
        assert list(selectors.list_patients(by=stranger, search="mar gar")) == [theirs]
        assert list(selectors.list_patients(by=stranger, search="4567")) == []
        assert list(selectors.list_patients(by=stranger, search="14/3/1978")) == []


def test_find_patient_ids_adds_no_condition_that_only_the_policy_keeps(people, stranger):
    """The tenant stands in the statement itself, too: a policy dropped by hand shows nobody's patients."""
    with outside_tenant(), tenant_context(stranger.tenant_id):
        assert search.find_patient_ids(("mar", "gar"), limit=10) == []


def test_list_patients_follows_a_change_of_name(nurse, find):
    patient = PatientFactory(by=nurse, first_name="Ana", first_last_name="Paz")

    services.update_patient(patient, by=nurse, changes={"first_last_name": "Ríos"})

    assert (find("paz"), find("rios")) == ([], ["Ana"])
    assert not PatientToken.objects.filter(token="paz").exists()


def test_list_patients_stops_at_the_most_it_shows(nurse, find, monkeypatch):
    monkeypatch.setattr(selectors, "MOST_FOUND", 3)
    for number in range(5):
        PatientFactory(by=nurse, first_name=f"N{number}")

    assert len(find("hoz")) == 3
    assert find("hoz n4") == ["N4"]


def test_list_patients_finds_a_birth_date_among_many_of_the_same_name(nurse, find, monkeypatch):
    monkeypatch.setattr(selectors, "MOST_FOUND", 3)
    for number in range(8):
        PatientFactory(by=nurse, first_name=f"N{number}", birth_date=date(1978, 3, 1 + number))

    for number in range(8):
        assert find(f"hoz 1978-03-{number + 1:02}") == [f"N{number}"]


def test_list_patients_finds_as_many_as_it_shows_though_others_are_archived(nurse, admin, find, monkeypatch):
    monkeypatch.setattr(selectors, "MOST_FOUND", 3)
    for number in range(4):
        services.archive_patient(PatientFactory(by=nurse, first_name=f"A{number}"), by=admin, reason="Moved away")
    for number in range(3):
        PatientFactory(by=nurse, first_name=f"N{number}")

    assert find("hoz") == ["N0", "N1", "N2"]
    assert find("hoz aur", include_archived=True) == []
    assert find("a2 hoz", include_archived=True) == ["A2"]


def test_find_patient_ids_gives_the_whole_number_first(nurse):
    for number in range(12):
        PatientFactory(by=nurse, cell_phone=f"300 000 00{number:02}")
    three = Patient.objects.get(number=3)

    assert search.find_patient_ids(("3",), limit=1) == [three.pk]


# --- Who may be the same person --------------------------------------------------------------------------------------


def doubles_of(nurse, **fields):
    data = {"first_name": "Aurelia", "first_last_name": "de la Hoz", "gender": Gender.objects.get(pk=FEMALE)} | fields
    found = selectors.find_possible_duplicates(services.build_patient(data), by=nurse)
    return [(double.patient.first_name, double.reasons) for double in found]


@pytest.mark.parametrize(
    ("known", "typed", "reasons"),
    [
        ({}, {}, ("name",)),
        ({}, {"first_name": "AURÉLIA"}, ("name",)),
        ({}, {"first_name": "de la Hoz", "first_last_name": "Aurelia"}, ()),
        ({"birth_date": date(1978, 3, 14)}, {"birth_date": date(1978, 3, 14)}, ("birth_date", "name")),
        ({"birth_date": date(1978, 3, 14)}, {"birth_date": date(1978, 3, 14), "first_name": "Aurora"}, ("birth_date",)),
        ({"birth_date": date(1978, 3, 14)}, {"birth_date": date(1979, 3, 14)}, ()),
        ({"birth_date": date(1978, 3, 14)}, {}, ("name",)),
        ({"cell_phone": "300 123 4567"}, {"phone": "+57 300 1234567", "first_name": "Aura"}, ("contact",)),
        ({"email": "a@b.example"}, {"email": "A@B.example", "first_name": "Aura"}, ("contact",)),
        ({"email": "a@b.example"}, {"email": "a@b.example", "first_name": "Bruno", "first_last_name": "Paz"}, ()),
    ],
)  # fmt: skip
def test_find_possible_duplicates_says_why(nurse, known, typed, reasons):
    PatientFactory(by=nurse, **known)

    assert doubles_of(nurse, **typed) == ([("Aurelia", reasons)] if reasons else [])


def test_find_possible_duplicates_knows_the_document_whatever_the_name(nurse):
    card = {"document_type": DocumentType.objects.get(pk=CITIZENSHIP_CARD)}
    PatientFactory(by=nurse, document_number="52.123.456", **card)

    found = doubles_of(nurse, first_name="Bruno", first_last_name="Paz", document_number="52123456", **card)

    assert found == [("Aurelia", ("document",))]


def test_find_possible_duplicates_includes_archived_ones(nurse, admin):
    services.archive_patient(PatientFactory(by=nurse), by=admin, reason="Moved away")

    assert doubles_of(nurse) == [("Aurelia", ("name",))]


# --- The plan --------------------------------------------------------------------------------------------------------


BY_TOKEN = re.compile(r"\btoken\b(\)::text)? >?= ")
TABLES = {"patients_patienttoken", "patients_patient"}


def plans_of(*statements):
    for statement, parameters in statements:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            found = cursor.fetchone()[0]
            yield (found if isinstance(found, list) else json.loads(found))[0]["Plan"]


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.fixture(scope="module")
def large_clinic(django_db_setup, django_db_blocker):
    """The id of a clinic with 2,500 patients and 12,500 words, committed, so that the planner can count them."""
    with django_db_blocker.unblock():
        tenant, admin = open_clinic()
        with tenant_context(tenant.id):
            _fill(PatientFactory(by=admin))
        with as_superuser(connection.settings_dict["NAME"]) as server:
            server.execute("ANALYZE patients_patient, patients_patienttoken")
        connection.close()
    return tenant.id


def _fill(patient):
    rows = [(new_id(), f"{'mar' if n % 2 else 'gar'}{n}") for n in range(2500)]
    columns = [f.column for f in Patient._meta.concrete_fields if f.column not in {"id", "number", "document_key"}]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO patients_patient (id, number, document_key, {', '.join(columns)})"
            f" SELECT ids.id, ids.n + 1, '', {', '.join(columns)} FROM patients_patient p,"
            " unnest(%s::uuid[]) WITH ORDINALITY AS ids(id, n) WHERE p.id = %s",
            [[pk for pk, _ in rows], patient.pk],
        )
    PatientToken.objects.bulk_create(
        PatientToken(tenant_id=patient.tenant_id, patient_id=pk, token=f"{letter}{word}")
        for pk, word in rows
        for letter in ("", "x", "y", "z", "~")
    )


@pytest.mark.parametrize(
    "words", [("mar123",), ("mar", "gar"), ("1234567",), ("xmar1", "ygar", "123"), ("jo",), ("42",)]
)
@pytest.mark.parametrize("present_only", [True, False])
def test_find_patient_ids_reads_the_index_under_the_policy(large_clinic, committed_db, words, present_only):
    """As the app role, beside a row policy, only leakproof operators become index conditions (database.md)."""
    with tenant_context(large_clinic):
        with recorded_statements() as statements:
            search.find_patient_ids(words, limit=200, present_only=present_only)
        plans = list(plans_of(*[seen for seen in statements if "patients_patienttoken" in seen[0]]))

    assert plans
    read = [node for plan in plans for node in nodes(plan) if node.get("Relation Name") in TABLES]
    assert {node["Node Type"] for node in read} <= {"Index Only Scan", "Index Scan", "Bitmap Heap Scan"}
    conditions = [node["Index Cond"] for plan in plans for node in nodes(plan) if "Index Cond" in node]
    assert len(conditions) >= len(read)
    for condition in conditions:
        # ^@ becomes a range of the index: token >= 'mar' AND token < 'mas'
        assert BY_TOKEN.search(condition) or re.search(r"\b(patient_)?id = ", condition)


def test_prefix_by_like_would_not_read_the_index(large_clinic, committed_db):
    """The negative control: the operator everybody would have used."""
    statement = "SELECT patient_id FROM patients_patienttoken WHERE tenant_id = %s AND token LIKE %s"

    with tenant_context(large_clinic):
        (plan,) = plans_of((statement, [large_clinic, "mar12%"]))

    assert not any(BY_TOKEN.search(node.get("Index Cond", "")) for node in nodes(plan))


class recorded_statements:
    """The statements and parameters that go through the connection."""

    def __enter__(self):
        self.seen = []
        self.wrapper = connection.execute_wrapper(self.note)
        self.wrapper.__enter__()
        return self.seen

    def __exit__(self, *error):
        self.wrapper.__exit__(*error)

    def note(self, execute, sql, params, many, context):
        self.seen.append((sql, params))
        return execute(sql, params, many, context)
