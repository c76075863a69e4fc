from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("qualifications", "0001_initial")]

    operations = [EnableRowLevelSecurity("QualificationKind"), EnableRowLevelSecurity("Qualification")]
