from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.users.admin_site import HouseModelAdmin

from .models import Organization, Practitioner, Specialty


@admin.register(Practitioner)
class PractitionerAdmin(HouseModelAdmin):
    list_display = ["name", "identifier", "phone", "email", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["first_last_name__startswith", "first_name__startswith", "identifier__startswith"]
    ordering = ["first_last_name", "first_name", "id"]

    @admin.display(description=_("name"), ordering="first_last_name")
    def name(self, practitioner):
        return practitioner.name


@admin.register(Organization)
class OrganizationAdmin(HouseModelAdmin):
    list_display = ["name", "identifier", "city", "country", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name__startswith", "identifier__startswith"]
    ordering = ["name", "id"]


@admin.register(Specialty)
class SpecialtyAdmin(HouseModelAdmin):
    list_display = ["name", "description", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name__startswith"]
    ordering = ["name", "id"]
    exclude = ["name_key"]
