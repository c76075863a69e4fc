from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from psycopg import OperationalError

from tenancy.tenants.roles import create_roles_and_database


class Command(BaseCommand):
    """Create the three roles and the database. The only command that needs a superuser; safe to repeat."""

    help = "Create the database and its owner, app and backup roles (needs DATABASE_ADMIN_URL, a superuser)."
    requires_system_checks = []

    def handle(self, **options):
        needed = {
            "DATABASE_ADMIN_URL": settings.DATABASE_ADMIN_URL,
            "DATABASE_OWNER_URL": settings.DATABASE_OWNER,
            "DATABASE_BACKUP_URL": settings.DATABASE_BACKUP,
        }
        for variable, value in needed.items():
            if not value:
                raise CommandError(f"{variable} is not set.")
        app = settings.DATABASES["default"]
        try:
            notes = create_roles_and_database(
                settings.DATABASE_ADMIN_URL,
                database=app["NAME"],
                roles={
                    "owner": settings.DATABASE_OWNER,
                    "app": settings.DATABASE_APP,
                    "backup": settings.DATABASE_BACKUP,
                },
            )
        except OperationalError as error:
            raise CommandError(f"The database server does not answer: {str(error).splitlines()[0]}") from None
        self.stdout.write(f"Database {app['NAME']} and its three roles are ready.")
        for note in notes:
            self.stdout.write(note)
