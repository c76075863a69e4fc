from django.db import migrations

from tenancy.tenants.operations import RefuseChanges

# The grants refuse the app role already; these refuse the owner, too.
FORWARDS = """
CREATE FUNCTION audit_erase_only_with_entry() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM audit_auditentry
        WHERE tenant_id = OLD.tenant_id AND action = 'payload_erased'
          AND object_type = 'auditentry' AND object_id = OLD.entry_id::text
    ) THEN
        RAISE EXCEPTION 'A payload is erased only after the entry that says so.' USING ERRCODE = '42501';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION audit_seal_once() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    before jsonb := to_jsonb(OLD) - 'seal_id';
    after jsonb := to_jsonb(NEW) - 'seal_id';
BEGIN
    IF OLD.seal_id IS NOT NULL OR before IS DISTINCT FROM after THEN
        RAISE EXCEPTION 'A noted read does not change; it is sealed once.' USING ERRCODE = '42501';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER erase BEFORE DELETE ON audit_auditpayload
    FOR EACH ROW EXECUTE FUNCTION audit_erase_only_with_entry();
CREATE TRIGGER seal BEFORE UPDATE ON audit_auditread FOR EACH ROW EXECUTE FUNCTION audit_seal_once();
"""
BACKWARDS = """
DROP FUNCTION audit_erase_only_with_entry() CASCADE;
DROP FUNCTION audit_seal_once() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_row_security"), ("tenants", "0002_row_security")]

    operations = [
        RefuseChanges("AuditEntry"),
        RefuseChanges("AuditSeal"),
        RefuseChanges("AuditPayload", "UPDATE"),
        RefuseChanges("AuditRead", "DELETE"),
        RefuseChanges("AuditHead", "DELETE"),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
