"""Write `.env` for Compose on first use: random secrets, and settings for a look on this very machine.

An `.env` that is there is left alone, but for secrets it does not name yet:
those are added at its end. Standard library only.
"""

import base64
import os
import secrets
import sys
from pathlib import Path

ENV_FILE = Path(__file__).resolve().parent.parent / ".env"
PASSWORDS = (
    "SECRET_KEY",
    "POSTGRES_PASSWORD",
    "OWNER_PASSWORD",
    "APP_PASSWORD",
    "BACKUP_PASSWORD",
    "REDIS_PASSWORD",
    "PGADMIN_PASSWORD",
)
FIRST_LOOK = {"PUBLIC_URL": "http://localhost:8000", "COOKIE_SECURE": "false"}
HEADING = """\
# For Compose. Secrets were drawn at random by `make up`; the other settings are explained in .env.example.
# Behind https: set PUBLIC_URL and ALLOWED_HOSTS to your address, remove COOKIE_SECURE, and count your
# proxies in TRUSTED_PROXY_COUNT.
"""


def main() -> int:
    try:
        added = add_missing(ENV_FILE)
    except OSError as error:
        print(f"carewright: cannot write {ENV_FILE}: {(error.strerror or str(error)).lower()}.", file=sys.stderr)
        return 1
    if added:
        print(f"carewright: wrote {', '.join(added)} to .env")
    return 0


def add_missing(path: Path) -> list[str]:
    """Append what `path` does not name yet; the names added."""
    is_new = not path.exists()
    present = set() if is_new else {line.partition("=")[0].strip() for line in path.read_text().splitlines()}
    wanted = {name: secrets.token_urlsafe(40) for name in PASSWORDS}
    wanted["AUDIT_ANCHOR_KEY"] = base64.b64encode(secrets.token_bytes(32)).decode()
    if is_new:
        wanted |= FIRST_LOOK
    missing = {name: value for name, value in wanted.items() if name not in present}
    if missing:
        before = HEADING if is_new else ""
        if not is_new and not path.read_text().endswith("\n"):
            before = "\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(descriptor, "a") as file:
            file.write(before + "".join(f"{name}={value}\n" for name, value in missing.items()))
    return list(missing)


if __name__ == "__main__":
    sys.exit(main())
