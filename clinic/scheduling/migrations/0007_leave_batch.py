from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0006_qualifications")]

    operations = [
        migrations.AddField(
            model_name="leave",
            name="batch",
            field=models.UUIDField(
                editable=False, help_text="the changes of visits made with it, undone with it", null=True
            ),
        ),
    ]
