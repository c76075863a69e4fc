"""Bring the database to where the code is: roles, tables, demo data. Run by the launcher, in one Django process.

The environment says everything; DATABASE_ADMIN_URL is used where it is set and
only here. The one argument is the file for what `seed_demo --json` says: it
holds the demo's passwords and is readable by its owner only.
"""

import io
import os
import sys

import django
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import Error as DatabaseError


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    try:
        if settings.DATABASE_ADMIN_URL:
            call_command("setup_database")
        call_command("migrate", interactive=False, verbosity=1)
        demo = io.StringIO()
        call_command("seed_demo", "--json", stdout=demo)
    except (CommandError, DatabaseError) as error:
        print(f"carewright: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    with open(sys.argv[1], "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(demo.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(main())
