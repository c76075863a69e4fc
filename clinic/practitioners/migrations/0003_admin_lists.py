from django.db import migrations, models
from django.db.models.functions import Collate


class Migration(migrations.Migration):
    dependencies = [
        ("practitioners", "0002_row_security"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="organization",
            index=models.Index(fields=["tenant", "name", "id"], name="practitioners_org_order_idx"),
        ),
        migrations.AddIndex(
            model_name="organization",
            index=models.Index("tenant", Collate("name", "C"), name="practitioners_org_name_idx"),
        ),
        migrations.AddIndex(
            model_name="organization",
            index=models.Index(fields=["tenant", "identifier"], name="practitioners_org_ident_idx"),
        ),
        migrations.AddIndex(
            model_name="practitioner",
            index=models.Index(
                fields=["tenant", "first_last_name", "first_name", "id"], name="practitioners_order_idx"
            ),
        ),
        migrations.AddIndex(
            model_name="practitioner",
            index=models.Index("tenant", Collate("first_last_name", "C"), name="practitioners_family_idx"),
        ),
        migrations.AddIndex(
            model_name="practitioner",
            index=models.Index("tenant", Collate("first_name", "C"), name="practitioners_given_idx"),
        ),
        migrations.AddIndex(
            model_name="practitioner",
            index=models.Index(fields=["tenant", "identifier"], name="practitioners_ident_idx"),
        ),
    ]
