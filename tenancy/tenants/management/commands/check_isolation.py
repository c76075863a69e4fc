from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from tenancy.tenants.catalogue import find_defects


class Command(BaseCommand):
    """Ask the database itself whether it keeps the clinics apart. Exit code 1, and a line for each hole, when not."""

    help = "Check that PostgreSQL keeps the clinics apart: policies, keys, views, functions, roles."

    def handle(self, **options):
        try:
            with connection.cursor() as cursor:
                defects = find_defects(cursor, settings.DATABASE_APP[0])
        except DatabaseError as error:
            raise CommandError(f"The database does not answer: {str(error).splitlines()[0]}") from None
        for sentence in defects:
            self.stdout.write(f"HOLE  {sentence}")
        if defects:
            raise CommandError(f"{len(defects)} hole(s) between the clinics.")
        self.stdout.write("The clinics are kept apart.")
