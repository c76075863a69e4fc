"""What booking rests on, under /clinic/."""

from django.urls import path

from . import rules_pages as pages

app_name = "rules"
urlpatterns = [
    path("places/", pages.place_list, name="places"),
    path("places/new/", pages.create_place, name="create_place"),
    path("places/<uuid:location_id>/", pages.edit_place, name="edit_place"),
    path("places/<uuid:location_id>/hours/", pages.opening_hours, name="opening_hours"),
    path("places/<uuid:location_id>/rooms/new/", pages.create_resource, name="create_resource"),
    path("rooms/<uuid:resource_id>/", pages.edit_resource, name="edit_resource"),
    path("holidays/", pages.holidays, name="holidays"),
    path("holidays/<uuid:holiday_id>/remove/", pages.remove_holiday, name="remove_holiday"),
    path("visit-types/", pages.type_list, name="types"),
    path("visit-types/new/", pages.create_type, name="create_type"),
    path("visit-types/<uuid:type_id>/", pages.edit_type, name="edit_type"),
    path("reminders/", pages.reminder_list, name="reminders"),
    path("reminders/new/", pages.create_reminder, name="create_reminder"),
    path("reminders/<uuid:rule_id>/", pages.edit_reminder, name="edit_reminder"),
    path("patients-online/", pages.patients_online, name="patients_online"),
    path("waiting-room/", pages.waiting_room, name="waiting_room"),
    path("past-the-rules/", pages.overrides, name="overrides"),
]
