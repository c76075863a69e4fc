import json
import os
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tenancy.backups.envelope import EnvelopeProblem, read_public_key
from tenancy.backups.making import BackupProblem, make_backup
from tenancy.backups.programs import ProgramProblem


class Command(BaseCommand):
    """One sealed file of everything: the database in one moment, the anchors, the stored files.

    A FILE appears whole or not at all; "-" writes to standard output. Prints
    one JSON object (to standard error with "-"): when, rows a clinic, files,
    seconds. Exit code 1 and a sentence where there is no backup.
    """

    help = "Write a sealed backup of the whole installation to FILE while people work."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("file", metavar="FILE", help="a new file, or - for standard output")
        parser.add_argument(
            "--public-key", action="append", default=[], metavar="KEY", help="seal for this key (BACKUP_PUBLIC_KEYS)"
        )
        parser.add_argument("--without-files", action="store_true", help="the bucket of files has copies of its own")

    def handle(self, *, file, public_key, without_files, **options):
        try:
            recipients = [read_public_key(text) for text in public_key or settings.BACKUP_PUBLIC_KEYS]
            if not recipients:
                raise CommandError("No key is named: BACKUP_PUBLIC_KEYS is empty. `manage.py backup_key` makes one.")
            with opened_for_writing(file) as target:
                made = make_backup(target, recipients, with_files=not without_files)
        except (BackupProblem, ProgramProblem, EnvelopeProblem) as problem:
            raise CommandError(str(problem)) from None
        except OSError as error:
            raise CommandError(f"The backup can not be written: {os.strerror(error.errno or 0)}.") from None
        words = json.dumps({**asdict(made), "bytes": None if file == "-" else Path(file).stat().st_size})
        (self.stderr if file == "-" else self.stdout).write(words)


@contextmanager
def opened_for_writing(name):
    """Standard output, or a file that gets its name when all of it is on the disk."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.exists():
        raise CommandError(f"{path} is there already.")
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        os.replace(part, path)
    except FileExistsError:
        raise CommandError(f"{part} is there: another backup runs, or one was broken off; remove it.") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise
