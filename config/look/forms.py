"""How Django forms are drawn: every field by our own component, so a page only says which field goes where."""

from django.forms.renderers import DjangoTemplates
from django.template.loader import get_template


class FieldRenderer(DjangoTemplates):
    """`{{ form.x.as_field_group }}` gives label, help, error and control, tied together for screen readers.

    Widgets keep Django's own templates, which the admin needs too; only
    templates of ours come from the project's folder and know our tags.
    """

    form_template_name = "components/form.html"
    field_template_name = "components/field.html"

    def get_template(self, template_name):
        if template_name.startswith("components/"):
            return get_template(template_name)
        return super().get_template(template_name)
