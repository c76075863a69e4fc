import json

import pytest

from clinic.fhir.readers import Found, Place, Refused, Unreadable, list_files, read_file, read_json

from . import samples


def reasons(path):
    return [item.reason for item in read_file(path) if isinstance(item, Unreadable)]


def types(path):
    return [item.type for item in read_file(path) if isinstance(item, Found)]


def test_list_files_finds_json_and_ndjson_below_a_folder_sorted(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/2.ndjson", "a.json", "notes.jsonl", "table.csv", ".hidden.json", "C.JSON"):
        (tmp_path / name).write_text("{}")

    found = list_files([tmp_path, tmp_path / "a.json", tmp_path / "notes.jsonl"])

    assert [file.relative_to(tmp_path).as_posix() for file in found] == [
        "C.JSON",
        "a.json",
        "b/2.ndjson",
        "notes.jsonl",
    ]


def test_list_files_names_a_path_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list_files([tmp_path / "nowhere"])


def test_read_file_gives_every_line_its_number(tmp_path):
    file = tmp_path / "some.ndjson"
    file.write_bytes(b'{"resourceType":"Patient"}\r\n\n  {"resourceType":"Group"}\n{"resourceType":"List"}')

    assert [(item.type, item.place.line) for item in read_file(file)] == [("Patient", 1), ("Group", 3), ("List", 4)]


def test_read_file_opens_bundles_also_in_lines(tmp_path):
    bundle = samples.a_bundle(samples.a_patient(), {"resourceType": "Organization", "id": "o1"})
    file = samples.write_lines(tmp_path / "bundles.ndjson", bundle)

    found = list(read_file(file))

    assert [item.place for item in found] == [Place(str(file), 1, 1), Place(str(file), 1, 2)]
    assert found[0].siblings == {"urn:uuid:p1": ("Patient", "p1"), "urn:uuid:o1": ("Organization", "o1")}


@pytest.mark.parametrize("kind", ["transaction", "batch", "collection", "searchset"])
def test_read_file_reads_these_bundles(tmp_path, kind):
    assert types(samples.write_json(tmp_path / "b.json", samples.a_bundle(samples.a_patient(), kind=kind))) == [
        "Patient"
    ]


@pytest.mark.parametrize("kind", ["history", "document", "message", "batch-response", "transaction-response", None, 7])
def test_read_file_refuses_other_bundles(tmp_path, kind):
    file = samples.write_json(tmp_path / "b.json", samples.a_bundle(samples.a_patient(), kind=kind))

    assert reasons(file) == ["Of bundles only batch, collection, searchset, transaction are read."]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([], "The bundle has no entries."),
        ({}, "The bundle has no entries."),
        (None, "The bundle has no entries."),
        (["text"], "An entry of a bundle is a JSON object."),
        ([{"request": {"method": "DELETE", "url": "Patient/1"}}], "The entry holds no resource."),
        ([{"resource": "text"}], "A resource is a JSON object."),
        ([{"resource": {"id": "1"}}], "There is no resourceType."),
        ([{"resource": {"resourceType": "Bundle"}}], "A bundle inside of a bundle is not read."),
    ],
)
def test_read_file_refuses_bundles_without_resources(tmp_path, entries, reason):
    assert reasons(samples.write_json(tmp_path / "b.json", samples.a_bundle(entry=entries))) == [reason]


def test_read_file_goes_on_after_a_bad_entry(tmp_path):
    bundle = samples.a_bundle(samples.a_patient())
    bundle["entry"].insert(0, {"fullUrl": 7, "resource": None})

    assert types(samples.write_json(tmp_path / "b.json", bundle)) == ["Patient"]


def test_found_takes_its_id_from_the_bundle_when_it_has_none(tmp_path):
    bundle = samples.a_bundle(samples.a_patient(id=None))
    bundle["entry"][0]["fullUrl"] = "urn:uuid:49a86246-4004-42eb-9bdc-f542f93f9228"

    assert [item.id for item in read_file(samples.write_json(tmp_path / "b.json", bundle))] == [
        "49a86246-4004-42eb-9bdc-f542f93f9228"
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "This is not valid JSON (column 2)."),
        (b'{"a":1}{"b":2}', "This is not valid JSON (column 8)."),
        (b'{"a":NaN}', "This is not valid JSON (column 6)."),
        (b'\xef\xbb\xbf{"resourceType":"Patient"}', "It begins with a byte order mark. Save it as UTF-8 without one."),
        ('{"resourceType":"Patient"}'.encode("utf-16"), "The text is not UTF-8 (byte 1)."),
        (b'{"resourceType":"Patient","id":"\xe9"}', "The text is not UTF-8 (byte 33)."),
        (b'{"resourceType":"Patient","id":"\\ud800"}', "This is not valid JSON (column 33)."),
        (b'{"resourceType":"Patient","id":"1","id":"2"}', "A key stands twice in one JSON object."),
        (b'{"resourceType":"Patient","a":' + b"[" * 70 + b"]" * 70 + b"}", "The JSON is nested too deeply."),
        (b'{"resourceType":"Patient","a":' + b"[" * 90_000, "The JSON is nested too deeply."),
        (b'["resourceType"]', "A resource is a JSON object."),
        (b"null", "A resource is a JSON object."),
        (b"{}", "There is no resourceType."),
        (b'{"resourceType":7}', "There is no resourceType."),
        (b'{"resourceType":"patient; drop"}', "There is no resourceType."),
    ],
)
def test_read_file_refuses_what_is_no_json_we_want(tmp_path, body, reason):
    whole, lines = tmp_path / "one.json", tmp_path / "many.ndjson"
    whole.write_bytes(body)
    lines.write_bytes(body + b'\n{"resourceType":"Group"}\n')

    assert reasons(whole) == [reason]
    assert reasons(lines) == [reason]
    assert types(lines) == ["Group"]


def test_read_file_says_in_which_line_of_a_whole_file_the_json_ends(tmp_path):
    (tmp_path / "one.json").write_bytes(b'{"a":1,\n"b":x}')

    assert reasons(tmp_path / "one.json") == ["This is not valid JSON (line 2, column 5)."]


@pytest.mark.parametrize("name", ["empty.json", "empty.ndjson"])
@pytest.mark.parametrize("body", [b"", b"\n \n"])
def test_read_file_refuses_an_empty_file(tmp_path, name, body):
    (tmp_path / name).write_bytes(body)

    assert reasons(tmp_path / name) in (["The file is empty."], ["There is nothing in it."])


def test_read_file_passes_over_a_line_that_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr("clinic.fhir.readers.LONGEST_LINE", 1000)
    file = tmp_path / "long.ndjson"
    file.write_bytes(b'{"resourceType":"%s"}\n' % (b"x" * 5000) + b'{"resourceType":"Group"}\n')

    assert reasons(file) == ["The line is longer than 5 MB."]
    assert [(item.type, item.place.line) for item in read_file(file) if isinstance(item, Found)] == [("Group", 2)]


def test_read_file_refuses_a_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("clinic.fhir.readers.LARGEST_FILE", 10)

    assert "larger than 100 MB" in reasons(samples.write_json(tmp_path / "b.json", samples.a_patient()))[0]


def test_read_file_says_when_it_may_not_read(tmp_path):
    assert reasons(tmp_path / "gone.json") == ["The file can not be read: No such file or directory."]


def test_read_json_takes_any_number_of_digits_and_minus_zero():
    assert read_json(b'{"latitude":-0.0,"n":123456789012345678901234567890}')["latitude"] == 0


def test_read_json_reads_the_deepest_nesting_allowed():
    body = json.dumps([[]]).replace("[]", "[" * 63 + "]" * 63).encode()

    assert read_json(body)
    with pytest.raises(Refused, match="deeply"):
        read_json(b"[" + body + b"]")
