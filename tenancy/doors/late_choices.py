"""Model forms whose choices are rows of a clinic.

Django asks the database table for a form's choices when its class is read,
which is at the start of the server, outside of any clinic. With this callback
in `Meta` the choices stay empty until the form's `__init__` gives them.
"""

from django import forms
from django.utils.text import capfirst

from tenancy.tenants.models import TenantModel


def late_choices(field, **options):
    """`formfield_callback = late_choices`: a choice without rows for what points at a clinic's table."""
    if not field.is_relation or not issubclass(field.related_model, TenantModel):
        return field.formfield(**options)
    usual = {"label": capfirst(field.verbose_name), "required": not field.blank, "help_text": field.help_text}
    return forms.ModelChoiceField(queryset=None, **usual | options)
