"""The table itself refuses two live rows for one subject at one time (design/database.md, booking)."""

from django.db.backends.ddl_references import Statement, Table
from django.db.models import BaseConstraint


class NoOverlap(BaseConstraint):
    """`EXCLUDE USING gist (tenant =, subject =, lane =, [starts, ends) &&) WHERE (condition)`.

    `subject`, `starts`, `ends`, `lane` are column names, `condition` is SQL
    over columns of the row. The lane is 0 for everybody; a deliberate
    overbooking has a lane of its own and is seen by the constraint there.
    btree_gist may not be there, so a uuid is compared as the range from itself
    to itself; the migration makes the type `uuidrange`.
    """

    def __init__(self, *, subject: str, starts: str, ends: str, lane: str, condition: str, name: str, **kwargs):
        self.parts = {"subject": subject, "starts": starts, "ends": ends, "lane": lane, "condition": condition}
        super().__init__(name=name, **kwargs)

    def constraint_sql(self, model, schema_editor):
        schema_editor.deferred_sql.append(self.create_sql(model, schema_editor))

    def create_sql(self, model, schema_editor):
        return Statement(
            "ALTER TABLE %(table)s ADD CONSTRAINT %(name)s EXCLUDE USING gist ("
            "uuidrange(tenant_id, tenant_id, '[]') WITH =, uuidrange(%(subject)s, %(subject)s, '[]') WITH =, "
            "int4range(%(lane)s, %(lane)s, '[]') WITH =, "
            "tstzrange(%(starts)s, %(ends)s) WITH &&) WHERE (%(condition)s)",
            table=Table(model._meta.db_table, schema_editor.quote_name),
            name=schema_editor.quote_name(self.name),
            **self.parts,
        )

    def remove_sql(self, model, schema_editor):
        return Statement(
            "ALTER TABLE %(table)s DROP CONSTRAINT %(name)s",
            table=Table(model._meta.db_table, schema_editor.quote_name),
            name=schema_editor.quote_name(self.name),
        )

    def validate(self, model, instance, exclude=None, using="default"):
        """The service asks under a lock, with a better sentence; the database refuses the rest."""

    def deconstruct(self):
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, **self.parts}

    def __eq__(self, other):
        if isinstance(other, NoOverlap):
            return (self.name, self.parts) == (other.name, other.parts)
        return NotImplemented

    def __hash__(self):
        return hash((self.name, *self.parts.values()))
