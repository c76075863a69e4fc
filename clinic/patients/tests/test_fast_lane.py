"""The short way through /v1/patients says what the usual way says, and nothing that it would not."""

import re
from datetime import UTC, date, datetime

import pytest
from django.conf import settings
from django.db import connection

from accounts.api_keys import fast_lane
from accounts.api_keys import services as keys
from accounts.api_keys.models import ApiKey
from accounts.api_keys.tests.fixtures import server_with
from accounts.users.tests.factories import open_clinic
from clinic.patients.models import DocumentType, Insurer, Patient
from clinic.patients.serializers import PatientRowSerializer
from clinic.patients.tests.factories import PatientFactory
from tenancy.audit.models import AuditRead
from tenancy.doors.compiled import CompiledRows, NotPlain
from tenancy.tenants.context import tenant_context

USUAL = {"HTTP_COOKIE": "a=b"}  # the lane leaves alone whoever brings a cookie


@pytest.fixture
def house(committed_db):
    """A clinic that is really committed, with a program that has used its key before."""
    tenant, _ = open_clinic(name="Lane Clinic")
    fast_lane._known_keys.clear()
    fast_lane._long_lists.clear()
    with tenant_context(tenant.pk):
        key, plaintext = keys.create_key(by=None, name="n8n", scopes=["patients:read"])
    program = server_with(plaintext)
    program.tenant, program.key = tenant, key
    program.get("/v1/patients")
    return program


@pytest.fixture
def odd_patients(house):
    """Rows with everything a column may hold."""
    with tenant_context(house.tenant.pk):
        whole = PatientFactory(
            first_name='Ana "la" \\ Ñandú', second_name="漢字", first_last_name="O’Hara\t", second_last_name="",
            email="ana@example.com", phone="+576012345678", cell_phone="", birth_date=date(1899, 12, 31),
            document_type=DocumentType.objects.get(pk=5), document_number="AB123456",
            insurer=Insurer.objects.get(code="EPS005"),
            habeas_data=True,
            custom_fields={"a": None, "b": [1, 2.5, {"c": "\u2028 </script>"}], "big": 10**15, "ü": True, "e": ""},
        )  # fmt: skip
        bare = PatientFactory(first_name="Bo", document_type=None, document_number="", birth_date=None)
        # A moment without a fraction has none in JSON, and one with trailing zeros keeps six digits.
        Patient.objects.filter(pk=bare.pk).update(
            created_at=datetime(2026, 3, 8, 7, 30, tzinfo=UTC), updated_at=datetime(2026, 3, 8, 7, 30, 0, 120000, UTC)
        )
    house.get(f"/v1/patients/{bare.pk}")  # the first look of a key makes its name in the trail, the usual way
    return [whole, bare]


def took_the_lane(answer) -> bool:
    return "Allow" not in answer  # the usual way says which methods there are


def both(program, path):
    fast, usual = program.get(path), program.get(path, **USUAL)
    assert took_the_lane(fast)
    assert not took_the_lane(usual)
    return fast, usual


def test_one_patient_is_the_same_both_ways(house, odd_patients):
    for patient in odd_patients:
        fast, usual = both(house, f"/v1/patients/{patient.pk}")

        assert fast.json() == usual.json()
        assert list(fast.json()) == list(usual.json())
        assert (fast["ETag"], fast["Content-Type"]) == (usual["ETag"], usual["Content-Type"])
        assert int(fast["Content-Length"]) == len(fast.content)


@pytest.mark.parametrize("number", ["AB123456", "ab-123.456", "AB1234.56/"])
def test_one_patient_by_document_is_the_same_both_ways(house, odd_patients, monkeypatch, number):
    lines = []
    monkeypatch.setattr("config.middleware.write_access", lines.append)

    fast, usual = both(house, f"/v1/patients/by-document/5/{number}")

    assert fast.json() == usual.json()
    assert fast.json()["id"] == str(odd_patients[0].pk)
    assert fast["ETag"] == usual["ETag"]
    assert {line["route"] for line in lines} == {"/v1/patients/by-document/{type}/{number}"}
    with tenant_context(house.tenant.pk):
        looks = AuditRead.objects.filter(object_id=str(odd_patients[0].pk), kind="api")
        assert looks.count() == 2


def test_a_plan_kept_for_all_clinics_finds_a_document_by_the_index_of_documents(house):
    """What PostgreSQL keeps for a prepared statement knows no values; planned anew, each request costs it 2 ms."""
    resource = fast_lane.RESOURCES["/v1/patients"]
    statement = resource.one(resource.names["by-document"].condition)
    with tenant_context(house.tenant.pk), connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off")
        cursor.execute(f"PREPARE by_document AS {statement}")
        cursor.execute(f"EXPLAIN EXECUTE by_document ('{house.tenant.pk}', '', '{{}}', NULL, '', 5, 'AB123456')")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("DEALLOCATE by_document")

    assert re.search(
        r"using patients_patient_document_uniq .*\n.*"
        r"Index Cond: \(\(tenant_id = \$1\) AND \(document_type_id = \$6\) AND \(\(document_key\)::text = \$7\)\)",
        plan,
    )


@pytest.mark.parametrize("ending", ["1/AB123456", "5/AB12345", "CC/AB123456", "5/---", "999/AB123456", "5/AB%20123456"])
def test_a_document_that_is_not_plainly_there_goes_the_usual_way(house, odd_patients, ending):
    answer = house.get(f"/v1/patients/by-document/{ending}")

    assert not took_the_lane(answer)
    assert answer.status_code == (200 if "%20" in ending else 404)


def test_nobody_without_a_number_is_found_by_an_empty_one(house, odd_patients):
    with tenant_context(house.tenant.pk):
        PatientFactory(document_type=DocumentType.objects.get(pk=1), document_number="")

    assert house.get("/v1/patients/by-document/1/-").status_code == 404


def test_a_restricted_or_archived_chart_is_not_found_by_its_document(house, odd_patients):
    path = "/v1/patients/by-document/5/AB123456"
    now = datetime.now(UTC)
    for state in ({"restricted_at": now}, {"restricted_at": None, "archived_at": now}):
        with tenant_context(house.tenant.pk):
            Patient.objects.filter(pk=odd_patients[0].pk).update(**state)
        answer = house.get(path)
        assert (answer.status_code, took_the_lane(answer)) == (404, False)


@pytest.mark.parametrize(
    "query", ["", "?limit=1", "?size=100", "?page_size=1", "?document_type_id=5", "?document_type_id=5&limit=1"]
)
def test_a_page_is_the_same_both_ways(house, odd_patients, query):
    fast, usual = both(house, f"/v1/patients{query}")

    cursors = [answer.json().pop("next_cursor") for answer in (fast, usual)]
    assert fast.json() | {"next_cursor": None} == usual.json() | {"next_cursor": None}
    assert list(fast.json()) == list(usual.json())
    # Sealed with a random nonce each: both lead to the same rows.
    assert [cursor is None for cursor in cursors] in ([True, True], [False, False])
    if cursors[0]:
        rest = [house.get(f"/v1/patients?limit=1&cursor={cursor}").json()["items"] for cursor in cursors]
        assert rest[0] == rest[1]
        assert rest[0]


def test_a_long_list_is_counted_to_its_cap_once(house, odd_patients, monkeypatch):
    monkeypatch.setattr(fast_lane, "COUNTED_EXACTLY", 1)
    fast_lane.RESOURCES["/v1/patients"].__dict__.pop("_pages", None)

    first, second = house.get("/v1/patients"), house.get("/v1/patients")

    for answer in (first, second):
        assert (answer.json()["total"], answer.json()["total_is_capped"]) == (1, True)
    assert fast_lane._long_lists


@pytest.mark.parametrize("slash", ["", "/"])
def test_both_slashes_take_the_lane(house, odd_patients, slash):
    assert took_the_lane(house.get(f"/v1/patients/{odd_patients[0].pk}{slash}"))
    assert took_the_lane(house.get(f"/v1/patients{slash}"))


NOT_FOR_THE_LANE = [
    *["?page=1", "?limit=0", "?limit=x", "?limit=1&limit=2", "?limit=1&size=2", "?search=x", "?document_type_id=999"],
    *["?document_type_id=x", "?sort=name", "?email=a@b.c", "?cursor=x"],
]


@pytest.mark.parametrize("query", NOT_FOR_THE_LANE)
def test_what_the_lane_does_not_understand_goes_the_usual_way(house, odd_patients, query):
    assert not took_the_lane(house.get(f"/v1/patients{query}"))


# --- Who may -------------------------------------------------------------------------------------------------------


def test_s4_a_revoked_key_is_refused_at_the_next_request(house, odd_patients):
    path = f"/v1/patients/{odd_patients[0].pk}"
    assert took_the_lane(house.get(path))

    with tenant_context(house.tenant.pk):
        keys.revoke_key(house.key, by=None)

    assert house.get(path).status_code == 401
    assert house.get("/v1/patients").status_code == 401


def test_s4_a_key_of_a_closed_clinic_is_refused(house, odd_patients):
    house.tenant.is_active = False
    house.tenant.save(update_fields=["is_active"])

    assert house.get(f"/v1/patients/{odd_patients[0].pk}").status_code == 401


def test_a_key_without_the_scope_is_403(house, odd_patients):
    with tenant_context(house.tenant.pk):
        ApiKey.objects.filter(pk=house.key.pk).update(scopes=["appointments:write"])

    assert house.get(f"/v1/patients/{odd_patients[0].pk}").status_code == 403
    assert house.get("/v1/patients").status_code == 403


def test_s5_another_clinics_patient_is_404_and_in_no_list(house, odd_patients):
    tenant, _ = open_clinic(name="Other Clinic")
    with tenant_context(tenant.pk):
        foreign = PatientFactory(first_name="Foreign")

    assert house.get(f"/v1/patients/{foreign.pk}").status_code == 404
    assert "Foreign" not in house.get("/v1/patients?limit=100").content.decode()


def test_restricted_and_archived_charts_go_the_usual_way(house, odd_patients):
    restricted, archived = odd_patients
    with tenant_context(house.tenant.pk):
        Patient.objects.filter(pk=restricted.pk).update(restricted_at=datetime.now(UTC))
        Patient.objects.filter(pk=archived.pk).update(archived_at=datetime.now(UTC))

    for path in (f"/v1/patients/{restricted.pk}", f"/v1/patients/{archived.pk}", "/v1/patients"):
        answer = house.get(path)
        assert not took_the_lane(answer)
        assert restricted.email not in answer.content.decode()


@pytest.mark.parametrize(
    "headers",
    [{"HTTP_COOKIE": "a=b"}, {"HTTP_AUTHORIZATION": "Bearer x"}, {"HTTP_IF_NONE_MATCH": '"1"'}],
)
def test_whoever_brings_more_than_a_key_goes_the_usual_way(house, odd_patients, headers):
    assert not took_the_lane(house.get(f"/v1/patients/{odd_patients[0].pk}", **headers))


# --- What is left behind ---------------------------------------------------------------------------------------------


def test_k40_reading_one_chart_is_noted_once_each_way(house, odd_patients):
    def looks():
        with tenant_context(house.tenant.pk):
            return list(
                AuditRead.objects.order_by("id").values_list("kind", "object_type", "object_id", "actor_ref", "reason")
            )

    before = len(looks())
    house.get(f"/v1/patients/{odd_patients[0].pk}", **USUAL)
    assert took_the_lane(house.get(f"/v1/patients/{odd_patients[0].pk}"))

    usual, fast = looks()[before:]
    assert usual == fast


def test_a_404_is_no_look(house, odd_patients):
    house.get(f"/v1/patients/{odd_patients[0].pk}", **USUAL)
    with tenant_context(house.tenant.pk):
        before = AuditRead.objects.count()

    house.get("/v1/patients/01890a5d-ac96-774b-bcce-b302099a8057")

    with tenant_context(house.tenant.pk):
        assert AuditRead.objects.count() == before


def test_the_lane_leaves_no_tenant_and_no_transaction(house, odd_patients):

    assert took_the_lane(house.get(f"/v1/patients/{odd_patients[0].pk}"))

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.tenant_id', true)")
        assert cursor.fetchone()[0] in ("", None)
    assert connection.connection.pgconn.transaction_status == 0


def test_requests_in_the_lane_are_counted(house, odd_patients, monkeypatch):
    monkeypatch.setattr(settings, "API_KEY_RATE_LIMIT", True)
    with tenant_context(house.tenant.pk):
        ApiKey.objects.filter(pk=house.key.pk).update(requests_per_minute=3)
    path = f"/v1/patients/{odd_patients[0].pk}"
    house.get(path)  # learns the new rate

    codes = [house.get(path).status_code for _ in range(5)]

    assert 429 in codes
    assert codes[0] == 200


def test_the_log_line_of_the_lane_names_route_clinic_and_key(house, odd_patients, monkeypatch):
    lines = []
    monkeypatch.setattr("config.middleware.write_access", lines.append)

    house.get(f"/v1/patients/{odd_patients[0].pk}")

    (line,) = lines
    assert line["route"] == "/v1/patients/{pk}"
    assert (line["tenant_id"], line["key_id"]) == (str(house.tenant.pk), str(house.key.pk))


def test_a_serializer_that_works_things_out_is_refused():

    with pytest.raises(NotPlain):
        CompiledRows(PatientRowSerializer, Patient)
