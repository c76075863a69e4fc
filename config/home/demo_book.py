"""The book of the demo clinics: places, hours, and a fortnight of visits around the day on which it is made.

Rules are written by the services. Visits are written as rows, because the
book takes none for this morning and a demo needs people who are here, late
and gone; the table's own constraints hold for them as for all others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import cycle

from django.utils import timezone

from accounts.qualifications import services as qualifications
from accounts.users.models import Membership
from clinic.patients.models import Patient
from clinic.places import services as places
from clinic.places.models import Holiday, Location
from clinic.practitioners.models import Practitioner
from clinic.practitioners.services import create_practitioner, create_specialty, set_specialties
from clinic.scheduling import disturbances, offering, reminders, waiting
from clinic.scheduling.models import Appointment, AppointmentChange, AppointmentResource, AppointmentType
from clinic.scheduling.states import LIVE, State
from clinic.scheduling.wall_time import day_bounds, nearest_moment, wall_of
from tenancy.audit import services as audit
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.numbering import next_number

SEEDED = "demo_book_seeded"
DAYS_AHEAD = 14
TODAY_CLOCKS = ("08:00", "09:00", "10:00", "11:30", "14:00", "15:30", "17:00")
OTHER_CLOCKS = ("08:30", "10:00", "14:30")
WEEK = range(7)


@dataclass(frozen=True)
class Column:
    """One practitioner of the demo, where they work, and what they mostly do."""

    practitioner: Practitioner
    location: Location
    type: AppointmentType


def is_seeded() -> bool:
    """Whether this clinic has its book."""
    about_clinic = {"object_type": "tenant", "object_id": str(current_tenant_id())}
    return AuditEntry.objects.filter(action=SEEDED, **about_clinic).exists()


def seed_book(slug: str, staff: dict[str, Membership]) -> None:
    """Give a demo clinic a book."""
    columns = _riverside(staff) if slug == "demo" else _harbor(staff)
    _fill(columns, staff, is_busy=slug == "demo")
    audit.record(SEEDED, None, by=None)


# --- Rules -----------------------------------------------------------------------------------------------------------


def _riverside(staff: dict[str, Membership]) -> list[Column]:
    admin = staff["admin"]
    north = _place("Riverside Norte", "America/Bogota", "Calle 127 # 15-20, Bogotá", admin, open_days=WEEK)
    centre = _place("Riverside Centro", "America/Bogota", "Carrera 7 # 32-16, Bogotá", admin, open_days=range(6))
    for place, rooms in ((north, ("Room 1", "Room 2", "Room 3")), (centre, ("Room 4", "Room 5"))):
        for name in rooms:
            places.create_resource(by=admin, location=place, kind="room", name=name, category="consulting")
    scanner = places.create_resource(by=admin, location=north, kind="device", name="Sonus 3", category="ultrasound")
    assert scanner.pk
    places.add_holiday(by=admin, day=_next(12, 8), name="Inmaculada Concepción")
    andres = Practitioner.objects.filter(member=staff["doctor"]).order_by("id").first()
    people = [
        andres or _person("Dr.", "Andrés", "Quintero Mejía", 1, member=staff["doctor"]),
        _person("Dra.", "Valentina", "Ríos Castaño", 4, field="Paediatrics"),
        _person("Dr.", "Julián", "Cifuentes Rojas", 3, field="Cardiology"),
        _person("", "Luisa Fernanda", "Gómez", 9, field="Nursing", member=staff["nurse"]),
        _person("Lic.", "Paula Andrea", "Mora Beltrán", 6, field="Physiotherapy"),
    ]
    privilege = qualifications.create_kind(by=admin, name="Ultrasound privilege", group="privilege")
    licence = qualifications.create_kind(by=admin, name="Medical licence", group="licence")
    today = timezone.localdate()
    for kind, member, days in ((privilege, "doctor", 700), (licence, "doctor", 1500), (licence, "nurse", 20)):
        qualifications.record_qualification(
            staff[member], by=admin, kind=kind, number=f"RM {days}", issuer="ReTHUS",
            valid_from=today - timedelta(days=400), valid_until=today + timedelta(days=days),
        )  # fmt: skip
    room = [("room", "consulting")]
    visit = _type(
        admin, "General consultation", 30, price=95000, colour=1, self_service="book", lead_hours=4, needs=room
    )
    child = _type(admin, "Child check-up", 30, price=95000, colour=4, self_service="request", performers=[people[1]])
    heart = _type(admin, "Cardiology", 40, price=180000, colour=3, performers=[people[2]], needs=room, per_day=12)
    jab = _type(admin, "Vaccination", 15, price=45000, colour=9, self_service="book", buffer_after=5,
                performers=[people[3]])  # fmt: skip
    physio = _type(admin, "Physiotherapy", 45, price=80000, colour=6, performers=[people[4]])
    _type(admin, "Ultrasound", 30, price=150000, colour=10, buffer_after=10, needs=[("device", "ultrasound"), *room],
          qualifications=[privilege])  # fmt: skip
    _type(admin, "Video consultation", 20, price=70000, colour=2, modality="video", self_service="request")
    columns = [
        Column(people[0], north, visit),
        Column(people[1], north, child),
        Column(people[2], centre, heart),
        Column(people[3], north, jab),
        Column(people[4], centre, physio),
    ]
    for column in columns:
        _works(column, admin, days=WEEK if column.location == north else range(6))
    reminders.save_rule(None, by=admin, hours_before=24)
    away = _working_day(today + timedelta(days=9))
    disturbances.take_leave(
        people[2], by=admin, kind="training", note="Congress in Medellín",
        starts_at=day_bounds(away, north.zone)[0], ends_at=day_bounds(away + timedelta(days=1), north.zone)[1],
    )  # fmt: skip
    _wait(staff["staff"], heart, visit)
    return columns


def _harbor(staff: dict[str, Membership]) -> list[Column]:
    admin = staff["admin"]
    house = _place("Harbor House", "Europe/London", "12 Quay Street, Bristol", admin, open_days=WEEK)
    places.create_resource(by=admin, location=house, kind="room", name="Room A", category="consulting")
    visit = _type(admin, "GP appointment", 15, colour=2, self_service="book")
    dressing = _type(admin, "Dressing", 20, colour=9)
    columns = [
        Column(_person("Dr", "Eleanor", "Price", 2, field="General practice"), house, visit),
        Column(_person("", "Thomas", "Whitaker", 9, member=staff["nurse"]), house, dressing),
    ]
    for column in columns:
        _works(column, admin, days=WEEK)
    return columns


def _place(name: str, zone: str, address: str, admin: Membership, *, open_days: Iterable[int]) -> Location:
    known = Location.objects.filter(name=name).first()
    place = known or places.create_location(by=admin, name=name, time_zone=zone, address=address)
    places.set_opening_hours(place, by=admin, hours=[(day, time(7), time(20)) for day in open_days])
    return place


def _person(
    title: str, given: str, family: str, colour: int, *, field: str = "", member: Membership | None = None
) -> Practitioner:
    first, _space, second = family.partition(" ")
    data = {"title": title, "first_name": given, "first_last_name": first, "second_last_name": second,
            "colour": colour, "member": member}  # fmt: skip
    person = create_practitioner(by=None, data=data)
    if field:
        set_specialties(person, by=None, specialties=[create_specialty(by=None, name=field)])
    return person


def _type(admin: Membership, name: str, minutes: int, **options) -> AppointmentType:
    links = {key: options.pop(key) for key in ("performers", "needs", "qualifications") if key in options}
    if "price" in options:
        options["currency"] = "COP"
    return offering.create_type(by=admin, data={"name": name, "minutes": minutes, **options}, **links)


def _works(column: Column, admin: Membership, *, days: Iterable[int]) -> None:
    for day in days:
        for starts, ends in ((time(8), time(12, 30)), (time(14), time(18))):
            offering.create_hours(
                by=admin, practitioner=column.practitioner, location=column.location, weekday=day,
                starts=starts, ends=ends, step=30 if column.type.minutes >= 30 else column.type.minutes,
                valid_from=timezone.localdate() - timedelta(days=30),
            )  # fmt: skip


def _wait(desk: Membership, heart: AppointmentType, visit: AppointmentType) -> None:
    today = timezone.localdate()
    first, second = Patient.objects.present().filter(restricted_at=None).order_by("-number")[:2]
    waiting.join_waiting_list(by=desk, patient=first, type=heart, earliest=today, latest=today + timedelta(days=21),
                              is_urgent=True, note="Any time, lives next door")  # fmt: skip
    waiting.join_waiting_list(by=desk, patient=second, type=visit, earliest=today + timedelta(days=1),
                              latest=today + timedelta(days=30), note="Mornings only")  # fmt: skip


# --- Visits ----------------------------------------------------------------------------------------------------------


def _fill(columns: list[Column], staff: dict[str, Membership], *, is_busy: bool) -> None:
    desk, now = staff.get("staff", staff["admin"]), timezone.now()
    people = cycle(Patient.objects.present().filter(is_deceased=False, restricted_at=None).order_by("number")[:250])
    visits = list(_visits(columns, people, desk, now, is_busy=is_busy))
    first = next_number("appointment", count=len(visits))
    for offset, visit in enumerate(visits):
        visit.number = first + offset
    Appointment.objects.bulk_create(visits, batch_size=100)
    AppointmentResource.objects.bulk_create(list(_claims(visits)))
    AppointmentChange.objects.bulk_create(
        [
            AppointmentChange(appointment=visit, at=visit.created_at, by=desk, action="booked", new_state=State.BOOKED)
            for visit in visits
        ]
        + [
            AppointmentChange(
                appointment=visit, at=min(now, visit.starts_at), by=desk, action="moved_on",
                old_state=State.BOOKED, new_state=visit.state,
                reason="Called to say so" if visit.state == State.CANCELLED else "",
            )
            for visit in visits
            if visit.state not in (State.BOOKED, State.REQUESTED)
        ],
        batch_size=200,
    )  # fmt: skip


def _visits(
    columns: list[Column], people: Iterator[Patient], desk: Membership, now: datetime, *, is_busy: bool
) -> Iterator[Appointment]:
    closed = set(Holiday.objects.values_list("day", flat=True))
    for column in columns:
        zone = column.location.zone
        today = wall_of(now, zone).date()
        away = list(column.practitioner.leave.filter(cancelled_at=None).values_list("starts_at", "ends_at"))
        for ahead in range(DAYS_AHEAD + 1 if is_busy else 6):
            day = today + timedelta(days=ahead)
            if ahead and (day in closed or day.weekday() > 4):
                continue
            clocks = TODAY_CLOCKS[: 7 if is_busy else 4] if ahead == 0 else OTHER_CLOCKS
            for place, clock in enumerate(clocks):
                starts = nearest_moment(datetime.combine(day, time.fromisoformat(clock)), zone)
                if not any(low <= starts < high for low, high in away):
                    yield _visit(column, next(people), starts, desk, now, turn=place + ahead)


def _visit(
    column: Column, patient: Patient, starts: datetime, desk: Membership, now: datetime, *, turn: int
) -> Appointment:
    starts, kind = starts.astimezone(UTC), column.type
    ends = starts + timedelta(minutes=kind.minutes)
    state = _state(starts, ends, now, turn)
    came = state in (State.ARRIVED, State.IN_ROOM, State.COMPLETED)
    return Appointment(
        number=0, patient=patient, practitioner=column.practitioner, location=column.location, type=kind,
        starts_at=starts, ends_at=ends, busy_from=starts - timedelta(minutes=kind.buffer_before),
        busy_until=ends + timedelta(minutes=kind.buffer_after),
        wall_start=f"{wall_of(starts, column.location.zone):%Y-%m-%dT%H:%M}", time_zone=column.location.time_zone,
        state=state, is_live=state in LIVE, modality=kind.modality,
        arrived_at=min(now, starts - timedelta(minutes=turn % 3 * 5)) if came else None,
        created_by=desk, created_at=min(now, starts) - timedelta(days=3 + turn % 5),
        updated_at=min(now, starts),
    )  # fmt: skip


def _state(starts: datetime, ends: datetime, now: datetime, turn: int) -> str:
    """What a visit is by now; a few were cancelled, or nobody came."""
    if ends <= now:
        return State.NO_SHOW if turn % 6 == 5 else State.CANCELLED if turn % 7 == 6 else State.COMPLETED
    if starts <= now:
        return State.IN_ROOM if turn % 2 else State.ARRIVED
    if starts - now < timedelta(minutes=40):
        return State.ARRIVED if turn % 2 == 0 else State.CONFIRMED
    return (State.CONFIRMED, State.BOOKED, State.CONFIRMED, State.BOOKED, State.REQUESTED)[turn % 5]


def _claims(visits: Iterable[Appointment]) -> Iterator[AppointmentResource]:
    """A room for each visit that keeps its time and needs one: every column has its own."""
    rooms: dict = {}
    for visit in visits:
        if not visit.type.needs.all() or not visit.is_live:
            continue
        known = rooms.setdefault(visit.location_id, {})
        free = list(visit.location.resources.filter(kind="room").order_by("name")) if not known else known["all"]
        known["all"] = free
        room = known.setdefault(visit.practitioner_id, free[len(known) - 1])
        yield AppointmentResource(
            appointment=visit, resource=room, busy_from=visit.busy_from, busy_until=visit.busy_until
        )


# --- Days ------------------------------------------------------------------------------------------------------------


def _next(month: int, day: int) -> date:
    today = timezone.localdate()
    found = date(today.year, month, day)
    return found if found > today else date(today.year + 1, month, day)


def _working_day(day: date) -> date:
    return day + timedelta(days=7 - day.weekday()) if day.weekday() > 3 else day
