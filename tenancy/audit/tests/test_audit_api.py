"""The audit trail over the API: filters, pages, CSV, and who may."""

import csv
import io
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from tenancy.audit import services as audit
from tenancy.audit.export import COLUMNS, neutral
from tenancy.audit.models import AuditEntry
from tenancy.audit.serializers import AuditActorSerializer, AuditEntrySerializer
from tenancy.tenants.context import finish_pending
from tenancy.tenants.models import Counter
from tenancy.tenants.tests.contexts import outside_tenant


@pytest.fixture
def entries(clinic, nurse, auditor):
    """Three entries about one thing, and whatever making the cast has left."""
    thing = Counter.objects.create(name="=HYPERLINK(1)")
    audit.record("thing_made", thing, by=nurse)
    audit.record("thing_changed", thing, by=auditor, changes={"name": ("a", "é")}, reason="=1+1", details={"n": 1})
    audit.record("thing_seen", thing, by=None)
    finish_pending()
    return thing


def actions(answer):
    assert answer.status_code == 200, answer.content
    return [item["action"] for item in answer.json()["items"]]


def test_list_answers_newest_first_in_the_envelope(entries, auditor, api_client):
    answer = api_client(auditor).get("/api/audit/", {"page_size": 2, "resource_type": "counter"}).json()

    assert [item["action"] for item in answer["items"]] == ["thing_seen", "thing_changed"]
    assert {name: answer[name] for name in ("page", "page_size", "total", "pages")} == {
        "page": 1,
        "page_size": 2,
        "total": 3,
        "pages": 2,
    }


def test_list_describes_an_entry(entries, auditor, api_client):
    [item] = api_client(auditor).get("/api/audit", {"action": "thing_changed"}).json()["items"]

    entry = AuditEntry.objects.get(action="thing_changed")
    assert item == {
        "id": entry.seq,
        "uuid": str(entry.id),
        "timestamp": item["timestamp"],
        "user": {"id": str(auditor.user_id), "name": "Aldo Auditor", "kind": "member"},
        "action": "thing_changed",
        "resource_type": "counter",
        "resource_id": str(entries.pk),
        "resource_label": "=HYPERLINK(1): 0",
        "reason": "=1+1",
        "changes": {"name": ["a", "é"]},
        "details": {"n": 1},
        "ip": "",
        "request_id": "",
        "erased": False,
        "entry_hash": entry.entry_hash,
    }
    assert set(item) == set(AuditEntrySerializer().fields)
    assert set(item["user"]) == set(AuditActorSerializer().fields)


def test_list_filters(entries, nurse, auditor, api_client):
    caller = api_client(auditor)
    today = timezone.now().date()

    def found(**query):
        return actions(caller.get("/api/audit/", {"resource_type": "counter", **query}))

    assert found(user_id=nurse.user_id) == ["thing_made"]
    assert found(user_id=uuid.uuid4()) == []
    assert found(action="thing_made") == ["thing_made"]
    assert found(resource_id=entries.pk, sort="id") == ["thing_made", "thing_changed", "thing_seen"]
    assert found(resource_id=uuid.uuid4()) == []
    assert len(found(date_from=today, date_to=today)) == 3
    assert found(date_from=today + timedelta(days=1)) == []
    assert found(date_to=today - timedelta(days=1)) == []


@pytest.mark.parametrize(
    "query",
    [
        {"user_id": "1"},
        {"date_from": "yesterday"},
        {"date_from": "2026-02-02", "date_to": "2026-02-01"},
        {"action": "x" * 61},
        {"tenant_id": str(uuid.uuid4())},
        {"sort": "entry_hash"},
        {"action": "a\x00"},
    ],
)
def test_list_refuses_parameters_it_does_not_know(clinic, auditor, api_client, query):
    answer = api_client(auditor).get("/api/audit/", query)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")


def test_list_walks_by_cursor(entries, auditor, api_client):
    caller, seen, cursor = api_client(auditor), [], None
    while cursor is not None or not seen:
        query = {"page_size": 2, **({"cursor": cursor} if cursor else {})}
        answer = caller.get("/api/audit/", query).json()
        seen += [item["id"] for item in answer["items"]]
        cursor = answer["next_cursor"]

    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == AuditEntry.objects.count()


def test_list_asks_as_much_for_one_entry_as_for_three(entries, auditor, api_client, django_assert_num_queries):
    caller = api_client(auditor)
    with django_assert_num_queries(10, exact=False) as few:
        assert len(actions(caller.get("/api/audit/", {"action": "thing_made"}))) == 1
    with django_assert_num_queries(len(few)):
        assert len(actions(caller.get("/api/audit/", {"resource_type": "counter"}))) == 3


def test_strangers_see_nothing_of_ours(entries, strange_admin, api_client):
    caller = api_client(strange_admin)

    assert actions(caller.get("/api/audit/", {"resource_id": entries.pk})) == []
    assert actions(caller.get("/api/audit/", {"action": "thing_made"})) == []


@pytest.mark.parametrize("address", ["/api/audit/", "/api/audit/export"])
def test_reading_the_trail_needs_the_permission(clinic, nurse, admin, anonymous_api, api_client, address):
    assert anonymous_api.get(address).status_code == 401
    assert api_client(nurse).get(address).status_code == 403
    assert api_client(admin).get(address).status_code == 200
    assert api_client(admin).delete(address).status_code == 405
    assert api_client(admin).post(address, {}).status_code == 405


# --- CSV -------------------------------------------------------------------------------------------------------------


def table(answer):
    text = b"".join(answer.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_export_streams_the_filtered_entries_as_csv(entries, clinic, auditor, api_client):
    answer = api_client(auditor).get("/api/audit/export?format=csv&resource_type=counter")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith(f'attachment; filename="audit-{clinic.slug}-')
    rows = table(answer)
    assert [row["action"] for row in rows] == ["thing_made", "thing_changed", "thing_seen"]
    assert list(rows[0]) == COLUMNS
    changed = rows[1]
    assert (changed["user"], changed["reason"]) == ("Aldo Auditor", "'=1+1")
    assert changed["changes"] == '{"name": ["a", "é"]}'
    assert changed["resource_label"] == "'=HYPERLINK(1): 0"
    assert changed["timestamp"].endswith("Z")


def test_export_reads_on_in_chunks_and_stops_where_it_began(entries, auditor, api_client, monkeypatch):
    monkeypatch.setattr("tenancy.audit.export.CHUNK", 2)
    before = AuditEntry.objects.count()

    answer = api_client(auditor).get("/api/audit/export")
    audit.record("thing_late", entries, by=None)
    finish_pending()
    numbers = [int(row["id"]) for row in table(answer)]

    assert numbers == list(range(1, len(numbers) + 1))
    assert before <= len(numbers) < AuditEntry.objects.count()


def test_export_is_itself_in_the_trail(entries, auditor, api_client):
    b"".join(api_client(auditor).get("/api/audit/export?action=thing_made").streaming_content)

    [entry] = AuditEntry.objects.filter(action="audit_exported")
    assert '"filters":{"action":"thing_made"}' in entry.payloads.get().body


@pytest.mark.parametrize("format", ["pdf", "xlsx", "CSV", ""])
def test_export_refuses_other_formats(clinic, auditor, api_client, format):
    answer = api_client(auditor).get("/api/audit/export", {"format": format})

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert answer.json()["detail"][0]["loc"] == ["query", "format"]


def test_export_of_strangers_holds_nothing_of_ours(entries, strange_admin, api_client):
    with outside_tenant():
        text = b"".join(api_client(strange_admin).get("/api/audit/export").streaming_content).decode()

    assert "thing_made" not in text
    assert "member_added" in text


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\u00a0=1", "\uff1d1", "\uff0b1", "\ufeff=1",
     "\u200b=1", "\x00=1", "\ttext"],
)  # fmt: skip
def test_neutral_takes_the_formula_out(text):
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Camila", "a=1", "1-2", "  plain", "{}", "é", "'quoted"])
def test_neutral_leaves_other_text_alone(text):
    assert neutral(text) == text
