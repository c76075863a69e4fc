"""Small resources and files for the tests of this room."""

import json
from pathlib import Path

from django.conf import settings

DATA = Path(__file__).parent / "data"
SHARED = settings.BASE_DIR.parent / "shared" / "data"

MRN = "http://hospital.example/mrn"
LICENCE = "urn:oid:2.16.840.1.113883.4.3.25"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"


def a_patient(**fields):
    """A Patient with an id, a name, a birth date and a record number; `field=None` leaves one out."""
    resource = {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [number("MR", MRN, "100")],
        "name": [{"use": "official", "family": "Peña Ruiz", "given": ["Luz", "Marina"]}],
        "gender": "female",
        "birthDate": "1980-05-17",
    } | fields
    return {name: value for name, value in resource.items() if value is not None}


def number(kind, system, value):
    return {"type": {"coding": [{"system": V2, "code": kind}]}, "system": system, "value": value}


def a_bundle(*resources, kind="transaction", **fields):
    entries = [{"fullUrl": f"urn:uuid:{resource.get('id', '')}", "resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": entries} | fields


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def write_lines(path, *values):
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), encoding="utf-8")
    return path
