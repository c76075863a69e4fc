"""Twelve programs on `/v1` for two minutes, and what it costs whom (security.md part J).

A whole installation with the options of `make run`: web, worker and beat, Redis,
PostgreSQL with fsync on; a webhook for every change, so that events flow. Four
reads to one write (`bench/programs.py`). What the programs were promised is
counted in the database; what the server keeps of a minute's work is measured
from a quarter of the time on. After that, on the same installation: a large and
a small clinic, a loud neighbour, a page deep in a list, the queue of events.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg

from bench import book, programs, report
from bench.drill.receiver import Receiver
from bench.large_clinic import PASSWORD, ROOT, LargeClinic, open_clinic
from bench.load import free_port, wait_for_v1
from bench.programs import READS, WRITES, Told
from bench.report import Figure, percentile

PROGRAMS = 12
WARM = 0.25  # share of the time after which memory and connections are expected to stay as they are
VISITS = 200_000
SMALL = 24
ROUND_SECONDS = 8
FLOOD_RATE, CALM_RATE = 300, 20
FIRST_DAY_AHEAD = 60
DEEP, LOOKS = 200, 30
EVENTS = ["patient.created", "patient.updated", "appointment.created", "appointment.updated"]


@dataclass
class Scene:
    """The installation while it runs: where, the pids of the web's processes, and one job for each clinic."""

    address: str
    web: int
    large: dict
    small: dict
    endpoint: str
    clinic: LargeClinic
    receiver: Receiver

    def database(self) -> psycopg.Connection:
        """The superuser's view of everything."""
        return psycopg.connect(self.clinic.environment["DATABASE_ADMIN_URL"], dbname="carewright", autocommit=True)


def run_load(patients: int, visits: int, seconds: int) -> None:
    """Print all tables."""
    os.environ["WEBHOOK_LOOPBACK"] = "true"  # also for this process, which registers the endpoint
    with open_clinic(patients) as clinic, _open_scene(clinic, visits) as scene:
        title = f"{PROGRAMS} programs on /v1 for {seconds} s in a closed loop, four reads to one write"
        report.show(title, measure_load(scene, seconds))
        report.show("Neighbours", [*measure_sizes(scene), *measure_flood(scene)])
        report.show("Limits and depth", [*measure_limiter(), *measure_depth(scene)])


# --- The mixed load --------------------------------------------------------------------------------------------------


def measure_load(scene: Scene, seconds: int) -> list[Figure]:
    """LO-01 to LO-03, rows against answers, and how the events of all this get away (LO-14)."""
    with scene.database() as looking:
        before = _rows(looking, scene)
        began = datetime.now(timezone.utc)
        process = programs.start(scene.large | {"seconds": seconds})
        watch = Watch(scene.web)
        while process.poll() is None and watch.age() < seconds + 60:
            watch.look(looking)
            time.sleep(0.25)
        told = programs.finish(process)
        grown = {name: count - before[name] for name, count in _rows(looking, scene).items()}
        waiting = _waiting(looking, scene)
        drained = _wait_until_told(looking, scene)
        drain = _drain(looking, scene, began)
    return [
        *_answer_figures(told, seconds),
        *_row_figures(told, grown),
        *watch.figures(seconds),
        Figure("last event after the last write", drained, "s", 30, f"{waiting:,} were waiting when the writes ended"),
        *drain,
    ]


def _answer_figures(told: Told, seconds: int) -> Iterator[Figure]:
    for name, kinds, target in (("reads", READS, 150), ("writes", WRITES, 250)):
        times = told.of(kinds)
        note = f"p50 {percentile(times, 0.5):.1f} ms, {len(times):,} of them, {len(times) / seconds:.0f}/s"
        yield Figure(f"{name}, p99", percentile(times, 0.99), "ms", target, note)
        for kind in kinds:
            if times := told.times.get(kind, []):
                note = f"p50 {percentile(times, 0.5):.1f} ms, {len(times):,}"
                yield Figure(f"  {kind}, p99", percentile(times, 0.99), "ms", None, note)
    yield Figure("answers of 500 and more", told.count(lambda status: status >= 500), "", 0)
    others = told.count(lambda status: not 200 <= status < 300 and status < 500)
    yield Figure("refused, or not answered at all", others, "", 0, "; ".join(told.examples[:1]))


def _row_figures(told: Told, grown: dict[str, int]) -> Iterator[Figure]:
    for kind in WRITES:
        note = f"{told.written[kind]:,} answers, {grown[kind]:,} rows"
        yield Figure(f"{kind}: rows that are not as many", abs(told.written[kind] - grown[kind]), "", 0, note)
    yield Figure("replays told something else", told.other_answers, "", 0, f"{told.replays} of one Idempotency-Key")


_ROWS = {
    "POST patient": "SELECT count(*) FROM patients_patient WHERE tenant_id = %s",
    "PATCH patient": "SELECT count(*) FROM audit_auditentry WHERE tenant_id = %s AND action = 'patient_updated'",
    "POST appointment": "SELECT count(*) FROM scheduling_appointment WHERE tenant_id = %s",
}


def _rows(looking: psycopg.Connection, scene: Scene) -> dict[str, int]:
    return {name: looking.execute(sql, [scene.clinic.tenant_id]).fetchone()[0] for name, sql in _ROWS.items()}


@dataclass
class Watch:
    """What the server takes while it works: one sample a quarter of a second."""

    web: int
    began: float = field(default_factory=time.monotonic)
    memory: list[tuple[float, dict[int, int]]] = field(default_factory=list)
    connections: list[tuple[float, int]] = field(default_factory=list)
    longest_idle: float = 0.0

    def age(self) -> float:
        return time.monotonic() - self.began

    def look(self, looking: psycopg.Connection) -> None:
        connections, idle = looking.execute(
            "SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - state_change))"
            " FILTER (WHERE state LIKE 'idle in transaction%'), 0)::float8"
            " FROM pg_stat_activity WHERE usename = 'carewright_app'"
        ).fetchone()
        self.longest_idle = max(self.longest_idle, idle)
        self.connections.append((self.age(), connections))
        self.memory.append((self.age(), {pid: _resident(pid) for pid in _children(self.web)}))

    def figures(self, seconds: int) -> Iterator[Figure]:
        warm = next(sample for at, sample in self.memory if at >= WARM * seconds)
        last = next(sample for at, sample in reversed(self.memory) if at <= seconds)
        for number, (pid, kilobytes) in enumerate(warm.items(), start=1):
            # A process that was replaced did not grow; it was ended, which is worse.
            now = last.get(pid, 0)
            growth = (now / kilobytes - 1) * 100 if now else 100.0
            note = f"{kilobytes / 1024:.1f} MB after {WARM * seconds:.0f} s, {now / 1024:.1f} MB at the end"
            yield Figure(f"web process {number}, growth of resident memory", growth, "%", 5, note)
        early, late = (
            self._most_connections(begin * seconds, end * seconds) for begin, end in ((0.25, 0.5), (0.75, 1))
        )
        note = f"at most {early} in the second quarter, {late} in the last"
        yield Figure("connections to the database, more in the end", max(0, late - early), "", 0, note)
        yield Figure("idle in a transaction, longest seen", self.longest_idle, "s", 1, f"{len(self.memory)} looks")

    def _most_connections(self, begin: float, end: float) -> int:
        return max(count for at, count in self.connections if begin <= at <= end)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _resident(pid: int) -> int:
    """Kilobytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


# --- The queue of events ---------------------------------------------------------------------------------------------


def _waiting(looking: psycopg.Connection, scene: Scene) -> int:
    question = "SELECT count(*) FROM events_delivery WHERE endpoint_id = %s AND state = 'waiting'"
    return looking.execute(question, [scene.endpoint]).fetchone()[0]


def _wait_until_told(looking: psycopg.Connection, scene: Scene) -> float:
    """Seconds until nothing waits; nothing at all for ten minutes is an error."""
    began = time.monotonic()
    while _waiting(looking, scene):
        if time.monotonic() - began > 600:
            raise RuntimeError("Events are still waiting after ten minutes.")
        time.sleep(0.1)
    return time.monotonic() - began


def _drain(looking: psycopg.Connection, scene: Scene, since: datetime) -> list[Figure]:
    """All events of the run once more at once, as an administrator sends them again."""
    from tenancy.events import services
    from tenancy.events.models import Endpoint
    from tenancy.tenants.context import tenant_context

    # As many as are sent again at once; some may have happened at the very same moment.
    first = looking.execute(
        "SELECT min(occurred_at) FROM (SELECT occurred_at FROM events_event WHERE tenant_id = %s"
        " AND occurred_at >= %s ORDER BY occurred_at DESC LIMIT %s) e",
        [scene.clinic.tenant_id, since, services.MOST_RESENT - 100],
    ).fetchone()[0]
    size = _size(looking)
    with tenant_context(scene.clinic.tenant_id):
        endpoint = Endpoint.objects.get(pk=scene.endpoint)
        count = services.resend_range(endpoint, by=None, since=first)
    seconds = _wait_until_told(looking, scene)
    arrived = scene.receiver.snapshot().values()
    twice = sum(len(delivery.bodies) > 1 for delivery in arrived)
    forged = sum(delivery.forged for delivery in arrived)
    return [
        Figure("queue of events, drained", count / seconds, "/s", None, f"{count:,} at once in {seconds:.1f} s"),
        Figure("their table, after ÷ before", _size(looking) / size, "x", 2),
        Figure("signatures that do not hold", forged, "", 0, f"{len(arrived):,} events arrived, {twice:,} again"),
    ]


def _size(looking: psycopg.Connection) -> int:
    return looking.execute("SELECT pg_total_relation_size('events_delivery')").fetchone()[0]


# --- Neighbours ------------------------------------------------------------------------------------------------------


def measure_sizes(scene: Scene) -> list[Figure]:
    """LO-05: the same reads in the largest and in the smallest clinic, in turn."""
    quiet = {"programs": 4, "writes": 0.0, "seconds": ROUND_SECONDS / 2}
    times: dict[str, list[float]] = {"large": [], "small": []}
    for number in range(4):
        for name in ("large", "small") if number % 2 else ("small", "large"):
            told = programs.run(getattr(scene, name) | quiet)
            _must_be_fine(told)
            times[name] += told.of(READS)
    large, small = (percentile(times[name], 0.99) for name in ("large", "small"))
    note = f"{large:.1f} ms of {scene.large['size']:,} patients, {small:.1f} ms of {SMALL}; 4 programs"
    return [Figure("reads, p99, largest ÷ smallest clinic", large / small, "x", 2, note)]


def measure_flood(scene: Scene) -> list[Figure]:
    """LO-06: one clinic reads 20 a second; another sends 300 a second with a key that may 10."""
    calm = scene.large | {"programs": 4, "writes": 0.0, "seconds": ROUND_SECONDS, "rate": CALM_RATE}
    quiet, loud, answers = programs.run(calm).of(READS), [], Told()
    for _number in range(2):
        flood = programs.start(
            scene.small | {"key": scene.small["usual_key"], "programs": PROGRAMS, "writes": 0.0, "rate": FLOOD_RATE}
            | {"seconds": ROUND_SECONDS + 3}
        )  # fmt: skip
        time.sleep(2)
        told = programs.run(calm)
        _must_be_fine(told)
        loud += told.of(READS)
        answers.add(programs.finish(flood))
        quiet += programs.run(calm).of(READS)  # a machine is not as fast at every minute
    base, under = percentile(quiet, 0.99), percentile(loud, 0.99)
    said = ", ".join(f"{count:,} x {status}" for status, count in sorted(answers.statuses.items()))
    note = f"{under:.1f} ms after {base:.1f} ms; the neighbour was told {said}"
    return [Figure(f"a neighbour sends {FLOOD_RATE}/s, p99 of reads", under / base, "x", 2, note)]


def _must_be_fine(told: Told) -> None:
    if told.count(lambda status: status != 200):
        raise RuntimeError(f"The run is void: {dict(told.statuses)} {told.examples}")


# --- Limits and depth ------------------------------------------------------------------------------------------------


def measure_limiter(times: int = 2_000) -> list[Figure]:
    """LO-09: what counting a request in Redis adds to it."""
    from tenancy.doors.limits import BucketLimit

    limit, spent = BucketLimit("bench", "60000/m"), []
    for number in range(times):
        began = time.perf_counter()
        assert limit.hit(f"key {number % 20}").counted
        spent.append((time.perf_counter() - began) * 1000)
    return [Figure("counting a request, p99", percentile(spent, 0.99), "ms", 2, f"p50 {percentile(spent, 0.5):.2f} ms")]


def measure_depth(scene: Scene) -> list[Figure]:
    """LO-13: the second page of a list, and one very deep in it, both by their cursors."""
    with closing(programs.Line(scene.address, scene.large["key"])) as line:
        return [_depth(line)]


def _depth(line: programs.Line) -> Figure:
    def page(cursor: str) -> tuple[str, float]:
        began = time.perf_counter()
        status, body = line.ask("GET", f"/v1/patients?limit=100&cursor={cursor}")
        spent = (time.perf_counter() - began) * 1000
        if status != 200:
            raise RuntimeError(f"A page was answered {status}: {body[:200]!r}")
        return json.loads(body)["next_cursor"], spent

    _status, body = line.ask("GET", "/v1/patients?limit=100")
    first = deep = json.loads(body)["next_cursor"]
    depth = 1
    while depth < DEEP and (further := page(deep)[0]):
        deep, depth = further, depth + 1
    spent: dict[str, list[float]] = {"first": [], "deep": []}
    for _look in range(LOOKS):
        spent["first"].append(page(first)[1])
        spent["deep"].append(page(deep)[1])
    near, far = (statistics.median(spent[name]) for name in ("first", "deep"))
    note = f"medians {far:.1f} and {near:.1f} ms, 100 rows a page"
    return Figure(f"page {depth + 1} of patients ÷ page 2", far / near, "x", 1.2, note)


# --- The installation ------------------------------------------------------------------------------------------------


@contextmanager
def _open_scene(clinic: LargeClinic, visits: int) -> Iterator[Scene]:
    house = book.fill_book(clinic, visits)
    receiver = Receiver(free_port())
    large, endpoint, receiver.secret = _large_job(clinic, house, receiver.url)
    small = _small_job()
    with _serve(clinic) as (address, web):
        for job in (large, small):
            job["address"] = address
        wait_for_v1(address, large["key"])
        _fill_small(small)
        for job in (large, small):
            programs.run(job | {"seconds": 2, "writes": 0.0})  # warm
        yield Scene(address, web, large, small, endpoint, clinic, receiver)
    receiver.close()


def _large_job(clinic: LargeClinic, house: book.Book, url: str) -> tuple[dict, str, str]:
    """The job of the large clinic, the id of its webhook, and its secret."""
    from accounts.api_keys.services import create_key
    from clinic.patients.models import Patient
    from tenancy.events.services import create_endpoint
    from tenancy.tenants.context import tenant_context

    with tenant_context(clinic.tenant_id):
        _key, text = create_key(by=None, name="load", scopes=["admin"], requests_per_minute=60_000)
        endpoint, secret = create_endpoint(by=None, url=url, event_types=EVENTS)
        rows = Patient.objects.exclude(document_number="").values_list("pk", "document_number")
        patients = [{"id": str(pk), "document": document} for pk, document in rows.order_by("number")[:6_000]]
        size = Patient.objects.count()
    return _job(text, patients, list(house.clinicians), size), str(endpoint.pk), secret


def _small_job() -> dict:
    """A clinic of two doctors and a few patients; they come through the door (`_fill_small`)."""
    from accounts.api_keys.services import create_key
    from accounts.users.models import Membership
    from accounts.users.services import create_tenant
    from tenancy.tenants.context import tenant_context
    from tenancy.tenants.models import Tenant

    tenant, _admin = create_tenant(
        slug="small", name="Small Clinic", admin_email="admin@small.example", admin_password=PASSWORD,
        two_factor_required=False,
    )  # fmt: skip
    Tenant.objects.filter(pk=tenant.pk).update(time_zone=book.ZONE)
    with tenant_context(tenant.id):
        _house, clinicians, _rooms, _types = book.open_house(Membership.objects.first(), clinicians=2)
        _key, text = create_key(by=None, name="load", scopes=["admin"], requests_per_minute=60_000)
        _key, usual = create_key(by=None, name="usual", scopes=["admin"])
    return _job(text, [], clinicians, SMALL) | {"usual_key": usual}


def _job(key: str, patients: list[dict], doctors: list[str], size: int) -> dict:
    first_day = datetime.now(timezone.utc).date() + timedelta(days=FIRST_DAY_AHEAD)
    return {
        "key": key,
        "patients": patients,
        "doctors": doctors,
        "size": size,
        "programs": PROGRAMS,
        "seed": 20261121,
        "first_day": first_day.isoformat(),
        "first_document": 3_000_000_000,
    }


def _fill_small(job: dict) -> None:
    """As many patients, each with a visit, by the same programs that measure later."""
    nobody = [{"id": "", "document": ""}]
    _do(job | {"patients": nobody}, "POST patient")
    with closing(programs.Line(job["address"], job["key"])) as line:
        rows = json.loads(line.ask("GET", "/v1/patients?limit=100")[1])["items"]
    job["patients"] = [{"id": row["id"], "document": row["document_number"]} for row in rows]
    _do(job, "POST appointment")


def _do(job: dict, kind: str) -> None:
    one = programs.Program(job | {"programs": 1}, 0)
    with closing(one.line):
        for _number in range(SMALL):
            one.do(kind, time.perf_counter())
    if one.told.written[kind] != SMALL:
        raise RuntimeError(f"The small clinic was not filled: {one.told.examples}")


@contextmanager
def _serve(clinic: LargeClinic) -> Iterator[tuple[str, int]]:
    """Web, worker and beat as `make run` starts them, with its limits; the address and the web's leader."""
    from scripts.run import beat_command, web_command, worker_command
    from scripts.supervisor import start_group

    home, port = Path(clinic.environment["STATE_DIR"]), free_port()
    environment = {
        **os.environ,
        **clinic.environment,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "WEBHOOK_LOOPBACK": "true",
        "RATE_LIMIT_SCALE": "1",
        "METRICS_DIR": str(home / "metrics"),
        "EMAIL_URL": f"file://{home / 'mails'}",
        "MALLOC_ARENA_MAX": "2",
    }
    commands = {
        "web": web_command("127.0.0.1", port),
        "worker": worker_command(),
        "beat": beat_command(home / "beat-schedule"),
    }
    groups = {}
    try:
        for name, command in commands.items():
            log = home / f"{name}.log"
            groups[name] = start_group([sys.executable, *command], log=log, environment=environment, directory=ROOT)
        yield f"127.0.0.1:{port}", groups["web"].pid
    except BaseException:
        for name in groups:
            print(f"--- {name}\n{(home / f'{name}.log').read_text()[-1500:]}")
        raise
    finally:
        for group in groups.values():
            group.ask_to_stop()
        for group in groups.values():
            group.stop(10)
