from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity, RefuseChanges


class Migration(migrations.Migration):
    dependencies = [("patients", "0001_initial"), ("tenants", "0002_row_security")]

    operations = [
        EnableRowLevelSecurity("Patient"),
        EnableRowLevelSecurity("PatientVersion"),
        EnableRowLevelSecurity("PatientIdentifier"),
        EnableRowLevelSecurity("Consent"),
        EnableRowLevelSecurity("CustomField"),
        EnableRowLevelSecurity("PatientToken"),
        EnableRowLevelSecurity("PatientFieldValue"),
        RefuseChanges("PatientVersion"),
    ]
