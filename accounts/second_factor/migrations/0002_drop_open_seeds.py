from django.db import migrations


class Migration(migrations.Migration):
    """The authenticators of django-otp itself, whose seeds lie open. No page ever let anybody set one up."""

    dependencies = [("second_factor", "0001_initial")]

    operations = [
        migrations.RunSQL("DROP TABLE IF EXISTS otp_totp_totpdevice", migrations.RunSQL.noop),
    ]
