from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0002_row_security")]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="interruptions",
            field=models.PositiveSmallIntegerField(
                default=0, editable=False, help_text="tries in a row that never came to an end: the worker died"
            ),
        ),
        migrations.AlterField(
            model_name="preference",
            name="mode",
            field=models.CharField(
                choices=[
                    ("usual", "As recommended"),
                    ("now", "At once"),
                    ("digest", "In the daily summary"),
                    ("off", "Not at all"),
                ],
                max_length=8,
                verbose_name="when",
            ),
        ),
    ]
