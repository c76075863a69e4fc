"""Open a clinic with its first API key, shown once: `manage.py create_tenant` under the name Secre gave it (S21).

    python3 scripts/create_tenant_and_apikey.py --slug hub --name Hub --admin-email you@example.org

On what `make run` keeps in STATE_DIR; where there is none, on Compose. Takes
what `create_tenant` takes; without `--api-key` the key is called "first key".
"""

import os
import sys
from pathlib import Path

KEY_NAME = "first key"


def with_key(arguments: list[str]) -> list[str]:
    """What `create_tenant` is given: the caller's own words, and a key in any case."""
    names_one = any(one == "--api-key" or one.startswith("--api-key=") for one in arguments)
    return ["create_tenant", *arguments, *([] if names_one else ["--api-key", KEY_NAME])]


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    os.execv(sys.executable, [sys.executable, root / "scripts" / "bootstrap.py", "manage", *with_key(sys.argv[1:])])
