"""Carewright's `/v1` against the service of the specification (FastAPI, SQLAlchemy 2 async, pydantic), in one run.

The peer and the rules are in `../shared/bench`: one PostgreSQL with fsync, two
databases with the same rows, each application one process pinned to one core,
PostgreSQL and wrk on the other; 1, 8 and 32 connections; a warm-up, then
alternating rounds. Quoted are ratios of medians. Real keys, the limiter on
with its limit raised, audit rows written; rows counted against answers.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from bench.large_clinic import ROOT, LargeClinic
from bench.load import free_port, wait_for_v1
from scripts import servers

PEER = ROOT.parent / "shared" / "bench"
APP_CORE, OTHER_CORE = "0", "1"
CONNECTIONS = (1, 8, 32)
KINDS = {"get": "GET one", "page": "page of 20", "post": "POST"}
TARGETS = {1: (1.2, 1.0), 8: (2.0, 1.5), 32: (2.0, 5.0)}  # requests a second, p99
OTHERS, ROWS_EACH = 19, 8_000


@dataclass
class Side:
    """One of the two servers while it runs: where, with which key, its database, its process."""

    name: str
    address: str
    key: str
    database: str
    process: subprocess.Popen
    written: int = 0
    rounds: dict[tuple[str, int], list["Round"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """What wrk said about a few seconds. Times in microseconds; `cpu` is the application's, a request."""

    rate: float
    p50: float
    p99: float
    cpu: float


def run_race(clinic: LargeClinic, *, rounds: int = 3, seconds: int = 3) -> None:
    """Print the table of the race. `clinic` is the one both sides are measured with."""
    if not PEER.exists():
        print("  ../shared/bench is not here: nobody to race against")
        return
    superuser = os.environ["DATABASE_ADMIN_URL"]
    key = _our_key(clinic)
    _pin_postgres(superuser)
    _add_clinics(superuser)
    _make_peer_database(superuser, clinic, key)
    ids = Path(clinic.environment["STATE_DIR"]) / "ids"
    ids.write_text("\n".join(sample["id"] for sample in clinic.samples[:2000]))
    with _carewright(clinic, key) as ours, _peer(clinic, superuser, key) as theirs:
        sides = (ours, theirs)
        before = {side.name: _count(superuser, side) for side in sides}
        for kind in KINDS:
            for connections in CONNECTIONS:
                for side in sides:
                    _run(side, kind, connections, 1, ids)
                for number in range(rounds):
                    for side in sides if number % 2 else sides[::-1]:
                        one = _run(side, kind, connections, seconds, ids)
                        side.rounds.setdefault((kind, connections), []).append(one)
        _print(ours, theirs)
        _print_raw(ours, _raw_limit(superuser, clinic, seconds))
        for side in sides:
            grown = _count(superuser, side) - before[side.name]
            print(f"  {side.name}: {side.written:,} writes answered, {grown:,} rows more, audit rows as many: "
                  f"{_audit_is_whole(superuser, side)}")  # fmt: skip


def _run(side: Side, kind: str, connections: int, seconds: int, ids: Path) -> Round:
    environment = {
        **os.environ,
        "RACE_KIND": kind,
        "RACE_KEY": side.key,
        "RACE_IDS": str(ids),
        "RACE_FIRST": str(2_000_000_000 + random.randrange(7_000) * 1_000_000),
    }
    cpu = _cpu(side.process.pid)
    done = subprocess.run(
        ["taskset", "-c", OTHER_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
         "-s", str(ROOT / "bench" / "peer.lua"), f"http://{side.address}"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    cpu = _cpu(side.process.pid) - cpu
    line = next(line for line in done.stdout.splitlines() if line.startswith("RACE "))
    told = json.loads(line[5:])
    if told["bad"] or told["broken"] or not told["requests"]:
        raise RuntimeError(f"{side.name} {kind} at {connections}: the run is void: {told}")
    if kind == "post":
        # wrk ends with requests under way; those it did not count may be written, too.
        side.written += told["requests"]
        time.sleep(0.3)
    return Round(told["requests"] / told["us"] * 1e6, told["p50"], told["p99"], cpu / told["requests"] * 1e6)


def _print(ours: Side, theirs: Side) -> None:
    print(f"\n  {'':<12}{'c':>3}{'ours /s':>10}{'peer /s':>10}{'ratio':>7}  target"
          f"{'p50 ms':>15}{'p99 ms':>17}{'peer÷ours':>11}  target{'cpu µs':>14}")  # fmt: skip
    for kind, words in KINDS.items():
        for connections in CONNECTIONS:
            a, b = ours.rounds[kind, connections], theirs.rounds[kind, connections]
            rate, p99 = _ratio(a, b, "rate"), 1 / _ratio(a, b, "p99")
            least, calm = TARGETS[connections]
            print(
                f"  {words:<12}{connections:>3}{_median(a, 'rate'):>10,.0f}{_median(b, 'rate'):>10,.0f}{rate:>7.2f}"
                f"  {least} {_mark(rate, least)}"
                f"{_median(a, 'p50') / 1e3:>8.2f}/{_median(b, 'p50') / 1e3:<6.2f}"
                f"{_median(a, 'p99') / 1e3:>9.2f}/{_median(b, 'p99') / 1e3:<7.2f}{p99:>9.2f}  {calm} {_mark(p99, calm)}"
                f"{_median(a, 'cpu'):>8.0f}/{_median(b, 'cpu'):<6.0f}"
            )


def _median(rounds: list[Round], what: str) -> float:
    return statistics.median(getattr(one, what) for one in rounds)


def _ratio(ours: list[Round], theirs: list[Round], what: str) -> float:
    return _median(ours, what) / _median(theirs, what)


def _mark(measured: float, target: float) -> str:
    return "reached" if measured >= target else "MISSED "


# --- What the database alone can do ----------------------------------------------------------------------------------

_RAW = {
    "get": "SELECT p.* FROM patient p WHERE p.id = (SELECT r.id FROM race_ids r WHERE r.n = :n);",
    "page": "SELECT * FROM patient WHERE document_type_id = 1 ORDER BY created_at DESC, id DESC LIMIT 21;",
    "post": """WITH p AS (
            INSERT INTO patient (id, tenant_id, first_name, first_last_name, second_last_name, birth_date, gender_id,
                document_type_id, document_number, cell_phone, email)
            VALUES (gen_random_uuid(), '{tenant}', 'Raw', 'Runner', 'Two', '1990-05-17', 2, 1, :n::text, '3001234567',
                'raw@example.com') RETURNING id, tenant_id)
        INSERT INTO audit_log (tenant_id, action, entity, entity_id) SELECT tenant_id, 'raw', 'patient', id FROM p;""",
}


def _raw_limit(superuser: str, clinic: LargeClinic, seconds: int) -> dict[tuple[str, int], float]:
    """Transactions a second of the same SELECT and INSERT by pgbench on the peer's rows, each in a transaction."""
    program = servers.postgres_program("pgbench")
    where = psycopg.conninfo.conninfo_to_dict(superuser)
    environment = {**os.environ, "PGPASSWORD": "peer-password"}
    with psycopg.connect(superuser, dbname="peer", autocommit=True) as admin:
        admin.execute("CREATE TABLE race_ids (n int PRIMARY KEY, id uuid NOT NULL)")
        admin.execute("GRANT SELECT ON race_ids TO peer")
        with admin.cursor().copy("COPY race_ids FROM STDIN") as copy:
            for number, sample in enumerate(clinic.samples[:2000], 1):
                copy.write_row([number, sample["id"]])
        most = admin.execute("SELECT count(*) FROM race_ids").fetchone()[0]
    rates = {}
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        for kind, statement in _RAW.items():
            script.seek(0)
            script.truncate()
            statement = statement.replace("{tenant}", clinic.tenant_id)
            script.write(f"\\set n random(1, {most})\nBEGIN;\nSET LOCAL app.tenant_id = '{clinic.tenant_id}';\n")
            script.write(f"{' '.join(statement.split())}\nCOMMIT;\n")
            script.flush()
            for connections in CONNECTIONS:
                done = subprocess.run(
                    ["taskset", "-c", APP_CORE, str(program), "-n", "-M", "prepared", "-j", "1", "-c", str(connections),
                     "-T", str(seconds), "-f", script.name, "-h", where["host"], "-p", str(where.get("port", 5432)),
                     "-U", "peer", "peer"],
                    env=environment, capture_output=True, text=True, check=True,
                )  # fmt: skip
                told = next(line for line in done.stdout.splitlines() if line.startswith("tps = "))
                rates[kind, connections] = float(told.split()[2])
    return rates


def _print_raw(ours: Side, raw: dict[tuple[str, int], float]) -> None:
    print("\n  pgbench, the same SELECT and INSERT in BEGIN, SET LOCAL, COMMIT; goal: ours within 0.4 of it")
    for (kind, connections), rate in raw.items():
        share = _median(ours.rounds[kind, connections], "rate") / rate
        line = f"  {KINDS[kind]:<12}{connections:>3}{rate:>10,.0f} /s   ours ÷ pgbench {share:.2f}"
        print(f"{line}   0.4 {_mark(share, 0.4)}")


# --- The two sides ---------------------------------------------------------------------------------------------------


def _our_key(clinic: LargeClinic) -> str:
    from accounts.api_keys.services import create_key
    from tenancy.tenants.context import tenant_context

    with tenant_context(clinic.tenant_id):
        _key, plaintext = create_key(by=None, name="race", scopes=["admin"], requests_per_minute=60_000)
    return plaintext


@contextmanager
def _carewright(clinic: LargeClinic, key: str) -> Iterator[Side]:
    port = free_port()
    command = [sys.executable, "-m", "granian", "config.wsgi:application", "--interface", "wsgi"]
    options = ["--host", "127.0.0.1", "--workers", "1", "--blocking-threads", "4", "--http", "1", "--no-ws"]
    environment = {**os.environ, **clinic.environment, "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    with _server([*command, *options, "--port", str(port)], environment, ROOT, "carewright") as process:
        side = Side("Carewright", f"127.0.0.1:{port}", key, "carewright", process)
        wait_for_v1(side.address, side.key)
        yield side


@contextmanager
def _peer(clinic: LargeClinic, superuser: str, key: str) -> Iterator[Side]:
    port = free_port()
    python = _peer_python()
    parts = psycopg.conninfo.conninfo_to_dict(superuser)
    dsn = f"postgresql+asyncpg://peer:peer-password@/peer?host={parts['host']}&port={parts.get('port', 5432)}"
    environment = {**os.environ, "PEER_DSN": dsn, "PYTHONPATH": str(PEER)}
    command = [python, "-m", "uvicorn", "peer_fastapi:app", "--loop", "uvloop", "--http", "httptools"]
    options = ["--no-access-log", "--log-level", "warning", "--port", str(port)]
    with _server([*command, *options], environment, PEER, "peer") as process:
        side = Side("peer", f"127.0.0.1:{port}", key, "peer", process)
        wait_for_v1(side.address, side.key)
        yield side


def _peer_python() -> str:
    """The interpreter of the peer's own virtual environment, made on first use beside the other tool files."""
    home = ROOT / ".venv-peer"
    if not (home / "bin" / "uvicorn").exists():
        print("  installing the peer's packages", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        wanted = str(ROOT / "bench" / "peer-requirements.txt")
        subprocess.run([str(home / "bin" / "pip"), "install", "--quiet", "-r", wanted], check=True)
    return str(home / "bin" / "python")


@contextmanager
def _server(command, environment, folder, name) -> Iterator[subprocess.Popen]:
    with tempfile.NamedTemporaryFile("w", prefix=f"race-{name}-", suffix=".log") as log:
        process = subprocess.Popen(
            ["taskset", "-c", APP_CORE, *command],
            env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        except BaseException:
            print(Path(log.name).read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


def _cpu(pid: int) -> float:
    """Seconds of processor time of a process and its children."""
    ticks = 0
    for one in [pid, *_children(pid)]:
        stat = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed] + [other for child in listed for other in _children(int(child))]


# --- The database ----------------------------------------------------------------------------------------------------


def _pin_postgres(superuser: str) -> None:
    """Every process of the server onto the other core; those it starts from now on follow the postmaster."""
    with psycopg.connect(superuser) as admin:
        backend = admin.info.backend_pid
        postmaster = int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])
    for pid in [postmaster, *_children(postmaster)]:
        subprocess.run(["taskset", "-a", "-c", "-p", OTHER_CORE, str(pid)], check=False, capture_output=True)


def _add_clinics(superuser: str) -> None:
    """Nineteen more clinics with patients of their own, copied from the measured one."""
    with psycopg.connect(superuser, dbname="carewright") as admin:
        admin.execute("SET session_replication_role = replica")
        if admin.execute("SELECT count(*) FROM tenants_tenant").fetchone()[0] > OTHERS:
            return
        columns = [row[0] for row in admin.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'patients_patient'"
            " AND column_name NOT IN ('id', 'tenant_id')")]  # fmt: skip
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        tenant = [row[0] for row in admin.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'tenants_tenant'"
            " AND column_name NOT IN ('id', 'slug', 'name')")]  # fmt: skip
        details = sql.SQL(", ").join(map(sql.Identifier, tenant))
        for number in range(OTHERS):
            copy = sql.SQL(
                "WITH t AS (INSERT INTO tenants_tenant (id, slug, name, {details}) SELECT gen_random_uuid(),"
                " 'other-' || {number}, 'Other ' || {number}, {details} FROM tenants_tenant WHERE slug = 'large'"
                " RETURNING id)"
                " INSERT INTO patients_patient (id, tenant_id, {names}) SELECT gen_random_uuid(), t.id, {names}"
                " FROM t, (SELECT * FROM patients_patient"
                " WHERE tenant_id = (SELECT id FROM tenants_tenant WHERE slug = 'large') LIMIT {rows}) p"
            )
            admin.execute(copy.format(details=details, names=names, number=str(number), rows=ROWS_EACH))
    with psycopg.connect(superuser, dbname="carewright", autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE patients_patient")


_SAME_ROWS = """
    SELECT id, tenant_id, first_name, second_name, first_last_name, second_last_name, birth_date, gender_id,
        document_type_id, document_number, phone, cell_phone, email, insurer_id, habeas_data, custom_fields,
        created_at, updated_at
    FROM patients_patient
"""


_PEER_COLUMNS = (
    "id, tenant_id, first_name, second_name, first_last_name, second_last_name, birth_date, gender_id,"
    " document_type_id, document_number, phone, cell_phone, email, eps_id, habeas_data, custom_fields,"
    " created_at, updated_at"
)


def _copy(source, question: str, target, table: str) -> None:
    reading = source.cursor().copy(sql.SQL(f"COPY ({question}) TO STDOUT"))
    writing = target.cursor().copy(sql.SQL(f"COPY {table} FROM STDIN"))
    with reading as rows, writing as copy:
        for block in rows:
            copy.write(block)


def _make_peer_database(superuser: str, clinic: LargeClinic, key: str) -> None:
    from accounts.api_keys.key_text import hash_of

    with psycopg.connect(superuser, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS peer")
        admin.execute("CREATE DATABASE peer")
        if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = 'peer'").fetchone():
            admin.execute("CREATE ROLE peer LOGIN PASSWORD 'peer-password'")
    with psycopg.connect(superuser, dbname="carewright") as source, psycopg.connect(superuser, dbname="peer") as target:
        target.execute((PEER / "peer_schema.sql").read_text())
        _copy(source, "SELECT id, name FROM tenants_tenant", target, "tenant (id, name)")
        _copy(source, _SAME_ROWS, target, f"patient ({_PEER_COLUMNS})")
        target.execute(
            "INSERT INTO api_key (id, tenant_id, key_hash, name) VALUES (gen_random_uuid(), %s, %s, 'race')",
            [clinic.tenant_id, hash_of(key)],
        )
    with psycopg.connect(superuser, dbname="peer", autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")


def _count(superuser: str, side: Side) -> int:
    table = "patient" if side.name == "peer" else "patients_patient"
    with psycopg.connect(superuser, dbname=side.database) as admin:
        return admin.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()[0]


def _audit_is_whole(superuser: str, side: Side) -> bool:
    """Every patient written through the door has its row in the trail."""
    question = (
        "SELECT (SELECT count(*) FROM patient WHERE first_name = 'Race') ="
        " (SELECT count(*) FROM audit_log WHERE action = 'create')"
        if side.name == "peer"
        else "SELECT (SELECT count(*) FROM patients_patient WHERE first_name = 'Race') ="
        " (SELECT count(*) FROM audit_auditentry WHERE action = 'patient_created')"
    )
    with psycopg.connect(superuser, dbname=side.database) as admin:
        return bool(admin.execute(question).fetchone()[0])
