"""System checks: what can be seen in the models before any database is asked."""

from django.apps import apps
from django.core import checks
from django.db import models

from .models import Tenant, TenantModel


@checks.register(checks.Tags.models)
def check_tenant_tables(app_configs, **kwargs):
    """A pointer between two tenant tables is a TenantForeignKey; nothing else points into a tenant table."""
    errors = []
    for model in apps.get_models():
        tenant_table = _is_tenant_table(model)
        for field in model._meta.get_fields():
            if not isinstance(field, models.ForeignKey | models.ManyToManyField) or field.related_model is Tenant:
                continue
            if not issubclass(field.related_model, TenantModel):
                continue
            if isinstance(field, models.ManyToManyField) and field.remote_field.through._meta.auto_created:
                errors.append(
                    _error(field, "an automatic many-to-many table has no tenant; name a through model", "E001")
                )
            elif isinstance(field, models.ForeignKey):
                if not tenant_table:
                    errors.append(_error(field, "a table without a tenant may not point into a clinic's rows", "E002"))
                elif field.db_constraint:
                    errors.append(_error(field, "use TenantForeignKey between tables of a tenant", "E003"))
    return errors


def _is_tenant_table(model):
    return any(field.attname == "tenant_id" for field in model._meta.concrete_fields)


def _error(field, message, number):
    return checks.Error(message, obj=field, id=f"tenants.{number}")
