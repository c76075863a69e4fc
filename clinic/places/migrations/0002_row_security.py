from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("places", "0001_initial")]

    operations = [EnableRowLevelSecurity(name) for name in ("Location", "OpeningHours", "Resource", "Holiday")]
