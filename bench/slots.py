"""Free times: a month of one doctor, a day of twenty, in a book that is filled as a busy clinic's is.

The clinic has 20 doctors who work on weekdays from 8 to 12 and 13 to 17, rooms
they need, opening hours, and seven of ten times taken for five weeks.
Measured is what a request does: reading, working out, and the JSON.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock
from uuid import UUID

from bench.large_clinic import LargeClinic
from bench.report import Figure, percentile

DOCTORS = 20
MINUTES = 20
FILLED = 0.7
ROUNDS = 40


@dataclass(frozen=True)
class Book:
    """What was filled: who asks, whom for, which kind of visit, and how many bookings there are."""

    member_id: UUID
    doctors: tuple[UUID, ...]
    type_id: UUID
    bookings: int


def measure_slots(clinic: LargeClinic) -> list[Figure]:
    """p95 of both questions, with and without the reasons for what is not free."""
    from tenancy.tenants.context import tenant_context

    with tenant_context(clinic.tenant_id):
        book = _fill(clinic)
    return measure(clinic, book, _monday())


def measure(clinic: LargeClinic, book: "Book", monday: date) -> list[Figure]:
    """Both questions about the weeks from a day on."""
    month = (monday, monday + timedelta(days=30))
    day = (monday + timedelta(days=1),) * 2
    return [
        _figure(clinic, book, "a month of one doctor", book.doctors[:1], month, target=30.0),
        _figure(clinic, book, "a day of twenty doctors", book.doctors, day, target=50.0),
        _figure(clinic, book, "a month of one doctor, explained", book.doctors[:1], month, explain=True),
        _figure(clinic, book, "a day of twenty doctors, explained", book.doctors, day, explain=True),
        _figure(clinic, book, "a year of one doctor", book.doctors[:1], (monday, monday + timedelta(days=365))),
    ]


def _figure(
    clinic, book: Book, name: str, doctors, span, *, explain: bool = False, target: float | None = None
) -> Figure:
    ask, count = _question(book, doctors, span, explain)
    times = _timed(clinic, ask)
    note = f"p50 {percentile(times, 0.5):.1f} ms, {count(clinic)} times, {book.bookings:,} bookings"
    return Figure(f"{name}, p95", percentile(times, 0.95), "ms", target, note)


def _question(book: Book, doctors, span, explain) -> tuple[Callable[[], bytes], Callable]:
    from accounts.users.models import Membership
    from clinic.practitioners.models import Practitioner
    from clinic.scheduling import selectors
    from clinic.scheduling.api.slots import slot_rows
    from clinic.scheduling.explaining import Reader
    from tenancy.doors.renderers import ORJSONRenderer
    from tenancy.tenants.context import tenant_context

    def rows():
        member = Membership.objects.get(pk=book.member_id)
        type = selectors.get_type(book.type_id, by=member)
        people = list(Practitioner.objects.filter(pk__in=doctors))
        found = selectors.find_slots(people, *span, by=member, type=type, explain=explain)
        return slot_rows(found, Reader(is_staff=True, type=type), explained=explain)

    def count(clinic):
        with tenant_context(clinic.tenant_id):
            return len(rows())

    return lambda: ORJSONRenderer().render({"slots": rows()}), count


def _timed(clinic, ask) -> list[float]:
    from tenancy.tenants.context import tenant_context

    times = []
    for round in range(ROUNDS + 10):
        with tenant_context(clinic.tenant_id):
            began = time.perf_counter()
            ask()
            if round >= 10:
                times.append((time.perf_counter() - began) * 1000)
    return times


def _monday() -> date:
    today = date.today()
    return today + timedelta(days=7 - today.weekday())


def _fill(clinic: LargeClinic) -> Book:
    from accounts.users.models import Membership
    from clinic.patients.models import Patient
    from clinic.places import services as places
    from clinic.practitioners.services import create_practitioner
    from clinic.scheduling import offering

    member = Membership.objects.filter(held_roles__role__code="admin").first()
    house = places.create_location(by=None, name="Main house", time_zone="America/Bogota")
    places.set_opening_hours(house, by=member, hours=[(weekday, clock(7), clock(18)) for weekday in range(6)])
    rooms = [
        places.create_resource(by=None, location=house, kind="room", name=f"Room {number}", category="visits")
        for number in range(DOCTORS + 2)
    ]
    doctors = [
        create_practitioner(by=None, data={"first_name": "Doctor", "first_last_name": f"No {number}"})
        for number in range(DOCTORS)
    ]
    for doctor in doctors:
        for weekday in range(5):
            for starts, ends in ((clock(8), clock(12)), (clock(13), clock(17))):
                offering.create_hours(
                    by=None, practitioner=doctor, location=house, weekday=weekday, starts=starts, ends=ends,
                    step=MINUTES, valid_from=date(2020, 1, 1),
                )  # fmt: skip
    data = {"name": "Visit", "minutes": MINUTES}
    type = offering.create_type(by=None, data=data, performers=doctors, needs=[("room", "visits")])
    patients = list(Patient.objects.values_list("pk", flat=True)[:5000])
    bookings = _book(house, doctors, rooms, type, patients)
    return Book(member.pk, tuple(doctor.pk for doctor in doctors), type.pk, bookings)


def _book(house, doctors, rooms, type, patients) -> int:
    """Rows straight into the book: by the service they would take an hour and measure nothing more."""
    from clinic.scheduling.models import Appointment, AppointmentResource
    from clinic.scheduling.wall_time import moment_of

    rng = random.Random(20261121)
    visits, claims = [], []
    starts_of_day = [hour * 60 + minute for hour in (8, 9, 10, 11, 13, 14, 15, 16) for minute in range(0, 60, MINUTES)]
    for offset in range(-2, 38):
        day = date.today() + timedelta(days=offset)
        if day.weekday() > 4:
            continue
        for minutes in starts_of_day:
            seen = rng.sample(patients, DOCTORS)
            for doctor, room, patient in zip(doctors, rooms, seen, strict=False):
                if rng.random() < FILLED:
                    wall = f"{day}T{minutes // 60:02}:{minutes % 60:02}"
                    starts = moment_of(_wall(day, minutes), house.zone)
                    ends = starts + timedelta(minutes=MINUTES)
                    visit = Appointment(
                        number=len(visits) + 1, patient_id=patient, practitioner=doctor, location=house, type=type,
                        starts_at=starts, ends_at=ends, busy_from=starts, busy_until=ends, wall_start=wall,
                        time_zone=house.time_zone,
                    )  # fmt: skip
                    visits.append(visit)
                    claims.append(
                        AppointmentResource(appointment=visit, resource=room, busy_from=starts, busy_until=ends)
                    )
    Appointment.objects.bulk_create(visits, batch_size=1000)
    AppointmentResource.objects.bulk_create(claims, batch_size=1000)
    return len(visits)


def _wall(day: date, minutes: int) -> datetime:
    return datetime.combine(day, clock(minutes // 60, minutes % 60))
