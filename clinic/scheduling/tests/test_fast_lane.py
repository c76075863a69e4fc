"""The short way through /v1/appointments says what the usual way says, and nothing that it would not."""

from datetime import UTC, datetime, timedelta

import pytest
from rest_framework import serializers

from accounts.api_keys import fast_lane
from accounts.api_keys import services as keys
from accounts.api_keys.models import ApiKey
from accounts.api_keys.tests.fixtures import server_with
from accounts.users.tests.factories import open_clinic
from clinic.patients.models import DocumentType, Patient
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import secre
from clinic.scheduling.models import Appointment, AppointmentType, Modality, NotificationState
from clinic.scheduling.serializers_v1 import V1AppointmentSerializer
from clinic.scheduling.states import LIVE, State
from tenancy.audit.models import AuditRead
from tenancy.doors.compiled import CompiledRows, NotPlain
from tenancy.doors.payloads import WordField
from tenancy.tenants.context import tenant_context

from .factories import at, make_location, make_practitioner, make_type, next_day

URL = "/v1/appointments"
USUAL = {"HTTP_COOKIE": "a=b"}  # the lane leaves alone whoever brings a cookie
MONDAY = next_day(0)
LONG_AGO = datetime(2026, 3, 8, 7, 30, tzinfo=UTC)


@pytest.fixture
def house(committed_db):
    """A clinic that is really committed, with a program that has used its key before."""
    tenant, _ = open_clinic(name="Lane Clinic")
    fast_lane._known_keys.clear()
    fast_lane._long_lists.clear()
    with tenant_context(tenant.pk):
        key, plaintext = keys.create_key(by=None, name="n8n", scopes=["appointments:write"])
    program = server_with(plaintext)
    program.tenant, program.key = tenant, key
    program.get(URL)
    return program


def _book(doctor, patient, hour, **more):
    """A visit as it is sent, then whatever its columns may hold."""
    row = Appointment.objects.create(
        number=more.pop("number"), patient=patient, practitioner=doctor, location=more.pop("location"),
        starts_at=at(MONDAY, hour), ends_at=at(MONDAY, hour, 30), busy_from=at(MONDAY, hour),
        busy_until=at(MONDAY, hour, 30), wall_start=f"{MONDAY}T{hour:02}:00", time_zone="America/Bogota",
        **more,
    )  # fmt: skip
    return row


@pytest.fixture
def visits(house):
    """Visits in every state, modality and state of a message, with and without what may be missing."""
    with tenant_context(house.tenant.pk):
        location, kind = make_location(), make_type(name='Control "niño" \\ 漢字')
        card = DocumentType.objects.get(code="CC")
        doctor = make_practitioner(document_type=card, document_number="80123456")
        plain_doctor = make_practitioner(first_name="No", last_name="Document")
        patient = PatientFactory(document_type=card, document_number="1020304050")
        bare = PatientFactory(document_type=None, document_number="")
        archived = PatientFactory(document_type=card, document_number="55")
        Patient.objects.filter(pk=archived.pk).update(archived_at=LONG_AGO)
        rows = []
        for number, state in enumerate(State.values, start=1):
            who, whom = ((doctor, patient), (plain_doctor, bare), (doctor, archived))[number % 3]
            rows.append(_book(
                who, whom, 6 + number, number=number, location=location, state=state, is_live=state in LIVE,
                modality=Modality.values[number % len(Modality.values)],
                notification_state=["", *NotificationState.values][number % (1 + len(NotificationState.values))],
                type=kind if number % 2 else None,
                notes='Tos "seca"\n\\ O’Hara \u2028 </script>' if number % 2 else "",
                custom_fields={"a": None, "b": [1, 2.5, {"c": True}], "big": 10**15, "ü": ""} if number % 2 else {},
                hold_expires_at=LONG_AGO if state == State.HELD else None,
                version=number,
            ))  # fmt: skip
        group = _book(doctor, None, 20, number=50, location=location, capacity=5)
        # A time that was kept and let go; and two that begin together, one of them with no fraction of a second.
        let_go = _book(doctor, patient, 21, number=51, location=location, state=State.CANCELLED, is_live=False,
                       hold_expires_at=LONG_AGO)  # fmt: skip
        twin = _book(plain_doctor, bare, 21, number=52, location=location)
        Appointment.objects.filter(pk=twin.pk).update(
            created_at=LONG_AGO, updated_at=LONG_AGO + timedelta(microseconds=120_000)
        )
    house.get(f"{URL}/{rows[0].pk}")  # the first look of a key makes its name in the trail, the usual way
    house.patient = patient
    return [*rows, group, let_go, twin]


def took_the_lane(answer) -> bool:
    return "Allow" not in answer  # the usual way says which methods there are


def both(program, path):
    fast, usual = program.get(path), program.get(path, **USUAL)
    assert took_the_lane(fast), path
    assert not took_the_lane(usual)
    return fast, usual


def test_one_appointment_is_the_same_both_ways(house, visits):
    for visit in visits:
        fast, usual = both(house, f"{URL}/{visit.pk}")

        assert fast.status_code == usual.status_code == 200
        assert fast.json() == usual.json()
        assert list(fast.json()) == list(usual.json())
        assert (fast["ETag"], fast["Content-Type"]) == (usual["ETag"], usual["Content-Type"])


def test_the_visits_of_this_test_hold_every_word(house, visits):
    """Negative control: nothing was compared that did not occur."""
    rows = house.get(f"{URL}?limit=100", **USUAL).json()["items"]

    assert {row["state"] for row in rows} == set(secre.STATE_WORDS.values())
    assert {row["modality"] for row in rows} == set(secre.MODALITY_WORDS.values())
    assert {row["notification_state"] for row in rows} == set(secre.NOTIFICATION_WORDS.values())
    for name in ("patient_id", "patient_document_type_id", "doctor_document_type_id", "appointment_type"):
        assert {row[name] is None for row in rows} == {True, False}, name


QUERIES = [
    *["", "?limit=1", "?size=100", "?page_size=3", "?modality=VIRTUAL&limit=1", "?modality=VIRTUAL&state=ARRIVED"],
    *(f"?state={word}" for word in secre.STATE_CHOICES),
    *(f"?modality={word}" for word in secre.MODALITY_CHOICES),
    *["?patient_document_number=1020304050", "?patient_document_number=55", "?doctor_document_number=80123456"],
    "?patient_document_number=1020304050&doctor_document_number=80123456&limit=1",
]
NOTHING = ["?patient_document_number=99", "?doctor_document_number=99&state=HELD"]
QUERIES += NOTHING


def test_a_page_is_the_same_both_ways(house, visits):
    found = {}
    for query in QUERIES:
        fast, usual = both(house, f"{URL}{query}")
        found[query] = len(usual.json()["items"])
        cursors = [answer.json().pop("next_cursor") for answer in (fast, usual)]
        assert fast.json() | {"next_cursor": None} == usual.json() | {"next_cursor": None}
        assert list(fast.json()) == list(usual.json())
        assert [cursor is None for cursor in cursors] in ([True, True], [False, False])
        if cursors[0]:
            limit = usual.json()["page_size"]
            rest = [house.get(f"{URL}?limit={limit}&cursor={cursor}").json()["items"] for cursor in cursors]
            assert rest[0] == rest[1]
            assert rest[0]
    assert [query for query in QUERIES if not found[query]] == NOTHING


def test_a_clinic_without_visits_is_told_so_the_same_both_ways(house):
    fast, usual = both(house, URL)

    assert fast.json() == usual.json()
    assert (fast.json()["items"], fast.json()["total"], fast.json()["next_cursor"]) == ([], 0, None)


def test_the_cursor_of_the_lane_leads_through_the_whole_list(house, visits):
    seen, path = [], f"{URL}?limit=1"
    while path:
        answer = house.get(path).json()
        seen += [row["id"] for row in answer["items"]]
        path = answer["next_cursor"] and f"{URL}?limit=1&cursor={answer['next_cursor']}"

    assert seen == [row["id"] for row in house.get(f"{URL}?limit=100", **USUAL).json()["items"]]
    assert len(seen) == len(visits)


NOT_FOR_THE_LANE = [
    *["?page=1", "?limit=0", "?sort=start asc", "?cursor=x", "?start_date=2030-03-14", "?state=RESCHEDULED"],
    *["?state=scheduled", "?state=1", "?modality=2", "?patientDocumentNumber=55", "?state=HELD&state=HELD"],
    *["?patient_document_number=1.020.304.050", "?patient_document_number=٥٥", "?state="],
]


@pytest.mark.parametrize("query", NOT_FOR_THE_LANE)
def test_what_the_lane_does_not_understand_goes_the_usual_way(house, visits, query):
    assert not took_the_lane(house.get(f"{URL}{query}"))


# --- Who may ---------------------------------------------------------------------------------------------------------


def test_a_visit_of_a_restricted_chart_goes_the_usual_way_and_comes_masked(house, visits):
    with tenant_context(house.tenant.pk):
        Patient.objects.filter(pk=house.patient.pk).update(restricted_at=LONG_AGO)
    theirs = [visit for visit in visits if visit.patient_id == house.patient.pk]
    assert theirs

    for visit in theirs:
        answer = house.get(f"{URL}/{visit.pk}")
        assert not took_the_lane(answer)
        assert (answer.json()["patient_document_number"], answer.json()["comment"]) == ("", "")
    for query in ("", "?state=CANCELLED", "?doctor_document_number=80123456"):
        answer = house.get(f"{URL}{query}")
        assert not took_the_lane(answer)
        assert "1020304050" not in answer.content.decode()
        assert str(house.patient.pk) in answer.content.decode()
    assert house.get(f"{URL}?patient_document_number=1020304050").json()["items"] == []


def test_a_key_for_patients_alone_is_403(house, visits):
    with tenant_context(house.tenant.pk):
        ApiKey.objects.filter(pk=house.key.pk).update(scopes=["patients:write"])

    assert house.get(f"{URL}/{visits[0].pk}").status_code == 403
    assert house.get(URL).status_code == 403


def test_s4_a_revoked_key_is_refused_at_the_next_request(house, visits):
    assert took_the_lane(house.get(URL))

    with tenant_context(house.tenant.pk):
        keys.revoke_key(house.key, by=None)

    assert house.get(URL).status_code == 401
    assert house.get(f"{URL}/{visits[0].pk}").status_code == 401


def test_s5_another_clinics_visits_are_404_and_in_no_list(house, visits):
    tenant, _ = open_clinic(name="Other Clinic")
    with tenant_context(tenant.pk):
        _key, text = keys.create_key(by=None, name="other", scopes=["admin"])
    other = server_with(text)
    other.get(URL)

    assert other.get(f"{URL}/{visits[0].pk}").status_code == 404
    assert other.get(URL).json()["items"] == []
    assert other.get(f"{URL}?doctor_document_number=80123456").json()["items"] == []


def test_k40_reading_one_visit_is_noted_once_each_way(house, visits):
    def looks():
        with tenant_context(house.tenant.pk):
            return list(
                AuditRead.objects.order_by("id").values_list("kind", "object_type", "object_id", "actor_ref", "reason")
            )

    before = len(looks())
    both(house, f"{URL}/{visits[0].pk}")

    fast, usual = looks()[before:]
    assert usual == fast


# --- Words -----------------------------------------------------------------------------------------------------------


def test_a_word_field_that_lacks_a_word_is_refused():
    class Lacking(serializers.Serializer):
        state = WordField({ours: word for ours, word in secre.STATE_WORDS.items() if ours != State.HELD})

    with pytest.raises(NotPlain, match="held"):
        CompiledRows(Lacking, Appointment)
    CompiledRows(V1AppointmentSerializer, Appointment)


def test_a_word_field_over_a_column_of_any_text_is_refused():
    class Loose(serializers.Serializer):
        code = WordField({"a": "A"})

    with pytest.raises(NotPlain):
        CompiledRows(Loose, AppointmentType)
