from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("users", "0005_row_security_and_built_in_roles"),
    ]

    operations = [
        migrations.AddField(
            model_name="role",
            name="version",
            field=models.IntegerField(default=1, editable=False),
        ),
    ]
