import json

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from psycopg import Error as DatabaseError

from tenancy.backups.envelope import EnvelopeProblem, read_public_key
from tenancy.backups.exporting import export_clinic
from tenancy.backups.making import BackupProblem

from .backup import opened_for_writing


class Command(BaseCommand):
    """One clinic's rows as lines of JSON, sealed like a backup. Prints how many of each table."""

    help = "Write everything one clinic has to a sealed FILE; open_backup opens it."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("file", metavar="FILE", help="a new file, or - for standard output")
        parser.add_argument("--tenant", required=True, metavar="SLUG", help="the short name of the clinic")
        parser.add_argument(
            "--public-key", action="append", default=[], metavar="KEY", help="seal for this key (BACKUP_PUBLIC_KEYS)"
        )

    def handle(self, *, file, tenant, public_key, **options):
        try:
            recipients = [read_public_key(text) for text in public_key or settings.BACKUP_PUBLIC_KEYS]
            with opened_for_writing(file) as target:
                counts = export_clinic(target, recipients, slug=tenant)
        except (BackupProblem, EnvelopeProblem) as problem:
            raise CommandError(str(problem)) from None
        except DatabaseError as error:
            raise CommandError(f"The database does not answer: {str(error).splitlines()[0]}") from None
        (self.stderr if file == "-" else self.stdout).write(json.dumps({"clinic": tenant, "rows": counts}))
