"""The tables of the book, a subject a file; each is named here."""

from .appointment_types import (
    LONGEST_VISIT_MINUTES,
    AppointmentType,
    Modality,
    TypeNeed,
    TypePerformer,
    TypeQualification,
)
from .appointments import Appointment, AppointmentQuerySet, AppointmentResource, NotificationState, Series
from .clinic_rules import SelfServicePolicy, WaitLimits
from .feeds import CalendarFeed
from .histories import AppointmentChange
from .hours import ExtraHours, Leave, WorkingHours
from .reminders import Reminder, ReminderRule
from .waiting_list import Offer, WaitingEntry

__all__ = [
    "LONGEST_VISIT_MINUTES",
    "Appointment",
    "AppointmentChange",
    "AppointmentQuerySet",
    "AppointmentResource",
    "AppointmentType",
    "CalendarFeed",
    "ExtraHours",
    "Leave",
    "Modality",
    "NotificationState",
    "Offer",
    "Reminder",
    "ReminderRule",
    "SelfServicePolicy",
    "Series",
    "TypeNeed",
    "TypePerformer",
    "TypeQualification",
    "WaitLimits",
    "WaitingEntry",
    "WorkingHours",
]
