from datetime import date

import pytest
from django import forms
from django.utils import translation

from tenancy.doors.date_parts import DatePartsField


class BirthForm(forms.Form):
    born = DatePartsField(label="Born")
    seen = DatePartsField(label="Seen", required=False)


def send(day="", month="", year="", **more):
    with translation.override(more.pop("language", "en")):
        form = BirthForm({"born_day": day, "born_month": month, "born_year": year} | more)
        form.is_valid()
    return form


@pytest.mark.parametrize(
    ("month", "language"),
    [("3", "en"), ("03", "en"), ("Mar", "en"), ("march", "en"), ("marzo", "es"), ("MAR.", "es")],
)
def test_date_parts_read_a_month_in_figures_or_words(month, language):
    assert send("14", month, "1978", language=language).cleaned_data["born"] == date(1978, 3, 14)


def test_date_parts_read_a_whole_iso_date_too():
    assert BirthForm({"born": "1978-03-14"}).is_valid()


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (("", "", ""), "required"),
        (("14", "", "1978"), "incomplete"),
        (("31", "2", "1978"), "no_date"),
        (("29", "2", "1979"), "no_date"),
        (("x", "2", "1979"), "no_date"),
        (("1_0", "2", "1979"), "no_date"),
        (("-1", "2", "1979"), "no_date"),
        (("1", "Foo", "1979"), "no_date"),
        (("1", "13", "1979"), "no_date"),
        (("1", "1", "0000"), "no_date"),
        (("1", "1", "78"), "short_year"),
    ],
)
def test_date_parts_refuse_with_one_sentence(parts, code):
    assert [error.code for error in send(*parts).errors.as_data()["born"]] == [code]


def test_date_parts_may_stay_empty_when_not_required():
    assert send("14", "3", "1978").cleaned_data["seen"] is None


def test_date_parts_keep_what_was_typed():
    form = send("31", "2", "1978")

    assert form["born"].value() == ["31", "2", "1978"]


def test_date_parts_know_when_they_changed():
    same = BirthForm({"born_day": "14", "born_month": "3", "born_year": "1978"}, initial={"born": date(1978, 3, 14)})
    other = BirthForm({"born_day": "15", "born_month": "3", "born_year": "1978"}, initial={"born": date(1978, 3, 14)})

    assert same.changed_data == []
    assert other.changed_data == ["born"]
