from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("practitioners", "0004_specialties_documents")]

    operations = [EnableRowLevelSecurity("Specialty"), EnableRowLevelSecurity("PractitionerSpecialty")]
