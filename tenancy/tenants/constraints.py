"""The composite foreign key, as a constraint that migrations create, remove and compare."""

from django.db.backends.ddl_references import Columns, Statement, Table
from django.db.models import BaseConstraint


class TenantForeignKeyConstraint(BaseConstraint):
    """`FOREIGN KEY (tenant_id, x_id) REFERENCES target (tenant_id, id) DEFERRABLE INITIALLY DEFERRED`.

    A foreign and an unknown id give the same error. ON DELETE stays NO ACTION:
    what may be deleted with what is a service's decision, never the database's.
    """

    def __init__(self, *, field: str, name: str, **kwargs):
        self.field = field
        super().__init__(name=name, **kwargs)

    def constraint_sql(self, model, schema_editor):
        # Not inline: the target table may not exist yet. Returning None alone would create nothing.
        schema_editor.deferred_sql.append(self.create_sql(model, schema_editor))

    def create_sql(self, model, schema_editor):
        field = model._meta.get_field(self.field)
        quote = schema_editor.quote_name
        return Statement(
            "ALTER TABLE %(table)s ADD CONSTRAINT %(name)s FOREIGN KEY (%(columns)s) "
            "REFERENCES %(target)s (%(target_columns)s) DEFERRABLE INITIALLY DEFERRED",
            table=Table(model._meta.db_table, quote),
            name=quote(self.name),
            columns=Columns(model._meta.db_table, ["tenant_id", field.column], quote),
            target=Table(field.related_model._meta.db_table, quote),
            target_columns=Columns(field.related_model._meta.db_table, ["tenant_id", field.target_field.column], quote),
        )

    def remove_sql(self, model, schema_editor):
        quote = schema_editor.quote_name
        return Statement(
            "ALTER TABLE %(table)s DROP CONSTRAINT %(name)s",
            table=Table(model._meta.db_table, quote),
            name=quote(self.name),
        )

    def validate(self, model, instance, exclude=None, using="default"):
        """Nothing to ask in advance: forms choose from the clinic's own rows and the database refuses the rest."""

    def deconstruct(self):
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "field": self.field}

    def __eq__(self, other):
        if isinstance(other, TenantForeignKeyConstraint):
            return (self.name, self.field) == (other.name, other.field)
        return NotImplemented

    def __hash__(self):
        return hash((self.name, self.field))
