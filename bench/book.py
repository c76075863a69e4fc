"""A book of two million visits: how long Today, the agenda, free times and the lists take.

One clinic with forty clinicians, forty rooms and 200,000 patients; six years
of visits that are over, this week almost full, five weeks to come. The rows
are made in the database by one statement a stretch; constraints are put back
before anything is measured, so PostgreSQL has checked every one of them.
"""

import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock
from functools import partial
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from bench import slots
from bench.large_clinic import PASSWORD, LargeClinic, open_web
from bench.load import fetch_token, hammer, sign_in
from bench.report import Figure, percentile

CLINICIANS = 40
ZONE = "America/Bogota"  # no summer time, so the wall clock of six years is one subtraction
TIMES = [hour * 60 + minute for hour in (8, 9, 10, 11, 13, 14, 15, 16) for minute in (0, 20, 40)]
FILLED, FULL, AHEAD = 0.87, 0.95, 0.7  # how much of the past, of this week, of the weeks to come is taken
WEEKS_AHEAD = 5
REQUESTS = 240
NOW = 11 * 60  # today is filled as if it were this time, whenever the bench runs


@dataclass(frozen=True)
class Book:
    """Ids to ask for, and how many visits there are."""

    member_id: UUID
    location: str
    clinicians: tuple[str, ...]
    types: tuple[str, ...]
    patients: tuple[str, ...]
    visits: int
    today: date


def measure_book(clinic: LargeClinic, visits: int) -> list[Figure]:
    """p99 of pages at eight connections, of free times and lists at one; a first round warms each."""
    book = fill_book(clinic, visits)
    free = slots.Book(book.member_id, tuple(UUID(pk) for pk in book.clinicians[:20]), UUID(book.types[0]), book.visits)
    figures = slots.measure(clinic, free, book.today)
    with open_web(clinic) as address:
        cookie = sign_in(address, "admin@large.example", PASSWORD)
        token = {"Authorization": f"Bearer {fetch_token(address, 'admin@large.example', PASSWORD)}"}
        for name, paths, connections, target in _questions(book):
            way = ("", token) if name.startswith("API") else (cookie, {})
            ask = partial(hammer, address, way[0], connections=connections, headers=way[1])
            ask(paths[:24])
            times, errors, seconds = ask(paths)
            note = f"p50 {percentile(times, 0.5):.1f} ms, {len(times) / seconds:.0f}/s, {errors} errors"
            figures.append(Figure(f"{name}, p99", percentile(times, 0.99), "ms", target, note))
    return figures


def _questions(book: Book):
    """Name, addresses, connections at once, target in milliseconds."""
    rng = random.Random(20261121)
    day = book.today

    def agenda(**query):
        return "/agenda/?" + urlencode(query)

    def some(make, count=REQUESTS):
        return [make() for _ in range(count)]

    one = lambda: rng.choice(book.clinicians)  # noqa: E731
    yield "Today, whole clinic", ["/"] * REQUESTS, 8, 150
    yield "agenda, a clinician's week", some(lambda: agenda(view="week", practitioner=one())), 8, 200
    yield "agenda, a clinician's day", some(lambda: agenda(view="day", practitioner=one())), 8, None
    yield "agenda, the day of all forty", [agenda(view="day")] * 48, 8, None
    yield "agenda, the day by room", [agenda(view="day", by="room")] * 48, 8, None
    yield "agenda, the day as a list", [agenda(view="list")] * 48, 8, None
    yield "a patient's visits", some(lambda: f"/patients/{rng.choice(book.patients)}/visits/"), 8, None
    type = book.types[0]
    month = {"from": day + timedelta(days=1), "to": day + timedelta(days=31), "type": type}
    yield "API, free times, a month of one", some(lambda: f"/api/doctors/{one()}/slots?{urlencode(month)}", 100), 1, 30
    tomorrow = {"date": day + timedelta(days=1), "type": type}
    yield "API, free times, a day of all forty", [f"/api/slots?{urlencode(tomorrow)}"] * 100, 1, None
    for name, query in {
        "latest first": dict,
        "page 1,000": lambda: {"page": 1000},
        "of a day": lambda: {"date": day - timedelta(days=rng.randrange(700))},
        "of a doctor": lambda: {"doctor": one()},
        "of a patient": lambda: {"patient": rng.choice(book.patients)},
        "of a state": lambda: {"status": rng.choice(("scheduled", "completed", "cancelled"))},
        "by video": lambda: {"modality": "video"},
        "of a doctor's month, cancelled": lambda: {
            "doctor": one(), "from": day - timedelta(days=200), "to": day - timedelta(days=170), "status": "cancelled",
        },
    }.items():  # fmt: skip
        yield f"API, appointments, {name}", some(lambda q=query: f"/api/appointments?{urlencode(q())}", 60), 1, None


# --- Filling ---------------------------------------------------------------------------------------------------------


def fill_book(clinic: LargeClinic, visits: int) -> Book:
    """About so many visits, and what they need."""
    from accounts.users.models import Membership
    from clinic.patients.models import Patient
    from clinic.scheduling.models import Appointment, AppointmentChange, AppointmentResource
    from tenancy.tenants.context import tenant_context
    from tenancy.tenants.models import Tenant

    Tenant.objects.filter(pk=clinic.tenant_id).update(time_zone=ZONE)
    today = datetime.now(ZoneInfo(ZONE)).date()
    with tenant_context(clinic.tenant_id):
        member = Membership.objects.filter(held_roles__role__code="admin").first()
        location, clinicians, rooms, types = open_house(member)
        patients = tuple(str(pk) for pk in Patient.objects.order_by("number").values_list("pk", flat=True)[:5000])
    models = (Appointment, AppointmentResource, AppointmentChange)
    with psycopg.connect(clinic.environment["DATABASE_ADMIN_URL"], dbname="carewright", autocommit=True) as database:
        database.execute("SET session_replication_role = replica")
        database.execute("SET maintenance_work_mem = '256MB'")
        database.execute("SET synchronous_commit = off")
        later = [_take_indexes_off(database, model._meta.db_table) for model in models]
        database.execute(
            "CREATE TEMP TABLE seen AS SELECT id, row_number() OVER (ORDER BY number) - 1 AS n FROM patients_patient"
        )
        database.execute("CREATE UNIQUE INDEX ON seen (n)")
        database.execute("ANALYZE seen")
        number = _fill_days(database, clinic.tenant_id, visits, today, (location, clinicians, rooms, types))
        began = time.monotonic()
        with ThreadPoolExecutor(len(later)) as tables:
            list(tables.map(partial(_put_indexes_back, clinic), later))
        _say(f"{sum(len(statements) for statements in later)} indexes and checks, {time.monotonic() - began:.0f} s")
        database.execute("VACUUM ANALYZE")
        database.execute(
            "INSERT INTO tenants_counter (id, tenant_id, name, value) VALUES (uuidv7(), %s, 'appointment', %s) "
            "ON CONFLICT (tenant_id, name) DO UPDATE SET value = EXCLUDED.value",
            [clinic.tenant_id, number],
        )
    print(file=sys.stderr)
    return Book(member.pk, location, tuple(clinicians), tuple(types), patients, number, today)


def _say(words: str) -> None:
    print(f"\r  {words:<60}", end="", file=sys.stderr)


def open_house(member, clinicians: int = CLINICIANS) -> tuple[str, list[str], list[str], list[str]]:
    """Ids of a house, its clinicians, rooms and kinds of visits.

    Open every day, or a bench that runs on a Saturday would measure an empty Today.
    """
    from clinic.places import services as places
    from clinic.practitioners.services import create_practitioner
    from clinic.scheduling import offering

    house = places.create_location(by=None, name="Great house", time_zone=ZONE)
    places.set_opening_hours(house, by=member, hours=[(weekday, clock(7), clock(18)) for weekday in range(7)])
    rooms = [
        places.create_resource(by=None, location=house, kind="room", name=f"Room {number:02}", category="visits")
        for number in range(clinicians)
    ]
    people = [
        create_practitioner(by=None, data={"first_name": "Clara", "first_last_name": f"Number {number:02}"})
        for number in range(clinicians)
    ]
    for one in people:
        for weekday in range(7):
            for starts, ends in ((clock(8), clock(12)), (clock(13), clock(17))):
                offering.create_hours(
                    by=None, practitioner=one, location=house, weekday=weekday, starts=starts, ends=ends, step=20,
                    valid_from=date(2010, 1, 1),
                )  # fmt: skip
    types = [
        offering.create_type(by=member, data={"name": name, "minutes": minutes, "colour": colour, **more}, needs=needs)
        for colour, (name, minutes, more, needs) in enumerate(
            (
                ("Consultation", 20, {}, [("room", "visits")]),
                ("Check", 15, {"buffer_after": 5}, []),
                ("Call", 10, {"modality": "video"}, []),
            ),
            start=1,
        )
    ]
    return str(house.pk), *([str(row.pk) for row in rows] for rows in (people, rooms, types))


def _take_indexes_off(database, table: str) -> list[str]:
    """Drop what slows filling down; gives the statements that bring all of it back, checks included."""
    constraints = database.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND contype IN ('x', 'u') AND conname NOT LIKE '%%tenant_id_uniq'",
        [table],
    ).fetchall()
    for name, _definition in constraints:
        database.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    indexes = database.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s "
        "AND indexname NOT LIKE '%%_pkey' AND indexname NOT LIKE '%%tenant_id_uniq'",
        [table],
    ).fetchall()
    for name, _definition in indexes:
        database.execute(f'DROP INDEX "{name}"')
    back = [f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}' for name, definition in constraints]
    return [definition for _name, definition in indexes] + back


def _put_indexes_back(clinic: LargeClinic, statements: list[str]) -> None:
    """Those of one table one after the other; the tables at the same time."""
    with psycopg.connect(clinic.environment["DATABASE_ADMIN_URL"], dbname="carewright", autocommit=True) as database:
        database.execute("SET maintenance_work_mem = '256MB'")
        for statement in statements:
            database.execute(statement)


def _fill_days(database, tenant_id: str, visits: int, today: date, house) -> int:
    location, clinicians, rooms, types = house
    a_day = CLINICIANS * len(TIMES)
    last = today + timedelta(days=7 * WEEKS_AHEAD)
    monday = today - timedelta(days=today.weekday())
    ahead = (last - monday).days - 6
    past = (visits - 7 * a_day * FULL - ahead * a_day * AHEAD) / (a_day * FILLED)
    day = monday - timedelta(days=max(0, round(past)))
    patients = database.execute("SELECT count(*) FROM seen").fetchone()[0]
    database.execute("SELECT setseed(0.42)")
    database.execute("CREATE TEMP TABLE made (LIKE scheduling_appointment)")
    names, select = _visits_sql()
    number, began = 0, time.monotonic()
    while day <= last:
        days = min(100, (last - day).days + 1)
        values = {
            "tenant": tenant_id, "first": day, "days": days, "times": TIMES, "location": location, "zone": ZONE,
            "clinicians": clinicians, "rooms": rooms, "types": types, "patients": patients, "number": number,
            "today": today, "monday": monday, "now": NOW, "filled": FILLED, "full": FULL, "ahead": AHEAD,
        }  # fmt: skip
        number += database.execute(f"INSERT INTO made ({names}) {select}", values).rowcount
        database.execute("INSERT INTO scheduling_appointment SELECT * FROM made")
        database.execute(CLAIMS, values)
        database.execute(CHANGES, values)
        database.execute("TRUNCATE made")
        day += timedelta(days=days)
        _say(f"{number:,} visits, {time.monotonic() - began:.0f} s")
    return number


def _visits_sql() -> tuple[str, str]:
    """The columns of a visit, and the query that makes all visits of a stretch of days."""
    from clinic.scheduling.models import Appointment

    columns = {field.column: VISIT.get(field.column) or _default(field) for field in Appointment._meta.concrete_fields}
    values = ", ".join(f'{value} AS "{name}"' for name, value in columns.items())
    return (
        ", ".join(f'"{name}"' for name in columns),
        f"""
        WITH cell AS (
            SELECT %(first)s::date + d AS day, t, k, (%(times)s::int[])[t + 1] AS minute,
                ((%(first)s::date - date '2010-01-01' + d) * {len(TIMES)} + t)::bigint * {CLINICIANS} + k AS n,
                random() AS taken, random() AS kind, random() AS fate
            FROM generate_series(0, %(days)s - 1) d, generate_series(0, {len(TIMES) - 1}) t,
                generate_series(0, {CLINICIANS - 1}) k
        ), timed AS (
            SELECT *, (day + minute * interval '1 minute') AT TIME ZONE %(zone)s AS starts,
                CASE WHEN kind < 0.6 THEN 1 WHEN kind < 0.85 THEN 2 ELSE 3 END AS type,
                day < %(today)s OR day = %(today)s AND minute < %(now)s - 40 AS is_over,
                day = %(today)s AND minute BETWEEN %(now)s - 40 AND %(now)s AS is_now
            FROM cell
            WHERE taken < CASE WHEN day < %(monday)s THEN %(filled)s WHEN day < %(monday)s::date + 7 THEN %(full)s
                ELSE %(ahead)s END
        ), lived AS (
            SELECT *, starts + (ARRAY[20, 15, 10])[type] * interval '1 minute' AS ends,
                CASE WHEN is_over THEN CASE WHEN fate < 0.05 THEN 'no_show' WHEN fate < 0.12 THEN 'cancelled'
                    ELSE 'completed' END
                WHEN is_now THEN CASE WHEN fate < 0.3 THEN 'arrived' WHEN fate < 0.6 THEN 'in_room' ELSE 'completed' END
                WHEN fate < 0.3 THEN 'confirmed' ELSE 'booked' END AS state
            FROM timed
        )
        SELECT {values} FROM lived JOIN seen ON seen.n = lived.n * 7919 %% %(patients)s
    """,
    )


def _default(field) -> str:
    """SQL for what a column holds in a plain visit."""
    value = field.get_default() if field.has_default() or not field.null else None
    if callable(value) or value is None:
        return "NULL"
    return {bool: str(value), dict: "'{}'"}.get(type(value), f"'{value}'")


VISIT = {
    "id": "uuidv7(least(starts, now()) - now())",
    "tenant_id": "%(tenant)s::uuid",
    "number": "%(number)s + row_number() OVER (ORDER BY starts, k)",
    "version": "1",
    "patient_id": "seen.id",
    "practitioner_id": "(%(clinicians)s::uuid[])[k + 1]",
    "location_id": "%(location)s::uuid",
    "type_id": "(%(types)s::uuid[])[type]",
    "starts_at": "starts",
    "ends_at": "ends",
    "busy_from": "starts",
    "busy_until": "CASE WHEN type = 2 THEN ends + interval '5 minutes' ELSE ends END",
    "wall_start": "to_char(day + minute * interval '1 minute', 'YYYY-MM-DD\"T\"HH24:MI')",
    "time_zone": "%(zone)s",
    "state": "state",
    "is_live": "state NOT IN ('no_show', 'cancelled')",
    "arrived_at": "CASE WHEN state IN ('arrived', 'in_room', 'completed') THEN starts - interval '7 minutes' END",
    "modality": "CASE WHEN type = 3 THEN 'video' ELSE 'in_person' END",
    "reason": "'Follow-up'",
    "created_at": "starts - interval '20 days'",
    "updated_at": "least(starts, now())",
}
CLAIMS = """
    INSERT INTO scheduling_appointmentresource
        (id, tenant_id, appointment_id, resource_id, busy_from, busy_until, is_live, lane)
    SELECT uuidv7(), tenant_id, id,
        (%(rooms)s::uuid[])[array_position(%(clinicians)s::uuid[], practitioner_id)], busy_from, busy_until, is_live, 0
    FROM made WHERE type_id = (%(types)s::uuid[])[1]
"""
CHANGES = """
    INSERT INTO scheduling_appointmentchange
        (id, tenant_id, appointment_id, at, action, old_state, new_state, before, after, reason)
    SELECT uuidv7(), tenant_id, id, created_at, 'booked', '', 'booked', '{}'::jsonb, '{}'::jsonb, '' FROM made
    UNION ALL
    SELECT uuidv7(), tenant_id, id, updated_at, 'moved_on', 'booked', state, '{}'::jsonb, '{}'::jsonb, '' FROM made
    WHERE state <> 'booked' AND starts_at > %(monday)s::date - 30
"""
