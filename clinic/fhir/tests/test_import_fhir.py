import json

import pytest
from django.core.management import CommandError, call_command

from clinic.fhir.management.commands import import_fhir
from clinic.patients.models import Patient

from . import samples


def call(capsys, *arguments):
    """The one object on stdout, and what was said on stderr."""
    try:
        call_command("import_fhir", *map(str, arguments))
        error = None
    except CommandError as raised:
        error = str(raised)
    said = capsys.readouterr()
    return (json.loads(said.out) if said.out else None), said.err, error


def test_import_fhir_prints_one_object_of_counts(clinic, tmp_path, capsys):
    samples.write_lines(tmp_path / "p.ndjson", samples.a_patient(), {"resourceType": "Goal"})

    answer, _, error = call(capsys, "--tenant", clinic.slug, tmp_path)

    assert error is None
    assert {name: answer[name] for name in ("created", "updated", "unchanged", "refused", "unresolved_references")} == {
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "refused": 1,
        "unresolved_references": 0,
    }
    assert answer["reasons"] == [
        {
            "file": None,
            "line": None,
            "entry": None,
            "resource": "Goal",
            "reason": "This type is imported by a later version.",
            "count": 1,
        }
    ]
    assert answer["seconds"] >= 0
    assert Patient.objects.count() == 1


def test_import_fhir_ends_well_when_everything_was_refused_with_a_reason(clinic, tmp_path, capsys):
    answer, _, error = call(
        capsys, "--tenant", clinic.slug, samples.write_json(tmp_path / "g.json", {"resourceType": "Goal"})
    )

    assert (answer["refused"], error) == (1, None)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nowhere", "There is no file or folder"),
        (".", "There are no *.json or *.ndjson files in this folder."),
        ("broken.json", "Nothing could be read."),
    ],
)
def test_import_fhir_fails_with_a_sentence_when_there_is_nothing_to_read(clinic, tmp_path, capsys, path, sentence):
    folder = tmp_path / "empty"
    folder.mkdir()
    if path == "broken.json":
        (folder / path).write_text("{")

    _, _, error = call(capsys, "--tenant", clinic.slug, folder / path)

    assert error.startswith(sentence)


def test_import_fhir_names_the_clinics_there_are(clinic, tmp_path, capsys):
    _, _, error = call(capsys, "--tenant", "nowhere", tmp_path)

    assert "There is no clinic 'nowhere'" in error


@pytest.mark.parametrize("quiet", [False, True])
def test_import_fhir_says_how_far_it_is_unless_it_shall_be_quiet(clinic, tmp_path, capsys, monkeypatch, quiet):
    monkeypatch.setattr(import_fhir, "SECONDS_BETWEEN_LINES", 0)
    samples.write_lines(tmp_path / "p.ndjson", {"resourceType": "Goal"}, samples.a_patient())

    _, said, _ = call(capsys, "--tenant", clinic.slug, tmp_path, *(["--quiet"] if quiet else []))

    assert [line.split(",")[0] for line in said.splitlines()] == (
        [] if quiet else ["file 1 of 1 (p.ndjson): 1 resources"] * 2
    )
