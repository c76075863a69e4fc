from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0010_words_for_the_admin")]

    operations = [
        migrations.RemoveIndex(
            model_name="appointment",
            name="scheduling_appt_pract_idx",
        ),
        migrations.RemoveIndex(
            model_name="appointmentresource",
            name="scheduling_apptres_idx",
        ),
        migrations.AddIndex(
            model_name="appointment",
            index=models.Index(fields=["tenant", "practitioner", "starts_at", "id"], name="scheduling_appt_doctor_idx"),
        ),
        migrations.AddIndex(
            model_name="appointment",
            index=models.Index(
                condition=models.Q(("state__in", ["cancelled", "held"]), _negated=True),
                fields=["tenant", "practitioner", "patient"],
                name="scheduling_appt_seen_idx",
            ),
        ),
        migrations.AddIndex(
            model_name="appointmentresource",
            index=models.Index(
                condition=models.Q(("is_live", True)),
                fields=["tenant", "resource", "busy_until"],
                include=("busy_from", "appointment"),
                name="scheduling_apptres_free_idx",
            ),
        ),
    ]
