from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("joining", "0001_invitation")]

    operations = [EnableRowLevelSecurity("Invitation")]
