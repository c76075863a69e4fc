"""Looking at places from the back door; they change through the pages of the clinic's setup."""

from django.contrib import admin

from accounts.users.admin_site import HouseModelAdmin, ReadOnlyInline

from .models import Holiday, Location, OpeningHours, Resource


class OpeningHoursInline(ReadOnlyInline):
    model = OpeningHours


@admin.register(Location)
class LocationAdmin(HouseModelAdmin):
    list_display = ["name", "time_zone", "phone", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name__startswith"]
    ordering = ["name", "id"]
    exclude = ["name_key"]
    inlines = [OpeningHoursInline]


@admin.register(Resource)
class ResourceAdmin(HouseModelAdmin):
    list_display = ["name", "kind", "category", "location", "is_active"]
    list_filter = ["kind", "is_active"]
    list_select_related = ["location"]
    search_fields = ["name__startswith"]
    ordering = ["name", "id"]


@admin.register(Holiday)
class HolidayAdmin(HouseModelAdmin):
    list_display = ["day", "name", "location"]
    list_select_related = ["location"]
    ordering = ["-day", "id"]
