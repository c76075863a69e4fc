"""`make lint`: every gate a change has to pass besides the tests. `--fix` (`make fmt`) repairs what can be repaired.

Each gate is a test as well (test_lint.py), so `make test` alone says whether
all is well. Exit code 1 and the gate's own words where one does not pass.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
# Enough for Django to load its models; nothing listens there and nothing is asked.
ENVIRONMENT = {
    "ENV_FILE": os.devnull,
    "SECRET_KEY": "for-the-gates-only-9f2c61d07be84a35b6f18e0c72d94a5b",
    "DATABASE_URL": "postgresql://lint@127.0.0.1:1/lint",
    "DATABASE_OWNER_URL": "postgresql://owner@127.0.0.1:1/lint",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "PUBLIC_URL": "https://clinic.example.org",
    "ALLOWED_HOSTS": "clinic.example.org",
}


def templates() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("templates/**/*.html"))


def gates() -> dict[str, list[str]]:
    """Name to command, cheapest first."""
    manage = [sys.executable, "manage.py"]
    return {
        "style": program("ruff", "check", "."),
        "format": program("ruff", "format", "--check", "."),
        "templates": program("djade", "--check", "--target-version", "5.2", *templates()),
        "floors": program("lint-imports"),
        "migrations match the models": [*manage, "makemigrations", "--check", "--dry-run"],
        "migrations are safe": [sys.executable, "-m", "scripts.migration_gate"],
        "safe to deploy": [*manage, "check", "--deploy", "--fail-level", "WARNING"],
        "types": program("mypy"),
    }


def repairs() -> dict[str, list[str]]:
    return {
        "style": program("ruff", "check", "--fix", "."),
        "format": program("ruff", "format", "."),
        "templates": program("djade", "--target-version", "5.2", *templates()),
    }


def program(name: str, *arguments: str) -> list[str]:
    return [str(PROGRAMS / name), *arguments]


def run_gate(command: list[str]) -> subprocess.CompletedProcess:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    environment = inherited | ENVIRONMENT | {"STATE_DIR": str(ROOT / ".local")}
    return subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def main(arguments: list[str]) -> int:
    failed = []
    for name, command in (repairs() if "--fix" in arguments else gates()).items():
        done = run_gate(command)
        print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name}", flush=True)
        if done.returncode:
            print(done.stdout + done.stderr)
            failed.append(name)
    return 1 if failed and "--fix" not in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
