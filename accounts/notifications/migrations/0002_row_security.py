from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]

    operations = [
        EnableRowLevelSecurity("Delivery"),
        EnableRowLevelSecurity("Notification"),
        EnableRowLevelSecurity("Preference"),
    ]
