from django.contrib import admin
from django.db.models.functions import Collate
from django.utils.translation import gettext_lazy as _

from accounts.users.admin_site import HouseModelAdmin

from .models import Organization, Practitioner, Specialty

MOST_FOUND = 200


class ByBeginning(HouseModelAdmin):
    """Searched by how any of `search_fields` begins, in small or with a capital; each is a walk along its own index."""

    def get_search_results(self, request, queryset, search_term):
        words = search_term.strip()
        if not words:
            return queryset, False
        found = set()
        for name in self.search_fields:
            rows = self.model.objects.alias(beginning=Collate(name, "C"))
            for spelling in {words, words[:1].upper() + words[1:]}:
                found.update(rows.filter(beginning__prefix=spelling).values_list("id", flat=True)[:MOST_FOUND])
        return queryset.filter(id__in=found), False


@admin.register(Practitioner)
class PractitionerAdmin(ByBeginning):
    list_display = ["name", "identifier", "phone", "email", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["first_last_name", "first_name", "identifier"]
    ordering = ["first_last_name", "first_name", "id"]

    @admin.display(description=_("name"), ordering="first_last_name")
    def name(self, practitioner):
        return practitioner.name


@admin.register(Organization)
class OrganizationAdmin(ByBeginning):
    list_display = ["name", "identifier", "city", "country", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name", "identifier"]
    ordering = ["name", "id"]


@admin.register(Specialty)
class SpecialtyAdmin(HouseModelAdmin):
    list_display = ["name", "description", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name__startswith"]
    ordering = ["name", "id"]
    exclude = ["name_key"]
