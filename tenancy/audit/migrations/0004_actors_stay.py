from django.db import migrations

from tenancy.tenants.operations import RefuseChanges

# Who stands behind a pseudonym stays; only the label follows the person's name. The grants refuse the app role
# already; this refuses the owner, too.
FORWARDS = """
CREATE FUNCTION audit_relabel_only() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF to_jsonb(OLD) - 'label' IS DISTINCT FROM to_jsonb(NEW) - 'label' THEN
        RAISE EXCEPTION 'An actor of the trail stays who it is; only its label changes.' USING ERRCODE = '42501';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER relabel BEFORE UPDATE ON audit_auditactor FOR EACH ROW EXECUTE FUNCTION audit_relabel_only();
"""
BACKWARDS = "DROP FUNCTION audit_relabel_only() CASCADE"


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_refuse_changes")]

    operations = [RefuseChanges("AuditActor", "DELETE"), migrations.RunSQL(FORWARDS, BACKWARDS)]
