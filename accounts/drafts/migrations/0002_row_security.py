from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("drafts", "0001_drafts")]

    operations = [EnableRowLevelSecurity("Draft")]
