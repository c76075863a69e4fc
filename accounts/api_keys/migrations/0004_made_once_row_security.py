from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("api_keys", "0003_made_once")]

    operations = [EnableRowLevelSecurity("MadeOnce")]
