"""Migration operations for tenant tables. The row policy is written here and nowhere else."""

from django.db.migrations.operations.base import Operation

POLICY = "tenant_isolation"
# nullif: unset, or '' after the first SET LOCAL of a session, gives no rows and no error. The cast stands on the
# setting, never on the column, or every page reads the whole table (design/database.md).
CONDITION = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"

IGNORE_NOTHING = "SELECT false"
"""The whole body of django-pgtrigger's `_pgtrigger_should_ignore`, as `KeepHistoriesOn` leaves it."""


class TableOperation(Operation):
    """Something done to the table of one model that models know nothing of."""

    reversible = True
    reduces_to_sql = True

    def __init__(self, model_name: str):
        self.model_name = model_name

    def state_forwards(self, app_label, state):
        """Nothing that models know of."""

    def _table(self, app_label, schema_editor, state):
        model = state.apps.get_model(app_label, self.model_name)
        return schema_editor.quote_name(model._meta.db_table)


class EnableRowLevelSecurity(TableOperation):
    """Keep a tenant table's rows apart: ENABLE, FORCE (the owner obeys too) and the one policy.

    Put it after the CreateModel of every TenantModel; the catalogue test fails
    when it is missing.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        table = self._table(app_label, schema_editor, to_state)
        schema_editor.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        schema_editor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        schema_editor.execute(f"CREATE POLICY {POLICY} ON {table} USING ({CONDITION}) WITH CHECK ({CONDITION})")

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        table = self._table(app_label, schema_editor, to_state)
        schema_editor.execute(f"DROP POLICY {POLICY} ON {table}")
        schema_editor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        schema_editor.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

    def describe(self):
        return f"Keep the rows of {self.model_name} apart by tenant"

    @property
    def migration_name_fragment(self):
        return f"{self.model_name.lower()}_row_security"


class KeepHistoriesOn(Operation):
    """Keep every history on: what `SET pgtrigger.ignore` names is written all the same.

    django-pgtrigger lets whoever is connected, the app role too, switch its
    triggers off by that setting. Each of its triggers, when installed, writes
    that function anew: put this after every migration that installs some; the
    catalogue test fails when it is missing.
    """

    reversible = True
    reduces_to_sql = True

    def state_forwards(self, app_label, state):
        """Nothing that models know of."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        schema_editor.execute(
            "CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean"
            f" LANGUAGE sql IMMUTABLE AS '{IGNORE_NOTHING}'"
        )

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        """Histories stay on."""

    def describe(self):
        return "Keep histories on whatever pgtrigger.ignore says"

    @property
    def migration_name_fragment(self):
        return "history_is_always_on"


class RefuseChanges(TableOperation):
    """Make a table append-only for everybody, the owner too: UPDATE, DELETE and TRUNCATE raise.

    `operations` narrows what is refused row by row; TRUNCATE always is. The
    function it calls comes with the first migration of the tenants room.
    """

    def __init__(self, model_name: str, operations: str = "UPDATE OR DELETE"):
        super().__init__(model_name)
        self.operations = operations

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        table = self._table(app_label, schema_editor, to_state)
        schema_editor.execute(
            f"CREATE TRIGGER keep BEFORE {self.operations} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        schema_editor.execute(
            f"CREATE TRIGGER keep_all BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        table = self._table(app_label, schema_editor, to_state)
        schema_editor.execute(f"DROP TRIGGER keep ON {table}")
        schema_editor.execute(f"DROP TRIGGER keep_all ON {table}")

    def describe(self):
        return f"Refuse changes of {self.model_name}"

    @property
    def migration_name_fragment(self):
        return f"{self.model_name.lower()}_refuse_changes"
