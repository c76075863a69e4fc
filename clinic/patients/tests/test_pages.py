"""The HTML door: what each page shows, refuses and writes."""

import html
import re
from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.users.tests.factories import MembershipFactory
from clinic.patients import custom_fields, selectors, services
from clinic.patients.models import Consent, DocumentType, Insurer, Patient
from tenancy.audit import services as audit
from tenancy.audit.tests.trails import actions_about
from tenancy.doors.tests.sent_forms import sent_by
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

from .factories import CITIZENSHIP_CARD, FEMALE, MALE, PatientFactory
from .trails import reads_of, version_numbers

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def patient(nurse):
    return PatientFactory(by=nurse, birth_date=date(1978, 3, 14))


def address(page, patient=None):
    return reverse(f"patients:{page}", args=[patient.pk] if patient else [])


def text_of(response):
    """What somebody reads: no tags, entities as characters, single spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def main_of(response):
    """The page without rail, top bar and dialogs of the frame."""
    return response.content.decode().partition("<main")[2].partition("</main>")[0]


def title_of(response):
    return html.unescape(re.search(r"<title>(.*?)</title>", response.content.decode(), re.DOTALL)[1]).strip()


def queries_of(browser, url):
    """How many statements a page takes, once everything that is kept between requests is kept."""
    browser.get(url)
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(url).status_code == 200
    return len(captured)


def opened(browser, patient, **changes):
    """The edit form as a browser would send it back, with these changes."""
    page = browser.get(address("edit", patient))
    assert page.status_code == 200
    return sent_by(page.content.decode(), holding="first_name") | changes


# --- The list and the search -----------------------------------------------------------------------------------------


def test_patient_list_shows_people_by_name(nurse, page_client):
    PatientFactory(by=nurse, first_name="Zoe", first_last_name="Álvarez", phone="601 555 0101")
    PatientFactory(by=nurse, first_name="Ana", first_last_name="Zapata", birth_date=date(1990, 1, 2))

    page = page_client(nurse).get(address("list"))

    words = text_of(page)
    assert words.index("ÁLVAREZ, Zoe") < words.index("ZAPATA, Ana")
    assert "2 Jan 1990" in words
    assert "601 555 0101" in words
    assert page["Cache-Control"] == "no-store"


def test_patient_list_sorts_and_pages(nurse, page_client):
    for number in range(26):
        PatientFactory(by=nurse, first_name=f"N{number:02}")
    browser = page_client(nurse)

    def names(query):
        return re.findall(r"N\d\d", text_of(browser.get(address("list") + query)))

    assert names("?sort=-name&page_size=3") == ["N25", "N24", "N23"]
    assert names("?page=2&page_size=25") == ["N25"]
    assert names("?page=99") == []


def test_patient_list_opens_the_only_hit_on_enter(patient, nurse, page_client):
    PatientFactory(by=nurse, first_name="Bruno")
    browser = page_client(nurse)

    assert browser.get(address("list"), {"q": "aurelia hoz"}).url == address("chart", patient)
    assert browser.get(address("list"), {"q": "hoz"}).status_code == 200
    assert browser.get(address("list"), {"q": "aurelia"}, **HTMX).status_code == 200


def test_patient_list_sends_the_results_alone_to_htmx(patient, nurse, page_client):
    PatientFactory(by=nurse, first_name="Bruno")
    browser = page_client(nurse)

    part = browser.get(address("list"), {"q": "aur"}, **HTMX)
    none = browser.get(address("list"), {"q": "xyz"}, **HTMX)

    assert "<html" not in part.content.decode()
    assert 'data-announce="1 patient"' in part.content.decode()
    assert "DE LA HOZ, Aurelia" in text_of(part)
    assert "Bruno" not in text_of(part)
    assert 'data-announce="No patient found"' in none.content.decode()


@pytest.mark.parametrize(
    "query",
    ["q=" + "a" * 10_000, "q=%00", "q=%FF%FE", "page=0", "sort=password", "unknown=1", "cursor=x", "cursor=x&page=1"],
)
def test_patient_list_answers_a_query_it_can_not_read_without_failing(patient, nurse, page_client, query):
    browser = page_client(nurse)

    assert browser.get(f"{address('list')}?{query}").url == address("list")
    part = browser.get(f"{address('list')}?{query}", **HTMX)
    assert part.status_code == 200
    assert "Aurelia" not in text_of(part)


@pytest.mark.parametrize("words", ["%", "_", "\\", "' OR 1=1 --", "<script>", "🦄", "((((", "~", "="])
def test_patient_list_finds_nobody_by_punctuation(patient, nurse, page_client, words):
    page = page_client(nurse).get(address("list"), {"q": words})

    assert page.status_code == 200
    assert "No patient found" in text_of(page)


def test_patient_list_shows_archived_ones_only_when_asked(patient, nurse, admin, page_client):
    services.archive_patient(patient, by=admin, reason="Moved away")
    browser = page_client(nurse)

    assert "Aurelia" not in text_of(browser.get(address("list")))
    assert "No patient found" in text_of(browser.get(address("list"), {"q": "aurelia"}))
    assert "Archived" in text_of(browser.get(address("list"), {"archived": "true"}))
    assert browser.get(address("list"), {"q": "aurelia", "archived": "true"}).url == address("chart", patient)


def test_patient_list_says_when_more_fit_than_are_shown(nurse, page_client, monkeypatch):
    monkeypatch.setattr(selectors, "MOST_FOUND", 2)
    for number in range(3):
        PatientFactory(by=nurse, first_name=f"N{number}")
    browser = page_client(nurse)

    assert "Add another word" in text_of(browser.get(address("list"), {"q": "hoz"}))
    assert "Add another word" not in text_of(browser.get(address("list"), {"q": "hoz n1"}, **HTMX))


# --- The chart -------------------------------------------------------------------------------------------------------


def test_patient_chart_shows_who_this_is_and_what_matters(nurse, page_client):
    patient = PatientFactory(
        by=nurse,
        title="Dra.",
        birth_date=date(1978, 3, 14),
        document_type=DocumentType.objects.get(pk=CITIZENSHIP_CARD),
        document_number="52123456",
        allergies="Penicillin\nLatex",
        alerts="Falls",
        needs_interpreter=True,
        language="Wayuu",
        identifiers=[{"kind": "MR", "system": "Harbor", "value": "HC-77"}],
    )
    services.record_consent(patient, by=nurse, kind="research", granted=False, note="By phone")

    page = page_client(nurse).get(address("chart", patient))

    words = text_of(page)
    assert title_of(page).startswith("DE LA HOZ, Aurelia (Dra.)")
    for piece in (
        "14 Mar 1978", "Female", "CC", "52123456", "Allergy: Penicillin", "Allergy: Latex", "Falls",
        "Interpreter: Wayuu", "HC-77", "Harbor", "Objects", "Use for research", "By phone",
    ):  # fmt: skip
        assert piece in words
    assert words.index("Allergy: Penicillin") < words.index("Overview")


@pytest.mark.parametrize(
    ("status", "words"), [("not_asked", "Allergies not asked"), ("none_known", "No known allergies")]
)
def test_patient_chart_tells_not_asked_from_none_known(nurse, page_client, status, words):
    patient = PatientFactory(by=nurse, allergy_status=status)

    assert words in text_of(page_client(nurse).get(address("chart", patient)))


def test_patient_chart_says_that_somebody_has_died(nurse, page_client):
    patient = PatientFactory(by=nurse, birth_date=date(1930, 1, 2), died_on=date(2020, 2, 3))

    words = text_of(page_client(nurse).get(address("chart", patient)))

    assert "Died 3 Feb 2020" in words
    assert "90 years" in words


def test_patient_chart_escapes_what_people_write(nurse, page_client):
    patient = PatientFactory(by=nurse, first_name="<script>alert(1)</script>", alerts='"><img src=x onerror=alert(1)>')
    browser = page_client(nurse)

    for url in (
        address("chart", patient), address("edit", patient), address("history", patient), address("list"),
        address("list") + "?q=%3Cscript%3Ealert(1)", "/",
    ):  # fmt: skip
        page = browser.get(url)
        assert page.status_code == 200
        assert "<script>alert" not in page.content.decode()
        assert "<img src=x" not in page.content.decode()


def test_patients_see_their_own_chart_and_nobody_else(patient, nurse, patient_user, page_client):
    mine = PatientFactory(by=nurse, first_name="Pia", user=patient_user.user)
    browser = page_client(patient_user)

    chart = browser.get(address("chart", mine))

    assert chart.status_code == 200
    assert "Change" not in main_of(chart)
    assert address("looks", mine) not in chart.content.decode()
    assert browser.get(address("chart", patient)).status_code == 404
    assert browser.get(address("list")).status_code == 403


# --- Registering -----------------------------------------------------------------------------------------------------


def typed(browser, **fields):
    """The empty form as a browser sends it, with these fields filled in."""
    page = browser.get(address("create"))
    return sent_by(page.content.decode(), holding="first_name") | {"gender": str(FEMALE)} | fields


def test_create_patient_registers_and_opens_the_chart(nurse, page_client):
    browser = page_client(nurse)
    data = typed(
        browser,
        first_name="María José",
        first_last_name="García",
        birth_date_day="14",
        birth_date_month="3",
        birth_date_year="1978",
        cell_phone="300 123 4567",
        **{"numbers-0-kind": "MR", "numbers-0-value": "HC-77"},
    )

    answer = browser.post(address("create"), data)

    patient = Patient.objects.get()
    assert answer.url == address("chart", patient)
    assert (patient.name, patient.birth_date, patient.updated_by) == ("María José García", date(1978, 3, 14), nurse)
    assert [i.value for i in patient.identifiers.all()] == ["HC-77"]
    assert actions_about(patient) == ["patient_created"]
    assert "María José García" in text_of(browser.get(answer.url))
    assert "messages" not in answer.cookies


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"first_name": "", "first_last_name": "García"}, "This field is required."),
        ({"gender": []}, "This field is required."),
        ({"birth_date_day": "31", "birth_date_month": "2", "birth_date_year": "1978"}, "This day does not exist."),
        ({"birth_date": (date.today() + timedelta(days=2)).isoformat()}, "Birth date cannot be in the future"),
        ({"document_number": "123"}, "Say what kind of document this number is on."),
        ({"email": "no address"}, "Enter a valid email address."),
        ({"city": "Ca\u202eli"}, "The text contains the character U+202E, which can not be kept."),
        ({"allergies": "a\x01"}, "The text contains the character U+0001, which can not be kept."),
        ({"numbers-0-value": "7\x02"}, "The text contains the character U+0002, which can not be kept."),
        ({"numbers-0-value": "7", "numbers-0-kind": "ZZ"}, "Select a valid choice. ZZ is not one of"),
        ({"country": "COL"}, "Ensure this value has at most 2 characters (it has 3)."),
    ],
)
def test_create_patient_says_what_is_wrong_and_keeps_what_was_typed(nurse, page_client, fields, sentence):
    browser = page_client(nurse)

    answer = browser.post(address("create"), typed(browser, first_name="Aurelia", address="Calle 26") | fields)

    assert answer.status_code == 422
    assert sentence in text_of(answer)
    assert sent_by(answer.content.decode(), holding="first_name")["address"] == ["Calle 26"]
    assert Patient.objects.count() == 0


def test_create_patient_shows_who_looks_the_same_and_saves_on_the_second_press(patient, nurse, page_client):
    browser = page_client(nurse)
    data = typed(browser, first_name="Aurelía", first_last_name="de la Hoz", birth_date="1978-03-14")

    warned = browser.post(address("create"), data)

    assert warned.status_code == 422
    assert "Is it one of these? Nothing is saved yet." in text_of(warned)
    assert "similar name, same birth date" in text_of(warned)
    assert Patient.objects.count() == 1
    confirmation = re.search(r'name="confirmed" value="(\w+)"', warned.content.decode())[1]

    assert browser.post(address("create"), data | {"confirmed": confirmation}).status_code == 302
    assert Patient.objects.count() == 2


def test_create_patient_asks_again_when_other_persons_look_the_same(patient, nurse, page_client):
    browser = page_client(nurse)
    data = typed(browser, first_name="Aurelia", first_last_name="de la Hoz", birth_date="1978-03-14")
    warned = browser.post(address("create"), data)
    confirmation = re.search(r'name="confirmed" value="(\w+)"', warned.content.decode())[1]
    PatientFactory(by=nurse, birth_date=date(1978, 3, 14), city="Cali")

    again = browser.post(address("create"), data | {"confirmed": confirmation})

    assert again.status_code == 422
    assert Patient.objects.count() == 2


def test_create_patient_refuses_a_document_twice_even_when_confirmed(nurse, page_client):
    card = {"document_type": DocumentType.objects.get(pk=CITIZENSHIP_CARD), "document_number": "1001"}
    PatientFactory(by=nurse, **card)
    browser = page_client(nurse)
    data = typed(browser, first_name="Bruno", document_type=str(CITIZENSHIP_CARD), document_number="1.001")
    warned = browser.post(address("create"), data)
    confirmation = re.search(r'name="confirmed" value="(\w+)"', warned.content.decode())[1]

    refused = browser.post(address("create"), data | {"confirmed": confirmation})

    assert "same document" in text_of(warned)
    assert refused.status_code == 422
    assert "Another patient has the document 1.001 already." in text_of(refused)
    assert Patient.objects.count() == 1


# --- Changing --------------------------------------------------------------------------------------------------------


def test_update_patient_saves_and_goes_back_to_the_chart(patient, doctor, page_client):
    browser = page_client(doctor)

    answer = browser.post(address("edit", patient), opened(browser, patient, city="Cali"))

    patient.refresh_from_db()
    assert answer.url == address("chart", patient)
    assert (patient.city, patient.version, patient.updated_by) == ("Cali", 2, doctor)
    assert actions_about(patient) == ["patient_created", "patient_updated"]


def test_update_patient_sent_back_as_it_came_writes_nothing(nurse, admin, page_client):
    for type in ("text", "number", "date", "yes_no", "choice"):
        custom_fields.define_custom_field(by=admin, key=type, label=type, type=type, choices=["red", "blue"])
    for key in ("no", "gone"):
        custom_fields.define_custom_field(
            by=admin, key=key, label=key, type="yes_no" if key == "no" else "choice", choices=["old", "new"]
        )
    patient = PatientFactory(
        by=nurse,
        title="Dra.",
        second_name="Inés",
        second_last_name="O'Brien-Núñez",
        previous_names="Hoz",
        birth_date=date(1978, 3, 14),
        died_on=date(2020, 1, 2),
        gender_id=MALE,
        marital_status="M",
        document_type=DocumentType.objects.get(pk=CITIZENSHIP_CARD),
        document_number="52.123.456",
        insurer=Insurer.objects.first(),
        phone="601 555 0101",
        cell_phone="300 123 4567",
        email="a@b.example",
        address='Calle 26 "A" & <B>',
        city="Bogotá",
        country="CO",
        needs_interpreter=True,
        blood_type="AB-",
        allergies="Penicillin\nLatex",
        medical_history="\nAsthma\n\n  Appendectomy  1999\n",
        alerts="Falls",
        habeas_data=True,
        custom_fields={
            "text": "5", "number": 2.5, "date": "2026-03-14", "yes_no": True, "choice": "red", "no": False,
            "gone": "old", "theirs": {"deep": [1]},
        },
        identifiers=[{"kind": "MR", "system": "Harbor", "value": "7"}, {"kind": "XX", "system": "", "value": "8"}],
    )  # fmt: skip
    field = next(field for field in custom_fields.CustomField.objects.all() if field.key == "gone")
    field.choices = ["new", "newer"]
    custom_fields.relabel_custom_field(field, by=admin)
    browser = page_client(nurse)

    answer = browser.post(address("edit", patient), opened(browser, patient))

    assert answer.status_code == 302
    assert version_numbers(patient) == [1]
    assert actions_about(patient) == ["patient_created"]


def test_update_patient_changes_somebody_who_has_only_a_family_name(nurse, page_client):
    patient = PatientFactory(by=nurse, first_name="", first_last_name="Mao")
    browser = page_client(nurse)

    assert browser.post(address("edit", patient), opened(browser, patient, city="Cali")).status_code == 302


def test_update_patient_says_what_is_wrong_and_keeps_what_was_typed(patient, nurse, page_client):
    browser = page_client(nurse)

    answer = browser.post(
        address("edit", patient), opened(browser, patient, email="no address", city="Cali", first_name="")
    )

    words = text_of(answer)
    assert answer.status_code == 422
    assert title_of(answer).startswith("DE LA HOZ, Aurelia")
    assert "This was not saved. Please look at:" in words
    assert "Enter a valid email address." in words
    kept = sent_by(answer.content.decode(), holding="first_name")
    assert (kept["city"], kept["email"], kept["first_name"]) == (["Cali"], ["no address"], [""])
    assert version_numbers(patient) == [1]


def test_update_patient_shows_both_versions_of_a_stale_save_and_merges_the_rest(patient, nurse, doctor, page_client):
    mine, theirs = page_client(nurse), page_client(doctor)
    my_form = opened(mine, patient, city="Pasto", alerts="Falls", gender=str(MALE))
    their_form = opened(
        theirs, patient, city="Cali", cell_phone="300 123 4567", needs_interpreter="on", birth_date_year="1979"
    )
    assert theirs.post(address("edit", patient), their_form).status_code == 302

    stale = mine.post(address("edit", patient), my_form)

    words = text_of(stale)
    assert stale.status_code == 422
    assert "Somebody saved this before you. Nothing of yours was saved yet." in words
    assert "Dario Doctor" in words
    assert "City Not known Cali Pasto Both changed it" in words
    assert "Mobile phone Not known 300 123 4567 Not known They changed it" in words
    assert "Birth date 14 Mar 1978 14 Mar 1979 14 Mar 1978 They changed it" in words
    assert "Needs an interpreter No Yes No They changed it" in words
    assert "Alerts Not known Not known Falls You changed it" in words
    assert "Sex Female Female Male You changed it" in words
    assert version_numbers(patient) == [1, 2]

    again = sent_by(stale.content.decode(), holding="first_name")
    assert mine.post(address("edit", patient), again).status_code == 302

    patient.refresh_from_db()
    assert (patient.city, patient.alerts, patient.gender_id) == ("Pasto", "Falls", MALE)
    assert (patient.cell_phone, patient.needs_interpreter) == ("300 123 4567", True)
    assert (patient.birth_date, patient.version) == (date(1979, 3, 14), 3)


@pytest.mark.parametrize(
    "known",
    ["", "[" * 100_000, "[1]", '{"kind": 1}', '[{"kind": "MR"}]', "[" * 1000 + "]" * 1000,
     f'[{{"kind": {"[" * 1000}{"]" * 1000}, "value": "1", "system": ""}}]'],
    ids=["nothing", "deep", "numbers", "object", "half", "nested", "nested value"],
)  # fmt: skip
def test_update_patient_compares_a_stale_save_whatever_came_as_known_numbers(
    patient, nurse, doctor, page_client, known
):
    browser = page_client(nurse)
    form = opened(browser, patient, city="Pasto", **{"numbers-known": known})
    services.update_patient(patient, by=doctor, changes={"city": "Cali"})

    stale = browser.post(address("edit", patient), form)

    assert stale.status_code == 422
    assert "City Not known Cali Pasto Both changed it" in text_of(stale)


def test_update_patient_merges_own_fields_and_numbers_of_a_stale_save(nurse, doctor, admin, page_client):
    for key, type in (("team", "text"), ("vip", "yes_no"), ("since", "date"), ("mine", "number")):
        custom_fields.define_custom_field(by=admin, key=key, label=key.title(), type=type)
    patient = PatientFactory(
        by=nurse,
        custom_fields={"team": "red"},
        identifiers=[{"kind": "MR", "value": "7"}, {"kind": "MR", "value": "8"}],
    )
    mine, theirs = page_client(nurse), page_client(doctor)
    my_form = opened(mine, patient, custom_mine="5", **{"numbers-1-value": "", "numbers-2-value": "10"})
    their_form = opened(
        theirs,
        patient,
        custom_team="blue",
        custom_vip="true",
        custom_since="2026-03-14",
        **{"numbers-2-value": "9"},
    )
    assert theirs.post(address("edit", patient), their_form).status_code == 302

    stale = mine.post(address("edit", patient), my_form)

    words = text_of(stale)
    assert "Team red blue red They changed it" in words
    assert "Vip Not known Yes Not known They changed it" in words
    assert "Since Not known 14 Mar 2026 Not known They changed it" in words
    assert "Mine Not known Not known 5 You changed it" in words
    assert "Other numbers 7, 8 7, 8, 9 7, 10 Both changed it" in words
    services.update_patient(patient, by=doctor, changes={"city": "Cali"})  # stale once more, with what I added not lost
    stale = mine.post(address("edit", patient), sent_by(stale.content.decode(), holding="first_name"))
    assert stale.status_code == 422

    again = sent_by(stale.content.decode(), holding="first_name")
    assert mine.post(address("edit", patient), again).status_code == 302

    patient.refresh_from_db()
    assert patient.custom_fields == {"team": "blue", "vip": True, "since": "2026-03-14", "mine": 5}
    assert sorted(i.value for i in patient.identifiers.all()) == ["10", "7", "9"]
    assert patient.city == "Cali"


@pytest.mark.parametrize("version", ["", "x", "99", "0", "-1", "9" * 30])
def test_update_patient_never_saves_without_a_version_that_was_seen(patient, nurse, page_client, version):
    browser = page_client(nurse)

    answer = browser.post(address("edit", patient), opened(browser, patient, city="Cali", version=version))

    assert answer.status_code == 422
    assert version_numbers(patient) == [1]


def test_update_patient_refuses_an_archived_one(patient, nurse, admin, page_client):
    browser = page_client(nurse)
    data = opened(browser, patient, city="Cali")
    services.archive_patient(patient, by=admin, reason="Moved away")

    answer = browser.post(address("edit", patient), data | {"version": "2"})

    assert answer.status_code == 422
    assert "Restore the chart before changing it." in text_of(answer)


# --- Archive, restore, consent ---------------------------------------------------------------------------------------


def test_archive_patient_and_restore_patient(patient, doctor, page_client):
    browser = page_client(doctor)

    archived = browser.post(address("archive", patient), {"reason": "Moved away", "version": "1"}, follow=True)
    assert "The chart is archived." in text_of(archived)
    assert "Moved away" in text_of(archived)
    assert address("edit", patient) not in main_of(archived)

    restored = browser.post(address("restore", patient), follow=True)
    assert "The chart is back in the lists." in text_of(restored)
    assert actions_about(patient) == ["patient_created", "patient_archived", "patient_restored"]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301, "a\x01"])
def test_archive_patient_needs_a_reason(patient, doctor, page_client, reason):
    answer = page_client(doctor).post(address("archive", patient), {"reason": reason, "version": "1"}, follow=True)

    patient.refresh_from_db()
    assert "Say why this chart is archived." in text_of(answer)
    assert not patient.is_archived


def test_archive_patient_says_when_somebody_else_has_changed_it(patient, nurse, doctor, page_client):
    services.update_patient(patient, by=nurse, changes={"city": "Cali"})

    answer = page_client(doctor).post(address("archive", patient), {"reason": "Moved", "version": "1"}, follow=True)

    patient.refresh_from_db()
    assert "Nothing was saved." in text_of(answer)
    assert not patient.is_archived


def test_restore_patient_says_when_it_is_not_archived(patient, doctor, page_client):
    answer = page_client(doctor).post(address("restore", patient), follow=True)

    assert "This patient is not archived." in text_of(answer)


def test_record_consent_notes_the_answer(patient, nurse, page_client):
    data = {"kind": "research", "granted": "yes", "note": "By phone"}

    answer = page_client(nurse).post(address("consent", patient), data, follow=True)

    assert "The answer is noted." in text_of(answer)
    assert [(c.kind, c.granted, c.note) for c in Consent.objects.all()] == [("research", True, "By phone")]


@pytest.mark.parametrize(
    "data", [{}, {"kind": "research"}, {"kind": "tattoo", "granted": "yes"}, {"kind": "research", "granted": "maybe"}]
)
def test_record_consent_refuses_half_an_answer(patient, nurse, page_client, data):
    answer = page_client(nurse).post(address("consent", patient), data, follow=True)

    assert "Nothing was saved" in text_of(answer)
    assert Consent.objects.count() == 0


# --- History and looks -----------------------------------------------------------------------------------------------


def test_patient_history_shows_every_version_and_who_saved_it(patient, nurse, doctor, page_client):
    services.update_patient(patient, by=doctor, changes={"city": "Cali"})

    page = page_client(nurse).get(address("history", patient))

    words = text_of(page)
    assert title_of(page).startswith("DE LA HOZ, Aurelia")
    assert re.search(r"Version 2 Dario Doctor .* City .*Not known.* Cali .*Version 1 Nora Nurse", words)


def test_patient_history_shows_the_chart_as_of_a_day_and_as_a_version(patient, nurse, clinic, page_client):
    services.update_patient(patient, by=nurse, changes={"city": "Cali", "first_last_name": "Hoz"})
    browser = page_client(nurse)
    today = timezone.localdate(timezone=clinic.zone)

    first = text_of(browser.get(address("history", patient), {"version": "1"}))
    now = text_of(browser.get(address("history", patient), {"on": today.isoformat()}))

    assert "You are looking at an earlier state of this chart. Version 1, saved" in first
    assert re.search(r"First family name de la Hoz", first)
    assert "Version 2, saved" in now
    assert re.search(r"City Cali", now)


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ({"on": "1999-01-01"}, 200, "This patient was not registered here yet on that day."),
        ({"on_day": "1", "on_month": "1", "on_year": "0001"}, 200, "not registered here yet"),
        ({"on_day": "31", "on_month": "12", "on_year": "9999"}, 200, "Version 1, saved"),
        ({"on_day": "31", "on_month": "2", "on_year": "2020"}, 200, "This day does not exist."),
        ({"on_day": "31"}, 200, "Enter the day, the month and the year."),
        ({"version": "7"}, 404, ""),
        ({"version": "99999999"}, 404, ""),
        ({"version": "nine"}, 200, "All versions"),
        ({"version": "9" * 40}, 200, "All versions"),
    ],
)
def test_patient_history_answers_any_day_and_number(patient, nurse, page_client, query, status, sentence):
    answer = page_client(nurse).get(address("history", patient), query)

    assert answer.status_code == status
    assert sentence in text_of(answer)


def test_patient_looks_shows_who_opened_the_chart(patient, nurse, doctor, page_client):
    page_client(nurse).get(address("chart", patient))
    browser = page_client(doctor)
    browser.get(address("edit", patient))

    page = browser.get(address("looks", patient))

    rows = re.findall(r"<bdi>(.*?)</bdi></td>\s*<td[^>]*>(.*?)</td>", main_of(page), re.DOTALL)
    assert rows == [
        ("Dario Doctor", "Read this list"),
        ("Dario Doctor", "Opened the form to change it"),
        ("Nora Nurse", "Opened the chart"),
    ]


@pytest.mark.parametrize("page", ["chart", "edit", "history", "looks"])
def test_every_opening_of_a_chart_is_noted_once(patient, admin, page_client, page):
    browser = page_client(admin)

    browser.get(address(page, patient))
    assert reads_of(patient) == [page]

    browser.get(address(page, patient))
    assert reads_of(patient) == [page, page]


def test_lists_and_refusals_note_no_look(patient, nurse, receptionist, page_client):
    page_client(nurse).get(address("list"))
    page_client(nurse).get(address("list"), {"q": "aurelia"})
    page_client(receptionist).get(address("history", patient))

    assert reads_of(patient) == []


# --- Who may what ----------------------------------------------------------------------------------------------------

PAGES = ["list", "chart", "create", "edit", "archive", "restore", "consent", "history", "looks"]
POSTED = {"archive", "restore", "consent"}
EVERYTHING = set(PAGES)
ALLOWED = {
    "admin": EVERYTHING,
    "doctor": EVERYTHING - {"create"},
    "nurse": EVERYTHING - {"archive", "restore", "looks"},
    "staff": {"list", "chart", "create", "edit", "consent"},
    "patient": {"chart"},
    "auditor": {"looks"},
    "quality_manager": {"looks"},
    "qa": {"looks"},
    "training_manager": set(),
    "user": set(),
}


def visit(browser, page, patient):
    url = address(page, None if page in {"list", "create"} else patient)
    return browser.post(url, {"reason": "x"}) if page in POSTED else browser.get(url)


@pytest.mark.parametrize("role", ALLOWED)
def test_roles_open_their_pages_and_no_others(patient, page_client, role):
    browser = page_client(MembershipFactory(role=role))

    answers = {page: visit(browser, page, patient).status_code for page in PAGES}

    assert {page for page, status in answers.items() if status != 403} == ALLOWED[role]


def test_strangers_find_nothing_and_read_nothing(patient, stranger, page_client):
    with outside_tenant(), tenant_context(stranger.tenant_id):
        everything = MembershipFactory(roles=["admin", "doctor", "nurse"])
        everything.permissions
    browser = page_client(everything)

    for page in set(PAGES) - {"list", "create"}:
        answer = visit(browser, page, patient)
        assert answer.status_code == 404
        assert not re.search("aurelia|hoz", answer.content.decode(), re.IGNORECASE)
    found = browser.get(address("list"), {"q": "aurelia"})
    assert "No patient found" in text_of(found)
    assert reads_of(patient) == []


def test_strangers_get_the_same_answer_for_a_patient_that_is_not_there(patient, stranger, page_client):
    browser = page_client(stranger)
    foreign = browser.get(address("chart", patient))
    random = browser.get(reverse("patients:chart", args=[uuid4()]))

    def without_ids(answer):
        return re.sub(r"[0-9a-f-]{32,36}|[A-Za-z0-9]{64}", "", answer.content.decode())

    assert (foreign.status_code, without_ids(foreign)) == (random.status_code, without_ids(random))


@pytest.mark.parametrize("page", PAGES)
def test_anonymous_people_sign_in_first(patient, client, page):
    answer = visit(client, page, patient)

    url = address(page, None if page in {"list", "create"} else patient)
    assert (answer.status_code, answer.url) == (302, f"/sign-in/?next={url}")
    assert answer.content == b""


@pytest.mark.parametrize("page", sorted(set(PAGES) - POSTED))
def test_pages_are_not_kept_by_the_browser(patient, admin, page_client, page):
    assert visit(page_client(admin), page, patient)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("page", ["list", "chart", "history", "looks"])
def test_pages_for_reading_refuse_to_be_posted_to(patient, admin, page_client, page):
    url = address(page, None if page == "list" else patient)

    assert page_client(admin).post(url).status_code == 405


@pytest.mark.parametrize("page", sorted(POSTED))
def test_pages_that_write_refuse_a_link(patient, admin, page_client, page):
    assert page_client(admin).get(address(page, patient)).status_code == 405


def test_pages_refuse_a_form_of_another_site(patient, admin, page_client):
    browser = page_client(admin, enforce_csrf_checks=True)

    assert browser.post(address("restore", patient)).status_code == 403


# --- Constant numbers of statements ----------------------------------------------------------------------------------


def test_patient_list_takes_the_same_statements_for_one_and_three(nurse, page_client):
    browser = page_client(nurse)

    def more():
        PatientFactory(
            by=nurse,
            document_type=DocumentType.objects.get(pk=CITIZENSHIP_CARD),
            document_number=str(Patient.objects.count() + 1000),
            insurer=Insurer.objects.first(),
        )

    more()
    one = [queries_of(browser, address("list")), queries_of(browser, address("list") + "?q=aurel&archived=true&page=2")]
    more()
    more()
    assert queries_of(browser, address("list")) == one[0]
    assert queries_of(browser, address("list") + "?q=aurel") <= one[1] + 1
    assert one[0] <= 12


def test_chart_pages_take_the_same_statements_for_one_and_three(nurse, admin, page_client):
    patient = PatientFactory(by=nurse, identifiers=[{"kind": "MR", "value": "1"}])
    browser = page_client(admin)

    def more(*people):
        for by in people:
            services.record_consent(patient, by=by, kind="research", granted=True)
            services.update_patient(patient, by=by, changes={"city": by.display_name})
            audit.record_read(patient, by=by)
        values = [{"kind": "MR", "value": str(number)} for number in range(1 + len(people))]
        services.update_patient(patient, by=admin, changes={}, identifiers=values)

    more(nurse)
    one = {page: queries_of(browser, address(page, patient)) for page in ("chart", "edit", "history", "looks")}
    more(*[MembershipFactory(role="nurse") for _ in range(3)])
    three = {page: queries_of(browser, address(page, patient)) for page in ("chart", "edit", "history", "looks")}

    assert three == one
    assert max(one.values()) <= 18
