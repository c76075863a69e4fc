from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as DjangoMigrate

from tenancy.tenants.roles import RoleNotConfigured, as_owner, grant_privileges


class Command(DjangoMigrate):
    """Django's migrate, run as the owner of the tables; afterwards the app role gets its privileges."""

    def handle(self, *args, **options):
        try:
            with as_owner():
                super().handle(*args, **options)
                grant_privileges()
        except RoleNotConfigured as error:
            raise CommandError(str(error)) from None
