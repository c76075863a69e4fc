from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("retries", "0001_answers")]

    operations = [EnableRowLevelSecurity("Answer")]
