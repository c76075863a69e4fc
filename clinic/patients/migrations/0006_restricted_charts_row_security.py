from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity, KeepHistoriesOn


class Migration(migrations.Migration):
    dependencies = [("patients", "0005_restricted_charts")]

    operations = [
        EnableRowLevelSecurity("ChartRestriction"),
        EnableRowLevelSecurity("ChartAccess"),
        EnableRowLevelSecurity("EmergencyAccess"),
        KeepHistoriesOn(),
    ]
