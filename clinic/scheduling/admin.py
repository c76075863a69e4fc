"""Looking at the book from the back door. Nothing changes here: visits move through the services alone.

Rows name a visit by its number and never a patient, so that a restricted
chart is not told by where somebody was booked.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.permissions import Permission
from accounts.users.admin_site import HouseModelAdmin

from .models import (
    Appointment,
    AppointmentType,
    CalendarFeed,
    ExtraHours,
    Leave,
    Reminder,
    ReminderRule,
    SelfServicePolicy,
    WaitingEntry,
    WaitLimits,
    WorkingHours,
)


class BookAdmin(HouseModelAdmin):
    needs = Permission.APPOINTMENT_VIEW


@admin.register(Appointment)
class AppointmentAdmin(BookAdmin):
    list_display = ["number", "wall_start", "time_zone", "practitioner", "location", "type", "state", "is_overbooked"]
    list_filter = ["state", "source"]
    list_select_related = ["practitioner", "location", "type"]
    ordering = ["-starts_at", "-id"]
    # What a visit is about stands in the chart, behind its own door.
    exclude = ["patient", "reason", "notes", "custom_fields", "submit_key", "session", "series"]

    @admin.display(boolean=True, description=_("overbooked"))
    def is_overbooked(self, visit):
        return visit.is_overbooked


@admin.register(AppointmentType)
class AppointmentTypeAdmin(BookAdmin):
    list_display = ["name", "code", "minutes", "modality", "capacity", "self_service", "is_active"]
    list_filter = ["is_active", "self_service"]
    search_fields = ["name__startswith", "code__startswith"]
    ordering = ["name", "id"]


@admin.register(WorkingHours)
class WorkingHoursAdmin(BookAdmin):
    list_display = ["practitioner", "location", "weekday", "starts", "ends", "valid_from", "valid_until"]
    list_filter = ["weekday"]
    list_select_related = ["practitioner", "location"]
    ordering = ["-valid_from", "-id"]


@admin.register(ExtraHours)
class ExtraHoursAdmin(BookAdmin):
    list_display = ["practitioner", "location", "day", "starts", "ends"]
    list_select_related = ["practitioner", "location"]
    ordering = ["-day", "-id"]


@admin.register(Leave)
class LeaveAdmin(BookAdmin):
    list_display = ["practitioner", "kind", "starts_at", "ends_at", "created_by", "cancelled_at"]
    list_filter = ["kind"]
    list_select_related = ["practitioner", "created_by__user"]
    ordering = ["-starts_at", "-id"]


@admin.register(WaitingEntry)
class WaitingEntryAdmin(BookAdmin):
    list_display = ["type", "practitioner", "earliest", "latest", "is_urgent", "state", "created_at"]
    list_filter = ["state", "is_urgent"]
    list_select_related = ["type", "practitioner"]
    ordering = ["-created_at", "-id"]
    exclude = ["patient", "note", "instead_of"]


@admin.register(ReminderRule)
class ReminderRuleAdmin(BookAdmin):
    list_display = ["hours_before", "subject", "is_active"]
    ordering = ["hours_before", "id"]


@admin.register(SelfServicePolicy)
class SelfServicePolicyAdmin(BookAdmin):
    list_display = ["level", "may_cancel", "cancel_hours", "may_move", "move_hours", "phone"]
    ordering = ["id"]


@admin.register(Reminder)
class ReminderAdmin(BookAdmin):
    list_display = ["number", "rule", "starts_at", "created_at", "outcome"]
    list_filter = ["outcome"]
    list_select_related = ["appointment", "rule"]
    ordering = ["-created_at", "-id"]
    fields = ["rule", "starts_at", "created_at", "outcome"]

    @admin.display(ordering="appointment__number", description=_("visit"))
    def number(self, reminder):
        return reminder.appointment.number


@admin.register(CalendarFeed)
class CalendarFeedAdmin(BookAdmin):
    """Whose calendar was given out, and whether it is closed; never the secret's hash."""

    list_display = ["practitioner", "is_of_a_patient", "created_at", "created_by", "revoked_at"]
    list_select_related = ["practitioner", "created_by__user"]
    ordering = ["-created_at", "-id"]
    fields = ["practitioner", "created_at", "created_by", "revoked_at"]
    readonly_fields = ["created_at"]

    @admin.display(boolean=True, description=_("of a patient"))
    def is_of_a_patient(self, feed):
        return feed.patient_id is not None


@admin.register(WaitLimits)
class WaitLimitsAdmin(BookAdmin):
    list_display = ["long_minutes", "too_long_minutes"]
