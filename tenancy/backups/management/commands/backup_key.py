import os
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from tenancy.backups.envelope import make_key


class Command(BaseCommand):
    """Make a pair of keys: the private one into a file that belongs elsewhere, the public one onto the screen."""

    help = "Make a key for backups. The private half goes into FILE; keep that away from this installation."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path, metavar="FILE", help="a new file for the private key")

    def handle(self, *, file, **options):
        private, public = make_key()
        try:
            with open(file, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as lines:
                lines.write(f"# Opens backups that are sealed for {public}\n{private}\n")
        except OSError as error:
            raise CommandError(f"{file} can not be made: {os.strerror(error.errno)}.") from None
        self.stdout.write(public)
        self.stderr.write(
            f"The private key stands in {file}: move it to where backups are restored, and keep a second copy."
            f" Put the line above into BACKUP_PUBLIC_KEYS."
        )
