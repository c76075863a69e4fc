"""Whatever somebody with all rights does to the trail, `audit_verify` says so and names the first bad entry.

As superuser with triggers off, on a database of these tests' own. Codes are
those of quality.md 6.11: 1 altered, 2 gap, 3 anchor mismatch, 4 cut or rolled
back, 5 payload mismatch, 6 key unknown. Cases AT-03 to AT-10 of security.md.
"""

import base64
import json
import os
import uuid
from contextlib import contextmanager
from io import StringIO
from types import SimpleNamespace

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from psycopg.rows import dict_row

from tenancy.audit import services as audit
from tenancy.audit import verification
from tenancy.audit.anchors import AnchorKeyUnusable, key_id, signing_key, write_anchor
from tenancy.audit.hashing import GENESIS, HEADER_FIELDS, canonical, entry_hash
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Counter, Tenant
from tenancy.tenants.tests.databases import address, connected_to, create_database, drop_database


@pytest.fixture(scope="module")
def scratch_database(django_db_setup):
    """Tampered trails stay here, where no other test verifies anything."""
    name = f"test_tamper_{uuid.uuid4().hex[:8]}"
    create_database(name)
    yield name
    drop_database(name)


@pytest.fixture
def scratch(committed_db, scratch_database, settings, tmp_path):
    settings.AUDIT_ANCHOR_FILE = tmp_path / "anchors.jsonl"
    settings.AUDIT_ANCHOR_KEY = base64.b64encode(os.urandom(32)).decode()
    with connected_to(scratch_database):
        yield scratch_database


@pytest.fixture
def clinic_with_trail(scratch):
    """Ten entries: 1 to 4 plain, 5 seals three reads, 6 to 10 plain."""
    tenant = Tenant.objects.create(slug=f"t-{uuid.uuid4().hex[:12]}", name="Somewhere")
    with tenant_context(tenant.id):
        thing = Counter.objects.create(name="thing")
        for number in range(1, 5):
            audit.record(f"thing_{number}", thing, by=None, reason=f"Because {number}.")
        for _ in range(3):
            audit.record_read(thing, by=None)
    with tenant_context(tenant.id):
        audit.seal_reads()
    append(tenant, 5)
    return tenant


def append(tenant, count):
    with tenant_context(tenant.id):
        for number in range(count):
            audit.record(f"later_{number}", None, by=None)


def verify(tenant, **options):
    """Exit code and report of `manage.py audit_verify --json`."""
    paper = StringIO()
    try:
        call_command("audit_verify", tenant=tenant.slug, json=True, stdout=paper, **options)
    except SystemExit as ended:
        code = ended.code
    else:
        code = 0
    report = json.loads(paper.getvalue())
    assert report["code"] == code
    return code, report["first_bad"], report


@contextmanager
def superuser(database):
    """All rights, no triggers, no foreign keys, no row policies."""
    with psycopg.connect(address(database, "admin"), autocommit=True, row_factory=dict_row) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def tamper(database, statement, *params):
    with superuser(database) as connection:
        done = connection.execute(statement, params)
        assert done.rowcount > 0, "the tampering itself hit nothing"


def entry_id(database, tenant, seq):
    with superuser(database) as connection:
        return connection.execute(
            "SELECT id FROM audit_auditentry WHERE tenant_id = %s AND seq = %s", [tenant.id, seq]
        ).fetchone()["id"]


# --- A whole trail ---------------------------------------------------------------------------------------------------


def test_a_whole_trail_is_whole(clinic_with_trail):
    code, first_bad, report = verify(clinic_with_trail)

    assert (code, first_bad) == (0, None)
    assert {name: report[name] for name in ("entries", "erased", "reads", "anchors", "findings")} == {
        "entries": 10,
        "erased": 0,
        "reads": 3,
        "anchors": 0,
        "findings": [],
    }


def test_a_clinic_where_nothing_happened_is_whole(scratch):
    tenant = Tenant.objects.create(slug=f"t-{uuid.uuid4().hex[:12]}", name="Somewhere")

    assert verify(tenant)[:2] == (0, None)


def test_a_long_trail_is_walked_in_chunks(clinic_with_trail, monkeypatch):
    monkeypatch.setattr("tenancy.audit.verification.CHUNK", 3)

    code, _, report = verify(clinic_with_trail)

    assert (code, report["entries"]) == (0, 10)


def test_the_words_for_people_name_the_clinic_and_the_entry(clinic_with_trail, scratch, capsys):
    call_command("audit_verify", tenant=clinic_with_trail.slug)
    tamper(scratch, "UPDATE audit_auditentry SET action = 'x' WHERE tenant_id = %s AND seq = 3", clinic_with_trail.id)
    with pytest.raises(SystemExit) as ended:
        call_command("audit_verify", tenant=clinic_with_trail.slug)

    assert ended.value.code == 1
    assert capsys.readouterr().out == (
        f"{clinic_with_trail.slug}: whole; 10 entries (0 erased), 3 sealed reads, 0 anchors\n"
        f"{clinic_with_trail.slug}: NOT WHOLE; 10 entries (0 erased), 3 sealed reads, 0 anchors\n"
        "  [1] Entry 3 was altered after it was written.\n"
    )


def test_a_range_takes_the_entry_before_it_on_trust(clinic_with_trail, scratch):
    tamper(scratch, "UPDATE audit_auditentry SET action = 'x' WHERE tenant_id = %s AND seq = 3", clinic_with_trail.id)

    assert verify(clinic_with_trail, first=4)[0] == 0
    assert verify(clinic_with_trail, first=1, last=2)[0] == 0
    assert verify(clinic_with_trail, first=2, last=5)[:2] == (1, 3)
    assert verify(clinic_with_trail, first=4, last=8)[2]["entries"] == 5


@pytest.mark.parametrize("bounds", [{"first": 0}, {"first": 3, "last": 2}])
def test_a_range_in_no_order_is_refused(clinic_with_trail, bounds):
    with pytest.raises(CommandError, match="in order"):
        call_command("audit_verify", tenant=clinic_with_trail.slug, **bounds)


def test_all_clinics_are_verified_and_the_smallest_code_is_the_answer(clinic_with_trail, scratch):
    other = Tenant.objects.create(slug=f"t-{uuid.uuid4().hex[:12]}", name="Elsewhere")
    append(other, 3)
    tamper(scratch, "DELETE FROM audit_auditpayload WHERE tenant_id = %s", other.id)
    tamper(scratch, "DELETE FROM audit_auditentry WHERE tenant_id = %s AND seq = 4", clinic_with_trail.id)
    paper = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("audit_verify", json=True, stdout=paper)

    codes = {report["tenant"]: report["code"] for report in map(json.loads, paper.getvalue().splitlines())}
    assert (codes[other.slug], codes[clinic_with_trail.slug]) == (5, 2)
    assert ended.value.code == min(code for code in codes.values() if code)


# --- Entries ---------------------------------------------------------------------------------------------------------

OTHER_VALUES = {
    "v": "2",
    "seq": "4000",
    "at": "at + interval '1 microsecond'",
    "actor_kind": "'member'",
    "action": "action || ' '",
    "object_type": "'patient'",
    "object_id": "'00000000-0000-0000-0000-000000000000'",
    "object_version": "'2'",
    "reason_code": "'x'",
    "request_id": "'x'",
    "payload_hash": "repeat('0', 64)",
    "prev_hash": "repeat('1', 64)",
    "entry_hash": "repeat('2', 64)",
    **dict.fromkeys(["id", "actor_ref", "on_behalf_ref", "cause_id", "signature_id"], "gen_random_uuid()"),
}


def test_every_column_of_an_entry_is_tampered_with():
    columns = {field.column for field in AuditEntry._meta.concrete_fields}

    assert set(OTHER_VALUES) | {"tenant_id"} == columns == {*HEADER_FIELDS, "entry_hash"}


@pytest.mark.parametrize("column", OTHER_VALUES)
@pytest.mark.parametrize("seq", [1, 4, 10])
def test_an_altered_entry_is_named(clinic_with_trail, scratch, column, seq):
    statement = f"UPDATE audit_auditentry SET {column} = {OTHER_VALUES[column]} WHERE tenant_id = %s AND seq = %s"
    tamper(scratch, statement, clinic_with_trail.id, seq)

    assert verify(clinic_with_trail)[:2] == (1, seq)


def test_an_entry_moved_to_another_clinic_is_missed_in_both(clinic_with_trail, scratch):
    other = Tenant.objects.create(slug=f"t-{uuid.uuid4().hex[:12]}", name="Elsewhere")
    append(other, 3)
    moved = entry_id(scratch, clinic_with_trail, 4)
    tamper(scratch, "UPDATE audit_auditpayload SET tenant_id = %s WHERE entry_id = %s", other.id, moved)
    tamper(scratch, "UPDATE audit_auditentry SET tenant_id = %s WHERE id = %s", other.id, moved)

    assert verify(clinic_with_trail)[:2] == (2, 4)
    assert verify(other)[0] == 1


@pytest.mark.parametrize(("seq", "code"), [(1, 2), (4, 2), (9, 2), (10, 4)])
def test_a_deleted_entry_is_named(clinic_with_trail, scratch, seq, code):
    tamper(scratch, "DELETE FROM audit_auditentry WHERE tenant_id = %s AND seq = %s", clinic_with_trail.id, seq)

    assert verify(clinic_with_trail)[:2] == (code, seq)


@pytest.mark.parametrize("left", [0, 3, 9])
def test_a_cut_tail_is_named(clinic_with_trail, scratch, left):
    tamper(scratch, "DELETE FROM audit_auditentry WHERE tenant_id = %s AND seq > %s", clinic_with_trail.id, left)

    _, first_bad, report = verify(clinic_with_trail)

    # Below 5 the seal of the reads is gone from the chain, too.
    assert {finding["code"] for finding in report["findings"]} == ({4} if left >= 5 else {1, 4})
    assert first_bad == left + 1


def test_two_swapped_entries_are_named(clinic_with_trail, scratch):
    with superuser(scratch) as connection:
        for before, after in ((7, -1), (6, 7), (-1, 6)):
            connection.execute(
                "UPDATE audit_auditentry SET seq = %s WHERE tenant_id = %s AND seq = %s",
                [after, clinic_with_trail.id, before],
            )

    assert verify(clinic_with_trail)[:2] == (1, 6)


def test_swapped_contents_are_named(clinic_with_trail, scratch):
    tamper(
        scratch,
        "UPDATE audit_auditentry a SET action = b.action, object_id = b.object_id, payload_hash = b.payload_hash"
        " FROM audit_auditentry b WHERE a.tenant_id = %s AND b.tenant_id = a.tenant_id"
        " AND (a.seq, b.seq) IN ((2, 3), (3, 2))",
        clinic_with_trail.id,
    )

    assert verify(clinic_with_trail)[:2] == (1, 2)


def copy_entry(connection, tenant, number, /, **changes):
    """Insert a copy of an entry, hash recomputed, as somebody who has read our code would."""
    row = connection.execute(
        "SELECT * FROM audit_auditentry WHERE tenant_id = %s AND seq = %s", [tenant.id, number]
    ).fetchone()
    row |= {"id": uuid.uuid4(), **changes}
    row["entry_hash"] = entry_hash(row)
    names = ", ".join(row)
    marks = ", ".join(["%s"] * len(row))
    connection.execute(f"INSERT INTO audit_auditentry ({names}) VALUES ({marks})", list(row.values()))
    return row


def test_one_number_can_not_be_given_twice(clinic_with_trail, scratch):
    with superuser(scratch) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        copy_entry(connection, clinic_with_trail, 4)


@pytest.mark.parametrize("chunk", [2, 3, 2000])
def test_one_number_given_twice_is_named_even_between_two_chunks(clinic_with_trail, scratch, chunk, monkeypatch):
    monkeypatch.setattr("tenancy.audit.verification.CHUNK", chunk)
    constraint = "CONSTRAINT audit_entry_seq_uniq"
    with superuser(scratch) as connection:
        connection.execute(f"ALTER TABLE audit_auditentry DROP {constraint}")
        copied = copy_entry(connection, clinic_with_trail, 4)
        try:
            # 1 where the walk met the copy and the entry after it follows from the other.
            assert verify(clinic_with_trail)[0] in {1, 2}
        finally:
            connection.execute("DELETE FROM audit_auditentry WHERE id = %s", [copied["id"]])
            connection.execute(f"ALTER TABLE audit_auditentry ADD {constraint} UNIQUE (tenant_id, seq)")


@pytest.mark.parametrize("seq", [0, -7])
def test_an_entry_before_the_first_is_found(clinic_with_trail, scratch, seq):
    with superuser(scratch) as connection:
        copy_entry(connection, clinic_with_trail, 1, seq=seq)

    assert verify(clinic_with_trail)[0] == 2


def test_an_inserted_entry_with_the_right_hash_is_named(clinic_with_trail, scratch):
    with superuser(scratch) as connection:
        connection.execute(
            "UPDATE audit_auditentry SET seq = -seq WHERE tenant_id = %s AND seq > 5", [clinic_with_trail.id]
        )
        connection.execute(
            "UPDATE audit_auditentry SET seq = 1 - seq WHERE tenant_id = %s AND seq < 0", [clinic_with_trail.id]
        )
        before = connection.execute(
            "SELECT entry_hash FROM audit_auditentry WHERE tenant_id = %s AND seq = 5", [clinic_with_trail.id]
        ).fetchone()
        copy_entry(connection, clinic_with_trail, 4, seq=6, prev_hash=before["entry_hash"], action="inserted")

    code, first_bad, _ = verify(clinic_with_trail)
    assert (code, first_bad) == (1, 6)


def test_an_appended_entry_that_the_head_does_not_know_is_named(clinic_with_trail, scratch):
    with superuser(scratch) as connection:
        last = connection.execute(
            "SELECT entry_hash FROM audit_auditentry WHERE tenant_id = %s AND seq = 10", [clinic_with_trail.id]
        ).fetchone()
        copy_entry(connection, clinic_with_trail, 10, seq=11, prev_hash=last["entry_hash"])

    assert verify(clinic_with_trail)[0] == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE audit_audithead SET entry_hash = repeat('0', 64)", 1),
        ("UPDATE audit_audithead SET seq = 9", 1),
        ("UPDATE audit_audithead SET seq = 11", 4),
        ("DELETE FROM audit_audithead", 1),
    ],
)
def test_an_edited_head_is_found(clinic_with_trail, scratch, change, code):
    tamper(scratch, f"{change} WHERE tenant_id = %s", clinic_with_trail.id)

    assert verify(clinic_with_trail)[0] == code


# --- Payloads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_auditpayload SET body = replace(body, 'Because', 'Despite')",
        "UPDATE audit_auditpayload SET body = body || ' '",
        "UPDATE audit_auditpayload SET salt = '\\x00'",
        "UPDATE audit_auditpayload SET entry_id = gen_random_uuid()",
        "UPDATE audit_auditpayload SET tenant_id = gen_random_uuid()",
        "DELETE FROM audit_auditpayload",
    ],
)
def test_an_altered_or_lost_payload_is_named(clinic_with_trail, scratch, change):
    tamper(scratch, f"{change} WHERE entry_id = %s", entry_id(scratch, clinic_with_trail, 3))

    assert verify(clinic_with_trail)[:2] == (5, 3)


def test_a_payload_lost_after_an_erasure_of_another_is_named(clinic_with_trail, scratch):
    with tenant_context(clinic_with_trail.id):
        audit.erase_payload(AuditEntry.objects.get(seq=2), by=None, reason="Asked for.")
    assert verify(clinic_with_trail)[2]["erased"] == 1

    tamper(scratch, "DELETE FROM audit_auditpayload WHERE entry_id = %s", entry_id(scratch, clinic_with_trail, 3))

    assert verify(clinic_with_trail)[:2] == (5, 3)


# --- Actors ----------------------------------------------------------------------------------------------------------


def test_a_lost_actor_is_named_by_the_first_entry_it_wrote(clinic_with_trail, scratch):
    tamper(scratch, "DELETE FROM audit_auditactor WHERE tenant_id = %s", clinic_with_trail.id)

    code, first_bad, report = verify(clinic_with_trail)

    assert (code, first_bad) == (1, 1)
    assert report["findings"][0]["sentence"].startswith("Nobody stands behind the actor")


def test_a_lost_actor_of_reads_is_named_by_their_seal(scratch):
    tenant = Tenant.objects.create(slug=f"t-{uuid.uuid4().hex[:12]}", name="Somewhere")
    with tenant_context(tenant.id):
        reader = SimpleNamespace(pk=uuid.uuid4(), user_id=uuid.uuid4())
        audit.record_read(Counter.objects.create(name="thing"), by=reader)
        audit.seal_reads()
    assert verify(tenant)[0] == 0

    tamper(scratch, "DELETE FROM audit_auditactor WHERE user_id = %s", reader.user_id)

    assert verify(tenant)[:2] == (1, 1)


@pytest.mark.parametrize("change", ["kind = 'member'", "ref_id = gen_random_uuid()", "user_id = gen_random_uuid()"])
def test_an_actor_that_became_another_is_named(clinic_with_trail, scratch, change):
    tamper(scratch, f"UPDATE audit_auditactor SET {change} WHERE tenant_id = %s", clinic_with_trail.id)

    assert verify(clinic_with_trail)[:2] == (1, 1)


def test_an_actor_with_another_label_is_still_the_same(clinic_with_trail, scratch):
    tamper(scratch, "UPDATE audit_auditactor SET label = 'x' WHERE tenant_id = %s", clinic_with_trail.id)

    assert verify(clinic_with_trail)[0] == 0


def test_entries_from_before_payloads_named_the_actor_are_whole(clinic_with_trail, scratch, monkeypatch):
    def without_actor(payload):
        return canonical({name: value for name, value in payload.items() if name != "actor"})

    monkeypatch.setattr(audit, "canonical", without_actor)
    append(clinic_with_trail, 1)
    with tenant_context(clinic_with_trail.id):
        assert "actor" not in AuditEntry.objects.in_order().last().payloads.get().body

    assert verify(clinic_with_trail)[0] == 0


# --- Reads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_auditread SET actor_ref = gen_random_uuid()",
        "UPDATE audit_auditread SET at = at - interval '1 day'",
        "UPDATE audit_auditread SET kind = 'print'",
        "UPDATE audit_auditread SET object_type = 'x'",
        "UPDATE audit_auditread SET object_id = 'x'",
        "UPDATE audit_auditread SET reason = 'x'",
        "UPDATE audit_auditread SET request_id = 'x'",
        "UPDATE audit_auditread SET id = gen_random_uuid()",
        "UPDATE audit_auditread SET tenant_id = gen_random_uuid()",
        "UPDATE audit_auditread SET seal_id = NULL",
        "DELETE FROM audit_auditread",
    ],
)
def test_an_altered_or_lost_read_is_named_by_its_seal(clinic_with_trail, scratch, change):
    tamper(
        scratch,
        f"{change} WHERE id = (SELECT id FROM audit_auditread WHERE tenant_id = %s ORDER BY id LIMIT 1)",
        clinic_with_trail.id,
    )

    assert verify(clinic_with_trail)[:2] == (1, 5)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_auditseal SET count = 2",
        "UPDATE audit_auditseal SET merkle_root = repeat('0', 64)",
        "UPDATE audit_auditseal SET id = gen_random_uuid()",
        "DELETE FROM audit_auditseal",
    ],
)
def test_an_altered_or_lost_seal_is_named(clinic_with_trail, scratch, change):
    tamper(scratch, f"{change} WHERE tenant_id = %s", clinic_with_trail.id)

    assert verify(clinic_with_trail)[:2] == (1, 5)


def test_a_seal_outside_of_the_chain_is_found(clinic_with_trail, scratch):
    tamper(
        scratch,
        "INSERT INTO audit_auditseal (id, tenant_id, count, merkle_root) VALUES (gen_random_uuid(), %s, 0, '')",
        clinic_with_trail.id,
    )

    assert verify(clinic_with_trail)[0] == 1


# --- Anchors ---------------------------------------------------------------------------------------------------------


def anchor(tenant):
    with tenant_context(tenant.id):
        return write_anchor(tenant.id)


def cut(database, tenant, left):
    """Cut the tail so that chain and head agree again: what a restored older dump looks like."""
    with superuser(database) as connection:
        connection.execute("DELETE FROM audit_auditentry WHERE tenant_id = %s AND seq > %s", [tenant.id, left])
        connection.execute(
            "UPDATE audit_audithead SET (seq, entry_hash) = (SELECT seq, entry_hash FROM audit_auditentry"
            " WHERE tenant_id = %s AND seq = %s) WHERE tenant_id = %s",
            [tenant.id, left, tenant.id],
        )


def test_anchors_of_a_whole_trail_agree(clinic_with_trail, settings):
    first = anchor(clinic_with_trail)
    append(clinic_with_trail, 2)
    anchor(clinic_with_trail)

    code, _, report = verify(clinic_with_trail)

    assert (code, report["anchors"]) == (0, 2)
    assert first["seq"] == 10
    assert settings.AUDIT_ANCHOR_FILE.stat().st_mode & 0o777 == 0o640


def test_write_anchor_has_nothing_to_say_where_nothing_happened(scratch):
    tenant = Tenant.objects.create(slug=f"t-{uuid.uuid4().hex[:12]}", name="Somewhere")

    assert anchor(tenant) is None


@pytest.mark.parametrize("left", [9, 6])
def test_an_anchor_finds_a_cut_tail_that_nothing_else_shows(clinic_with_trail, scratch, left, tmp_path):
    anchor(clinic_with_trail)
    cut(scratch, clinic_with_trail, left)

    assert verify(clinic_with_trail, anchors=tmp_path / "none.jsonl")[0] == 0
    assert verify(clinic_with_trail)[:2] == (4, left + 1)


def test_an_anchor_finds_a_trail_that_was_emptied(clinic_with_trail, scratch):
    anchor(clinic_with_trail)
    with superuser(scratch) as connection:
        for table in ("auditentry", "audithead", "auditpayload", "auditread", "auditseal"):
            connection.execute(f"DELETE FROM audit_{table} WHERE tenant_id = %s", [clinic_with_trail.id])

    assert verify(clinic_with_trail)[:2] == (4, 1)


def test_an_anchor_finds_a_restored_older_state_that_went_on(clinic_with_trail, scratch):
    anchor(clinic_with_trail)
    cut(scratch, clinic_with_trail, 8)
    append(clinic_with_trail, 5)

    assert verify(clinic_with_trail)[:2] == (3, 10)


def test_an_anchor_finds_a_rewritten_chain(clinic_with_trail, scratch):
    """AT-06: every hash recomputed; the chain alone looks whole."""
    anchor(clinic_with_trail)
    with superuser(scratch) as connection:
        rows = connection.execute(
            "SELECT * FROM audit_auditentry WHERE tenant_id = %s ORDER BY seq", [clinic_with_trail.id]
        ).fetchall()
        previous = GENESIS
        for row in rows:
            row |= {"prev_hash": previous, "actor_kind": "forged" if row["seq"] == 7 else row["actor_kind"]}
            previous = entry_hash(row)
            connection.execute(
                "UPDATE audit_auditentry SET prev_hash = %s, actor_kind = %s, entry_hash = %s WHERE id = %s",
                [row["prev_hash"], row["actor_kind"], previous, row["id"]],
            )
        connection.execute(
            "UPDATE audit_audithead SET entry_hash = %s WHERE tenant_id = %s", [previous, clinic_with_trail.id]
        )

    assert verify(clinic_with_trail)[:2] == (3, 10)


@pytest.mark.parametrize(
    "changes", [{"seq": 9}, {"entry_hash": "0" * 64}, {"at": "2020-01-01T00:00:00.000000Z"}, {"sig": "AAAA"}]
)
def test_a_forged_anchor_is_found(clinic_with_trail, settings, changes):
    forged = anchor(clinic_with_trail) | changes
    settings.AUDIT_ANCHOR_FILE.write_text(json.dumps(forged) + "\n")

    assert verify(clinic_with_trail)[0] == 3


@pytest.mark.parametrize(
    "line",
    ["", "{}", "[]", "not json", "\udcff", '{"tenant": 1}', "[" * 100_000, "NaN"],
)
def test_a_line_that_is_no_anchor_is_found(clinic_with_trail, settings, line):
    anchor(clinic_with_trail)
    with open(settings.AUDIT_ANCHOR_FILE, "a", errors="surrogateescape") as file:
        file.write(f"{line}\n")

    code, _, report = verify(clinic_with_trail)

    assert (code, report["findings"][0]["sentence"]) == (3, "Line 2 of the anchor file can not be read.")


@pytest.mark.parametrize("field", ["seq", "kid", "sig", "entry_hash"])
@pytest.mark.parametrize("value", [None, [], {"a": 1}, 1.5])
def test_an_anchor_of_strange_shape_is_no_crash(clinic_with_trail, settings, field, value):
    forged = anchor(clinic_with_trail) | {field: value}
    settings.AUDIT_ANCHOR_FILE.write_text(json.dumps(forged) + "\n")

    assert verify(clinic_with_trail)[0] == 3


def test_an_anchor_by_an_unknown_key_says_so_until_the_key_is_named(clinic_with_trail, settings):
    anchor(clinic_with_trail)
    old = signing_key().public_key()
    settings.AUDIT_ANCHOR_KEY = base64.b64encode(os.urandom(32)).decode()

    assert verify(clinic_with_trail)[0] == 6
    assert verify(clinic_with_trail, public_key=[base64.b64encode(old.public_bytes_raw()).decode()])[0] == 0


def test_anchors_of_other_clinics_are_not_ours(clinic_with_trail, settings):
    other = Tenant.objects.create(slug=f"t-{uuid.uuid4().hex[:12]}", name="Elsewhere")
    append(other, 99)
    anchor(other)

    code, _, report = verify(clinic_with_trail)

    assert (code, report["anchors"]) == (0, 0)


def test_the_key_is_made_once_and_only_for_us(settings, tmp_path):
    settings.AUDIT_ANCHOR_KEY, settings.STATE_DIR = None, tmp_path / "state"

    first, second = signing_key(), signing_key()

    assert key_id(first.public_key()) == key_id(second.public_key())
    assert (tmp_path / "state" / "audit-anchor.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("given", ["nonsense!", "AAAA", base64.b64encode(b"x" * 33).decode()])
def test_an_unusable_key_is_a_sentence(settings, given, clinic_with_trail):
    settings.AUDIT_ANCHOR_KEY = given

    with pytest.raises(AnchorKeyUnusable, match="32 bytes"):
        signing_key()
    with pytest.raises(CommandError, match="32 bytes"):
        call_command("audit_verify", tenant=clinic_with_trail.slug)


def test_an_unusable_public_key_is_a_sentence(clinic_with_trail):
    with pytest.raises(CommandError, match="--public-key"):
        call_command("audit_verify", tenant=clinic_with_trail.slug, public_key=["AAAA"])


def test_key_id_tells_keys_apart():
    assert key_id(Ed25519PrivateKey.generate().public_key()) != key_id(Ed25519PrivateKey.generate().public_key())


# --- While others write ----------------------------------------------------------------------------------------------


def test_verify_looks_at_one_moment(clinic_with_trail, scratch, monkeypatch):
    """Somebody writes between two looks of the verifier: no false alarm, and no blind eye the next time."""
    look = verification._check_head

    def write_first(report):
        tamper(scratch, "UPDATE audit_audithead SET seq = 11 WHERE tenant_id = %s", clinic_with_trail.id)
        look(report)

    monkeypatch.setattr(verification, "_check_head", write_first)
    assert verify(clinic_with_trail)[0] == 0
    monkeypatch.setattr(verification, "_check_head", look)
    assert verify(clinic_with_trail)[0] == 4
