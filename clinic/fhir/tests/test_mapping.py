from datetime import date

import pytest

from clinic.fhir.countries import country_code
from clinic.fhir.mapping import EMAIL_LEFT_OUT, PHONE_LEFT_OUT, Number, map_resource
from clinic.fhir.readers import Found, Place
from clinic.fhir.validation import check_resource

from . import samples


def mapped(**fields):
    resource = samples.a_patient(**fields)
    check_resource(resource)
    return map_resource(Found(Place("x"), resource))


def values(**fields):
    return mapped(**fields).values


def test_map_resource_maps_a_whole_patient():
    patient = mapped(
        name=[
            {"use": "nickname", "given": ["Lucha"]},
            {"use": "official", "family": "de la Cruz Mejía", "given": ["Luz", "Marina"], "prefix": ["Dra."]},
            {"use": "maiden", "family": "Peña", "given": ["Luz", "Marina"]},
        ],
        telecom=[
            {"system": "phone", "value": "6011234567", "use": "work"},
            {"system": "phone", "value": "tel:6017654321", "use": "home"},
            {"system": "phone", "value": "3001234567", "use": "mobile"},
            {"system": "email", "value": "luz@example.org"},
            {"system": "fax", "value": "1"},
            {"system": "phone", "value": "5", "use": "old"},
        ],
        address=[
            {"use": "old", "city": "Cali"},
            {"use": "home", "line": ["Calle 1 # 2-3", "Apto 4"], "city": "Bogotá", "state": "D.C.", "country": "COL"},
        ],
        maritalStatus={"coding": [{"code": "M"}]},
        communication=[
            {"language": {"coding": [{"code": "en"}]}},
            {"language": {"coding": [{"code": "es-CO"}]}, "preferred": True},
        ],
        deceasedDateTime="2020-01-31T23:30:00-05:00",
    )

    assert patient.values == {
        "title": "Dra.",
        "first_name": "Luz",
        "second_name": "Marina",
        "first_last_name": "de la Cruz",
        "second_last_name": "Mejía",
        "previous_names": "Luz Marina Peña",
        "birth_date": date(1980, 5, 17),
        "died_on": date(2020, 1, 31),
        "is_deceased": True,
        "gender": "female",
        "marital_status": "M",
        "phone": "6017654321",
        "cell_phone": "3001234567",
        "email": "luz@example.org",
        "address": "Calle 1 # 2-3, Apto 4",
        "city": "Bogotá",
        "region": "D.C.",
        "country": "CO",
        "language": "es-CO",
    }
    assert patient.numbers == [Number("MR", samples.MRN, "100")]


def test_map_resource_carries_only_what_the_resource_says():
    assert set(values(gender=None, birthDate=None, identifier=None)) == {
        "first_name",
        "second_name",
        "first_last_name",
        "second_last_name",
    }


@pytest.mark.parametrize("text", ["1980", "1980-05"])
def test_map_resource_never_completes_a_partial_date(text):
    patient = mapped(birthDate=text, deceasedDateTime=text)

    assert "birth_date" not in patient.values
    assert "died_on" not in patient.values
    assert patient.values["is_deceased"]
    assert patient.partial == {"birth_date_partial": text, "died_on_partial": text}


def test_map_resource_takes_back_a_death():
    assert values(deceasedBoolean=False) | {"is_deceased": False, "died_on": None} == values(deceasedBoolean=False)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ([{"text": "张无忌"}], ("张无忌", "", "", "")),
        ([{"text": "Juri van Gelder"}], ("Juri", "", "van Gelder", "")),
        ([{"family": "MINT_TEST"}], ("", "", "MINT_TEST", "")),
        ([{"given": ["Kenzi"]}], ("Kenzi", "", "", "")),
        ([{"given": [None, "B"], "_given": [{"id": "x"}, None], "family": "C"}], ("B", "", "C", "")),
        ([{"use": "old", "given": ["A"]}, {"use": "usual", "given": ["B"]}], ("B", "", "", "")),
        ([{"use": "old", "given": ["A"]}], ("A", "", "", "")),
        ([{"use": "invented", "given": ["A"]}, {"use": "official", "given": ["B"]}], ("B", "", "", "")),
        ([{"use": "official"}, {"given": ["B"]}], ("B", "", "", "")),
    ],
)
def test_map_resource_chooses_and_splits_the_name(name, parts):
    assert (
        tuple(values(name=name)[part] for part in ("first_name", "second_name", "first_last_name", "second_last_name"))
        == parts
    )


@pytest.mark.parametrize("name", [None, [], [{"use": "official"}], [{"given": [], "prefix": ["Dr."]}]])
def test_map_resource_without_a_name_carries_none(name):
    assert "first_name" not in values(name=name)


@pytest.mark.parametrize(
    ("identifier", "number"),
    [
        (samples.number("MR", "s", "1"), Number("MR", "s", "1")),
        (samples.number("PPN", "s", "X-1"), Number("PPN", "s", "X-1")),
        (samples.number("MB", "s", "1"), Number("SN", "s", "1")),
        (samples.number("TAX", "s", "1"), Number("XX", "s", "1")),
        (
            {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "1"},
            Number("SS", "http://hl7.org/fhir/sid/us-ssn", "1"),
        ),
        (
            {"system": "http://hl7.org/fhir/sid/passport-COL", "value": "1"},
            Number("PPN", "http://hl7.org/fhir/sid/passport-COL", "1"),
        ),
        ({"value": " 1  2 "}, Number("XX", "", "1 2")),
        (
            {"type": {"coding": [{"system": "http://other", "code": "MR"}]}, "system": "s", "value": "1"},
            Number("XX", "s", "1"),
        ),
    ],
)
def test_map_resource_types_identifiers(identifier, number):
    assert mapped(identifier=[identifier, identifier, {"system": "no value"}]).numbers == [number]


def test_map_resource_makes_a_colombian_document_the_document():
    # As in the example patients of the HL7 Colombia Core guide 0.4.2.
    card = {
        "type": {
            "coding": [{"system": "https://www.minsalud.gov.co/ihc/fhir/CodeSystem/Identificadores", "code": "CC"}]
        },
        "system": "http://minsalud.gov.co/ihc/ide/170/CC",
        "value": "52.123.456",
    }

    patient = mapped(identifier=[card, samples.number("MR", "s", "1")])

    assert (patient.values["document_type"], patient.values["document_number"]) == ("CC", "52.123.456")
    assert patient.numbers == [Number("MR", "s", "1")]


@pytest.mark.parametrize("code", ["UNK", "A", "U", "P", ""])
def test_map_resource_leaves_out_marital_states_we_do_not_have(code):
    assert "marital_status" not in values(maritalStatus={"coding": [{"code": code or "?"}]})


def test_map_resource_leaves_out_contacts_that_can_not_be_kept():
    patient = mapped(
        telecom=[
            {"system": "email", "value": "Agustín529@example.com"},
            {"system": "email", "value": "agustin@example.com"},
            {"system": "phone", "value": "1" * 31},
        ]
    )

    assert patient.values["email"] == "agustin@example.com"
    assert "phone" not in patient.values
    assert patient.left_out == [EMAIL_LEFT_OUT, PHONE_LEFT_OUT]


def test_map_resource_keeps_an_unknown_country_in_the_address():
    assert values(address=[{"line": ["1 Street"], "country": "Swizterland"}])["address"] == "1 Street, Swizterland"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("US", "US"),
        ("us", "US"),
        ("USA", "US"),
        ("COL", "CO"),
        ("NLD", "NL"),
        ("United  States", "US"),
        ("XX", ""),
        ("", ""),
    ],
)
def test_country_code(text, code):
    assert country_code(text) == code


def test_content_hash_is_blind_to_what_is_not_read():
    plain = mapped().content_hash

    assert mapped(meta={"versionId": "7"}, text={"status": "empty", "div": "<div>x</div>"}).content_hash == plain
    assert mapped(gender="male").content_hash != plain
    assert mapped(birthDate="1980").content_hash != mapped(birthDate=None).content_hash


def test_map_resource_maps_a_practitioner():
    resource = {
        "resourceType": "Practitioner",
        "id": "d1",
        "identifier": [
            {"system": "http://other", "value": "7"},
            {"system": "http://hl7.org/fhir/sid/us-npi", "value": "99"},
        ],
        "active": False,
        "name": [{"family": "Kub", "given": ["Felicitas"], "prefix": ["Dr."]}],
        "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "f@example.org"}],
    }
    check_resource(resource)

    assert map_resource(Found(Place("x"), resource)).values == {
        "title": "Dr.",
        "first_name": "Felicitas",
        "second_name": "",
        "first_last_name": "Kub",
        "second_last_name": "",
        "phone": "1",
        "email": "f@example.org",
        "is_active": False,
        "identifier_system": "http://hl7.org/fhir/sid/us-npi",
        "identifier": "99",
    }


def test_map_resource_maps_an_organization():
    resource = {
        "resourceType": "Organization",
        "id": "o1",
        "identifier": [{"system": "urn:o", "value": "7"}],
        "name": "Carney Hospital",
        "telecom": [{"system": "phone", "value": "617"}],
        "address": [{"line": ["2100 Dorchester Avenue"], "city": "Boston", "country": "US"}],
        "partOf": {"reference": "Organization/2"},
    }
    check_resource(resource)

    organization = map_resource(Found(Place("x"), resource))

    assert organization.values == {
        "name": "Carney Hospital",
        "phone": "617",
        "address": "2100 Dorchester Avenue",
        "city": "Boston",
        "country": "US",
        "identifier_system": "urn:o",
        "identifier": "7",
    }
    assert organization.references == [{"reference": "Organization/2"}]
