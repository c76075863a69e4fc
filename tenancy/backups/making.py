"""Making a backup while people work."""

import hashlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

import psycopg
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from django.conf import settings
from django.core.files.storage import Storage, default_storage
from django.utils import timezone

from .counting import Sums, count_rows, rows_per_clinic
from .envelope import SealingWriter
from .parts import BLOCK, write_end, write_part
from .programs import ProgramProblem, connect_as, find_program, start_program

FORMAT = 1
ABOUT, DUMP, ROWS, ANCHORS, FILES, FILE = (
    "backup.json", "database.dump", "rows.json", "audit-anchors.jsonl", "files.json", "files/",
)  # fmt: skip


class BackupProblem(Exception):
    """There is no backup. The text is a sentence for the operator."""


@dataclass
class Made:
    """What a backup holds: rows by a clinic's short name ("" are those of nobody), files, seconds of each step."""

    made_at: str
    rows: dict[str, int]
    files: int
    seconds: dict[str, float] = field(default_factory=dict)


def make_backup(target: BinaryIO, recipients: Sequence[X25519PublicKey], *, with_files: bool = True) -> Made:
    """Write one sealed backup of the database, the anchors and the files to `target`.

    Everything of the database is of one moment, the one that `made_at` names:
    pg_dump and the counting share one snapshot. Raises BackupProblem,
    ProgramProblem or EnvelopeProblem; what has been written then is no backup.
    """
    with reading_everything() as counting:
        return _make(target, recipients, counting, with_files=with_files)


@contextmanager
def reading_everything() -> Iterator[psycopg.Connection]:
    """A connection of the backup role in a transaction that sees one moment. Raises BackupProblem."""
    role = _role()
    try:
        with connect_as(role) as connection:
            _refuse_blind_role(connection)
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield connection
    except psycopg.Error as error:
        raise BackupProblem(f"The database does not let itself be dumped: {_first_line(error)}.") from None


def _role() -> tuple[str, str]:
    if settings.DATABASE_BACKUP is None:
        raise BackupProblem("DATABASE_BACKUP_URL is not set: only the role for backups sees the rows of every clinic.")
    return settings.DATABASE_BACKUP


def _make(target, recipients, counting: psycopg.Connection, *, with_files: bool) -> Made:
    program = find_program("pg_dump", counting.info.server_version // 10_000)
    # Anchors are read before the first statement, with which the moment is taken: a later one would know of entries
    # that are not in it.
    anchors = _anchors()
    clock = Stopwatch()
    made_at = timezone.now().isoformat(timespec="seconds")
    snapshot = counting.execute("SELECT pg_export_snapshot()").fetchone()[0]  # type: ignore[index]
    clinics: dict[str, str] = dict(counting.execute("SELECT id::text, slug FROM tenants_tenant").fetchall())
    box = SealingWriter(target, recipients)
    write_part(box, ABOUT, [as_json(_about(counting, made_at, clinics))])
    write_part(box, ANCHORS, [anchors])
    write_part(box, DUMP, _dump(program, snapshot, _role()))
    clock.note("dump")
    sums: Sums = count_rows(counting)
    write_part(box, ROWS, [as_json(sums)])
    clock.note("count")
    files = list(_write_files(box)) if with_files else None
    write_part(box, FILES, [as_json(files)])
    clock.note("files")
    write_end(box)
    box.close()
    rows = {clinics.get(clinic, clinic): count for clinic, count in rows_per_clinic(sums).items()}
    return Made(made_at, rows, len(files or []), clock.seconds)


def _refuse_blind_role(connection: psycopg.Connection) -> None:
    """A role that row policies bind would dump an empty database and say that all went well (security.md F8)."""
    row = connection.execute(
        "SELECT rolname::text, rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    if row is None or not row[1]:
        raise BackupProblem(
            f"The role {row[0] if row else ''} of DATABASE_BACKUP_URL does not see the rows of every clinic"
            " (it has no BYPASSRLS); its dump would be empty. `manage.py setup_database` makes the right one."
        )


def _about(connection: psycopg.Connection, made_at: str, clinics: dict[str, str]) -> dict:
    migrations = connection.execute("SELECT app, name FROM django_migrations ORDER BY id").fetchall()
    return {
        "format": FORMAT,
        "made_at": made_at,
        "version": settings.SPECTACULAR_SETTINGS["VERSION"],
        "database": connection.info.dbname,
        "postgres": connection.info.server_version,
        "migrations": [list(row) for row in migrations],
        "clinics": clinics,
    }


def _dump(program: str, snapshot: str, role: tuple[str, str]) -> Iterator[bytes]:
    """What pg_dump says of this snapshot. Owners and grants are left out: `restore` gives them by the code."""
    arguments = ["--format=custom", "--no-owner", "--no-acl", "--exclude-extension=*", f"--snapshot={snapshot}"]
    arguments += ["--no-publications", "--no-subscriptions", "--lock-wait-timeout=60s"]
    with tempfile.TemporaryFile() as complaints:
        with start_program(program, arguments, role, stdout=subprocess.PIPE, stderr=complaints) as process:
            assert process.stdout is not None  # asked for when it was started
            try:
                while block := process.stdout.read(BLOCK):
                    yield block
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise ProgramProblem(f"pg_dump failed: {complaint_in(complaints)}.")


def complaint_in(said: IO[bytes]) -> str:
    """The first line in which a program of PostgreSQL says what is wrong. Details stay away: they may quote rows."""
    said.seek(0)
    lines = [line.strip() for line in said.read(20_000).decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line]
    return (errors or lines or ["it ended without a word"])[0].partition("error: ")[2].rstrip(".") or "no reason given"


def _write_files(box: SealingWriter) -> Iterator[dict]:
    """Every stored file as a part; name, size and hash of each."""
    for name in sorted(stored_names(default_storage)):
        try:
            file = default_storage.open(name)
        except FileNotFoundError:  # removed since it was listed
            continue
        with file:
            digest, size = hashlib.sha256(), 0

            def blocks(file=file, digest=digest):
                nonlocal size
                for block in file.chunks(BLOCK):
                    digest.update(block)
                    size += len(block)
                    yield block

            write_part(box, FILE + name, blocks())
        yield {"name": name, "size": size, "sha256": digest.hexdigest()}


def stored_names(storage: Storage, folder: str = "") -> Iterator[str]:
    """The names of all files of a storage, in its folders too."""
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:
        return
    prefix = f"{folder}/" if folder else ""
    yield from (prefix + name for name in files)
    for inner in folders:
        yield from stored_names(storage, prefix + inner)


def _anchors() -> bytes:
    path = Path(settings.AUDIT_ANCHOR_FILE)
    return path.read_bytes() if path.exists() else b""


def as_json(value: Any) -> bytes:
    """A small part: JSON with its keys in order."""
    return json.dumps(value, sort_keys=True).encode()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


class Stopwatch:
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def note(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 2)
        self._last = now
