"""Writing the trail: with the change or not at all, in one chain whoever writes at the same time."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from structlog.contextvars import bind_contextvars, clear_contextvars

from tenancy.audit import selectors, tasks
from tenancy.audit import services as audit
from tenancy.audit.models import AuditActor, AuditEntry, AuditHead, AuditPayload, AuditRead, AuditSeal
from tenancy.audit.verification import verify_trail
from tenancy.rules import RuleBroken
from tenancy.tenants.context import NoTenant, finish_pending, tenant_context
from tenancy.tenants.models import Counter, Tenant
from tenancy.tenants.tests.databases import address, as_superuser


@pytest.fixture
def committed_clinic(committed_db):
    return Tenant.objects.create(slug=f"t-{uuid.uuid4().hex[:12]}", name="Somewhere")


def actions():
    return list(AuditEntry.objects.in_order().values_list("action", flat=True))


# --- record ----------------------------------------------------------------------------------------------------------


def test_record_needs_a_clinic(db):
    with pytest.raises(NoTenant):
        audit.record("thing_made", None, by=None)


def test_record_writes_one_hashed_entry_and_its_payload(clinic, nurse):
    finish_pending()
    before = AuditHead.objects.get()
    thing = Counter.objects.create(name="thing")
    bind_contextvars(request_id="6f0c2d7e", ip="192.0.2.7")
    try:
        entry_id = audit.record(
            "thing_changed", thing, by=nurse, changes={"value": (0, 1)}, reason="Miscounted.", details={"n": [1]},
            on_behalf_of=None, reason_code="correction",
        )  # fmt: skip
        finish_pending()
    finally:
        clear_contextvars()

    entry, head = AuditEntry.objects.get(pk=entry_id), AuditHead.objects.get()
    actor = AuditActor.objects.get(pk=entry.actor_ref)
    assert (entry.seq, entry.prev_hash) == (before.seq + 1, before.entry_hash)
    assert (head.seq, head.entry_hash) == (entry.seq, entry.entry_hash)
    assert (entry.object_type, entry.object_id, entry.reason_code) == ("counter", str(thing.pk), "correction")
    assert (entry.request_id, entry.actor_kind) == ("6f0c2d7e", "member")
    assert (actor.ref_id, actor.user_id, actor.label) == (nurse.pk, nurse.user_id, "Nora Nurse")
    assert json.loads(entry.payloads.get().body) == {
        "changes": {"value": [0, 1]},
        "reason": "Miscounted.",
        "details": {"n": [1]},
        "address": "192.0.2.7",
        "label": "thing: 0",
        "actor": {
            "kind": "member",
            "ref_id": str(nurse.pk),
            "user_id": str(nurse.user_id),
            "label": "Nora Nurse",
        },
    }
    assert "Nora" not in str(entry.__dict__)


def test_record_of_the_clinic_by_the_system(clinic):
    audit.record("clinic_opened", None, by=None)
    finish_pending()

    entry = AuditEntry.objects.in_order().last()
    assert (entry.object_type, entry.object_id, entry.actor_kind) == ("tenant", str(clinic.id), "system")


def test_records_of_several_services_share_one_lock(clinic, nurse):
    for number in range(3):
        with transaction.atomic():
            audit.record("thing_done", nurse, by=nurse, details={"number": number})

    with CaptureQueriesContext(connection) as queries:
        finish_pending()

    assert len([query for query in queries if "FOR NO KEY UPDATE" in query["sql"]]) == 1
    assert AuditEntry.objects.filter(action="thing_done").count() == 3


def appended(nurse, count):
    """What is written, table by table, by a transaction that records so many entries before its last change."""
    finish_pending()
    audit.actor_for(nurse)
    with CaptureQueriesContext(connection) as queries:
        for number in range(count):
            audit.record(f"thing_{number}", None, by=nurse)
        Counter.objects.create(name="after the record")
        finish_pending()
    assert actions()[-count:] == [f"thing_{number}" for number in range(count)]
    statements = [query["sql"] for query in queries]
    assert len([sql for sql in statements if "FOR NO KEY UPDATE" in sql]) == (count > audit.FEW)
    return [sql.split()[:3] for sql in statements if not sql.startswith(("SELECT", "SAVEPOINT", "RELEASE"))]


def test_few_entries_are_appended_last_each_in_one_statement(clinic, nurse):
    assert appended(nurse, audit.FEW) == [
        ["INSERT", "INTO", '"tenants_counter"'],
        *[["WITH", "audit_head", "AS"]] * audit.FEW,
    ]


def test_many_entries_are_appended_last_under_one_lock(clinic, nurse):
    assert appended(nurse, audit.FEW + 1) == [
        ["INSERT", "INTO", '"tenants_counter"'],
        ["INSERT", "INTO", '"audit_auditentry"'],
        ["INSERT", "INTO", '"audit_auditpayload"'],
        ["UPDATE", '"audit_audithead"', "SET"],
    ]


@pytest.mark.parametrize("count", [1, 3, 4])
def test_entries_verify_however_many_were_appended_at_once(clinic, nurse, count):
    for _ in range(2):
        for number in range(count):
            audit.record("thing_done", nurse, by=nurse, reason='"ü" \u2028 \\ {}', details={"number": number})
        finish_pending()

    assert verify_trail(clinic).findings == []
    head, last = AuditHead.objects.get(), AuditEntry.objects.in_order().last()
    assert (head.seq, head.entry_hash, head.at) == (last.seq, last.entry_hash, last.at)


def test_the_clock_is_read_under_the_lock(committed_clinic):
    """Whoever waited for the head is later than who held it: moments follow the numbers."""

    def write(number):
        try:
            with tenant_context(committed_clinic.id):
                audit.record(f"thing_{number}", None, by=None)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(160)))

    with tenant_context(committed_clinic.id):
        moments = list(AuditEntry.objects.in_order().values_list("at", flat=True))
    assert moments == sorted(moments)


def test_record_is_rolled_back_with_the_change(committed_clinic):
    with tenant_context(committed_clinic.id):
        audit.record("kept", None, by=None)
    with pytest.raises(ZeroDivisionError), tenant_context(committed_clinic.id):
        Counter.objects.create(name="never")
        audit.record("never", None, by=None)
        1 / 0

    with tenant_context(committed_clinic.id):
        assert actions() == ["kept"]


def test_record_is_dropped_with_its_savepoint_and_leaves_no_gap(committed_clinic):
    with tenant_context(committed_clinic.id):
        audit.record("first", None, by=None)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            audit.record("never", None, by=None)
            1 / 0
        with transaction.atomic():
            audit.record("second", None, by=None)
        audit.record("third", None, by=None)

    with tenant_context(committed_clinic.id):
        assert list(AuditEntry.objects.in_order().values_list("seq", "action")) == [
            (1, "first"),
            (2, "second"),
            (3, "third"),
        ]
        assert verify_trail(committed_clinic).code == 0


def test_a_change_whose_entry_can_not_be_written_is_rolled_back(committed_clinic):
    """AT-13: no trail, no change."""
    database = settings.DATABASES["default"]["NAME"]
    app = settings.DATABASE_APP[0]
    with as_superuser(database) as admin:
        admin.execute(f"REVOKE INSERT ON audit_auditentry FROM {app}")
        try:
            with pytest.raises(DatabaseError), tenant_context(committed_clinic.id):
                Counter.objects.create(name="never")
                audit.record("thing_made", None, by=None)
        finally:
            admin.execute(f"GRANT INSERT ON audit_auditentry TO {app}")

    with tenant_context(committed_clinic.id):
        assert not Counter.objects.exists()
        assert actions() == []


def test_fifty_parallel_writers_make_one_chain(committed_clinic):
    """No fork, no gap, no deadlock, and as many entries as were recorded."""

    def write(number):
        try:
            with tenant_context(committed_clinic.id):
                audit.record(f"a_{number}", None, by=None)
                Counter.objects.create(name=f"c{number}")
                audit.record(f"b_{number}", None, by=None)
        finally:
            connection.close()

    with ThreadPoolExecutor(25) as pool:
        list(pool.map(write, range(50)))

    with tenant_context(committed_clinic.id):
        assert list(AuditEntry.objects.in_order().values_list("seq", flat=True)) == list(range(1, 101))
        assert AuditActor.objects.count() == 1
        assert AuditHead.objects.count() == 1
        assert verify_trail(committed_clinic).findings == []


def test_each_clinic_has_a_chain_of_its_own(committed_clinic):
    other = Tenant.objects.create(slug=f"t-{uuid.uuid4().hex[:12]}", name="Elsewhere")
    for tenant in (committed_clinic, other, committed_clinic):
        with tenant_context(tenant.id):
            audit.record("thing_made", None, by=None)

    for tenant, count in ((committed_clinic, 2), (other, 1)):
        with tenant_context(tenant.id):
            assert AuditHead.objects.get().seq == count


def test_actor_for_follows_a_changed_name(clinic, nurse):
    first = audit.actor_for(nurse)
    nurse.user.name = "Nora Newname"

    again = audit.actor_for(nurse)

    assert again.pk == first.pk
    assert AuditActor.objects.get(pk=first.pk).label == "Nora Newname"


def test_a_changed_name_does_not_rewrite_what_was_recorded(clinic, nurse):
    audit.record("thing_made", None, by=nurse)
    nurse.user.name = "Nora Newname"
    audit.record("thing_changed", None, by=nurse)
    finish_pending()

    changed, made = selectors.describe_entries(selectors.list_entries()[:2])
    assert (made["user"]["name"], changed["user"]["name"]) == ("Nora Nurse", "Nora Newname")


def test_an_erased_entry_names_the_actor_as_it_is_now(clinic, nurse):
    audit.record("thing_made", None, by=nurse)
    finish_pending()
    entry = AuditEntry.objects.in_order().last()
    audit.erase_payload(entry, by=nurse, reason="Asked for.")
    finish_pending()

    [described] = selectors.describe_entries([entry])
    assert (described["erased"], described["user"]["name"]) == (True, "Nora Nurse")


# --- Nobody changes what stands there --------------------------------------------------------------------------------


@pytest.fixture
def trail(committed_clinic):
    """One entry, one sealed read and one open one."""
    with tenant_context(committed_clinic.id):
        thing = Counter.objects.create(name="thing")
        audit.record("thing_made", thing, by=None)
        audit.record_read(thing, by=None)
        audit.seal_reads()
        audit.record_read(thing, by=None)
    return committed_clinic


CHANGES = [
    "UPDATE audit_auditentry SET action = 'x'",
    "DELETE FROM audit_auditentry",
    "TRUNCATE audit_auditentry CASCADE",
    "UPDATE audit_auditpayload SET body = '{}'",
    "DELETE FROM audit_auditpayload",
    "TRUNCATE audit_auditpayload",
    "DELETE FROM audit_audithead",
    "TRUNCATE audit_audithead",
    "UPDATE audit_auditseal SET count = 0",
    "DELETE FROM audit_auditseal",
    "TRUNCATE audit_auditseal CASCADE",
    "UPDATE audit_auditread SET kind = 'x'",
    "UPDATE audit_auditread SET seal_id = NULL",
    "DELETE FROM audit_auditread",
    "TRUNCATE audit_auditread",
    "UPDATE audit_auditactor SET id = gen_random_uuid()",
    "UPDATE audit_auditactor SET kind = 'member'",
    "UPDATE audit_auditactor SET ref_id = gen_random_uuid()",
    "UPDATE audit_auditactor SET user_id = gen_random_uuid()",
    "DELETE FROM audit_auditactor",
    "TRUNCATE audit_auditactor",
]


@pytest.mark.parametrize("role", ["app", "owner"])
@pytest.mark.parametrize("change", CHANGES)
def test_app_and_owner_are_refused_alike(trail, role, change):
    """AT-01, AT-02: the app role by its grants, the owner by triggers."""
    with psycopg.connect(address(settings.DATABASES["default"]["NAME"], role)) as anybody:
        anybody.execute(f"SET LOCAL app.tenant_id = '{trail.id}'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            anybody.execute(change)
        anybody.rollback()


@pytest.mark.parametrize("role", ["app", "owner"])
def test_the_label_of_an_actor_may_follow_a_name(trail, role):
    with psycopg.connect(address(settings.DATABASES["default"]["NAME"], role)) as anybody:
        anybody.execute(f"SET LOCAL app.tenant_id = '{trail.id}'")
        assert anybody.execute("UPDATE audit_auditactor SET label = 'x'").rowcount == 1
        anybody.rollback()


def test_a_read_is_sealed_once_and_otherwise_stays(trail):
    with psycopg.connect(address(settings.DATABASES["default"]["NAME"], "owner")) as owner:
        owner.execute(f"SET LOCAL app.tenant_id = '{trail.id}'")
        [(seal,)] = owner.execute("SELECT id FROM audit_auditseal").fetchall()
        sealed = owner.execute("UPDATE audit_auditread SET seal_id = %s WHERE seal_id IS NULL", [seal]).rowcount
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="sealed once"):
            owner.execute("UPDATE audit_auditread SET seal_id = %s", [seal])
        owner.rollback()

    assert sealed == 1


# --- Erasing a payload -----------------------------------------------------------------------------------------------


def test_erase_payload_keeps_the_chain_whole(committed_clinic):
    with tenant_context(committed_clinic.id):
        audit.record("thing_made", None, by=None, details={"name": "Camila"})
    with tenant_context(committed_clinic.id):
        entry = AuditEntry.objects.get()
        audit.erase_payload(entry, by=None, reason="Article 17 request of 14 March.")

    with tenant_context(committed_clinic.id):
        report = verify_trail(committed_clinic)
        [erasure, erased] = selectors.describe_entries(selectors.list_entries())
        bodies = list(AuditPayload.objects.values_list("body", flat=True))

    assert (report.code, report.entries, report.erased) == (0, 2, 1)
    assert (erasure["action"], erasure["reason"]) == ("payload_erased", "Article 17 request of 14 March.")
    assert (erased["erased"], erased["details"], erased["changes"]) == (True, {}, {})
    assert not any("Camila" in body for body in bodies)


def test_erase_payload_needs_a_reason_and_something_to_erase(clinic):
    audit.record("thing_made", None, by=None)
    finish_pending()
    entry = AuditEntry.objects.in_order().last()

    with pytest.raises(RuleBroken, match="why"):
        audit.erase_payload(entry, by=None, reason="  ")
    audit.erase_payload(entry, by=None, reason="Asked for.")
    finish_pending()
    with pytest.raises(RuleBroken, match="already"):
        audit.erase_payload(entry, by=None, reason="Asked for.")


# --- Reads -----------------------------------------------------------------------------------------------------------


def test_record_read_is_one_row_and_no_lock(clinic, nurse):
    thing = Counter.objects.create(name="thing")
    audit.actor_for(nurse)
    with CaptureQueriesContext(connection) as queries:
        audit.record_read(thing, by=nurse, kind="chart", reason="Ward round")

    [read] = selectors.list_reads(thing)
    assert (read.kind, read.reason, read.seal_id) == ("chart", "Ward round", None)
    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "INSERT"]
    assert "FOR" not in queries[0]["sql"].split()


def test_record_reads_notes_each_thing_in_one_statement(clinic, nurse):
    things = [Counter.objects.create(name=f"thing {number}") for number in range(3)]
    audit.actor_for(nurse)
    with CaptureQueriesContext(connection) as queries:
        audit.record_reads(things, by=nurse, kind="api")
        audit.record_reads([], by=nurse)

    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "INSERT"]
    assert [[read.kind for read in selectors.list_reads(thing)] for thing in things] == [["api"]] * 3
    assert AuditRead.objects.count() == 3


def test_seal_reads_binds_each_read_once(clinic, nurse):
    thing = Counter.objects.create(name="thing")
    assert audit.seal_reads() == 0
    for _ in range(3):
        audit.record_read(thing, by=nurse)
    assert audit.seal_reads() == 3
    audit.record_read(thing, by=nurse)
    assert [audit.seal_reads(), audit.seal_reads()] == [1, 0]
    finish_pending()

    assert sorted(AuditSeal.objects.values_list("count", flat=True)) == [1, 3]
    assert actions()[-2:] == ["reads_sealed", "reads_sealed"]
    assert not AuditRead.objects.filter(seal=None).exists()
    report = verify_trail(clinic)
    assert (report.findings, report.reads) == ([], 4)


def test_the_task_seals_all_that_waits_a_batch_at_a_time(committed_clinic, monkeypatch):
    monkeypatch.setattr(audit, "SEAL_BATCH", 2)
    with tenant_context(committed_clinic.id):
        audit.record_reads([Counter.objects.create(name=name) for name in "abcde"], by=None)

    tasks.seal_reads()

    with tenant_context(committed_clinic.id):
        assert list(AuditSeal.objects.order_by("id").values_list("count", flat=True)) == [2, 2, 1]
        assert not AuditRead.objects.filter(seal=None).exists()


def test_a_clinic_with_no_end_of_reads_does_not_keep_the_others_waiting(committed_clinic, monkeypatch):
    monkeypatch.setattr(audit, "SEAL_BATCH", 1)
    monkeypatch.setattr(tasks, "MOST_BATCHES", 2)
    with tenant_context(committed_clinic.id):
        audit.record_reads([Counter.objects.create(name=name) for name in "abcde"], by=None)

    tasks.seal_reads()

    with tenant_context(committed_clinic.id):
        assert AuditRead.objects.filter(seal=None).count() == 3


def test_tasks_seal_and_anchor_every_clinic(committed_clinic, settings, tmp_path):
    settings.AUDIT_ANCHOR_FILE = tmp_path / "anchors.jsonl"
    with tenant_context(committed_clinic.id):
        audit.record_read(Counter.objects.create(name="thing"), by=None)

    tasks.seal_reads()
    tasks.write_anchors()

    with tenant_context(committed_clinic.id):
        assert actions() == ["reads_sealed"]
    anchors = [json.loads(line) for line in settings.AUDIT_ANCHOR_FILE.read_text().splitlines()]
    assert [anchor["seq"] for anchor in anchors if anchor["tenant"] == str(committed_clinic.id)] == [1]
