from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("practitioners", "0001_initial")]

    operations = [
        EnableRowLevelSecurity("Organization"),
        EnableRowLevelSecurity("Practitioner"),
    ]
