from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [
        EnableRowLevelSecurity("Event"),
        EnableRowLevelSecurity("Sequence"),
        EnableRowLevelSecurity("Endpoint"),
        EnableRowLevelSecurity("Delivery"),
        EnableRowLevelSecurity("Attempt"),
    ]
