import re

from django import forms
from django.template import engines

from config.look.samples import SampleForm


class NoteForm(forms.Form):
    note = forms.CharField(label="Note <b>", help_text="Help <b>", max_length=5)
    agreed = forms.BooleanField(label="Agreed", required=False)


def test_field_ties_label_help_error_and_control_together():
    drawn = NoteForm({"note": "too long"})["note"].as_field_group()

    assert '<label for="id_note">Note &lt;b&gt;' in drawn
    assert 'id="id_note_helptext">Help &lt;b&gt;' in drawn
    assert 'id="id_note_error"' in drawn
    assert 'aria-invalid="true"' in drawn
    assert 'aria-describedby="id_note_helptext id_note_error"' in drawn


def test_field_says_required_in_words_unless_the_form_opts_out():
    quiet = NoteForm()
    quiet.mark_required = False

    assert "required</span>" in NoteForm()["note"].as_field_group()
    assert "required</span>" not in quiet["note"].as_field_group()


def test_checkbox_stands_before_its_label():
    drawn = NoteForm()["agreed"].as_field_group()

    assert drawn.index("<input") < drawn.index("<label")


def test_date_parts_are_one_group_with_three_labels():
    drawn = SampleForm(initial={"birth_date": "1978-03-14"})["birth_date"].as_field_group()

    assert "<legend>Birth date" in drawn
    assert re.findall(r'name="(birth_date_\w+)" value="(\d+)"', drawn) == [
        ("birth_date_day", "14"),
        ("birth_date_month", "3"),
        ("birth_date_year", "1978"),
    ]


def test_error_summary_links_to_controls_that_exist():
    form = SampleForm({"birth_date_day": "31"})
    form.is_valid()
    source = '{% include "components/error_summary.html" with form=form only %}{{ form }}'

    drawn = engines["django"].from_string(source).render({"form": form})

    targets = set(re.findall(r'href="#([^"]+)"', drawn))
    assert targets >= {"id_first_name", "id_birth_date_0"}
    assert targets <= set(re.findall(r'id="([^"]+)"', drawn))
