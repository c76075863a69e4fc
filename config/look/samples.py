"""Invented people and records for the gallery. Plain words, never translated: they stand for what users type."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

from django import forms
from django.core.paginator import Paginator

from tenancy.doors.date_parts import DatePartsField


class SampleForm(forms.Form):
    """One field of every kind the pages use."""

    first_name = forms.CharField(label="First name")
    first_last_name = forms.CharField(label="First last name", help_text="As on the document.")
    birth_date = DatePartsField(label="Birth date")
    sex = forms.ChoiceField(
        label="Sex", widget=forms.RadioSelect, choices=[("f", "Female"), ("m", "Male"), ("x", "Other")], required=False
    )
    document_type = forms.ChoiceField(label="Document", choices=[("", "Choose"), ("CC", "Cédula"), ("P", "Passport")])
    document_number = forms.CharField(label="Document number")
    phone = forms.CharField(label="Phone", widget=forms.TextInput({"type": "tel"}), required=False)
    email = forms.EmailField(label="E-mail", required=False)
    languages = forms.MultipleChoiceField(
        label="Speaks",
        widget=forms.CheckboxSelectMultiple,
        required=False,
        choices=[("es", "Spanish"), ("en", "English"), ("ar", "Arabic")],
    )
    note = forms.CharField(label="Note for the front desk", widget=forms.Textarea({"rows": 3}), required=False)
    reminders = forms.BooleanField(label="Agrees to reminders by text message", required=False)


def _refused_form():
    form = SampleForm(
        {
            "first_name": "Aurelia",
            "birth_date_day": "31",
            "birth_date_month": "2",
            "birth_date_year": "1978",
            "document_type": "CC",
            "document_number": "52",
            "email": "aurelia(at)example.org",
        },
        prefix="refused",
    )
    form.data = {f"refused-{key}": value for key, value in form.data.items()}
    form.is_valid()
    form.add_error(None, "Somebody else with this document number is registered already.")
    return form


PEOPLE = [
    ("de la Hoz Restrepo", "Aurelia María", "Dr", date(1978, 3, 14), "1020345678", "Female", date(2026, 11, 3)),
    ("Restrepo", "Aurelio", "", date(1978, 3, 14), "79845112", "Male", None),
    ("მიქელაძე", "მარიამი", "", date(2026, 8, 30), "0045127788", "Female", date(2026, 11, 18)),
    ("الخوارزمي", "محمد عبد الرحمن", "", date(1951, 12, 1), "P-88120", "Male", date(2026, 6, 9)),
    ("欧阳", "静怡", "", date(1990, 1, 9), "52998100", "Female", None),
    ("ศรีสุวรรณ", "ณัฐธิดา", "", None, "", "Not known", date(2025, 2, 27)),
]


def build_samples(search: str = "") -> dict:
    """Everything the sample templates read; `search` narrows the people as a list page does."""
    everybody = [_person(index, *words) for index, words in enumerate(PEOPLE)]
    people = [one for one in everybody if search.lower() in f"{one.family_name} {one.given_name}".lower()]
    now = datetime(2026, 11, 21, 14, 51, tzinfo=UTC)
    return {
        "people": people,
        "person": everybody[0],
        "now": now,
        "page": Paginator(range(412), 20).page(3),
        "form": SampleForm(initial={"first_name": "Aurelia", "birth_date": date(1978, 3, 14)}),
        "refused_form": _refused_form(),
        "doubles": [
            {
                "person": person,
                "url": "#",
                "born": person.birth_date,
                "number": f"CC {person.number}",
                "note": "Same birth date, similar name",
            }
            for person in everybody[:2]
        ],
        "numbers": [{"label": "CC", "value": "1.020.345.678"}],
        "allergies": ["Penicillin", "Latex"],
        "alerts": ["Falls"],
        "tabs": [
            {"url": "#overview", "label": "Overview", "is_here": True},
            {"url": "#visits", "label": "Visits", "count": 12},
            {"url": "#history", "label": "History"},
            {"url": "#looked", "label": "Who looked", "count": 0},
        ],
        "links": [("#patients", "Patients"), ("#chart", "RESTREPO, Aurelio")],
        "facts": [
            {"label": "First name", "value": "Aurelia"},
            {"label": "Phone", "value": "+57 310 555 0142", "note": "mobile"},
            {"label": "E-mail", "value": "aurelia@example.org", "url": "#mail"},
            {"label": "Insurer", "value": ""},
            {"label": "Address", "value": "Carrera 7 # 71-21, Bogotá"},
            {"label": "Other name", "value": "محمد عبد الرحمن"},
        ],
        "comparison": [
            {"label": "Phone", "before": "310 555 0142", "theirs": "310 555 0199", "yours": "311 200 4000"}
            | {"is_conflict": True},
            {"label": "E-mail", "before": "", "theirs": "", "yours": "aurelia@example.org"},
            {"label": "City", "before": "Bogotá", "theirs": "Medellín", "yours": "Bogotá"},
            {"label": "Insurer", "before": "Sura", "theirs": "Sura", "yours": "Sura"},
        ],
        "versions": [
            {
                "at": now,
                "who": "Marta Quintero",
                "what": "Contact changed",
                "is_shown": True,
                "changes": [
                    {"label": "Phone", "before": "310 555 0142", "after": "310 555 0199"},
                    {"label": "E-mail", "before": None, "after": "aurelia@example.org"},
                ],
            },
            {"at": datetime(2025, 4, 2, 8, 5, tzinfo=UTC), "who": "Front desk", "what": "Registered", "url": "#as-of"},
        ],
        "entries": [
            {"at": now, "who": "Marta Quintero", "role": "Nurse", "what": "Opened the chart", "from": "10.0.0.12"},
            {"at": now, "who": "李 伟", "role": "Doctor", "what": "Changed the phone", "from": "10.0.0.31"},
        ],
        "tones": [
            ("Arrived", "ok"),
            ("Late 12 minutes", "warn"),
            ("Not shown", "bad"),
            ("Booked", "info"),
            ("Draft", ""),
        ],
        "words": {
            "save": "Save",
            "cancel": "Cancel",
            "archive": "Archive chart",
            "edit": "Edit",
            "new": "New patient",
            "title": "Two patients look alike",
            "text": "Open the chart and compare before you register a new one.",
            "empty": "Nobody matches this search",
            "hint": "Try fewer letters, the birth date, or the end of the phone number.",
        },
    }


def _person(index, family, given, title, birth_date, number, sex, last_visit):
    return SimpleNamespace(
        pk=index,
        family_name=family,
        given_name=given,
        title=title,
        birth_date=birth_date,
        number=number,
        sex=sex,
        last_visit=last_visit,
    )
