"""Reading the book, always as somebody (`by`): what they may not see is not there."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet
from django.http import Http404

from accounts.permissions import Permission
from accounts.users.models import Membership
from clinic.names import document_key
from clinic.patients.models import Patient
from clinic.patients.search import patients_under
from clinic.places.models import Location
from clinic.places.selectors import get_location
from clinic.practitioners.models import Practitioner, PractitionerSpecialty

from . import own_times, plans
from .availability import Slot, slots
from .models import (
    Appointment,
    AppointmentChange,
    AppointmentQuerySet,
    AppointmentResource,
    AppointmentType,
    WorkingHours,
)
from .qualified import only_qualified
from .states import State

DOCTOR = "doctor"
DEFAULT_MINUTES = 30
WIDEST_OFFSET = timedelta(hours=15)


def is_for_oneself(by: Membership) -> bool:
    """Whether this member sees and books only for themselves, as patients do."""
    return not by.may(Permission.APPOINTMENT_VIEW)


def list_doctors(*, by: Membership, specialty: UUID | None = None) -> QuerySet[Practitioner]:
    """Practitioners who can be booked as doctors (decision X31): those with the role, and those without an account."""
    found = _practitioners(by).filter(is_active=True)
    doctors = Membership.objects.active().filter(held_roles__role__code=DOCTOR)
    found = found.filter(Q(member=None) | Q(member__in=doctors))
    return found.filter(specialties__specialty=specialty) if specialty else found


def get_doctor(doctor_id: UUID | str, *, by: Membership) -> Practitioner:
    """Anybody in whose column one can book, doctor or not; patients find those who still work here.

    Raises Http404 for what is not there or not theirs to see.
    """
    people = _practitioners(by).filter(pk=doctor_id)
    found = (people.filter(is_active=True) if is_for_oneself(by) else people).first()
    if found is None:
        raise Http404
    return found


def _practitioners(by: Membership) -> QuerySet[Practitioner]:
    ranked = PractitionerSpecialty.objects.select_related("specialty").order_by("rank")
    people = Practitioner.objects.select_related("member").prefetch_related(Prefetch("specialties", ranked))
    may = by.may(Permission.PRACTITIONER_VIEW) or by.may(Permission.APPOINTMENT_VIEW_OWN)
    return people if may or by.may(Permission.APPOINTMENT_VIEW) else people.none()


def count_assigned_patients(doctor: Practitioner) -> int:
    """How many different patients have or had an appointment here; one that was cancelled is none."""
    visits = doctor.appointments.exclude(state__in=[State.CANCELLED, State.HELD]).exclude(patient=None)
    return visits.values("patient").distinct().count()


def list_appointments(
    *,
    by: Membership,
    states: Iterable[str] | None = None,
    first: date | None = None,
    last: date | None = None,
    practitioner: UUID | None = None,
    patient: UUID | None = None,
    location: UUID | None = None,
    modality: str | None = None,
) -> QuerySet[Appointment]:
    """Appointments the caller may see, with everything a row of a list shows; unsorted, the door decides.

    `first` and `last` are days, both included, by the clock of each location.
    """
    rows = _appointments(by).visits()
    if first is not None:
        # The wider bound is what the index knows; the wall time decides, whatever the zone of the location.
        rows = rows.filter(starts_at__gte=_midnight(first) - WIDEST_OFFSET, wall_start__gte=first.isoformat())
    if last is not None:
        after = last + timedelta(days=1)
        rows = rows.filter(starts_at__lt=_midnight(after) + WIDEST_OFFSET, wall_start__lt=after.isoformat())
    exact = {"practitioner": practitioner, "patient": patient, "location": location, "modality": modality}
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    return rows if states is None else rows.filter(state__in=list(states))


def list_visits(
    *,
    by: Membership,
    starts_from: datetime | None = None,
    ends_until: datetime | None = None,
    state: str | None = None,
    modality: str | None = None,
    patient_document: str = "",
    doctor_document: str = "",
) -> QuerySet[Appointment]:
    """Appointments as other servers see them (S7): those between two moments, each with its patient and doctor.

    Whoever may see the book may see whose visits they are; restricted charts
    come masked, and are not found by their document. Unsorted, the door decides.
    """
    rows = Appointment.objects.visible_to(by).select_related("practitioner", "type")
    people = Patient.objects.masked_for(by).only("tenant", "document_type", "document_number", "restricted_at")
    rows = rows.prefetch_related(Prefetch("patient", people))
    if starts_from is not None:
        rows = rows.filter(starts_at__gte=starts_from)
    if ends_until is not None:
        # The second bound follows from the first, and is the one the index knows.
        rows = rows.filter(ends_at__lte=ends_until, starts_at__lt=ends_until)
    if patient_document:
        key = document_key(patient_document)
        people = Patient.objects.filter(restricted_at=None, document_key=key, id__in=patients_under({key}))
        rows = rows.filter(patient__in=people.values("id")) if key else rows.none()
    if doctor_document:
        key = document_key(doctor_document)
        doctors = Practitioner.objects.filter(document_key=key).values("id")
        rows = rows.filter(practitioner__in=doctors) if key else rows.none()
    exact = {"state": state, "modality": modality}
    return rows.filter(**{name: value for name, value in exact.items() if value})


def get_visit(appointment_id: UUID | str, *, by: Membership) -> Appointment:
    """One of `list_visits`. Raises Http404 for what is not there, not ours, or not theirs to see."""
    found = list_visits(by=by).filter(pk=appointment_id).first()
    if found is None:
        raise Http404
    return veil(found)


def veil(appointment: Appointment) -> Appointment:
    """Take away what is written about the visit of somebody whose chart the reader may not open. Never save it."""
    if appointment.patient is not None and appointment.patient.is_masked:
        appointment.notes, appointment.reason, appointment.custom_fields = "", "", {}
    return appointment


def _appointments(by: Membership) -> AppointmentQuerySet:
    rows = Appointment.objects.visible_to(by).select_related("practitioner", "location", "type")
    # Patients come through their own door, which masks restricted charts (docs/decisions/0009).
    people, claims = Patient.objects.visible_to(by), AppointmentResource.objects.order_by("id")
    return rows.prefetch_related(Prefetch("patient", people), Prefetch("resources", claims))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def get_appointment(appointment_id: UUID | str, *, by: Membership) -> Appointment:
    """One appointment. Raises Http404 for what is not there, not ours, or not theirs to see."""
    found = _appointments(by).filter(pk=appointment_id).first()
    if found is None:
        raise Http404
    return found


def list_changes(appointment: Appointment) -> list[AppointmentChange]:
    """What happened to an appointment, oldest first."""
    return list(appointment.changes.select_related("by__user").order_by("at", "id"))


def list_types(*, by: Membership, include_inactive: bool = False) -> QuerySet[AppointmentType]:
    """Kinds of visits by name; patients find those they may ask for."""
    types = AppointmentType.objects.order_by("name", "id")
    if is_for_oneself(by):
        if not by.may(Permission.APPOINTMENT_BOOK_OWN):
            return types.none()
        return own_times.list_own_types()
    return types if include_inactive else types.filter(is_active=True)


def get_type(type_id: UUID | str, *, by: Membership) -> AppointmentType:
    """One kind of visit, still offered or not. Raises Http404 for what is not there or not theirs to see."""
    found = list_types(by=by, include_inactive=True).filter(pk=type_id).first()
    if found is None:
        raise Http404
    return found


def get_type_and_location(
    type_id: UUID | None, location_id: UUID | None, *, by: Membership
) -> tuple[AppointmentType | None, Location | None]:
    """The rows a query names, None for what it does not; Http404 for those this member does not find."""
    type = get_type(type_id, by=by) if type_id else None
    return type, get_location(location_id, by=by) if location_id else None


def list_hours(
    *, practitioner: UUID | None = None, location: UUID | None = None, weekday: int | None = None
) -> QuerySet[WorkingHours]:
    """Working hours by person, weekday and clock."""
    hours = WorkingHours.objects.select_related("practitioner", "location").order_by(
        "practitioner", "weekday", "starts", "id"
    )
    exact = {"practitioner": practitioner, "location": location, "weekday": weekday}
    return hours.filter(**{name: value for name, value in exact.items() if value is not None})


def get_hours(hours_id: UUID | str) -> WorkingHours:
    """One row of working hours. Raises Http404 for what is not there."""
    found = list_hours().filter(pk=hours_id).first()
    if found is None:
        raise Http404
    return found


def find_slots(
    practitioners: Iterable[Practitioner],
    first: date,
    last: date,
    *,
    by: Membership,
    type: AppointmentType | None = None,
    minutes: int | None = None,
    location: Location | None = None,
    explain: bool = False,
) -> list[Slot]:
    """Every free time from `first` to `last`, both included, in order of time; with `explain` the others, too.

    Patients are bound by lead time and horizon of the type. The same number of
    queries for one practitioner and for fifty, for a day and for a year.
    """
    practitioners, kind = list(practitioners), type or AppointmentType(minutes=DEFAULT_MINUTES)
    demand = plans.demand_of(kind, minutes=minutes, self_service=is_for_oneself(by))
    plan = plans.load_plan(practitioners, first, last, type=type, needs=demand.needs)
    if location is not None:
        plan.windows = [window for window in plan.windows if window.location_id == location.pk]
    return only_qualified(slots(plan, demand, explain=explain), practitioners, type, explain=explain)
