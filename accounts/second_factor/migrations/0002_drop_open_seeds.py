from django.db import migrations
from django_migration_linter import IgnoreMigration


class Migration(migrations.Migration):
    """The authenticators of django-otp itself, whose seeds lie open. No page ever let anybody set one up."""

    dependencies = [("second_factor", "0001_initial")]

    operations = [
        IgnoreMigration(),  # no release has this table, so no older version runs beside this one
        migrations.RunSQL("DROP TABLE IF EXISTS otp_totp_totpdevice", migrations.RunSQL.noop),
    ]
