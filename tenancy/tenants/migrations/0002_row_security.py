from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity

# Guards that only refuse; no correctness depends on a trigger (design/database.md).
FORWARDS = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: what stands there stays.', TG_OP, TG_TABLE_NAME USING ERRCODE = '42501';
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial")]

    operations = [
        EnableRowLevelSecurity("Counter"),
        migrations.RunSQL(FORWARDS, "DROP FUNCTION refuse_change()"),
    ]
