"""Names in eleven scripts, from the form's fields into the database, out by search, and onto the page."""

import html
import json
import unicodedata
from pathlib import Path

import pytest
from django.conf import settings

from clinic.names import from_given_and_family
from clinic.patients.models import Patient
from clinic.patients.selectors import list_patients
from tenancy.doors.tests.sent_forms import sent_by

from .factories import PatientFactory

SAMPLE = [
    json.loads(line) for line in (Path(__file__).parent / "data" / "composed_names.jsonl").read_text().splitlines()
]
ONE_OF_EACH_SCRIPT = list({row["script"]: row for row in SAMPLE}.values())
SHARED = settings.BASE_DIR.parent / "shared" / "data" / "names" / "composed_names.jsonl"
WRITTEN_OTHERWISE = {
    "JP": "The data writes a space between family and given name; we write Han names without one.",
    "HU": "The data puts the family name first; we do so only in Han, Hangul and Kana, where the script tells.",
    "VN": "As HU.",
}


def register(row):
    name = from_given_and_family(row["given"], row["family"])
    return PatientFactory(**vars(name))


def without_accents(text):
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def asked_for(row):
    """What people type to find this person, by what it is."""
    whole = {"display": row["display"], "given": row["given"], "family": row["family"]}
    spelled = {"as written": str, "upper": str.upper, "lower": str.lower, "decomposed": decompose}
    if row["script"] == "latin":
        spelled["without accents"] = without_accents
    asked = {f"{part}, {how}": spell(text) for part, text in whole.items() for how, spell in spelled.items()}
    asked |= {f"{part}, {length} letters": text[:length] for part, text in whole.items() for length in (2, 3)}
    return asked | {
        "family first": f"{row['family']} {row['given']}",
        "both begun": f"{row['family'][:2]} {row['given'][:2]}",
    }


def decompose(text):
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize("row", SAMPLE, ids=lambda row: f"{row['country']}-{row['script']}-{row['id'][-4:]}")
def test_a_name_is_found_however_it_is_typed_and_shown_as_it_was(nurse, row):
    created = register(row)
    PatientFactory(first_name="Somebody", first_last_name="Else")

    patient = Patient.objects.get(pk=created.pk)
    missed = [how for how, text in asked_for(row).items() if [*list_patients(by=nurse, search=text)] != [patient]]

    assert missed == []
    assert (patient.name_parts.given, patient.name_parts.family) == (row["given"], row["family"])
    if row["country"] not in WRITTEN_OTHERWISE:
        assert patient.name == row["display"]


@pytest.mark.parametrize("row", ONE_OF_EACH_SCRIPT, ids=lambda row: row["script"])
def test_a_name_goes_through_the_form_the_search_and_the_pages(nurse, page_client, row):
    browser = page_client(nurse)
    sent = sent_by(browser.get("/patients/new/").content.decode(), holding="first_last_name")
    name = vars(from_given_and_family(row["given"], row["family"]))

    registered = browser.post("/patients/new/", sent | name | {"gender": "4"})
    patient = Patient.objects.get()
    chart = browser.get(registered.headers["Location"])
    register(row)  # a search that finds one goes straight to the chart
    listed = browser.get("/patients/", {"q": row["family"].upper()})

    assert (patient.name_parts.given, patient.name_parts.family) == (row["given"], row["family"])
    assert patient.name in html.unescape(chart.content.decode())
    # The list writes family names in capitals.
    people = html.unescape(listed.content.decode()).casefold()
    assert min(people.count(row["given"].casefold()), people.count(row["family"].casefold())) >= 2


def test_the_sample_has_every_script():
    assert len({row["script"] for row in SAMPLE}) == 11


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not beside this tree")
def test_all_508_names_survive_the_round_trip(nurse):
    rows = [json.loads(line) for line in SHARED.read_text().splitlines()]
    created = [register(row) for row in rows]

    lost, shown_otherwise = [], set()
    for row, patient in zip(rows, created, strict=True):
        spelled = without_accents(row["display"]).upper() if row["script"] == "latin" else row["display"].upper()
        for text in (row["display"], spelled, f"{row['given'][:3]} {row['family'][:3]}"):
            if patient not in list_patients(by=nurse, search=text):
                lost.append(text)
        if patient.name != row["display"]:
            shown_otherwise.add(row["country"])

    assert len(rows) == 508
    assert lost == []
    assert shown_otherwise == set(WRITTEN_OTHERWISE)
