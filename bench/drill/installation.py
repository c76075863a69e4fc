"""An installation to be killed: PostgreSQL, Redis, web, worker and beat, each started as `make run` starts it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg

from bench.load import free_port
from scripts import servers
from scripts.run import beat_command, web_command, worker_command
from scripts.supervisor import Group, start_group

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 120
SET_UP = """
import json, os, django
django.setup()
from django.core.management import call_command
from accounts.api_keys import services as keys
from accounts.users.services import create_tenant
from tenancy.events import services as events
from tenancy.tenants.context import tenant_context

call_command("setup_database", verbosity=0, stdout=open(os.devnull, "w"))
call_command("migrate", verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
tenant, _admin = create_tenant(slug="drill", name="Drill Clinic", admin_email="admin@drill.example",
    admin_password="drill-only-passphrase", two_factor_required=False)
with tenant_context(tenant.id):
    _key, text = keys.create_key(by=None, name="drill", scopes=["patients:write"])
    url = os.environ["DRILL_RECEIVER"]
    _endpoint, secret = events.create_endpoint(by=None, url=url, event_types=["patient.created"])
print(json.dumps({"tenant": str(tenant.id), "key": text, "secret": secret}))
"""


class Installation:
    """Call everything from the main thread: what is started dies with the thread that started it."""

    def __init__(self, home: Path, receiver_url: str):
        self.home, self.port, self.receiver_url = home, free_port(), receiver_url
        self.postgres = servers.start_postgres(home / "postgres")  # fsync on: what was acknowledged is on the disk
        self.redis = servers.start_redis(home / "redis")
        self.groups: dict[str, Group] = {}
        self.environment = self._environment()
        self.facts = self._set_up()
        for name in ("web", "worker", "beat"):
            self.start(name)
        self.wait_for_web()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _environment(self) -> dict[str, str]:
        def url(role):
            return self.postgres.url(f"carewright_{role}", f"{role}-password", "carewright")

        ours = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "ENV_FILE": os.devnull,
            "SECRET_KEY": "drill" * 10,
            "DATABASE_URL": url("app"),
            "REDIS_URL": self.redis.url,
            "PUBLIC_URL": f"http://localhost:{self.port}",
            "STATE_DIR": str(self.home),
            "METRICS_DIR": str(self.home / "metrics"),
            "EMAIL_URL": f"file://{self.home / 'mails'}",
            "WEBHOOK_LOOPBACK": "true",
            "RATE_LIMIT_SCALE": "100000",
            "LOG_LEVEL": "WARNING",
            "MALLOC_ARENA_MAX": "2",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "TEST_"))}
        return {**inherited, **ours}

    def _set_up(self) -> dict[str, str]:
        def url(role):
            return self.postgres.url(f"carewright_{role}", f"{role}-password", "carewright")

        operators = {
            "DATABASE_ADMIN_URL": self.postgres.superuser_url,
            "DATABASE_OWNER_URL": url("owner"),
            "DATABASE_BACKUP_URL": url("backup"),
            "DRILL_RECEIVER": self.receiver_url,
        }
        return json.loads(self.run(["-c", SET_UP], **operators).splitlines()[-1])

    def run(self, arguments: list[str], **more: str) -> str:
        """Output of a Python of this installation. Raises RuntimeError with what it complained of."""
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=self.environment | more, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(
                f"{arguments[:2]} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}"
            )
        return done.stdout

    def audit_verify(self) -> str:
        """ "" where every chain is whole, else what is not."""
        try:
            self.run(["manage.py", "audit_verify"])
        except RuntimeError as error:
            return str(error)
        return ""

    def database(self) -> psycopg.Connection:
        """The superuser's view of everything, for the checker."""
        return psycopg.connect(self.postgres.superuser_url, dbname="carewright", autocommit=True)

    # --- Starting, killing, starting again ---------------------------------------------------------------------------

    def start(self, name: str) -> None:
        commands: dict[str, Callable[[], list[str]]] = {
            "web": lambda: web_command("127.0.0.1", self.port),
            "worker": worker_command,
            "beat": lambda: beat_command(self.home / "beat-schedule"),
        }
        self.groups[name] = start_group(
            [sys.executable, *commands[name]()],
            log=self.home / f"{name}.log",
            environment=self.environment,
            directory=ROOT,
        )

    def kill(self, name: str) -> None:
        """SIGKILL, to the leader or to whatever of it was asked for; nothing is started again."""
        {
            "postgres": lambda: _kill(self.postgres.pid),
            "postgres backend": self._kill_backend,
            "redis": lambda: _kill(self.redis.pid),
            "redis, emptied": lambda: _kill(self.redis.pid),
            "web": lambda: _kill_group(self.groups["web"].pid),
            "web process": lambda: _kill_child(self.groups["web"].pid),
            "worker": lambda: _kill_group(self.groups["worker"].pid),
            "worker process": lambda: _kill_child(self.groups["worker"].pid),
            "beat": lambda: _kill_group(self.groups["beat"].pid),
        }[name]()

    def heal(self, name: str) -> None:
        """Start again what was killed, as a supervisor does, and wait until it works."""
        if name.startswith("postgres"):
            if name == "postgres":
                self.postgres.process.wait()
            self._wait_for_database()
        elif name.startswith("redis"):
            self.redis.process.wait()
            if name == "redis, emptied":
                for left in (self.home / "redis").glob("appendonly*"):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            self.redis = servers.start_redis(self.home / "redis")
        self.revive()
        if name.startswith("web"):
            self.wait_for_web()

    def revive(self) -> None:
        """Whatever of our own programs has ended is started again."""
        for name, group in list(self.groups.items()):
            if not group.is_running():
                group.stop(0)
                self.start(name)

    def _kill_backend(self) -> None:
        """One connection's process; PostgreSQL then ends all others too and recovers, because memory may be torn."""
        with suppress(psycopg.Error), self.database() as looking:
            row = looking.execute(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'carewright_app' ORDER BY query_start DESC LIMIT 1"
            ).fetchone()
        _kill(row[0] if row else self.postgres.pid)

    def _wait_for_database(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                if not self.postgres.is_running():
                    self.postgres = servers.start_postgres(self.home / "postgres")
                with self.database() as looking:
                    looking.execute("SELECT 1")
                return
            except (psycopg.Error, servers.ServerProblem):  # tried again, as `make run` does
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def wait_for_web(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://{self.address}/readyz", timeout=5):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"The web server does not answer; see {self.home}/web.log")
            self.revive()
            time.sleep(0.05)

    def stop(self) -> None:
        for group in self.groups.values():
            group.ask_to_stop()
        for group in self.groups.values():
            group.stop(10)
        self.redis.stop()
        self.postgres.stop()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _kill_child(leader: int) -> None:
    """The newest process below the leader; the leader itself where there is none yet."""
    children = Path(f"/proc/{leader}/task/{leader}/children")
    pids = children.read_text().split() if children.exists() else []
    _kill(int(pids[-1]) if pids else leader)
