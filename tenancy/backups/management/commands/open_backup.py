import os
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from tenancy.backups.envelope import EnvelopeProblem, read_private_keys
from tenancy.backups.exporting import unpack


class Command(BaseCommand):
    """Lay the parts of a backup or an export into a new folder, unsealed: look after it."""

    help = "Open a backup or an export into a new folder. Needs no database."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--key-file", type=Path, required=True, metavar="KEYS", help="the private key, one a line")
        parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a folder that is not there yet")

    def handle(self, *, file, key_file, to, **options):
        try:
            names = unpack(file, read_private_keys(key_file), to)
        except EnvelopeProblem as problem:
            raise CommandError(f"{problem} What stands in {to} is not all of it.") from None
        except OSError as error:
            raise CommandError(f"{to} can not be written: {os.strerror(error.errno or 0)}.") from None
        self.stdout.write(f"{len(names)} parts stand in {to}, unsealed.")
