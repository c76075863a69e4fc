from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        EnableRowLevelSecurity("AuditActor"),
        EnableRowLevelSecurity("AuditHead"),
        EnableRowLevelSecurity("AuditEntry"),
        EnableRowLevelSecurity("AuditPayload"),
        EnableRowLevelSecurity("AuditSeal"),
        EnableRowLevelSecurity("AuditRead"),
    ]
