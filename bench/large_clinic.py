"""One clinic with very many patients: how fast somebody is found, by function and by page.

The rows are written by COPY as the superuser, because nobody else may; from
then on everything runs as the app role under row policies, as in production.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import psycopg

from bench.load import free_port, hammer, sign_in
from bench.report import Figure, percentile
from scripts import servers

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "bench-only-passphrase"
QUERIES = 300


@dataclass
class LargeClinic:
    """A running installation with one large clinic; `samples` are patients to ask for."""

    tenant_id: str
    environment: dict[str, str]
    samples: list[dict]


@contextmanager
def open_clinic(patients: int) -> Iterator[LargeClinic]:
    """Start servers in a folder of their own, fill one clinic, stop and remove everything at the end."""
    with tempfile.TemporaryDirectory(prefix="carewright-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        postgres = servers.start_postgres(home / "postgres")
        redis = servers.start_redis(home / "redis")
        try:
            environment = _environment(home, postgres, redis)
            os.environ.update(environment)
            _prepare()
            tenant_id, samples = _fill(postgres, patients)
            yield LargeClinic(tenant_id, environment, samples)
        finally:
            redis.stop()
            postgres.stop()


def _environment(home, postgres, redis) -> dict[str, str]:
    def address(role):
        return postgres.url(f"carewright_{role}", f"{role}-password", "carewright")

    return {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "ENV_FILE": "/dev/null",
        "SECRET_KEY": "bench" * 10,
        "DEMO": "true",
        "DATABASE_URL": address("app"),
        "DATABASE_OWNER_URL": address("owner"),
        "DATABASE_BACKUP_URL": address("backup"),
        "DATABASE_ADMIN_URL": postgres.superuser_url,
        "REDIS_URL": redis.url,
        "STATE_DIR": str(home),
        "RATE_LIMIT_SCALE": "100000",
        "LOG_LEVEL": "WARNING",
    }


def _prepare() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("setup_database", verbosity=0, stdout=sys.stderr)
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)


def _fill(postgres, count: int) -> tuple[str, list[dict]]:
    from accounts.users.services import create_tenant
    from tenancy.tenants.context import tenant_context
    from tenancy.tenants.numbering import next_number

    tenant, _admin = create_tenant(
        slug="large", name="Large Clinic", admin_email="admin@large.example", admin_password=PASSWORD,
        two_factor_required=False,
    )  # fmt: skip
    rng = random.Random(20261121)
    samples = []
    began = time.monotonic()
    with psycopg.connect(postgres.superuser_url, dbname="carewright") as admin:
        # Triggers write versions and check references; both would only slow the filling.
        admin.execute("SET session_replication_role = replica")
        with tenant_context(tenant.id):
            next_number("patient", count=count)  # who is registered next comes after these
            for first in range(1, count + 1, 10_000):
                batch = [_patient(tenant, number, rng) for number in range(first, min(first + 10_000, count + 1))]
                _copy(admin, batch)
                samples += [_sample(patient) for patient in rng.sample(batch, min(len(batch), 60))]
                print(
                    f"\r  {first + len(batch) - 1:,} patients, {time.monotonic() - began:.0f} s",
                    end="",
                    file=sys.stderr,
                )
        admin.execute("SELECT setval('patients_patientversion_pgh_id_seq', 1)")
    with psycopg.connect(postgres.superuser_url, dbname="carewright", autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")
    print(file=sys.stderr)
    return str(tenant.id), samples


def _names() -> tuple[list[str], list[str]]:
    """Given and family names that occur in the demonstration's patients, the common ones often."""
    import json

    given, family = [], []
    for path in sorted((ROOT / "clinic" / "fhir" / "data").rglob("*.ndjson")):
        for line in path.read_text(encoding="utf-8").splitlines():
            resource = json.loads(line)
            if resource.get("resourceType") == "Patient":
                given += [word for name in resource["name"] for word in name.get("given", [])]
                family += [word for name in resource["name"] for word in name.get("family", "").split()]
    return given, family


def _patient(tenant, number: int, rng: random.Random):
    from clinic.names import fold
    from clinic.patients.models import Patient

    given, family = _names_once()
    patient = Patient(
        tenant=tenant,
        number=number,
        first_name=rng.choice(given),
        second_name=rng.choice(given) if rng.random() < 0.4 else "",
        first_last_name=rng.choice(family) + _ending(rng),
        second_last_name=rng.choice(family) + _ending(rng),
        gender_id=rng.randint(1, 2),
        birth_date=date(1930, 1, 1) + timedelta(days=rng.randrange(35_000)),
        document_type_id=1,
        document_number=str(10_000_000 + number * 5_923 % 1_190_000_003),
        phone=f"3{rng.randrange(100_000_000, 999_999_999)}",
        email=f"person{number}@mail.example",
        version=1,
    )
    patient.document_key = patient.document_number
    patient.sort_name = fold(f"{patient.name_parts.family} {patient.name_parts.given}")
    return patient


def _ending(rng: random.Random) -> str:
    """A few thousand family names out of a few hundred, as a real register has."""
    return rng.choice(["", "", "", "ez", "ano", "eda", "illo", "era", "osa", "ini"])


_cached: list = []


def _names_once():
    if not _cached:
        _cached.extend(_names())
    return _cached


def _copy(admin, patients) -> None:
    from clinic.patients.models import Patient, PatientToken
    from clinic.patients.search import tokens_of
    from tenancy.tenants.models import new_id

    columns = [field for field in Patient._meta.concrete_fields if field.attname != "custom_fields"]
    names = ", ".join(f'"{field.column}"' for field in columns)
    with admin.cursor() as cursor:
        with cursor.copy(f"COPY patients_patient ({names}, custom_fields) FROM STDIN") as copy:
            for patient in patients:
                values = [getattr(patient, field.attname) for field in columns]
                copy.write_row([*("{}" if isinstance(value, dict) else value for value in values), "{}"])
        table = PatientToken._meta.db_table
        with cursor.copy(f"COPY {table} (id, tenant_id, patient_id, token) FROM STDIN") as copy:
            for patient in patients:
                for token in tokens_of(patient):
                    copy.write_row([new_id(), patient.tenant_id, patient.id, token])


def _sample(patient) -> dict:
    return {
        "id": str(patient.id),
        "first": patient.first_name,
        "last": patient.first_last_name,
        "document": patient.document_number,
        "phone": patient.phone,
    }


def queries_of(samples: list[dict]) -> dict[str, list[str]]:
    """What people type, by kind, made from patients that exist."""
    some = samples[:QUERIES]
    return {
        "two name prefixes (3 letters each)": [f"{s['last'][:3]} {s['first'][:3]}" for s in some],
        "two whole names": [f"{s['first']} {s['last']}" for s in some],
        "one name prefix (3 letters)": [s["last"][:3] for s in some],
        "document number": [s["document"] for s in some],
        "phone tail (5 digits)": [s["phone"][-5:] for s in some],
    }


def measure_search(clinic: LargeClinic) -> list[Figure]:
    """p50 and p95 of `find_patient_ids` by kind, as the app role; round trips and Python included."""
    from clinic.patients.search import find_patient_ids, read_query
    from tenancy.tenants.context import tenant_context

    random.Random(1).shuffle(clinic.samples)
    figures = []
    for kind, queries in queries_of(clinic.samples).items():
        times, found = [], 0
        for query in [*queries[:20], *queries]:
            words = read_query(query).words
            with tenant_context(clinic.tenant_id):
                began = time.perf_counter()
                found += bool(find_patient_ids(words, limit=200))
                times.append((time.perf_counter() - began) * 1000)
        times = times[20:]
        note = f"p50 {percentile(times, 0.5):.2f} ms, {found - 20} of {len(queries)} found somebody"
        figures.append(Figure(f"{kind}, p95", percentile(times, 0.95), "ms", 5.0, note))
    return figures


def measure_pages(clinic: LargeClinic) -> list[Figure]:
    """p99 of whole pages over HTTP: the search and the chart, eight connections at once, a signed-in administrator."""
    with open_web(clinic) as address:
        cookie = sign_in(address, "admin@large.example", PASSWORD)
        queries = [query for kind in queries_of(clinic.samples).values() for query in kind[:60]]
        pages = {
            "search page": ([f"/patients/?q={quote(query)}" for query in queries], 50.0),
            "live search (rows only)": ([f"/patients/?q={quote(query)}" for query in queries], 50.0),
            "chart page": ([f"/patients/{sample['id']}/" for sample in clinic.samples[:QUERIES]], 100.0),
            "list page": (["/patients/"] * 200, 100.0),
        }
        figures = []
        for name, (paths, target) in pages.items():
            headers = {"HX-Request": "true"} if "live" in name else {}
            hammer(address, cookie, paths[:40], connections=8, headers=headers)
            times, errors, seconds = hammer(address, cookie, paths * 2, connections=8, headers=headers)
            note = f"p50 {percentile(times, 0.5):.1f} ms, {len(times) / seconds:.0f}/s, {errors} errors"
            figures.append(Figure(f"{name}, p99", percentile(times, 0.99), "ms", target, note))
        return figures


@contextmanager
def open_web(clinic: LargeClinic, *, threads: int = 2, application: str = "config.wsgi:application") -> Iterator[str]:
    """The web as it runs in production, two processes with two threads each; gives host and port."""
    port = free_port()
    command = ["granian", "--interface", "wsgi", application, "--host", "127.0.0.1", "--port", str(port)]
    program = str(Path(sys.executable).parent / command[0])
    log = open(Path(clinic.environment["STATE_DIR"]) / "web.log", "w")  # noqa: SIM115
    process = subprocess.Popen(
        [program, *command[1:], "--workers", "2", "--blocking-threads", str(threads)],
        env={**os.environ, **clinic.environment, "PUBLIC_URL": f"http://127.0.0.1:{port}"},
        cwd=ROOT,
        stdout=log,
        stderr=log,
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        log.close()
