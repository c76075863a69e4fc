"""A backup made while people work comes back row for row, or not at all (security.md BK-01 to BK-07, figure 23)."""

import io
import json
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.notifications import services as notifications
from accounts.notifications.models import Delivery
from accounts.users.models import Membership, Session
from clinic.patients.models import Patient
from scripts.servers import start_postgres
from tenancy.audit.anchors import write_anchor
from tenancy.audit.models import AuditEntry
from tenancy.backups import counting, making, quarantine, restoring
from tenancy.backups.envelope import (
    EnvelopeProblem,
    OpeningReader,
    SealingWriter,
    make_key,
    read_private_key,
    read_public_key,
)
from tenancy.backups.exporting import export_clinic, unpack
from tenancy.backups.making import BackupProblem, make_backup
from tenancy.backups.parts import read_parts, write_end, write_part
from tenancy.backups.restoring import RestoreProblem, look_into, restore_backup
from tenancy.events import services as events
from tenancy.events.models import Delivery as EventDelivery
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.databases import (
    address,
    as_superuser,
    connected_to,
    create_database,
    drop_database,
    empty_database,
)

ROOT = Path(__file__).resolve().parents[2]
PRIVATE, PUBLIC = make_key()
KEYS = [read_private_key(PRIVATE)]
PASSWORD = "riverside-demo-2026"


# --- An installation with two clinics, and room to restore -----------------------------------------------------------


@pytest.fixture(scope="module")
def source(django_db_setup, django_db_blocker):
    """The name of a database with the two demonstration clinics."""
    name = f"test_backup_{uuid.uuid4().hex[:8]}"
    with django_db_blocker.unblock():
        create_database(name)
        with connected_to(name):
            call_command("seed_demo", yes=True, stdout=io.StringIO())
        yield name
        drop_database(name)


@pytest.fixture
def empty(django_db_blocker):
    """The name of an empty database, as `setup_database` makes it."""
    name = f"test_restore_{uuid.uuid4().hex[:8]}"
    with django_db_blocker.unblock():
        empty_database(name)
        yield name
        drop_database(name)


@pytest.fixture(autouse=True)
def storage(tmp_path, monkeypatch, settings):
    """Stored files and anchors of this test only."""
    stored = FileSystemStorage(tmp_path / "files")
    monkeypatch.setattr(making, "default_storage", stored)
    monkeypatch.setattr(restoring, "default_storage", stored)
    settings.AUDIT_ANCHOR_FILE = tmp_path / "anchors.jsonl"
    return stored


@pytest.fixture
def backup(source, tmp_path, storage):
    """A backup of the two clinics, with two stored files."""
    storage.save("letters/2026/one.pdf", ContentFile(b"one" * 200_000))
    storage.save("two.txt", ContentFile(b""))
    return back_up(source, tmp_path / "backup.cwb")


def back_up(database, path):
    with connected_to(database), open(path, "wb") as file:
        make_backup(file, [read_public_key(PUBLIC)])
    return path


def restore_into(database, path, **options):
    with connected_to(database):
        return restore_backup(path, KEYS, **options)


def tables_in(database):
    with as_superuser(database) as admin:
        return admin.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()[0]


def leftovers_in(database):
    """What a restore that failed has left behind, of any kind."""
    question = """
        SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION SELECT typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace
    """
    own = f"SELECT * FROM ({question}) found WHERE relname !~ 'vector|halfvec|sparsevec'"
    with as_superuser(database) as admin:
        extension = {
            name
            for (name,) in admin.execute(
                "SELECT proname::text FROM pg_proc JOIN pg_depend ON objid = pg_proc.oid AND deptype = 'e'"
            ).fetchall()
        }
        return {name for (name,) in admin.execute(own).fetchall()} - extension


def count_in(database):
    with psycopg.connect(address(database, "backup")) as looking:
        return counting.count_rows(looking)


def repack(path, target, **changed):
    """The same backup with some of its parts changed, sealed anew: a mistake on our side, not damage."""
    with open(path, "rb") as file, open(target, "wb") as written:
        box = SealingWriter(written, [read_public_key(PUBLIC)])
        for name, blocks in read_parts(io.BufferedReader(OpeningReader(file, KEYS))):
            content = b"".join(blocks)
            change = changed.get(name.partition(".")[0])
            write_part(box, name, [json.dumps(change(json.loads(content))).encode() if change else content])
        write_end(box)
        box.close()
    return target


# --- There and back --------------------------------------------------------------------------------------------------


def test_bk01_every_clinic_has_every_row_again(source, backup, empty, storage):
    before = count_in(source)
    storage.delete("letters/2026/one.pdf")

    restored = restore_into(empty, backup)

    changed = {"audit_auditentry", "audit_auditpayload", "audit_audithead", "audit_auditactor", "users_session"}
    changed |= {"notifications_delivery"}
    after = count_in(empty)
    assert {t: s for t, s in after.items() if t not in changed} == {t: s for t, s in before.items() if t not in changed}
    assert restored.rows == look_into(backup, KEYS).rows
    assert restored.rows["demo"] > 1000 < restored.rows["harbor"]
    assert restored.files == 2
    with storage.open("letters/2026/one.pdf") as file:
        assert file.read() == b"one" * 200_000


def test_bk01_rows_written_while_it_runs_are_whole_or_not_there(source, tmp_path, empty, django_db_blocker):
    """Each write touches two tables in one transaction; a backup that saw one without the other would be torn."""
    stop, written = threading.Event(), []

    def work():
        with psycopg.connect(address(source, "owner"), autocommit=True) as busy:
            tenant = busy.execute("SELECT id FROM tenants_tenant WHERE slug = 'demo'").fetchone()[0]
            while not stop.is_set():
                with busy.transaction():
                    busy.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant)])
                    for name in ("torn-one", "torn-two"):
                        busy.execute(
                            "INSERT INTO tenants_counter (id, tenant_id, name, value) VALUES (%s, %s, %s, 1)"
                            " ON CONFLICT (tenant_id, name) DO UPDATE SET value = tenants_counter.value + 1",
                            [uuid.uuid4(), tenant, name],
                        )
                written.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while len(written) < 20:
            assert thread.is_alive()
        path = back_up(source, tmp_path / "busy.cwb")
        while_it_ran = len(written)
    finally:
        stop.set()
        thread.join()

    restore_into(empty, path)

    with as_superuser(empty) as admin:
        values = admin.execute("SELECT value FROM tenants_counter WHERE name LIKE 'torn-%'").fetchall()
    assert len(values) == 2
    assert values[0] == values[1]
    assert 20 <= values[0][0] <= while_it_ran


def test_bk01_the_application_works_on_what_came_back(source, backup, empty):
    restore_into(empty, backup)

    with connected_to(empty):
        call_command("check_isolation", stdout=io.StringIO())
        call_command("audit_verify", stdout=io.StringIO())
        tenant = Tenant.objects.get(slug="demo")
        with tenant_context(tenant.id):
            member = Membership.objects.order_by("id").first()
            sent = AuditEntry.objects.get(action="backup_restored")
            notifications.audit.record("checked", member, by=member)
        with tenant_context(tenant.id):
            assert AuditEntry.objects.order_by("-seq").first().seq == sent.seq + 1
        call_command("audit_verify", stdout=io.StringIO())


def test_bk01_nobody_is_let_in_before_everything_agrees(source, backup, empty, monkeypatch):
    seen = []

    def look():
        with connection.cursor() as cursor:
            cursor.execute("SELECT has_table_privilege(%s, 'users_user', 'SELECT')", [settings.DATABASE_APP[0]])
            seen.append(cursor.fetchone()[0])
        return 0

    monkeypatch.setitem(quarantine._registered, "looks", look)

    restore_into(empty, backup)

    assert seen == [False, False]
    with psycopg.connect(address(empty, "app")) as app:
        assert app.execute("SELECT count(*) FROM users_user").fetchone()[0] > 0


def test_bk07_old_mails_and_sign_ins_stay_where_they_are(source, tmp_path, empty):
    with connected_to(source):
        tenant = Tenant.objects.get(slug="demo")
        with tenant_context(tenant.id):
            member = Membership.objects.order_by("id").first()
            waiting = Delivery.objects.create(channel="mail", recipient=member, kind="test")
            sent = Delivery.objects.create(channel="mail", recipient=member, kind="test", state="sent")
            session = Session.objects.create(membership=member, kind="page", expires_at=waiting.created_at)
            events.create_endpoint(by=member, url="http://127.0.0.1:1/hooks", event_types=["patient.updated"])
            events.emit("patient.updated", Patient.objects.first(), by=member)
    path = back_up(source, tmp_path / "waiting.cwb")

    restored = restore_into(empty, path)

    held = restored.held_back["demo"]
    assert held["mails that waited"] >= 1
    assert held["sign-ins that were open"] >= 1
    assert held["events that waited"] == 1
    with connected_to(empty), tenant_context(tenant.id):
        assert not Delivery.objects.filter(state="waiting").exists()
        assert Delivery.objects.get(pk=waiting.pk).state == "failed"
        assert Delivery.objects.get(pk=sent.pk).state == "sent"
        assert not EventDelivery.objects.filter(state="waiting").exists()
        assert Session.objects.get(pk=session.pk).revoked_at is not None
        assert not Session.objects.filter(revoked_at__isnull=True).exists()
    with connected_to(source), tenant_context(tenant.id):  # the negative control: where nothing was restored
        assert Delivery.objects.get(pk=waiting.pk).state == "waiting"
        assert EventDelivery.objects.filter(state="waiting").count() == 1


def test_bk05_an_older_backup_is_brought_forward(tmp_path, empty):
    """The newest tables are taken away before the backup is made; after the restore they are there."""
    older = f"test_older_{uuid.uuid4().hex[:8]}"
    create_database(older)
    try:
        with connected_to(older):
            call_command("migrate", "drafts", "zero", verbosity=0)
        path = back_up(older, tmp_path / "older.cwb")
        assert "drafts_draft" not in count_in(older)
    finally:
        drop_database(older)

    restore_into(empty, path)

    assert "drafts_draft" in count_in(empty)
    with connected_to(empty):
        call_command("check_isolation", stdout=io.StringIO())


def test_bk08_a_trial_leaves_files_and_anchors_alone(source, backup, empty, storage, settings):
    settings.AUDIT_ANCHOR_FILE.write_text("{}\n")
    storage.delete("two.txt")

    restored = restore_into(empty, backup, on_trial=True)

    assert not storage.exists("two.txt")
    assert settings.AUDIT_ANCHOR_FILE.read_text() == "{}\n"
    assert set(restored.seconds) == {"look", "restore", "count", "migrate", "verify", "files and grants"}


def test_later_anchors_are_set_aside_and_the_trail_is_whole(source, tmp_path, empty, settings):
    anchors = settings.AUDIT_ANCHOR_FILE
    with connected_to(source):
        call_command("audit_verify", stdout=io.StringIO())
        tenant = Tenant.objects.get(slug="demo")
        with tenant_context(tenant.id):
            write_anchor(tenant.id)
        path = back_up(source, tmp_path / "anchored.cwb")
        kept = anchors.read_bytes()
        with tenant_context(tenant.id):
            notifications.audit.record("later", None, by=None)
        with tenant_context(tenant.id):
            write_anchor(tenant.id)

    restored = restore_into(empty, path)

    assert anchors.read_bytes() == kept
    (aside,) = anchors.parent.glob("anchors.jsonl.before-restore-*")
    assert len(aside.read_bytes().splitlines()) == 2
    assert str(aside) in restored.notes[0]
    with connected_to(empty):
        call_command("audit_verify", stdout=io.StringIO())
        with pytest.raises(SystemExit) as cut:  # against the anchors set aside the trail ends too early
            call_command("audit_verify", anchors=aside, stdout=io.StringIO())
    assert cut.value.code in {3, 4}


# --- Refused, and nothing kept ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["app", "owner"])
def test_bk02_a_role_that_policies_bind_makes_no_backup(source, settings, role):
    settings.DATABASE_BACKUP = getattr(settings, f"DATABASE_{role.upper()}")

    with connected_to(source), pytest.raises(BackupProblem, match="does not see the rows of every clinic"):
        make_backup(io.BytesIO(), [read_public_key(PUBLIC)])


def test_bk02_without_the_refusal_the_dump_would_be_empty(source, settings):
    """The reason for the rule (security.md F8): as the app role, with row security on, it dumps nothing."""
    program = Path(settings.POSTGRES_PROGRAMS) / "pg_dump"
    arguments = ["--data-only", "--enable-row-security", "--table=patients_patient", address(source, "app")]
    done = subprocess.run([program, *arguments], capture_output=True, text=True)

    assert done.returncode == 0
    copied = done.stdout.partition("FROM stdin;\n")[2].partition("\\.")[0]
    assert copied == ""
    with as_superuser(source) as admin:
        assert admin.execute("SELECT count(*) FROM patients_patient").fetchone()[0] > 100


def test_bk04_damage_is_found_before_anything_is_touched(backup, empty, tmp_path, storage):
    broken = tmp_path / "broken.cwb"
    whole = backup.read_bytes()
    storage.delete("two.txt")
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:-20] + b"x" + whole[-19:], b"", whole + whole):
        broken.write_bytes(damaged)
        with pytest.raises(EnvelopeProblem):
            restore_into(empty, broken)

    assert tables_in(empty) == 0
    assert not storage.exists("two.txt")


def test_bk04_the_wrong_key_restores_nothing(backup, empty):
    with connected_to(empty), pytest.raises(EnvelopeProblem, match="None of the keys"):
        restore_backup(backup, [read_private_key(make_key()[0])])

    assert tables_in(empty) == 0


def lose_a_patient(sums):
    (demo,) = [
        clinic for clinic in sums["patients_patient"] if int(sums["patients_patient"][clinic].split(":")[0]) > 150
    ]
    count, digest = sums["patients_patient"][demo].split(":")
    return sums | {"patients_patient": sums["patients_patient"] | {demo: f"{int(count) + 1}:{digest}"}}


def change_a_role(sums):
    clinic, found = next(iter(sums["users_role"].items()))
    return sums | {"users_role": sums["users_role"] | {clinic: found[:-1] + ("0" if found[-1] != "0" else "1")}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lose_a_patient, r"demo: patients_patient has \d+ rows expected, \d+ found"),
        (change_a_role, r"users_role has \d+ rows, not the same as before"),
        (lambda sums: {**sums, "gone": {}}, "The table gone is missing"),
        (
            lambda sums: {name: s for name, s in sums.items() if name != "users_role"},
            "users_role was not in the backup",
        ),
    ],
)
def test_bk01_one_row_that_differs_is_named_and_nothing_is_kept(backup, empty, tmp_path, change, sentence):
    before = leftovers_in(empty)
    other = repack(backup, tmp_path / "other.cwb", rows=change)

    with pytest.raises(RestoreProblem, match=sentence):
        restore_into(empty, other)

    assert leftovers_in(empty) == before
    restore_into(empty, backup)  # and the same database takes the right one


def test_bk01_a_hole_between_the_clinics_keeps_everybody_out(source, empty, tmp_path):
    with as_superuser(source) as admin:
        admin.execute("ALTER TABLE users_role NO FORCE ROW LEVEL SECURITY")
    try:
        path = back_up(source, tmp_path / "holed.cwb")
    finally:
        with as_superuser(source) as admin:
            admin.execute("ALTER TABLE users_role FORCE ROW LEVEL SECURITY")

    with pytest.raises(RestoreProblem, match="users_role does not force row-level security"):
        restore_into(empty, path)

    assert tables_in(empty) == 0


def test_a_tampered_trail_is_not_restored(source, empty, tmp_path):
    with as_superuser(source) as admin:
        admin.execute("SET session_replication_role = replica")
        seq, action = admin.execute("SELECT seq, action FROM audit_auditentry ORDER BY seq DESC LIMIT 1").fetchone()
        admin.execute("UPDATE audit_auditentry SET action = 'nothing' WHERE seq = %s AND action = %s", [seq, action])
        path = back_up(source, tmp_path / "tampered.cwb")
        admin.execute("UPDATE audit_auditentry SET action = %s WHERE seq = %s AND action = 'nothing'", [action, seq])

    with pytest.raises(RestoreProblem, match="was altered after it was written"):
        restore_into(empty, path)

    assert tables_in(empty) == 0


def test_a_database_that_is_not_empty_is_left_alone(source, backup):
    before = count_in(source)

    with pytest.raises(RestoreProblem, match="is not empty"):
        restore_into(source, backup)

    assert count_in(source) == before


def test_a_backup_of_a_newer_release_is_refused_first(backup, empty, tmp_path):
    newer = repack(
        backup, tmp_path / "newer.cwb", backup=lambda about: about | {"migrations": [["users", "0999_from_tomorrow"]]}
    )

    with pytest.raises(RestoreProblem, match=r"users\.0999_from_tomorrow"):
        restore_into(empty, newer)

    assert tables_in(empty) == 0


def test_a_stored_file_with_other_contents_is_not_overwritten(backup, empty, storage):
    storage.delete("two.txt")
    storage.save("two.txt", ContentFile(b"written since"))

    with pytest.raises(RestoreProblem, match=r"two\.txt for one"):
        restore_into(empty, backup)

    assert tables_in(empty) == 0


def test_files_that_came_are_removed_when_the_last_step_fails(backup, empty, storage, monkeypatch):
    storage.delete("two.txt")

    def fail():
        raise RestoreProblem("a hole")

    monkeypatch.setattr(restoring, "_open_to_application", fail)
    with pytest.raises(RestoreProblem):
        restore_into(empty, backup)

    assert not storage.exists("two.txt")
    assert storage.exists("letters/2026/one.pdf")  # it was there before
    assert tables_in(empty) == 0


def test_sequences_behind_names_the_one_that_would_give_a_number_twice(source):
    with as_superuser(source) as admin:
        admin.execute("BEGIN")
        assert counting.sequences_behind(admin) == []
        admin.execute("SELECT setval('patients_patientversion_pgh_id_seq', 1)")
        (sentence,) = counting.sequences_behind(admin)
        admin.execute("ROLLBACK")
        admin.execute(
            "SELECT setval('patients_patientversion_pgh_id_seq', (SELECT max(pgh_id) FROM patients_patientversion))"
        )
    assert sentence.startswith("The sequence patients_patientversion_pgh_id_seq stands at 1,")


# --- The commands, on another server ---------------------------------------------------------------------------------


@pytest.fixture
def other_cluster(tmp_path):
    """A PostgreSQL of its own with nothing in it, as environment variables."""
    server = start_postgres(tmp_path / "cluster" / "postgres", fsync=False)

    def url(role):
        return server.url(f"carewright_{role}", f"{role}-password", "carewright")

    state = tmp_path / "other-state"
    state.mkdir()
    yield {
        "DATABASE_URL": url("app"),
        "DATABASE_OWNER_URL": url("owner"),
        "DATABASE_BACKUP_URL": url("backup"),
        "DATABASE_ADMIN_URL": server.superuser_url,
        "STATE_DIR": str(state),
        "STORAGE_ROOT": str(state / "files"),
        "POSTGRES_PROGRAMS": settings.POSTGRES_PROGRAMS,
    }
    server.stop()


def manage(environment, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, "manage.py", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


SIGN_IN_READ_WRITE = f"""
import json
from django.test import Client

program = Client(SERVER_NAME="localhost")
login = {{"username": "admin@demo.example", "password": "{PASSWORD}"}}
answer = program.post("/api/auth/token", login, "application/json", headers={{"X-Tenant": "demo"}})
token = answer.json()["access_token"]
bearer = {{"Authorization": "Bearer " + token}}
page = program.get("/api/patients?limit=1", headers=bearer)
found = page.json()["total"]
body = {{"name": "Restored Person", "dateOfBirth": "1970-01-01", "gender": "female"}}
body |= {{"email": "back@example.org", "phone": "3001234567", "address": "Calle 1"}}
made = program.post("/api/patients", body, "application/json", headers=bearer)
now = program.get("/api/patients?limit=1", headers=bearer).json()["total"]
print(json.dumps([page.status_code, found, made.status_code, now]))
"""


def test_bk01_the_whole_drill_on_a_new_server(source, tmp_path, other_cluster, storage):
    """backup_key, backup; on another machine setup_database, restore, the checks, then sign in, read and write."""
    storage.save("a.txt", ContentFile(b"a file"))
    here = {"DATABASE_URL": address(source, "app"), "DATABASE_OWNER_URL": address(source, "owner")}
    here |= {"DATABASE_BACKUP_URL": address(source, "backup"), "STORAGE_ROOT": str(storage.location)}
    public = manage(here, "backup_key", tmp_path / "key").strip()
    here["BACKUP_PUBLIC_KEYS"] = public
    made = json.loads(manage(here, "backup", tmp_path / "all.cwb"))
    assert (tmp_path / "all.cwb").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600

    assert "setup_database" in manage(
        other_cluster, "restore", tmp_path / "all.cwb", "--key-file", tmp_path / "key", code=1
    )
    manage(other_cluster, "setup_database")
    restored = json.loads(manage(other_cluster, "restore", tmp_path / "all.cwb", "--key-file", tmp_path / "key"))
    manage(other_cluster, "check_isolation")
    manage(other_cluster, "audit_verify")

    assert restored["rows"] == made["rows"]
    assert restored["files"] == made["files"] == 1
    assert (Path(other_cluster["STORAGE_ROOT"]) / "a.txt").read_bytes() == b"a file"
    first, found, second, now = json.loads(
        manage(other_cluster, "shell", "--command", SIGN_IN_READ_WRITE).splitlines()[-1]
    )
    assert (first, second, now) == (200, 201, found + 1)
    assert found > 100


def test_backup_needs_a_key_and_never_overwrites(source, tmp_path, settings):
    settings.BACKUP_PUBLIC_KEYS = []
    there = tmp_path / "there.cwb"
    there.write_bytes(b"precious")

    with connected_to(source):
        with pytest.raises(CommandError, match="No key is named"):
            call_command("backup", str(tmp_path / "new.cwb"))
        with pytest.raises(CommandError, match="is there already"):
            call_command("backup", str(there), public_key=[PUBLIC])
        with pytest.raises(CommandError, match="no public backup key"):
            call_command("backup", str(tmp_path / "new.cwb"), public_key=["cwbackup-public-short"])

    assert there.read_bytes() == b"precious"
    assert sorted(file.name for file in tmp_path.glob("*.cwb*")) == ["there.cwb"]


def test_a_backup_that_fails_leaves_no_file(source, tmp_path, settings):
    settings.POSTGRES_PROGRAMS = "/nowhere"

    with connected_to(source), pytest.raises(CommandError, match="pg_dump is not here"):
        call_command("backup", str(tmp_path / "new.cwb"), public_key=[PUBLIC])

    assert list(tmp_path.glob("new.cwb*")) == []


def test_restore_check_looks_and_leaves(source, backup, tmp_path):
    (tmp_path / "key").write_text(PRIVATE)
    said = io.StringIO()

    call_command("restore", str(backup), key_file=tmp_path / "key", check=True, stdout=said)

    assert json.loads(said.getvalue())["rows"].keys() == {"demo", "harbor", ""}
    backup.write_bytes(backup.read_bytes()[:-1])
    with pytest.raises(CommandError, match="damaged or cut off"):
        call_command("restore", str(backup), key_file=tmp_path / "key", check=True)


# --- One clinic (BK-06) ----------------------------------------------------------------------------------------------


@pytest.fixture
def export(source, tmp_path):
    """The folder of what the clinic `harbor` takes along."""
    with connected_to(source), open(tmp_path / "harbor.cwb", "wb") as file:
        export_clinic(file, [read_public_key(PUBLIC)], slug="harbor")
    unpack(tmp_path / "harbor.cwb", KEYS, tmp_path / "harbor")
    return tmp_path / "harbor"


def rows_of(folder, table):
    return [json.loads(line) for line in (folder / "rows" / f"{table}.ndjson").read_text().splitlines()]


def test_bk06_a_clinic_takes_along_every_row_of_its_own(source, export):
    about = json.loads((export / "clinic.json").read_text())
    with as_superuser(source) as admin:
        clinic = admin.execute("SELECT id::text FROM tenants_tenant WHERE slug = 'harbor'").fetchone()[0]
    expected = {
        table: int(clinics[clinic].partition(":")[0])
        for table, clinics in count_in(source).items()
        if clinic in clinics
    }

    assert {table: count for table, count in about["rows"].items() if table in expected} == expected
    assert len(rows_of(export, "patients_patient")) == expected["patients_patient"] > 0


def test_bk06_nothing_of_another_clinic_and_no_password_goes_along(source, export):
    with as_superuser(source) as admin:
        demo = admin.execute("SELECT id::text FROM tenants_tenant WHERE slug = 'demo'").fetchone()[0]
        strangers = {
            email
            for (email,) in admin.execute(
                "SELECT email FROM users_user WHERE id NOT IN (SELECT user_id FROM users_membership m"
                " JOIN tenants_tenant t ON t.id = m.tenant_id WHERE t.slug = 'harbor')"
            ).fetchall()
        }
    text = "".join(file.read_text() for file in export.rglob("*") if file.is_file())
    people = rows_of(export, "users_user")

    assert demo not in text
    assert strangers
    assert not [email for email in strangers if email in text]
    assert "nurse@harbor.example" in {person["email"] for person in people}
    assert not [person for person in people if "password" in person]


def test_bk06_a_clinic_that_is_not_there_is_said_so(source):
    with connected_to(source), pytest.raises(BackupProblem, match="There is no clinic 'nowhere'"):
        export_clinic(io.BytesIO(), [read_public_key(PUBLIC)], slug="nowhere")


def test_unpack_writes_nothing_outside_of_its_folder(tmp_path):
    for number, name in enumerate(["../escaped", "/tmp/escaped", "a/../../escaped"]):
        with open(tmp_path / "bad.cwb", "wb") as file:
            box = SealingWriter(file, [read_public_key(PUBLIC)])
            write_part(box, name, [b"x"])
            write_end(box)
            box.close()
        with pytest.raises(EnvelopeProblem, match="outside of the folder"):
            unpack(tmp_path / "bad.cwb", KEYS, tmp_path / f"out{number}")

    assert not list(tmp_path.rglob("escaped"))
    assert not Path("/tmp/escaped").exists()


def test_open_backup_lays_a_dump_where_pg_restore_reads_it(backup, tmp_path, settings):
    (tmp_path / "key").write_text(PRIVATE)

    call_command("open_backup", str(backup), key_file=tmp_path / "key", to=tmp_path / "opened", stdout=io.StringIO())

    program = Path(settings.POSTGRES_PROGRAMS) / "pg_restore"
    listed = subprocess.run([program, "--list", tmp_path / "opened" / "database.dump"], capture_output=True, text=True)
    assert "TABLE DATA public patients_patient" in listed.stdout
    assert (tmp_path / "opened" / "files" / "letters" / "2026" / "one.pdf").stat().st_size == 600_000
