"""Everything about practitioners; hours and leave belong to the book, so the book names the addresses."""

from django.urls import path

from clinic.practitioners import pages as people

from . import practitioner_pages as pages

app_name = "practitioners"
urlpatterns = [
    path("", people.practitioner_list, name="list"),
    path("new/", people.create_practitioner, name="create"),
    path("<uuid:practitioner_id>/", pages.practitioner_detail, name="detail"),
    path("<uuid:practitioner_id>/edit/", people.edit_practitioner, name="edit"),
    path("<uuid:practitioner_id>/hours/", pages.hours, name="hours"),
    path("<uuid:practitioner_id>/hours/<uuid:hours_id>/", pages.edit_hours, name="edit_hours"),
    path("<uuid:practitioner_id>/hours/<uuid:hours_id>/remove/", pages.remove_hours, name="remove_hours"),
    path("<uuid:practitioner_id>/extra-days/", pages.add_extra_hours, name="add_extra"),
    path("<uuid:practitioner_id>/extra-days/<uuid:extra_id>/remove/", pages.remove_extra_hours, name="remove_extra"),
    path("<uuid:practitioner_id>/leave/", pages.leave, name="leave"),
    path("<uuid:practitioner_id>/leave/plan/", pages.plan_leave, name="plan_leave"),
    path("<uuid:practitioner_id>/leave/<uuid:leave_id>/", pages.leave_detail, name="leave_detail"),
    path("<uuid:practitioner_id>/leave/<uuid:leave_id>/undo/", pages.undo_leave, name="undo_leave"),
    path("<uuid:practitioner_id>/leave/<uuid:leave_id>/end/", pages.end_leave, name="end_leave"),
    path("<uuid:practitioner_id>/calendar/", pages.calendar, name="calendar"),
    path("<uuid:practitioner_id>/calendar/<uuid:feed_id>/revoke/", pages.revoke_calendar, name="revoke_calendar"),
]
