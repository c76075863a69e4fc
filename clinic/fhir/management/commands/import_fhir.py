import json
import time
from pathlib import Path

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError

from clinic.fhir.services import import_files
from tenancy.tenants.commands import TenantCommand

SECONDS_BETWEEN_LINES = 1.0


class Command(TenantCommand):
    """Import FHIR R4 files. One JSON object of counts on stdout; how far it is on stderr, a line a second."""

    help = "Import FHIR R4 bundles, NDJSON and single resources; may be repeated. Prints one JSON object of counts."
    own_transactions = True

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="file, or folder of *.json and *.ndjson"
        )
        parser.add_argument("--quiet", action="store_true", help="say nothing on the way")

    def handle_tenant(self, clinic, *, paths, quiet, **options):
        started = time.monotonic()
        progress = None if quiet else _ProgressLines(self.stderr, started)
        try:
            report = import_files(paths, tenant_id=clinic.id, progress=progress)
        except FileNotFoundError as missing:
            raise CommandError(f"There is no file or folder {missing}.") from None
        except (OperationalError, InterfaceError) as error:
            raise CommandError(
                f"The database failed ({type(error).__name__}). What was imported stays; run the same command again."
            ) from error
        answer = report.as_json() | {"seconds": round(time.monotonic() - started, 2)}
        self.stdout.write(json.dumps(answer, ensure_ascii=False))
        if not report.files:
            raise CommandError("There are no *.json or *.ndjson files in this folder.")
        if not report.has_read_something:
            raise CommandError("Nothing could be read. The reasons are in the answer above.")


class _ProgressLines:
    """One line a second: files done, resources so far, how many a second."""

    def __init__(self, stderr, started):
        self._stderr, self._started, self._next = stderr, started, started + SECONDS_BETWEEN_LINES

    def __call__(self, report, file, done, files):
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + SECONDS_BETWEEN_LINES
        resources = sum(report.total.values())
        rate = resources / (now - self._started)
        self._stderr.write(f"file {done + 1} of {files} ({file.name}): {resources} resources, {rate:.0f} a second")
