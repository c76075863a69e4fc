"""Looking at patients from the back door. Patients change through the pages; custom fields are defined here."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.permissions import Permission
from accounts.users.admin_site import EditableModelAdmin, HouseModelAdmin, ReadOnlyInline

from . import custom_fields, emergencies
from .models import CustomField, Patient, PatientIdentifier
from .search import find_patient_ids, read_query
from .selectors import ChartRestricted


class IdentifierInline(ReadOnlyInline):
    model = PatientIdentifier


@admin.register(Patient)
class PatientAdmin(HouseModelAdmin):
    needs = Permission.PATIENT_VIEW
    # Born, sex and document by methods: nobody sorts by them, for the place of a restricted chart would tell them.
    list_display = ["number", "name", "born", "sex", "document", "is_archived", "is_restricted"]
    list_select_related = ["gender"]
    search_fields = ["sort_name"]
    search_help_text = _("Name parts, document, phone end, e-mail")
    ordering = ["-id"]
    exclude = ["sort_name", "document_key", "demographics"]
    inlines = [IdentifierInline]

    def get_queryset(self, request):
        """Restricted charts are masked here as everywhere: administrators are on no list by themselves."""
        rows = super().get_queryset(request)
        return rows.visible_to(request.member) if request.member else rows.none()

    def get_object(self, request, object_id, from_field=None):
        patient = super().get_object(request, object_id, from_field)
        if patient is not None and patient.is_masked:
            raise ChartRestricted(patient, by=request.member)
        return patient

    def get_search_results(self, request, queryset, search_term):
        words = read_query(search_term).words
        if words:
            queryset = queryset.filter(id__in=find_patient_ids(words, limit=200))
        return queryset, False

    def render_change_form(self, request, context, *args, obj=None, **kwargs):
        """The page that shows one patient: noted like the chart (wish 23)."""
        if obj is not None:
            emergencies.record_look(obj, by=request.member, kind="admin")
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    @admin.display(description=_("name"), ordering="sort_name")
    def name(self, patient):
        return patient.name

    @admin.display(description=_("birth date"), empty_value="-")
    def born(self, patient):
        return patient.birth_date

    @admin.display(description=_("sex"))
    def sex(self, patient):
        return patient.gender

    @admin.display(description=_("document number"))
    def document(self, patient):
        return patient.document_number

    @admin.display(boolean=True, description=_("archived"))
    def is_archived(self, patient):
        return patient.is_archived

    @admin.display(boolean=True, description=_("restricted"))
    def is_restricted(self, patient):
        return patient.is_restricted


@admin.register(CustomField)
class CustomFieldAdmin(EditableModelAdmin):
    list_display = ["label", "key", "type", "is_filterable", "is_active", "position"]
    fields = ["key", "label", "type", "choices", "is_filterable", "position"]
    ordering = ["key"]

    def get_fields(self, request, obj=None):
        return [*self.fields, "is_active"] if obj else self.fields

    def get_readonly_fields(self, request, obj=None):
        if obj is None:
            return []
        return ["key", "type", "is_filterable", *([] if obj.is_active else ["is_active"])]

    def save_model(self, request, obj, form, change):
        if change:
            custom_fields.relabel_custom_field(obj, by=request.member)
            if "is_active" in form.changed_data:  # it can be taken off only
                custom_fields.retire_custom_field(obj, by=request.member)
        else:
            made = custom_fields.define_custom_field(by=request.member, **form.cleaned_data)
            obj.pk = made.pk
