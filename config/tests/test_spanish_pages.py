"""The real pages in Spanish: nothing English is left on them, and no word got there past gettext.

The second is asked by a catalogue that puts every text it is asked for in
brackets: what then stands outside of brackets and is nobody's name came from
somewhere else.
"""

import re
from datetime import UTC, date, datetime

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import trans_real

from accounts.users.tests.factories import PASSWORD
from clinic.patients import custom_fields, presenting, services
from clinic.patients.models import CustomField, DocumentType, Insurer, Patient
from clinic.patients.tests.factories import PatientFactory
from config.look import wording
from config.look.tests.test_templates import WordReader
from scripts import messages
from tenancy.audit import services as audit

SPANISH = {"HTTP_ACCEPT_LANGUAGE": "es-CO,es;q=0.9,en;q=0.1"}
# Names and words that people have typed, and codes; they read the same in every language.
TYPED = ["Aurelia", "Quiñones", "Ada Admin", "Riverside Clinic", "Wayuunaiki", "Penicilina", "Caídas", "Casa",
         "Tuluá", "Estrato", "alto", "Traslado", "aq@example.org", "CC", "EPS-778", "Sura-X", "CO", "Dra", "Cra",
         "English", "Español", "Carewright", "Asma", "API", "UTC"]  # fmt: skip


@pytest.fixture
def member(admin):
    admin.user.language = "es"
    admin.user.save()
    return admin


@pytest.fixture
def patient(member):
    """Everything is known, was changed, asked, looked at."""
    custom_fields.define_custom_field(by=member, key="tier", label="Estrato", type=CustomField.Type.TEXT)
    patient = PatientFactory(
        by=member, title="Dra", first_name="Aurelia", first_last_name="Quiñones", birth_date=date(1978, 3, 14),
        document_type=DocumentType.objects.get(code="CC"), document_number="52123456", insurer=Insurer.objects.first(),
        cell_phone="3005550101", email="aq@example.org", address="Cra 7", city="Tuluá", country="CO",
        language="Wayuunaiki", needs_interpreter=True, blood_type="O+", marital_status="T", habeas_data=True,
        allergy_status="recorded", allergies="Penicilina", alerts="Caídas", medical_history="Asma",
        custom_fields={"tier": "alto"}, identifiers=[{"kind": "MR", "value": "EPS-778", "system": "Sura-X"}],
    )  # fmt: skip
    services.record_consent(patient, by=member, kind="research", granted=False, note="Casa")
    patient = services.update_patient(
        patient, by=member, changes={"city": "Casa", "birth_date": date(1978, 3, 15)}, expected_version=patient.version
    )
    for kind in ("chart", "edit", "history", "looks", "api"):
        audit.record_read(patient, by=member, kind=kind)
    return patient


def open_pages(browser, anonymous, patient):
    """Name and text of every page, as a browser gets them."""
    at = {
        name: reverse(f"patients:{name}", args=[patient.pk])
        for name in ("chart", "edit", "history", "looks", "archive")
    }
    double = {"first_name": "Aurelia", "first_last_name": "Quiñones", "birth_date_day": "15", "birth_date_month": "3",
              "birth_date_year": "1978", "gender": "2", "allergy_status": "not_asked", "numbers-TOTAL_FORMS": "0",
              "numbers-INITIAL_FORMS": "0"}  # fmt: skip
    pages = {
        "sign-in": anonymous.get("/sign-in/", **SPANISH),
        "sign-in, refused": anonymous.post("/sign-in/", {"username": "x", "password": PASSWORD}, **SPANISH),
        "list": browser.get("/patients/"),
        "list, two pages": browser.get("/patients/?page=1&limit=1"),
        "list, nobody": browser.get("/patients/?q=zzzz"),
        "chart": browser.get(at["chart"]),
        "today": browser.get("/"),
        "create": browser.get("/patients/new/"),
        "create, refused": browser.post("/patients/new/", {"birth_date_day": "31"}),
        "create, double": browser.post("/patients/new/", double),
        "edit": browser.get(at["edit"]),
        "edit, stale": browser.post(at["edit"], double | {"version": "1", "city": "Tuluá"}),
        "looks": browser.get(at["looks"]),
        "not found": browser.get("/nowhere/"),
        "archived": browser.post(at["archive"], {"reason": "Traslado", "version": patient.version}, follow=True),
        "history": browser.get(at["history"]),
        "history, a version": browser.get(at["history"] + "?version=1"),
    }
    assert {page.status_code for page in pages.values()} <= {200, 404, 422}
    for name in ("400", "403", "409", "429", "500"):
        with translation.override("es"):
            pages[name] = render_to_string(f"errors/{name}.html", {"code": "", "trace_id": "1"})
    with translation.override("es"):
        pages["403, old form"] = render_to_string("errors/403.html", {"code": "csrf_failed"})
        pages["503"] = render_to_string("errors/500.html", {"status": 503})
    return {name: page if isinstance(page, str) else page.content.decode() for name, page in pages.items()}


def open_administration(browser, patient):
    pages = {
        "administration": browser.get("/admin/"),
        "administration, patients": browser.get("/admin/patients/patient/"),
        "administration, a patient": browser.get(f"/admin/patients/patient/{patient.pk}/change/"),
        "administration, staff": browser.get("/admin/users/membership/"),
        "administration, a member": browser.get(f"/admin/users/membership/{patient.updated_by_id}/change/"),
        "administration, sign-ins": browser.get("/admin/users/session/"),
        "administration, a field": browser.get("/admin/patients/customfield/add/"),
    }
    assert {page.status_code for page in pages.values()} == {200}
    return {name: page.content.decode() for name, page in pages.items()}


class TextReader(WordReader):
    """All pieces of text, also those without a letter."""

    def _note(self, *texts):
        self.words += [text for text in texts if text.strip()]


def words_of(page):
    reader = TextReader()
    reader.feed(page)
    reader.close()
    return [" ".join(words.split()) for words in reader.words]


# --- Nothing English -------------------------------------------------------------------------------------------------


OWN_NAMES = {"English"}  # a language is called by its own name where it is chosen


def english_patterns():
    """Every message that reads otherwise in Spanish, as a pattern for a whole piece of text."""
    for entry in messages.read_catalogue():
        if all(place.startswith("templates/docs/") for place, _line in entry.occurrences):
            continue  # the API is described in English
        texts = zip([entry.msgid, entry.msgid_plural], [entry.msgstr, *entry.msgstr_plural.values()], strict=False)
        for english, spanish in texts:
            if english and english != spanish and english not in OWN_NAMES:
                pieces = re.split(r"%\(\w+\)[sd]|%s", " ".join(english.split()))
                yield ".+".join(map(re.escape, pieces))


def list_english(page):
    pattern = re.compile("|".join(english_patterns()))
    return [words for words in words_of(page) if pattern.fullmatch(words)]


def test_pages_in_spanish_say_nothing_in_english(settings, member, patient, client, page_client):
    settings.DEMO = True  # the administration lets nobody else in without a second factor
    browser = page_client(member)
    pages = open_administration(browser, patient) | open_pages(browser, client, patient)

    assert {name: found for name, page in pages.items() if (found := list_english(page))} == {}
    assert {name for name, page in pages.items() if '<html lang="es"' not in page} == set()


def test_list_english_finds_a_whole_text_and_one_with_a_name_in_it():
    assert list_english("<h1>Patients</h1><p>Pacientes</p><p>Go to Patients</p>") == ["Patients", "Go to Patients"]
    assert list_english('<p aria-label="Patient Ana">Ana</p>') == ["Patient Ana"]


def test_dates_names_and_refusals_are_spanish(member, patient, client, page_client):
    pages = {name: " ".join(words_of(page)) for name, page in open_pages(page_client(member), client, patient).items()}

    assert "15 mar 1978" in pages["chart"]
    assert "antes 14 mar 1978 → ahora 15 mar 1978" in pages["history"]
    assert "Alergia: Penicilina" in pages["chart"]
    assert "Cédula de ciudadanía" in pages["chart"]
    assert "Otra persona guardó antes que usted." in pages["edit, stale"]
    assert "Este campo es requerido." in pages["create, refused"]  # of the packages; DRF's word comes before Django's
    assert "Correo o contraseña incorrectos" in pages["sign-in, refused"]
    assert "Aquí no hay nada" in pages["not found"]


def test_numbers_are_parted_as_in_spanish(member, page_client, monkeypatch):
    monkeypatch.setattr("clinic.patients.selectors.count_patients", lambda by: 4321)

    assert "4.321" in words_of(page_client(member).get("/").content.decode())


def test_times_in_words_are_those_of_the_clinic(member, patient, page_client):
    services.archive_patient(patient, by=member, reason="Traslado")
    type(patient).objects.filter(pk=patient.pk).update(archived_at=datetime(2026, 11, 21, 2, 30, tzinfo=UTC))

    page = page_client(member).get(reverse("patients:history", args=[patient.pk]))

    assert "20 nov 2026, 21:30" in " ".join(words_of(page.content.decode()))
    assert timezone.get_current_timezone_name() == settings.TIME_ZONE


# --- Nothing past gettext --------------------------------------------------------------------------------------------


@pytest.fixture
def brackets(monkeypatch):
    """Spanish, with every text from a catalogue in brackets."""
    catalogue = trans_real.translation("es")
    one, many = catalogue.gettext, catalogue.ngettext
    monkeypatch.setattr(catalogue, "gettext", lambda text: f"⟦{one(text)}⟧")
    monkeypatch.setattr(catalogue, "ngettext", lambda *args: f"⟦{many(*args)}⟧")
    remembered = wording._write_day, presenting.dialog_fields
    for words in remembered:
        words.cache_clear()
    yield
    for words in remembered:
        words.cache_clear()


def list_outsiders(page, typed):
    """Words outside of brackets that nobody has typed."""
    known = re.compile("|".join(re.escape(word) for word in sorted(typed, key=len, reverse=True)), re.IGNORECASE)
    rest, count = "\n".join(words_of(page)), 1
    while count:  # from the inside out; a text may go on behind an element that stands in its middle
        rest, count = re.subn(r"⟦[^⟦⟧]*⟧", "", rest)
    return [words for words in rest.splitlines() if re.search(r"[^\W\d_]", known.sub("", words))]


def test_no_word_reaches_a_page_past_gettext(brackets, member, patient, client, page_client):
    pages = open_pages(page_client(member), client, patient)
    typed = [*TYPED, *Patient.BloodType.values, *Insurer.objects.values_list("name", flat=True)]

    assert {name: found for name, page in pages.items() if (found := list_outsiders(page, typed))} == {}


def test_list_outsiders_finds_words_outside_of_brackets():
    page = "<p>⟦Paciente ⟦ANA⟧⟧, Ana 12</p><p>Saved ⟦ahora⟧</p><p>⟦Desde <b>hoy</b> aquí⟧</p>"

    assert list_outsiders(page, ["Ana"]) == ["Saved "]
