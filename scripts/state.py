"""STATE_DIR: everything one installation keeps, behind a lock that one launcher holds."""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path

from scripts import Problem, reason_of
from scripts.servers import read_secrets, write_secrets

MARKER = "carewright-state"
# What `manage.py` alone may have put there before the first `make run`.
HARMLESS = {MARKER, "lock", "static", "files", "audit-anchors.jsonl", "audit-anchor.key", "lost+found"}
DISK_NEEDED_NEW_MB = 400
DISK_NEEDED_MB = 60
LOG_LIMIT_BYTES = 10_000_000


class State:
    """An opened state directory, a context manager. Nobody else can open it until it is closed or this process ends."""

    def __init__(self, directory: Path, lock: int, is_new: bool):
        self.directory = directory
        self.is_new = is_new
        self._lock = lock

    def __enter__(self) -> "State":
        return self

    def __exit__(self, *error) -> None:
        os.close(self._lock)

    @classmethod
    def open(cls, directory: Path) -> "State":
        """Make or open the directory. Raises Problem when it cannot be, is somebody else's, full, or in use."""
        directory = Path(os.path.realpath(directory))  # one installation, one spelling
        try:
            is_new = cls._make(directory)
            state = cls(directory, cls._take_lock(directory), is_new)
        except OSError as error:
            raise Problem(f"STATE_DIR={directory} cannot be used: {reason_of(error)}.") from error
        try:
            state._furnish()
        except BaseException:
            state.__exit__()
            raise
        return state

    def _furnish(self) -> None:
        free, needed = free_megabytes(self.directory), DISK_NEEDED_NEW_MB if self.is_new else DISK_NEEDED_MB
        if free < needed:
            raise Problem(f"the disk of STATE_DIR={self.directory} is full: {free} MB free, {needed} MB needed.")
        try:
            (self / MARKER).write_text("The state of one Carewright installation; see docs/operations.md.\n")
            for name in ("logs", "run", "files"):
                (self / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Problem(f"STATE_DIR={self.directory} cannot be used: {reason_of(error)}.") from error

    @staticmethod
    def _make(directory: Path) -> bool:
        for path in (directory, *directory.parents):
            if path.exists() and not path.is_dir():
                raise Problem(f"STATE_DIR={directory} cannot be: {path} is a file, not a directory.")
        if not directory.exists():
            directory.parent.mkdir(parents=True, exist_ok=True)
            # Started by root, PostgreSQL runs as somebody else and has to pass, though not to look.
            directory.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
        entries = {entry.name for entry in directory.iterdir()}
        if MARKER not in entries and entries - HARMLESS:
            example = sorted(entries - HARMLESS)[0]
            raise Problem(f"STATE_DIR={directory} holds something else ({example}); choose an empty or new directory.")
        if MARKER in entries and (directory / MARKER).stat().st_uid != os.geteuid():
            owner = (directory / MARKER).owner()
            raise Problem(f"STATE_DIR={directory} belongs to {owner}; start as that user or choose another.")
        return MARKER not in entries or not (directory / "secrets").exists()

    @staticmethod
    def _take_lock(directory: Path) -> int:
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 200).decode(errors="replace").strip()
            os.close(lock)
            raise Problem(f"Carewright already runs from STATE_DIR={directory} ({holder}).") from None
        return lock

    def sign_lock(self, text: str) -> None:
        """What a second start is told about this one."""
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, text.encode(), 0)

    def __truediv__(self, name: str) -> Path:
        return self.directory / name

    @property
    def secrets_file(self) -> Path:
        return self.directory / "secrets"

    def secret(self, name: str) -> str:
        """A random secret of this installation, made on first use and the same ever after."""
        kept = read_secrets(self.secrets_file)
        if name not in kept:
            kept[name] = secrets.token_urlsafe(48)
            write_secrets(self.secrets_file, kept)
        return kept[name]

    def write_environment(self, environment: dict[str, str]) -> None:
        """What `ENV_FILE=STATE_DIR/env manage.py …` needs to reach this installation. It holds passwords: 0600."""
        lines = "".join(f"{name}={value}\n" for name, value in sorted(environment.items()))
        descriptor = os.open(self.directory / "env", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            file.write("# Written by `make run` at each start; changes here are lost.\n" + lines)

    def log(self, name: str) -> Path:
        """The log of one process; a long one from earlier runs steps aside to NAME.log.1."""
        path = self.directory / "logs" / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            os.replace(path, path.with_suffix(".log.1"))
        return path

    # What has been done already is remembered by the content it was done from.

    def is_done(self, work: str, content: str) -> bool:
        return self._done().get(work) == content

    def mark_done(self, work: str, content: str) -> None:
        done = self._done() | {work: content}
        (self.directory / "done.json").write_text(json.dumps(done, indent=1))

    def forget_done(self, work: str) -> None:
        self.mark_done(work, "")

    def _done(self) -> dict[str, str]:
        try:
            done = json.loads((self.directory / "done.json").read_text())
        except (OSError, ValueError):
            return {}
        return done if isinstance(done, dict) else {}


def content_digest(root: Path, names: list[str]) -> str:
    """One hash over files and folders, skipping what Python leaves behind. Missing names count as empty."""
    digest = hashlib.sha256()
    for name in names:
        top = root / name
        paths = sorted(top.rglob("*")) if top.is_dir() else [top]
        for path in paths:
            if path.is_file() and "__pycache__" not in path.parts and "tests" not in path.parts:
                digest.update(f"{path.relative_to(root)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def free_megabytes(directory: Path) -> int:
    return shutil.disk_usage(directory).free // 1_000_000
