from django.db import migrations

from tenancy.tenants.operations import KeepHistoriesOn


class Migration(migrations.Migration):
    dependencies = [("patients", "0003_lookups")]

    operations = [KeepHistoriesOn()]
