"""Bringing a backup back into an empty database, and proving that all of it came.

In this order: the whole file is opened and verified; what stands in the way is
looked for; one transaction restores tables and rows; rows are counted again,
clinic by clinic; migrations bring an older backup forward; every chain of the
trail is verified; what must not go out twice is held back; files come; last of
all the application's role gets its privileges. Until then nobody could see
anything, and wherever a step fails the database is emptied again.
"""

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.core.management.commands.migrate import Command as Migrate
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone
from psycopg import sql

from tenancy.audit import services as audit
from tenancy.audit.anchors import signing_key
from tenancy.audit.verification import KEY_UNKNOWN, look_at_one_moment, verify_trail
from tenancy.tenants.catalogue import find_defects
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.roles import as_owner, grant_privileges

from .counting import Sums, count_rows, differences, rows_per_clinic, sequences_behind
from .envelope import EnvelopeProblem, OpeningReader
from .making import ABOUT, ANCHORS, DUMP, FILE, FILES, FORMAT, ROWS, Stopwatch, complaint_in
from .parts import BLOCK, read_parts
from .programs import ProgramProblem, connect_as, find_program, start_program
from .quarantine import hold_back

MOST_SENTENCES = 20
# What goes with something else, such as the functions of a type or what an extension brought, is not named.
_OURS = {
    "TABLE": """
        SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND relowner = current_user::regrole
        AND relnamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = oid AND deptype IN ('e', 'i'))
    """,
    "FUNCTION": """
        SELECT oid::regprocedure::text FROM pg_proc WHERE proowner = current_user::regrole
        AND pronamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = oid AND deptype IN ('e', 'i'))
    """,
    "TYPE": """
        SELECT oid::regtype::text FROM pg_type WHERE typtype IN ('r', 'e', 'd') AND typowner = current_user::regrole
        AND typnamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = oid AND deptype IN ('e', 'i'))
    """,
}


class RestoreProblem(Exception):
    """Nothing was restored, or what was restored has been removed again. Sentences for the operator."""

    def __init__(self, *sentences: str):
        super().__init__(" ".join(sentences[:MOST_SENTENCES]))
        self.sentences = sentences


@dataclass
class Contents:
    """What a verified backup says of itself. `files` is None where it was made without them."""

    about: dict[str, Any]
    sums: Sums
    anchors: bytes
    files: list[dict] | None
    dump_bytes: int

    @property
    def clinics(self) -> dict[str, str]:
        return self.about["clinics"]

    @property
    def rows(self) -> dict[str, int]:
        """Rows by a clinic's short name; "" are those of nobody."""
        return {self.clinics.get(clinic, clinic): count for clinic, count in rows_per_clinic(self.sums).items()}


@dataclass
class Restored:
    """What came back: rows by clinic, what is held back by clinic, seconds of each step, and what to know."""

    made_at: str
    rows: dict[str, int]
    files: int
    held_back: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


# --- Looking ---------------------------------------------------------------------------------------------------------


def look_into(path: Path, keys: Sequence[X25519PrivateKey]) -> Contents:
    """Read a backup from its first byte to its last without restoring anything. Raises EnvelopeProblem."""
    found: dict[str, bytes] = {}
    hashes, dump_bytes = {}, 0
    with opened(path, keys) as parts:
        for name, blocks in parts:
            if name == DUMP:
                dump_bytes = sum(len(block) for block in blocks)
            elif name.startswith(FILE):
                hashes[name.removeprefix(FILE)] = _hash(blocks)
            else:
                found[name] = b"".join(blocks)
    try:
        contents = Contents(
            about=json.loads(found[ABOUT]),
            sums=json.loads(found[ROWS]),
            anchors=found[ANCHORS],
            files=json.loads(found[FILES]),
            dump_bytes=dump_bytes,
        )
    except (KeyError, ValueError):
        raise EnvelopeProblem("A part of the backup is missing.") from None
    if {file["name"]: file["sha256"] for file in contents.files or []} != hashes:
        raise EnvelopeProblem("The files in the backup are not those it says it holds.")
    if contents.about["format"] != FORMAT:
        raise EnvelopeProblem("This backup was made by a newer Carewright; install that one first.")
    return contents


@contextmanager
def opened(path: Path, keys: Sequence[X25519PrivateKey]) -> Iterator[Iterator[tuple[str, Iterator[bytes]]]]:
    """The parts of a sealed file. Raises EnvelopeProblem, at the latest when the last has been read."""
    try:
        with open(path, "rb") as file:
            yield read_parts(_Buffered(OpeningReader(file, keys)))
    except OSError as error:
        raise EnvelopeProblem(f"The backup {path} can not be read: {os.strerror(error.errno or 0)}.") from None


class _Buffered:
    """Reads exactly so many bytes, or fewer at the end."""

    def __init__(self, source: OpeningReader):
        self._source = source

    def read(self, size: int, /) -> bytes:
        pieces = []
        while size and (piece := self._source.read(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


def _hash(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


# --- Restoring -------------------------------------------------------------------------------------------------------


def restore_backup(path: Path, keys: Sequence[X25519PrivateKey], *, on_trial: bool = False) -> Restored:
    """Bring a backup back into the empty database Django works on.

    `on_trial` leaves the stored files and the anchors of this installation
    alone; everything else is the same. Raises EnvelopeProblem, ProgramProblem
    or RestoreProblem, and then nothing of it is there.
    """
    clock = Stopwatch()
    contents = look_into(path, keys)
    clock.note("look")
    program = _look_for_obstacles(contents, with_files=not on_trial)
    try:
        with _emptied_on_failure():
            _restore_rows(program, path, keys)
            clock.note("restore")
            _compare_rows(contents)
            clock.note("count")
            restored = Restored(contents.about["made_at"], contents.rows, 0)
            with as_owner():
                call_command(Migrate(), interactive=False, verbosity=0)
                clock.note("migrate")
                _enter_clinics(contents, restored)
                clock.note("verify")
            if not on_trial:
                with _removed_on_failure() as written:
                    restored.files = _restore_files(path, keys, written)
                    _open_to_application()
                _place_anchors(contents, restored)
            else:
                _open_to_application()
            clock.note("files and grants")
    except (DatabaseError, psycopg.Error) as error:
        raise RestoreProblem(f"The database refused: {str(error).splitlines()[0].rstrip('.')}.") from None
    restored.seconds = clock.seconds
    return restored


def _look_for_obstacles(contents: Contents, *, with_files: bool) -> str:
    """The path of pg_restore. Raises RestoreProblem where something stands in the way; nothing has been touched."""
    _backup()
    known = MigrationLoader(None).disk_migrations
    ours = {app for app, _name in known}
    if newer := [
        f"{app}.{name}" for app, name in contents.about["migrations"] if app in ours and (app, name) not in known
    ]:
        raise RestoreProblem(
            f"This backup was made by a newer Carewright (it has {newer[-1]}); install that one first."
        )
    try:
        with connect_as(_owner()) as owner:
            version = owner.info.server_version // 10_000
            name = owner.info.dbname
            tables = owner.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()[0]  # type: ignore[index]
    except psycopg.OperationalError as error:
        raise RestoreProblem(
            f"The database does not let the owner in: {str(error).splitlines()[0].rstrip('.')}."
            " `manage.py setup_database` makes it."
        ) from None
    if tables:
        raise RestoreProblem(
            f"The database {name} is not empty ({tables} tables). A restore fills an empty one: name another"
            " with --database, or make a new one."
        )
    if with_files and (other := [file["name"] for file in contents.files or [] if _differs(file)]):
        raise RestoreProblem(
            f"{len(other)} stored files have other contents than those in the backup, {other[0]} for one;"
            " move them away first."
        )
    return find_program("pg_restore", version)


def _owner() -> tuple[str, str]:
    return _role(settings.DATABASE_OWNER, "DATABASE_OWNER_URL")


def _backup() -> tuple[str, str]:
    return _role(settings.DATABASE_BACKUP, "DATABASE_BACKUP_URL")


def _role(role: tuple[str, str] | None, variable: str) -> tuple[str, str]:
    if role is None:
        raise RestoreProblem(f"{variable} is not set; a restore needs it.")
    return role


def _unknown_migrations(contents: Contents) -> str:
    """The last migration in the backup that the code does not have; "" where it has them all."""
    known = MigrationLoader(None).disk_migrations
    rooms = {app for app, _name in known}
    return next(
        (
            f"{app}.{name}"
            for app, name in reversed(contents.about["migrations"])
            if app in rooms and (app, name) not in known
        ),
        "",
    )


def _differs(file: dict) -> bool:
    if not default_storage.exists(file["name"]):
        return False
    with default_storage.open(file["name"]) as stored:
        return _hash(stored.chunks(BLOCK)) != file["sha256"]


def _restore_rows(program: str, path: Path, keys: Sequence[X25519PrivateKey]) -> None:
    """All tables and rows in one transaction: whatever happens there is all of it or nothing."""
    arguments = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-acl"]
    with tempfile.TemporaryFile() as complaints, opened(path, keys) as parts:
        with start_program(program, arguments, _owner(), stdin=subprocess.PIPE, stderr=complaints) as process:
            try:
                for blocks in (blocks for name, blocks in parts if name == DUMP):
                    _feed(process, blocks)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise ProgramProblem(f"pg_restore failed: {complaint_in(complaints)}. The database is as empty as before.")


def _feed(process: subprocess.Popen, blocks: Iterator[bytes]) -> None:
    pipe = process.stdin
    assert pipe is not None  # asked for when it was started
    with suppress(BrokenPipeError):  # it has ended, and its exit code and complaint say why
        for block in blocks:
            pipe.write(block)
        pipe.close()


def _compare_rows(contents: Contents) -> None:
    """Every clinic has in every table what it had, and no counter gives out a number that is taken."""
    with connect_as(_owner()) as owner:
        backup = sql.Identifier(_backup()[0])
        owner.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(backup))
        owner.execute(sql.SQL("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(backup))
    with connect_as(_backup()) as counting:
        wrong = differences(contents.sums, count_rows(counting), contents.clinics) + sequences_behind(counting)
    if wrong:
        raise RestoreProblem(*wrong, "Nothing was kept of it.")


def _enter_clinics(contents: Contents, restored: Restored) -> None:
    """As the owner, in every clinic: verify its trail, hold back what would go out twice, and say so in the trail."""
    with tempfile.NamedTemporaryFile() as anchors:
        anchors.write(contents.anchors)
        anchors.flush()
        for tenant in Tenant.objects.order_by("slug"):
            with tenant_context(tenant.id):
                look_at_one_moment()
                report = verify_trail(tenant, anchor_file=Path(anchors.name), known_keys=[signing_key().public_key()])
            _judge_trail(report, restored)
            with tenant_context(tenant.id):
                held = hold_back()
                audit.record("backup_restored", None, by=None, details={"made_at": restored.made_at, "held_back": held})
            if held:
                restored.held_back[tenant.slug] = held


def _judge_trail(report: Any, restored: Restored) -> None:
    broken = [finding.sentence for finding in report.findings if finding.code != KEY_UNKNOWN]
    if broken:
        raise RestoreProblem(*(f"{report.tenant}: {sentence}" for sentence in broken), "Nothing was kept of it.")
    if report.findings:
        restored.notes.append(
            f"{report.tenant}: the anchors are signed with another key than AUDIT_ANCHOR_KEY; `audit_verify` wants"
            " the old public key (--public-key)."
        )


def _restore_files(path: Path, keys: Sequence[X25519PrivateKey], written: list[str]) -> int:
    """Put the files of the backup where they were; those that are there already stay. How many it holds."""
    count = 0
    with opened(path, keys) as parts:
        for name, blocks in parts:
            if not name.startswith(FILE):
                continue
            count += 1
            stored = name.removeprefix(FILE)
            if default_storage.exists(stored):
                continue
            with tempfile.TemporaryFile() as whole:
                for block in blocks:
                    whole.write(block)
                whole.seek(0)
                written.append(default_storage.save(stored, File(whole)))
    return count


def _place_anchors(contents: Contents, restored: Restored) -> None:
    """The anchors of the backup's time take the place of later ones, which are kept beside them.

    Later anchors know entries that are not in the backup; the trail would be
    reported as cut off for ever, and rightly so: the file set aside shows what is lost.
    """
    path = Path(settings.AUDIT_ANCHOR_FILE)
    before = path.read_bytes() if path.exists() else b""
    if before == contents.anchors:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if before:
        aside = path.with_name(f"{path.name}.before-restore-{timezone.now():%Y%m%dT%H%M%SZ}")
        os.replace(path, aside)
        restored.notes.append(f"The anchors there were are kept in {aside}: they know what happened after the backup.")
    path.write_bytes(contents.anchors)
    path.chmod(0o640)


def _open_to_application() -> None:
    """The last step: grants by the code, and the catalogue has to agree that the clinics are apart."""
    with as_owner():
        grant_privileges()
        with connection.cursor() as cursor:
            assert settings.DATABASE_APP is not None  # DATABASE_URL is required
            defects = find_defects(cursor, settings.DATABASE_APP[0])
    if defects:
        raise RestoreProblem(*defects, "Nothing was kept of it.")


# --- Cleaning up -----------------------------------------------------------------------------------------------------


@contextmanager
def _emptied_on_failure() -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        with connect_as(_owner()) as owner:
            empty_database(owner)
        raise


@contextmanager
def _removed_on_failure() -> Iterator[list[str]]:
    written: list[str] = []
    try:
        yield written
    except BaseException:
        for name in written:
            default_storage.delete(name)
        raise


def empty_database(owner: psycopg.Connection) -> None:
    """Drop every table, function and type of the owner's in `public`; extensions stay."""
    with owner.transaction():
        for kind, question in _OURS.items():
            for (name,) in owner.execute(question).fetchall():
                owner.execute(sql.SQL("DROP {} IF EXISTS {} CASCADE").format(sql.SQL(kind), sql.SQL(name)))
