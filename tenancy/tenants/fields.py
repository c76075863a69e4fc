"""The two columns that keep clinics apart: `tenant`, and pointers that carry it."""

from django.db import models
from django.db.backends.utils import names_digest
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor
from django.db.models.sql.where import AND, WhereNode

from .constraints import TenantForeignKeyConstraint
from .context import current_tenant_id


def constraint_name(table: str, *parts: str, limit: int = 63) -> str:
    """A readable constraint name that fits PostgreSQL's 63 bytes."""
    name = "_".join((table, *parts))
    return name if len(name) <= limit else f"{name[: limit - 9]}_{names_digest(name, length=8)}"


def _add_constraint(model, constraint):
    """Give a model a constraint as if it stood in its Meta, once, so that migrations see it too."""
    options = model._meta
    if model.__module__ == "__fake__":
        return  # a historical model of a migration, whose constraints are spelled out there
    if options.abstract or any(known.name == constraint.name for known in options.constraints):
        return
    options.constraints = [*options.constraints, constraint]
    options.original_attrs["constraints"] = options.constraints


def _is_history_copy(field):
    """django-pghistory copies the columns of a row into its history; the copies promise nothing."""
    return field.remote_field.on_delete is models.DO_NOTHING


class TenantField(models.ForeignKey):
    """The clinic a row belongs to: set from `tenant_context`, never changed afterwards.

    Brings `UNIQUE (tenant_id, id)`, which the composite foreign keys of other
    tables point at.
    """

    def __init__(self, to="tenants.Tenant", on_delete=models.PROTECT, **kwargs):
        kwargs.setdefault("default", current_tenant_id)
        kwargs.setdefault("editable", False)
        kwargs.setdefault("related_name", "+")
        # Every useful index begins with tenant_id; one on tenant_id alone is dead weight.
        kwargs.setdefault("db_index", False)
        super().__init__(to, on_delete, **kwargs)

    def contribute_to_class(self, cls, name, private_only=False, **kwargs):
        super().contribute_to_class(cls, name, private_only, **kwargs)
        if not _is_history_copy(self):
            table = cls._meta.db_table
            _add_constraint(
                cls, models.UniqueConstraint(fields=[name, "id"], name=constraint_name(table, "tenant_id_uniq"))
            )


class TenantPointer(ForwardManyToOneDescriptor):
    """Follows a TenantForeignKey, one by one and prefetched, with `tenant_id = <the clinic>` beside the id."""

    def get_queryset(self, **hints):
        return super().get_queryset(**hints).filter(tenant_id=current_tenant_id())


class TenantForeignKey(models.ForeignKey):
    """A pointer from one row of a clinic to another row of the same clinic.

    PostgreSQL checks plain foreign keys without row policies, so a plain one
    accepts another clinic's row (security.md F1). This one brings the
    composite constraint `(tenant_id, x_id) -> (tenant_id, id)` instead, and
    joins along it carry `tenant_id = tenant_id`.
    """

    forward_related_accessor_class = TenantPointer

    def __init__(self, to, on_delete=models.PROTECT, **kwargs):
        kwargs["db_constraint"] = False
        kwargs.setdefault("db_index", False)
        super().__init__(to, on_delete, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        del kwargs["db_constraint"]
        return name, path, args, kwargs

    def contribute_to_class(self, cls, name, private_only=False, **kwargs):
        super().contribute_to_class(cls, name, private_only, **kwargs)
        if not _is_history_copy(self):
            table = cls._meta.db_table
            _add_constraint(cls, TenantForeignKeyConstraint(field=name, name=constraint_name(table, name, "tenant_fk")))

    def get_extra_restriction(self, alias, related_alias):
        """`alias.tenant_id = related_alias.tenant_id`, added to every join (Citus routes by it)."""
        if alias is None or related_alias is None:
            return None  # Django is moving a condition into a subquery; scope and row policy still hold there.
        mine = self.model._meta.get_field("tenant")
        theirs = self.related_model._meta.get_field("tenant")
        # In both directions of the join `alias` is the side of the pointed-at model.
        lookup = mine.get_lookup("exact")(theirs.get_col(alias), mine.get_col(related_alias))
        return WhereNode([lookup], connector=AND)
