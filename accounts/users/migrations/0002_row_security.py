from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("users", "0001_initial")]

    operations = [
        EnableRowLevelSecurity("Role"),
        EnableRowLevelSecurity("Membership"),
        EnableRowLevelSecurity("HeldRole"),
        EnableRowLevelSecurity("Session"),
    ]
