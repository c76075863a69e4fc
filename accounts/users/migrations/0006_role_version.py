from django.db import migrations, models
from django_migration_linter import IgnoreMigration


class Migration(migrations.Migration):
    dependencies = [
        ("users", "0005_row_security_and_built_in_roles"),
    ]

    operations = [
        IgnoreMigration(),  # no release has these roles yet, so no older version runs beside this one
        migrations.AddField(
            model_name="role",
            name="version",
            field=models.IntegerField(default=1, editable=False),
        ),
    ]
