"""The database as it stands has no hole, and each hole somebody could make is seen (security.md A6, A7)."""

import pgtrigger
import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from tenancy.tenants.catalogue import SHARED_TABLES, find_defects

from .databases import address

APP = "carewright_test_app"


@pytest.fixture
def superuser(django_db_setup):
    """A superuser's cursor on this process's database; nothing it does stays."""
    with psycopg.connect(address(settings.DATABASES["default"]["NAME"], "admin")) as admin:
        yield admin.cursor()
        admin.rollback()


def test_catalogue_has_no_hole(db):
    with connection.cursor() as cursor:
        assert find_defects(cursor, settings.DATABASE_APP[0]) == []


def test_every_shared_table_is_there_and_says_why(superuser):
    superuser.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")

    assert set(SHARED_TABLES) <= {name for (name,) in superuser.fetchall()}
    assert all(len(reason) > 10 for reason in SHARED_TABLES.values())


MUTANTS = {
    # TI-C01, C10: row-level security itself
    "ALTER TABLE users_role DISABLE ROW LEVEL SECURITY": "users_role has row-level security switched off.",
    "ALTER TABLE users_role NO FORCE ROW LEVEL SECURITY": "users_role does not force row-level security on its owner.",
    "ALTER TABLE tenants_counter ALTER tenant_id DROP NOT NULL": "tenants_counter.tenant_id is not a required uuid.",
    "CREATE TABLE later (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, UNIQUE (tenant_id, id))":
        "later has row-level security switched off.",
    "CREATE TABLE part () INHERITS (audit_auditread)": "part has row-level security switched off.",
    # TI-C03
    "CREATE TABLE later (id uuid PRIMARY KEY)": "later has no tenant_id and is not on the list of shared tables.",
    "CREATE SCHEMA side; CREATE TABLE side.later (id uuid PRIMARY KEY)":
        "later has no tenant_id and is not on the list of shared tables.",
    # TI-C02
    "DROP POLICY tenant_isolation ON users_role": "users_role has no row policy.",
    "ALTER POLICY tenant_isolation ON users_role USING (true)":
        "users_role has another row policy than the one of the house.",
    "ALTER POLICY tenant_isolation ON users_role WITH CHECK (true)":
        "users_role has another row policy than the one of the house.",
    "DROP POLICY tenant_isolation ON users_role; CREATE POLICY tenant_isolation ON users_role"
    " USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)":
        "users_role has another row policy than the one of the house.",
    "CREATE POLICY second ON users_role USING (true)": "users_role has another row policy than the one of the house.",
    "ALTER POLICY tenant_isolation ON users_role TO pg_monitor":
        "users_role has another row policy than the one of the house.",
    "ALTER POLICY tenant_isolation ON users_role USING (tenant_id::text = current_setting('app.tenant_id', true))":
        "users_role has another row policy than the one of the house.",
    # TI-C05
    "ALTER TABLE tenants_counter DROP CONSTRAINT tenants_counter_tenant_id_uniq":
        "tenants_counter has no UNIQUE (tenant_id, id).",
    "ALTER TABLE tenants_counter ADD CONSTRAINT alone UNIQUE (name, id)":
        "tenants_counter: alone is unique over all clinics; it has to begin with tenant_id.",
    "CREATE UNIQUE INDEX alone ON tenants_counter (lower(name), tenant_id, id)":
        "tenants_counter: alone is unique over all clinics; it has to begin with tenant_id.",
    "ALTER TABLE tenants_counter ADD CONSTRAINT apart EXCLUDE USING btree (id WITH =)":
        "tenants_counter: apart is unique over all clinics; it has to begin with tenant_id.",
    # TI-C04
    "ALTER TABLE users_heldrole ADD CONSTRAINT lone FOREIGN KEY (role_id) REFERENCES users_role (id)":
        "users_heldrole: lone points into a clinic without its tenant.",
    "ALTER TABLE users_user ADD favourite uuid REFERENCES users_role (id)":
        "users_user: users_user_favourite_fkey points into a clinic without its tenant.",
    "ALTER TABLE users_heldrole DROP CONSTRAINT users_heldrole_role_tenant_fk":
        "users_heldrole.role_id has no composite foreign key.",
    "ALTER TABLE users_heldrole ADD CONSTRAINT far FOREIGN KEY (tenant_id, role_id)"
    " REFERENCES users_role (tenant_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED":
        "users_heldrole: far is not a deferred, validated NO ACTION key.",
    "ALTER TABLE users_heldrole ALTER CONSTRAINT users_heldrole_role_tenant_fk NOT DEFERRABLE":
        "users_heldrole: users_heldrole_role_tenant_fk is not a deferred, validated NO ACTION key.",
    # TI-C06, C07
    "CREATE VIEW everybody AS SELECT * FROM users_membership": "The view everybody is not security_invoker.",
    "CREATE MATERIALIZED VIEW everybody AS SELECT 1 AS one":
        "everybody is a materialised view; it would show the rows of every clinic.",
    # TI-C08
    "CREATE FUNCTION peek() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT 1'":
        "The function peek runs with its owner's rights (SECURITY DEFINER).",
    "CREATE FUNCTION peek() RETURNS int LANGUAGE sql AS 'SELECT 1'": "The function peek has no fixed search_path.",
    "ALTER FUNCTION refuse_change() RESET search_path": "The function refuse_change has no fixed search_path.",
    "ALTER FUNCTION refuse_change() SECURITY DEFINER":
        "The function refuse_change runs with its owner's rights (SECURITY DEFINER).",
    # TI-C09
    f"ALTER ROLE {APP} SUPERUSER": f"{APP} has SUPERUSER.",
    f"ALTER ROLE {APP} BYPASSRLS": f"{APP} has BYPASSRLS.",
    f"ALTER ROLE {APP} CREATEROLE": f"{APP} has CREATEROLE.",
    f"ALTER ROLE {APP} CREATEDB": f"{APP} has CREATEDB.",
    f"GRANT carewright_test_owner TO {APP}": f"{APP} is a member of carewright_test_owner.",
    f"ALTER TABLE tenants_counter OWNER TO {APP}": f"{APP} owns tenants_counter.",
    f"ALTER FUNCTION refuse_change() OWNER TO {APP}": f"{APP} owns refuse_change.",
    f"GRANT CREATE ON SCHEMA public TO {APP}": f"{APP} may create objects in the schema public.",
    "GRANT CREATE ON SCHEMA public TO PUBLIC": f"{APP} may create objects in the schema public.",
    f"DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO {APP}', current_database()); END $$":
        f"{APP} has TEMPORARY on the database.",
    # Append-only tables and what app_privileges declares
    f"GRANT TRUNCATE ON users_role TO {APP}": f"{APP} has TRUNCATE on users_role, which does not allow it.",
    f"GRANT REFERENCES ON users_role TO {APP}": f"{APP} has REFERENCES on users_role, which does not allow it.",
    f"GRANT TRIGGER ON users_role TO {APP}": f"{APP} has TRIGGER on users_role, which does not allow it.",
    f"GRANT UPDATE ON audit_auditentry TO {APP}": f"{APP} has UPDATE on audit_auditentry, which does not allow it.",
    f"GRANT DELETE ON audit_auditentry TO {APP}": f"{APP} has DELETE on audit_auditentry, which does not allow it.",
    "GRANT DELETE ON audit_auditentry TO PUBLIC": f"{APP} has DELETE on audit_auditentry, which does not allow it.",
    f"GRANT UPDATE (at) ON audit_auditread TO {APP}":
        f"{APP} has UPDATE on columns of audit_auditread, which does not allow it.",
    f"GRANT UPDATE (user_id) ON audit_auditactor TO {APP}":
        f"{APP} has UPDATE on columns of audit_auditactor, which does not allow it.",
    f"GRANT DELETE ON audit_auditactor TO {APP}": f"{APP} has DELETE on audit_auditactor, which does not allow it.",
    f"GRANT UPDATE (action) ON audit_auditentry TO {APP}":
        f"{APP} has UPDATE on columns of audit_auditentry, which does not allow it.",
    f"GRANT DELETE ON django_migrations TO {APP}": f"{APP} has DELETE on django_migrations, which does not allow it.",
    "ALTER TABLE audit_auditentry DISABLE TRIGGER keep": "The trigger keep of audit_auditentry is switched off.",
    "DROP TRIGGER keep_all ON audit_auditentry": "audit_auditentry is guarded only half against changes.",
    "CREATE OR REPLACE FUNCTION _pgtrigger_should_ignore(trigger_name name) RETURNS boolean LANGUAGE sql"
    " AS $$ SELECT trigger_name = ANY(current_setting('pgtrigger.ignore', true)::text[]) $$":
        "The function _pgtrigger_should_ignore lets whoever is connected switch histories off.",
}  # fmt: skip


@pytest.mark.parametrize(("mutation", "defect"), MUTANTS.items())
def test_every_mutant_is_killed(superuser, mutation, defect):
    superuser.execute(mutation)

    assert defect in find_defects(superuser, APP)


def test_a_trigger_installed_later_is_noticed(superuser):
    """Every installation by django-pgtrigger writes its function anew."""
    model, trigger = pgtrigger.registered()[0]
    superuser.execute(str(trigger.compile(model).install_sql))

    defect = "The function _pgtrigger_should_ignore lets whoever is connected switch histories off."
    assert find_defects(superuser, APP) == [defect]


def test_check_isolation_says_when_all_is_well(committed_db, capsys):
    call_command("check_isolation")

    assert capsys.readouterr().out == "The clinics are kept apart.\n"


def test_check_isolation_fails_when_a_policy_is_dropped_by_hand(committed_db, capsys):
    with psycopg.connect(address(settings.DATABASES["default"]["NAME"], "owner"), autocommit=True) as owner:
        owner.execute("DROP POLICY tenant_isolation ON tenants_counter")
        try:
            with pytest.raises(CommandError) as failed:
                call_command("check_isolation")
        finally:
            owner.execute(
                "CREATE POLICY tenant_isolation ON tenants_counter"
                " USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)"
                " WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)"
            )

    assert failed.value.returncode == 1
    assert capsys.readouterr().out == "HOLE  tenants_counter has no row policy.\n"
