"""One `manage.py` command on the installation that `make run` keeps in STATE_DIR; where there is none, on Compose.

python3 scripts/bootstrap.py manage seed_demo       # make seed
"""

import fcntl
import os
import shlex
import shutil
import sys
from pathlib import Path

from scripts import Problem, bootstrap

ROOT = Path(__file__).resolve().parent.parent
# The service that may do it: only `migrate` knows the owner of the tables.
SERVICES = {"migrate": "migrate"}


def main(arguments: list[str]) -> int:
    """Replaces this process by the command; returns only when it cannot."""
    try:
        command = command_for(arguments, ROOT / (os.environ.get("STATE_DIR") or ".local"))
    except Problem as problem:
        print(f"carewright: {problem}", file=sys.stderr)
        return 1
    os.chdir(ROOT)
    os.execvp(command[0], command)


def command_for(arguments: list[str], state_dir: Path) -> list[str]:
    """The command to run, and in the environment what it needs. Raises Problem when nothing runs here."""
    if not (state_dir / "env").exists():
        compose = shlex.split(os.environ.get("COMPOSE") or "docker compose")
        if not shutil.which(compose[0]):
            raise Problem(
                f"nothing runs from STATE_DIR={state_dir}, and there is no {compose[0]}; start with make run."
            )
        return [*compose, "run", "--rm", SERVICES.get(arguments[0], "web"), "python", "manage.py", *arguments]
    if not is_running(state_dir):
        raise Problem(f"nothing runs from STATE_DIR={state_dir}; start it with make run.")
    bootstrap.install("requirements-local.lock")
    os.environ["ENV_FILE"] = str(state_dir / "env")
    return [bootstrap.VENV_PYTHON, "manage.py", *arguments]


def is_running(state_dir: Path) -> bool:
    """Whether a launcher holds the lock of the directory."""
    with open(state_dir / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
