import copy
import json

import pytest

from clinic.fhir.readers import Refused
from clinic.fhir.validation import check_resource

from . import samples

PRIMITIVES = [json.loads(line) for line in (samples.DATA / "primitives.jsonl").read_text().splitlines()]
SOMEWHERE_IN_A_PATIENT = {
    "boolean": lambda value: {"active": value},
    "code": lambda value: {"language": value},
    "date": lambda value: {"birthDate": value},
    "date_time": lambda value: {"deceasedDateTime": value},
    "id": lambda value: {"id": value},
    "integer": lambda value: {"multipleBirthInteger": value},
    "reference": lambda value: {"managingOrganization": value},
    "string": lambda value: {"name": [{"family": value}]},
}
"""Where a value of this type stands in a Patient. The other types stand nowhere that is read."""


def refusal(resource):
    try:
        check_resource(resource)
    except Refused as refused:
        return str(refused)
    return None


def cases():
    for case in PRIMITIVES:
        if case["fhir_type"] in SOMEWHERE_IN_A_PATIENT and "raw" not in case:
            yield pytest.param(case, id=f"{case['fhir_type']}-{case['valid']}-{json.dumps(case['value'])[:40]}")


@pytest.mark.parametrize("case", list(cases()))
def test_check_resource_agrees_with_the_published_primitive_values(case):
    resource = samples.a_patient() | SOMEWHERE_IN_A_PATIENT[case["fhir_type"]](case["value"])

    assert (refusal(resource) is None) == case["valid"]


@pytest.mark.parametrize(
    "line", [*(samples.DATA / "hl7_r4_examples.ndjson").read_text().splitlines(), json.dumps(samples.a_patient())]
)
def test_check_resource_takes_published_examples_and_leaves_them_as_they_are(line):
    resource = json.loads(line)
    if resource["resourceType"] not in {"Patient", "Practitioner", "Organization"}:
        return
    before = copy.deepcopy(resource)

    assert refusal(resource) is None
    assert resource == before


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"birthDate": "1980-02-30"}, "birthDate: "),
        ({"birthDate": "17.05.1980"}, "birthDate: "),
        ({"birthDate": "1980-05-17T10:00:00Z"}, "birthDate: "),
        ({"gender": "woman"}, "gender: Input should be male, female, other or unknown."),
        ({"gender": "F"}, "gender: "),
        ({"id": "a_b"}, "id: Input has characters that are not allowed here."),
        ({"deceasedBoolean": True, "deceasedDateTime": "2020"}, "Any of one field value"),
        ({"deceasedDateTime": "2020-01-01T10:00:00"}, "deceasedDateTime: "),
        ({"name": {"family": "x"}}, "name: "),
        ({"name": ["x"]}, "name.0: Input should be an object."),
        ({"telecom": [{"system": 1}]}, "telecom.0.system: "),
        ({"surname": "x"}, "surname: Extra inputs are not permitted."),
        ({"Peña, 1980-05-17": "x"}, "?: Extra inputs are not permitted."),
        ({"name": [{"family": "nul \x00"}]}, "It contains the character U+0000, which can not be kept."),
        ({"name": [{"family": "\u202eevil"}]}, "It contains the character U+202E, which can not be kept."),
    ],
)
def test_check_resource_names_the_element_and_no_value(fields, reason):
    said = refusal(samples.a_patient(**fields))

    assert said.startswith(reason)
    assert "Peña" not in said
    assert "1980" not in said


@pytest.mark.parametrize("value", [None, 7, 1.5, True, "text", [], [None], [[]], [7], {}, {"a": 1}, [{"a": []}]])
@pytest.mark.parametrize(
    "element",
    [
        "identifier",
        "name",
        "telecom",
        "address",
        "communication",
        "maritalStatus",
        "gender",
        "birthDate",
        "active",
        "deceasedBoolean",
        "deceasedDateTime",
        "managingOrganization",
        "generalPractitioner",
        "contained",
        "text",
    ],
)
def test_check_resource_never_raises_anything_else(element, value):
    refusal({"resourceType": "Patient", element: value})
