"""A whole installation as a newcomer meets it: cold start, warm start, memory, the import of real patients."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench.load import free_port
from bench.report import Figure

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT.parent / "shared" / "data" / "patients"


def measure_start() -> list[Figure]:
    """`make run` in a fresh clone without a virtual environment, then again on the same state."""
    with tempfile.TemporaryDirectory(prefix="carewright-start-") as folder:
        checkout = Path(folder) / "carewright"
        Path(folder).chmod(0o755)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
        cold, _memory = _start_once(checkout)
        warm, memory = _start_once(checkout)
    return [
        Figure("cold make run to a page, downloads included", cold, "s", 150),
        Figure("warm start to a page", warm, "s", 15),
        Figure("everything at rest, resident", memory, "MB", 900, "sum of PSS of all processes"),
    ]


def _start_once(checkout: Path) -> tuple[float, float]:
    """Seconds until the sign-in page answers, and megabytes half a minute later."""
    port = free_port()
    began = time.monotonic()
    with open(checkout.parent / "make-run.log", "a") as log:
        process = subprocess.Popen(
            ["make", "run"],
            cwd=checkout,
            env={**_bare_environment(), "PORT": str(port), "STATE_DIR": str(checkout / ".local")},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while not _answers(f"http://127.0.0.1:{port}/sign-in/"):
            if process.poll() is not None or time.monotonic() - began > 600:
                raise RuntimeError((checkout.parent / "make-run.log").read_text()[-2000:])
            time.sleep(0.1)
        seconds = time.monotonic() - began
        time.sleep(25)
        return seconds, sum(_pss(pid) for pid in _session(process.pid)) / 1024
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _bare_environment() -> dict[str, str]:
    """What a newcomer's shell has: nothing of ours."""
    ours = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE", "STATE_DIR", "ENV_FILE"}
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("DATABASE_")}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _session(leader: int) -> list[int]:
    """All processes that descend from one, whatever sessions they opened."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    family = {leader}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sorted(family)


def _pss(pid: int) -> float:
    """Proportional set size in kilobytes: shared pages counted once over all who share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((float(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def measure_import() -> list[Figure]:
    """`import_fhir` of every patient in ../shared/data, twice; nothing where the folder is not there."""
    if not SAMPLES.exists():
        print("  ../shared/data/patients is not here: nothing to import")
        return []
    from bench.large_clinic import open_clinic

    with open_clinic(0) as clinic:
        first, again = _import(clinic.environment), _import(clinic.environment)
    patients = first["by_type"]["Patient"]
    note = f"{patients['created']} created, {patients['updated']} updated, {first['refused']} refused of all types"
    unchanged = f"{again['by_type']['Patient']['unchanged']} unchanged"
    return [
        Figure("import_fhir of all patients", first["seconds"], "s", 30, note),
        Figure("the same again", again["seconds"], "s", None, unchanged),
    ]


def _import(environment: dict[str, str]) -> dict:
    command = [sys.executable, "manage.py", "import_fhir", "--tenant", "large", str(SAMPLES)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)
