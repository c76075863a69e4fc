"""Many who want one time: what the book does when everybody presses at once, over HTTP and judged by SQL.

Three parts on one throw-away database: rounds of fifty bookers for one time,
ten thousand attempts of mixed lengths by sixty-four clients (with a pause
between two, then without), and then the negative control: the same server without its lock (`bench.naive`) on tables
without their constraints. The same judge has to find nothing in the first two
and something in the last, or it could not be believed.
"""

import http.client
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock

import psycopg

from bench.large_clinic import PASSWORD, LargeClinic, open_clinic, open_web
from bench.load import fetch_token
from bench.report import Figure, percentile

ROUNDS, BOOKERS = 200, 50
HAMMERED, PACED, PAUSE, CLIENTS = 6000, 4000, 2.0, 64
NAIVE_ROUNDS, NAIVE_ATTEMPTS = 10, 1000
PATIENTS = 400
DOCTORS, ROOMS, DEVICES, DAYS = 20, 16, 3, 20
ZONE = "America/Bogota"
EARLIEST, LATEST = 8 * 60, 17 * 60
USUAL = {200, 201, 400, 409}  # 400: what was to be moved or cancelled is over
MOVED, CANCELLED = 0.08, 0.04  # shares of the mixed attempts that are no bookings


@dataclass(frozen=True)
class House:
    """What is booked: ids as the API takes them."""

    location: str
    doctors: tuple[str, ...]
    types: tuple[str, ...]
    patients: tuple[str, ...]


def measure_races() -> list[Figure]:
    """All three parts; about six minutes on two cores."""
    with open_clinic(PATIENTS) as clinic:
        house = _build(clinic)
        figures = [*_one_time(clinic, house), *_mixed(clinic, house)]
        return [*figures, *_negative_control(clinic, house)]


# --- The three parts -------------------------------------------------------------------------------------------------


def _one_time(clinic: LargeClinic, house: House) -> list[Figure]:
    rng = random.Random(1)
    rounds = [_round(house, number, rng) for number in range(ROUNDS)]
    before = _deadlocks(clinic)
    # More threads than in production, so that the fifty meet in the database and not in a queue before it.
    with open_web(clinic, threads=BOOKERS // 2) as address:
        answer = _run({"address": address, "rounds": rounds, "threads": BOOKERS})
    winners = [sum(status == 201 for status in statuses) for statuses in answer["statuses"]]
    losers = Counter(str(status) for statuses in answer["statuses"] for status in statuses if status != 201)
    clean = answer["nearest"].get("3", 0)
    note = f"{sum(winners)} booked, {', '.join(f'{count} x {status}' for status, count in sorted(losers.items()))}"
    lost = ROUNDS * (BOOKERS - 1) - clean
    return [
        Figure(f"rounds of {BOOKERS} without exactly one success", sum(n != 1 for n in winners), "", 0, note),
        Figure("refusals that are no 409 with three times", lost, "", 0, f"{clean} with three"),
        *_common(clinic, answer, before),
        Figure("a round's slowest answer, p99", percentile(answer["slowest"], 0.99), "ms"),
    ]


def _mixed(clinic: LargeClinic, house: House) -> list[Figure]:
    """Ten thousand attempts in two parts: with pauses, as sixty-four desks have them, and without any."""
    rng, before = random.Random(2), _deadlocks(clinic)
    figures, answers = [], {"statuses": []}
    with open_web(clinic) as address:
        _run({"address": address, "attempts": _attempts(house, 100, random.Random(3)), "threads": 4})  # warm
        for count, pause, words in ((PACED, PAUSE, f"{PAUSE:g} s apart"), (HAMMERED, 0, "without a pause")):
            job = {"address": address, "attempts": _attempts(house, count, rng), "threads": CLIENTS, "pause": pause}
            began = time.monotonic()
            answer = _run(job)
            rate = count / (time.monotonic() - began)
            answers["statuses"] += answer["statuses"]
            statuses = Counter(str(status) for status in answer["statuses"][0])
            said = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()))
            note = f"p50 {percentile(answer['times'], 0.5):.0f} ms, {rate:.0f}/s; {said}"
            name = f"{count:,} by {CLIENTS} clients, {words}, p99"
            figures.append(Figure(name, percentile(answer["times"], 0.99), "ms", 250, note))
            for line in answer["odd"][:3]:
                print(f"  {line}", file=sys.stderr)
    return [*figures, *_common(clinic, answers, before)]


def _common(clinic: LargeClinic, answer: dict, deadlocks_before: int) -> list[Figure]:
    failed = sum(status >= 500 or status == 0 for statuses in answer["statuses"] for status in statuses)
    found = judge(clinic)
    booked = found.pop("visits")
    note = ", ".join(f"{count} of {name}" for name, count in found.items())
    return [
        Figure("  answers of 500 and more, or none", failed, "", 0),
        Figure("  deadlocks by PostgreSQL's counter", _deadlocks(clinic) - deadlocks_before, "", 0),
        Figure("  overlaps by SQL", sum(found.values()), "", 0, f"among {booked:,} visits: {note}"),
    ]


def _negative_control(clinic: LargeClinic, house: House) -> list[Figure]:
    """Fewer overlaps than one would be a judge that sees nothing; so the target is the other way round."""
    with _superuser(clinic) as database:
        for table, name in database.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'x'"
        ).fetchall():
            database.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    rng = random.Random(4)
    rounds = [_round(house, ROUNDS + number, rng) for number in range(NAIVE_ROUNDS)]
    with open_web(clinic, threads=BOOKERS // 2, application="bench.naive:application") as address:
        answer = _run({"address": address, "rounds": rounds, "threads": BOOKERS})
        winners = [sum(status == 201 for status in statuses) for statuses in answer["statuses"]]
        first = judge(clinic)
        _run({"address": address, "attempts": _attempts(house, NAIVE_ATTEMPTS, rng, late=DAYS), "threads": CLIENTS})
    second = judge(clinic)
    pairs = {name: (first[name], second[name] - first[name]) for name in first if name != "visits"}
    note = f"{sum(winners)} of {NAIVE_ROUNDS * BOOKERS} booked one of {NAIVE_ROUNDS} times; "
    note += ", ".join(f"{a} and {b} of {name}" for name, (a, b) in pairs.items())
    judged_blind = int(not sum(a for a, _b in pairs.values())) + int(not sum(b for _a, b in pairs.values()))
    return [Figure("negative control: parts without overlaps", judged_blind, "", 0, note)]


# --- The judge -------------------------------------------------------------------------------------------------------

OVERLAPS = {
    "practitioners": """
        SELECT count(*) FROM scheduling_appointment a JOIN scheduling_appointment b
        ON a.practitioner_id = b.practitioner_id AND a.id < b.id
        AND a.busy_from < b.busy_until AND b.busy_from < a.busy_until
        WHERE a.is_live AND b.is_live AND a.session_id IS NULL AND b.session_id IS NULL AND a.lane = b.lane""",
    "rooms and devices": """
        SELECT count(*) FROM scheduling_appointmentresource c JOIN scheduling_appointmentresource d
        ON c.resource_id = d.resource_id AND c.id < d.id
        JOIN scheduling_appointment a ON a.id = c.appointment_id
        JOIN scheduling_appointment b ON b.id = d.appointment_id
        WHERE a.is_live AND b.is_live AND a.lane = b.lane
        AND a.busy_from < b.busy_until AND b.busy_from < a.busy_until""",
    "patients": """
        SELECT count(*) FROM scheduling_appointment a JOIN scheduling_appointment b
        ON a.patient_id = b.patient_id AND a.id < b.id AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at
        WHERE a.is_live AND b.is_live AND a.lane = b.lane""",
    "half-booked visits": """
        SELECT count(*) FROM scheduling_appointment a
        WHERE a.is_live AND (
            (SELECT count(*) FROM scheduling_typeneed n WHERE n.type_id = a.type_id)
            <> (SELECT count(*) FROM scheduling_appointmentresource c WHERE c.appointment_id = a.id AND c.is_live
                AND c.busy_from = a.busy_from AND c.busy_until = a.busy_until)
            OR NOT EXISTS (SELECT FROM scheduling_appointmentchange h WHERE h.appointment_id = a.id))""",
}
"""Counted as the superuser, from the rows alone: buffers by `busy_from` and `busy_until` of the visit itself."""


def judge(clinic: LargeClinic) -> dict[str, int]:
    """How many pairs of visits share what they may not share, by what they share; `visits` says among how many."""
    with _superuser(clinic) as database:
        found = {name: database.execute(sql).fetchone()[0] for name, sql in OVERLAPS.items()}
        visits = database.execute("SELECT count(*) FROM scheduling_appointment WHERE is_live").fetchone()[0]
    return {**found, "visits": visits}


def _deadlocks(clinic: LargeClinic) -> int:
    time.sleep(1.5)  # backends report what they counted at most once a second
    with _superuser(clinic) as database:
        return database.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()[
            0
        ]


def _superuser(clinic: LargeClinic) -> psycopg.Connection:
    return psycopg.connect(clinic.environment["DATABASE_ADMIN_URL"], dbname="carewright", autocommit=True)


# --- What is asked for -----------------------------------------------------------------------------------------------


def _build(clinic: LargeClinic) -> House:
    """A house with more doctors than rooms and more rooms than devices, so that all three are fought for."""
    from accounts.users.models import Membership
    from clinic.patients.models import Patient
    from clinic.places import services as places
    from clinic.practitioners.services import create_practitioner
    from clinic.scheduling import offering
    from tenancy.tenants.context import tenant_context

    with tenant_context(clinic.tenant_id):
        admin = Membership.objects.filter(held_roles__role__code="admin").first()
        place = places.create_location(by=None, name="Main house", time_zone=ZONE)
        for kind, count in (("room", ROOMS), ("device", DEVICES)):
            for number in range(count):
                places.create_resource(by=None, location=place, kind=kind, name=f"{kind} {number}", category=kind)
        doctors = [
            create_practitioner(by=None, data={"first_name": "Doctor", "first_last_name": f"No {number}"})
            for number in range(DOCTORS)
        ]
        for doctor in doctors:
            for weekday in range(7):
                offering.create_hours(
                    by=None, practitioner=doctor, location=place, weekday=weekday, starts=clock(EARLIEST // 60),
                    ends=clock(LATEST // 60), step=15, valid_from=date(2020, 1, 1),
                )  # fmt: skip
        types = [
            offering.create_type(by=admin, data={"name": name, "minutes": minutes, **buffers}, needs=needs)
            for name, minutes, buffers, needs in (
                ("Word", 10, {}, []),
                ("Visit", 30, {"buffer_after": 5}, [("room", "room")]),
                ("Dressing", 20, {"buffer_before": 5, "buffer_after": 5}, [("room", "room")]),
                ("Scan", 45, {"buffer_after": 10}, [("room", "room"), ("device", "device")]),
                ("Long visit", 60, {}, [("room", "room")]),
            )
        ]
        patients = Patient.objects.order_by("number").values_list("pk", flat=True)
        return House(
            str(place.pk),
            tuple(str(doctor.pk) for doctor in doctors),
            tuple(str(type.pk) for type in types),
            tuple(str(pk) for pk in patients),
        )


def _round(house: House, number: int, rng: random.Random) -> list[dict]:
    """Fifty bodies for one time of one doctor, each for another patient; no two rounds share a time."""
    day = date.today() + timedelta(days=100 + number // 20)
    minute = EARLIEST + number % 20 * 25
    patients = rng.sample(house.patients, BOOKERS)
    common = {"doctorId": house.doctors[number % DOCTORS], "typeId": house.types[1], "date": _wall(day, minute)}
    return [{**common, "locationId": house.location, "patientId": patient, "reason": "Race"} for patient in patients]


def _attempts(house: House, count: int, rng: random.Random, *, late: int = 0) -> list[dict]:
    """Bookings of mixed lengths on a five-minute grid, moves, and cancellations."""
    attempts = []
    for _number in range(count):
        day = date.today() + timedelta(days=7 + late + rng.randrange(DAYS))
        wall = _wall(day, rng.randrange(EARLIEST, LATEST - 60, 5))
        kind = rng.random()
        if kind < CANCELLED:
            attempts.append({"kind": "cancel"})
        elif kind < CANCELLED + MOVED:
            attempts.append({"kind": "move", "body": {"date": wall, "changeReason": "Race"}})
        else:
            body = {"doctorId": rng.choice(house.doctors), "patientId": rng.choice(house.patients), "date": wall}
            if rng.random() < 0.8:
                body["typeId"] = rng.choice(house.types)
            else:
                body["minutes"] = rng.choice((5, 15, 40, 90))
            attempts.append({"kind": "book", "body": {**body, "locationId": house.location, "reason": "Race"}})
    return attempts


def _wall(day: date, minute: int) -> str:
    return datetime.combine(day, clock(minute // 60, minute % 60)).isoformat()


# --- The clients: a process of their own -----------------------------------------------------------------------------


def _run(job: dict) -> dict:
    command = [sys.executable, "-m", "bench.race"]
    done = subprocess.run(command, input=json.dumps(job), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


@dataclass
class Client:
    """One booker with a kept connection; remembers nothing but what it is told."""

    address: str
    token: str
    connection: http.client.HTTPConnection | None = None

    def send(self, method: str, path: str, body: dict) -> tuple[int, dict, float]:
        """Status (0: no answer), the JSON, and milliseconds."""
        began = time.perf_counter()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.address, timeout=60)
            self.connection.request(method, path, json.dumps(body), headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection = None
            return 0, {}, (time.perf_counter() - began) * 1000
        return answer.status, json.loads(content or b"{}"), (time.perf_counter() - began) * 1000


def _work(job: dict) -> dict:
    token = fetch_token(job["address"], "admin@large.example", PASSWORD)
    clients = [Client(job["address"], token) for _ in range(job["threads"])]
    return _work_rounds(job["rounds"], clients) if "rounds" in job else _work_attempts(job, clients)


def _work_rounds(rounds: list[list[dict]], clients: list[Client]) -> dict:
    """All clients wait for each other before each round."""
    barrier = threading.Barrier(len(clients))
    answers: list[list] = [[None] * len(clients) for _ in rounds]

    def run(place: int) -> None:
        for number, bodies in enumerate(rounds):
            barrier.wait(timeout=120)
            answers[number][place] = clients[place].send("POST", "/api/appointments", bodies[place])

    _in_threads(run, len(clients))
    nearest = Counter(
        len(content.get("nearest", ())) for answered in answers for status, content, _ms in answered if status == 409
    )
    return {
        "statuses": [[status for status, _content, _ms in answered] for answered in answers],
        "slowest": [max(ms for _status, _content, ms in answered) for answered in answers],
        "nearest": nearest,
    }


def _work_attempts(job: dict, clients: list[Client]) -> dict:
    """Each client takes the next attempt once its last one was answered and a pause is over.

    Moves and cancels are of what any of them has booked before.
    """
    waiting, lock, booked = iter(job["attempts"]), threading.Lock(), []
    pause = job.get("pause", 0)
    statuses: list[int] = []
    times: list[float] = []
    odd: list[str] = []
    rng = random.Random(5)

    def run(place: int) -> None:
        while True:
            if pause:
                time.sleep(pause * random.uniform(0.2, 1.8))
            with lock:
                attempt = next(waiting, None)
                known = rng.choice(booked) if booked else ""
            if attempt is None:
                return
            status, content, ms = _send(clients[place], attempt, known)
            with lock:
                statuses.append(status)
                times.append(ms)
                if status == 201:
                    booked.append(content["id"])
                elif status not in USUAL:
                    odd.append(f"{status} {content}"[:300])

    _in_threads(run, len(clients))
    return {"statuses": [statuses], "times": times, "odd": odd}


def _send(client: Client, attempt: dict, known: str) -> tuple[int, dict, float]:
    if attempt["kind"] == "book" or not known:
        return client.send("POST", "/api/appointments", attempt.get("body", {}))
    if attempt["kind"] == "move":
        return client.send("PATCH", f"/api/appointments/{known}", attempt["body"])
    return client.send("POST", f"/api/appointments/{known}/status", {"state": "cancelled", "note": "Race"})


def _in_threads(run, count: int) -> None:
    threads = [threading.Thread(target=run, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    json.dump(_work(json.load(sys.stdin)), sys.stdout)
