from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_actors_stay")]

    operations = [
        migrations.AddField(
            model_name="audithead",
            name="at",
            field=models.DateTimeField(help_text="when the last entry was appended", null=True),
        ),
    ]
