"""`make run`: a bare machine with Python becomes a clinic in the browser, and stays one until Ctrl-C.

In order: STATE_DIR and the port are checked, packages installed, PostgreSQL
and Redis started, the database brought up to date, then web, worker and beat
kept alive. Whatever a person can mend ends it with one sentence on stderr and
exit code 1. Standard library only: it starts before anything is installed.

Environment: PORT, STATE_DIR, RATE_LIMIT_SCALE, HOST, and everything in
`.env.example`. With DATABASE_URL or REDIS_URL those servers are used instead
of the embedded ones.
"""

import ctypes
import email
import email.policy
import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

from scripts import Problem, bootstrap, reason_of
from scripts.servers import postgres_program, start_postgres, start_process, start_redis
from scripts.state import State, content_digest, free_megabytes
from scripts.supervisor import Step, Supervisor, complain, end_leftovers, say, start_group

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv" / "bin" / "python")
CODE = ["manage.py", "requirements.lock", "config", "tenancy", "accounts", "clinic", "quality", "scripts/prepare.py"]
STATIC_SOURCES = ["requirements.lock", "config/settings.py", "static"]
# Only migrations and dumps may be somebody other than the app role.
ONLY_FOR_OPERATORS = ("DATABASE_OWNER_URL", "DATABASE_BACKUP_URL", "DATABASE_ADMIN_URL")
ANSWER_SECONDS = 120


class Stopped(BaseException):
    """Ctrl-C or SIGTERM. Not an Exception: nothing on the way may swallow it."""


def main() -> int:
    die_with_make()
    try:
        return start(os.environ)
    except Problem as problem:
        complain(str(problem))
    except Stopped:
        return 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            complain("the disk is full.")
        else:
            where = f" {error.filename}" if error.filename else ""
            complain(f"cannot go on:{where} {reason_of(error)}.")
    return 1


def start(environ) -> int:
    """Everything from the first check to the last goodbye. Raises Problem or Stopped."""
    stop_on_signals()
    port, host = read_port(environ), environ.get("HOST") or "127.0.0.1"
    with State.open(ROOT / (environ.get("STATE_DIR") or ".local")) as state:
        state.sign_lock(f"process {os.getpid()}, port {port}")
        end_leftovers(f"CAREWRIGHT_STATE={state.directory}")
        check_port(host, port)
        continue_in_environment()
        return run_all(environ, state, host, port)


def run_all(environ, state: State, host: str, port: int) -> int:
    supervisor = Supervisor()
    try:
        environment = settings_for_children(environ, state, port) | start_servers(environ, state, supervisor)
        prepare(state, supervisor, environment)
        state.write_environment(for_env_file(environment))
        serve(state, supervisor, without(environment, ONLY_FOR_OPERATORS), host, port)
        announce(state, environment["PUBLIC_URL"])
        mails = MailLog(environment)
        if mails.folder:
            say(f"mails go nowhere: they stand at {environment['PUBLIC_URL']}/mails/, and each is named here")
        supervisor.watch(mails.look)
    except Problem as problem:
        complain(str(problem) + disk_note(state))
        return 1
    except Stopped:
        say("stopping; what is being answered is finished first")
        return 0
    finally:
        ignore_signals()
        supervisor.stop()


# --- Checks before anything is started -------------------------------------------------------------------------------


def read_port(environ) -> int:
    text = environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Problem(f"PORT={text} is not a port number (1 to 65535).")
    return int(text)


def check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except PermissionError:
            raise Problem(f"PORT={port} needs root; choose one from 1024 on: make run PORT=8000.") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Problem(
                    f"port {port} is in use by another program; choose another: make run PORT={port + 1}."
                ) from None
            raise Problem(f"cannot listen on {host}: {reason_of(error)}.") from error


def continue_in_environment() -> None:
    """Install what is missing, then go on as a Python of .venv: it finds the embedded servers."""
    bootstrap.install("requirements-local.lock")
    if os.path.realpath(sys.prefix) != os.path.realpath(bootstrap.VENV):
        sys.stdout.flush()
        os.execv(PYTHON, [PYTHON, "-m", "scripts.run"])


# --- Environment of the children -------------------------------------------------------------------------------------


def settings_for_children(environ, state: State, port: int) -> dict[str, str]:
    """What the caller set wins, but for what this launcher decides: STATE_DIR and where things are."""
    defaults = {
        "SECRET_KEY": state.secret("secret_key"),
        "DEMO": "true",
        "EMAIL_URL": f"file://{state / 'mails'}",
        "PUBLIC_URL": f"http://localhost:{port}",
        "POSTGRES_PROGRAMS": str(postgres_program("pg_dump").parent),
        "MALLOC_ARENA_MAX": "2",
        "OPENBLAS_NUM_THREADS": "1",
    }
    decided = {
        "STATE_DIR": str(state.directory),
        "METRICS_DIR": str(state / "run" / "metrics"),
        "CAREWRIGHT_STATE": str(state.directory),
        "ENV_FILE": os.devnull,  # .env is for Compose
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
    }
    return defaults | {name: value for name, value in environ.items() if value or name not in defaults} | decided


def for_env_file(environment: dict[str, str]) -> dict[str, str]:
    """The part that tells `manage.py` which installation it works on."""
    names = ("SECRET_KEY", "DEMO", "EMAIL_URL", "PUBLIC_URL", "COOKIE_SECURE", "STATE_DIR", "REDIS_URL", "DATABASE_URL")
    for_backups = ("BACKUP_PUBLIC_KEYS", "POSTGRES_PROGRAMS")
    return {name: environment[name] for name in (*names, *for_backups, *ONLY_FOR_OPERATORS) if environment.get(name)}


def without(environment: dict[str, str], names) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


# --- PostgreSQL and Redis --------------------------------------------------------------------------------------------


def start_servers(environ, state: State, supervisor: Supervisor) -> dict[str, str]:
    """Start what is not given by DATABASE_URL or REDIS_URL; the addresses for the children."""
    if environ.get("DATABASE_URL") or environ.get("REDIS_URL"):
        say("connecting to the servers of DATABASE_URL and REDIS_URL")
        found = json.loads(run_python(["-m", "scripts.external"], environ))
        if "problem" in found:
            raise Problem(found["problem"])
    else:
        say("starting PostgreSQL and Redis")
    if environ.get("DATABASE_URL"):
        addresses = external_database(environ, state, found)
    else:
        addresses = embedded_database(state, supervisor)
    if environ.get("REDIS_URL"):
        return addresses | {"REDIS_URL": environ["REDIS_URL"]}
    redis = supervisor.add("redis", lambda: start_redis(state / "redis", log=state.log("redis")))
    return addresses | {"REDIS_URL": redis.url}


def embedded_database(state: State, supervisor: Supervisor) -> dict[str, str]:
    if not (state / "postgres").exists():
        state.forget_done("prepared")
    postgres = supervisor.add(
        "postgres",
        lambda: start_postgres(state / "postgres", log=state.log("postgres"), secrets_file=state.secrets_file),
    )

    def url(role):
        return postgres.url(f"carewright_{role}", state.secret(f"{role}_password"), "carewright")

    return {
        "DATABASE_URL": url("app"),
        "DATABASE_OWNER_URL": url("owner"),
        "DATABASE_BACKUP_URL": url("backup"),
        "DATABASE_ADMIN_URL": postgres.superuser_url,
    }


def external_database(environ, state: State, found: dict) -> dict[str, str]:
    """The addresses on a server of the operator's own; `found` is what scripts.external says of it.

    A superuser's DATABASE_URL is used once, to make the three roles; they are
    named after the database, so that several databases share one server.
    Any other role is the app role, and then DATABASE_OWNER_URL has to be given.
    """
    state.forget_done("prepared")  # it may be another database than last time
    given = {name: environ[name] for name in ("DATABASE_URL", *ONLY_FOR_OPERATORS) if environ.get(name)}
    if not found["superuser"]:
        if "DATABASE_OWNER_URL" not in given:
            raise Problem(
                f"DATABASE_URL names the role {found['user']}, which is no superuser and cannot make the other roles;"
                " set DATABASE_OWNER_URL, the role that owns the tables, as well."
            )
        return given

    def url(role):
        parts = found["server"] | {
            "dbname": found["database"],
            "user": f"{found['database']}_{role}",
            "password": state.secret(f"{role}_password"),
        }
        return f"postgresql:///?{urlencode(parts, quote_via=quote)}"

    return {
        "DATABASE_URL": url("app"),
        "DATABASE_OWNER_URL": url("owner"),
        "DATABASE_BACKUP_URL": url("backup"),
        "DATABASE_ADMIN_URL": found["admin_url"],
    }


def run_python(arguments: list[str], environment) -> str:
    done = subprocess.run([PYTHON, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Problem(f"{' '.join(arguments)} failed: {bootstrap.last_line(done.stderr)}.")
    return done.stdout


# --- The database and the static files -------------------------------------------------------------------------------


def prepare(state: State, supervisor: Supervisor, environment: dict[str, str]) -> None:
    """Roles, tables, demo data; static files at the same time. Skipped when done before from the very same code."""
    code, static = content_digest(ROOT, CODE), content_digest(ROOT, STATIC_SOURCES)
    steps = []
    if not state.is_done("prepared", code):
        say("preparing the database and the demo clinics")
        command = ["-m", "scripts.prepare", str(state / "demo.json")]
        steps.append(("prepared", code, start_step(state, supervisor, "prepare", command, environment)))
    if not state.is_done("static", static) or not (state / "static").is_dir():
        command = ["manage.py", "collectstatic", "--noinput", "--clear", "--verbosity", "0"]
        restricted = without(environment, ONLY_FOR_OPERATORS)
        steps.append(("static", static, start_step(state, supervisor, "collectstatic", command, restricted)))
    for name, digest, step in steps:
        if step.process.wait():
            raise Problem(f"{step.name} failed: {last_words(step.log)}; see {step.log}.")
        supervisor.steps.remove(step)
        state.mark_done(name, digest)


def start_step(state: State, supervisor: Supervisor, name: str, arguments: list[str], environment) -> Step:
    log = state.log(name)
    log.unlink(missing_ok=True)
    step = Step(start_process([PYTHON, *arguments], log=log, env=environment, cwd=ROOT), name, log)
    supervisor.steps.append(step)
    return step


def last_words(log: Path) -> str:
    said = log.read_text(errors="replace") if log.exists() else ""
    return bootstrap.last_line(said).removeprefix("carewright: ")


# --- Mails -----------------------------------------------------------------------------------------------------------


class MailLog:
    """Says each mail that goes into the folder of EMAIL_URL=file://…, in the demonstration: to whom, what, which link.

    Mails from before the start are known already.
    """

    def __init__(self, environment: dict[str, str]):
        scheme, _, folder = environment.get("EMAIL_URL", "").partition("://")
        is_demo = environment.get("DEMO", "").lower() in {"1", "true", "yes", "on"}
        self.folder = Path(folder) if scheme == "file" and is_demo else None
        self.said = set(self._files())
        self.look_at = 0.0

    def look(self) -> None:
        if time.monotonic() < self.look_at:
            return
        self.look_at = time.monotonic() + 1
        files = self._files()
        for file in files:
            if file not in self.said:
                say(f"mail {sentence_about(file)}")
        self.said = set(files)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.eml")) if self.folder else []


def sentence_about(file: Path) -> str:
    """`to ana@example.org: "You are invited", http://…`. A mail that is gone or odd is no reason to stop anything."""
    try:
        message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        body = message.get_body(("plain",))
        link = re.search(r"https?://\S+", body.get_content() if body else "")
        return f'to {message["To"]}: "{message["Subject"]}"' + (f", {link[0]}" if link else "")
    except (OSError, ValueError, LookupError) as error:
        return f"{file.name} cannot be read ({type(error).__name__})"


# --- Web, worker, beat -----------------------------------------------------------------------------------------------


def serve(state: State, supervisor: Supervisor, environment: dict[str, str], host: str, port: int) -> None:
    """Start web, wait until it answers, then worker and beat: the page comes first."""
    shutil.rmtree(environment["METRICS_DIR"], ignore_errors=True)  # counts of processes that are gone
    commands = {
        "web": web_command(host, port),
        "worker": worker_command(),
        "beat": beat_command(state / "run" / "beat-schedule"),
    }

    def keep(name):
        command = [PYTHON, *commands[name]]
        supervisor.add(name, lambda: start_group(command, log=state.log(name), environment=environment, directory=ROOT))

    say("starting the web server")
    check_port(host, port)
    keep("web")
    wait_for_answer(supervisor, state, f"http://{'[' + host + ']' if ':' in host else host}:{port}")
    keep("worker")
    keep("beat")


def web_command(host: str, port: int, application: str = "config.wsgi:application") -> list[str]:
    """The web server's arguments after `python`. Told to stop, it takes no more and answers what it has in hand."""
    return [
        *["-m", "granian", application, "--interface", "wsgi", "--host", host, "--port", str(port)],
        *["--workers", "2", "--blocking-threads", "2", "--http", "1", "--no-ws"],
    ]


def worker_command() -> list[str]:
    """The worker's arguments after `python`. Two at a time, so that mail goes out while a webhook hangs."""
    return [
        *["-m", "celery", "-A", "config", "worker", "--concurrency", "2", "--loglevel", "INFO"],
        *["--without-gossip", "--without-mingle", "--without-heartbeat"],
    ]


def beat_command(schedule: Path) -> list[str]:
    """The arguments of beat after `python`; it remembers in the file `schedule` when it did what."""
    return ["-m", "celery", "-A", "config", "beat", "--loglevel", "INFO", "-s", str(schedule)]


def wait_for_answer(supervisor: Supervisor, state: State, address: str) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        supervisor.watch_once(time.monotonic())
        if status_of(address + "/readyz") == 200:
            page = status_of(address + "/")
            if page >= 500:
                raise Problem(f"the first page answers with error {page}; see {state.log('web')}.")
            return
        time.sleep(0.1)
    raise Problem(f"the web server does not answer after {ANSWER_SECONDS} seconds; see {state.log('web')}.")


def status_of(url: str) -> int:
    """The HTTP status of one GET; 0 when nothing answers."""
    request = urllib.request.Request(url, headers={"Host": "localhost"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def announce(state: State, address: str) -> None:
    say(f"Carewright answers at {address}")
    lines = demo_lines(state)
    if lines:
        say("demo logins (clinic, e-mail, password, role):")
    for line in lines:
        print(f"  {line}")
    say("Ctrl-C ends it. Logs: " + str(state / "logs"))


def demo_lines(state: State) -> list[str]:
    """The demo logins as a table, out of what `seed_demo --json` said."""
    try:
        rows = list(logins_in(json.loads((state / "demo.json").read_text())))
    except (OSError, ValueError):
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def logins_in(found, clinic: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Clinic, e-mail, password and role of every login in a JSON value, whichever way it is nested."""
    if isinstance(found, list):
        for part in found:
            yield from logins_in(part, clinic)
    elif isinstance(found, dict) and "email" in found and "password" in found:
        yield str(found.get("clinic", clinic)), found["email"], found["password"], str(found.get("role", ""))
    elif isinstance(found, dict):
        clinic = str(found.get("clinic") or found.get("name") or clinic)
        for part in found.values():
            yield from logins_in(part, clinic)


# --- Signals and last words ------------------------------------------------------------------------------------------


def stop_on_signals() -> None:
    def stop(number, frame):
        ignore_signals()
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # under nohup it stays ignored
            signal.signal(number, stop)


def ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def die_with_make() -> None:
    """Be told (SIGTERM) when the `make` above is killed, so that nothing runs on unseen. Linux only."""
    if sys.platform == "linux" and os.environ.get("MAKELEVEL"):
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def disk_note(state: State) -> str:
    free = free_megabytes(state.directory)
    return f" The disk of {state.directory} is full ({free} MB free)." if free < 20 else ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # in the moment before the signals are ours
        sys.exit(130)
