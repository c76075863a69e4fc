import json
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from psycopg import OperationalError

from tenancy.backups.envelope import EnvelopeProblem, read_private_keys
from tenancy.backups.programs import ProgramProblem
from tenancy.backups.restoring import RestoreProblem, look_into, restore_backup
from tenancy.tenants.roles import create_roles_and_database


class Command(BaseCommand):
    """Bring a backup back into an empty database, or only look whether it could be brought back.

    Prints one JSON object: from when it is, rows a clinic, what is held back,
    seconds of each step, notes. Exit code 1 and sentences where anything is
    not as it was; nothing is kept then. Security.md BK-01 to BK-08.
    """

    help = "Restore a backup into an empty database and check it clinic by clinic, row by row."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path, metavar="FILE", help="what `manage.py backup` wrote")
        parser.add_argument("--key-file", type=Path, required=True, metavar="KEYS", help="the private key, one a line")
        parser.add_argument("--check", action="store_true", help="open the whole file and restore nothing")
        parser.add_argument(
            "--database",
            metavar="NAME",
            help="a trial: restore into this database instead, made where it is missing and"
            " DATABASE_ADMIN_URL is set; files and anchors stay as they are",
        )

    def handle(self, *, file, key_file, check, database, **options):
        try:
            keys = read_private_keys(key_file)
            if check:
                contents = look_into(file, keys)
                found = {
                    "made_at": contents.about["made_at"],
                    "rows": contents.rows,
                    "files": len(contents.files or []),
                }
            else:
                with _working_on(database):
                    found = asdict(restore_backup(file, keys, on_trial=database is not None))
        except RestoreProblem as problem:
            raise CommandError("\n".join(problem.sentences)) from None
        except (EnvelopeProblem, ProgramProblem) as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(json.dumps(found))


@contextmanager
def _working_on(database):
    """Another database of the same server for the length of the block; made before where a superuser is known."""
    if database is None:
        yield
        return
    if settings.DATABASE_ADMIN_URL:
        roles = {"owner": settings.DATABASE_OWNER, "app": settings.DATABASE_APP, "backup": settings.DATABASE_BACKUP}
        try:
            create_roles_and_database(settings.DATABASE_ADMIN_URL, database=database, roles=roles)
        except OperationalError as error:
            raise CommandError(f"The database server does not answer: {str(error).splitlines()[0]}") from None
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = database
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before
