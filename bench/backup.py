"""How long a backup takes while people work, and how long until a clinic works again (security.md BK-08, figure 23)."""

import io
import json
import tempfile
from pathlib import Path

import psycopg

from bench.report import Figure

GIGABYTE = 1_000_000_000


def measure_backup(clinic) -> list[Figure]:
    """`backup` and a trial `restore` of one large clinic, everything checked; the target is five minutes a gigabyte."""
    from django.conf import settings
    from django.core.management import call_command

    from scripts.servers import postgres_program
    from tenancy.backups.envelope import make_key

    settings.POSTGRES_PROGRAMS = str(postgres_program("pg_dump").parent)
    private, public = make_key()
    with tempfile.TemporaryDirectory(prefix="carewright-backup-") as folder:
        key, file = Path(folder) / "key", Path(folder) / "all.cwb"
        key.write_text(private)
        made = _said_by(call_command, "backup", str(file), public_key=[public])
        restored = _said_by(call_command, "restore", str(file), key_file=key, database="trial")
    with psycopg.connect(clinic.environment["DATABASE_ADMIN_URL"], dbname="trial") as admin:
        size = admin.execute("SELECT pg_database_size(current_database())").fetchone()[0] / GIGABYTE
    steps = ", ".join(f"{name} {seconds:.0f}" for name, seconds in restored["seconds"].items())
    seconds = sum(restored["seconds"].values())
    rows = sum(made["rows"].values())
    note = f"{size:.2f} GB, {rows:,} rows, sealed {made['bytes'] / 1e6:,.0f} MB"
    return [
        Figure("backup while people work", sum(made["seconds"].values()), "s", None, note),
        Figure("restore, every row counted and hashed", seconds, "s", None, steps),
        Figure("restore of a gigabyte", seconds / size, "s", 300),
    ]


def _said_by(call_command, *arguments, **options) -> dict:
    said = io.StringIO()
    call_command(*arguments, stdout=said, **options)
    return json.loads(said.getvalue())
