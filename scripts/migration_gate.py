"""Refuse migrations that would lock a busy table or break the version still running (django-migration-linter).

The linter asks a database which migrations are applied, so it gets an empty
one of its own. A migration that is safe for a reason the linter cannot see
stands in SAFE: it can not say so itself, the linter is not there where it runs.
"""

import os
import sys
import tempfile
from pathlib import Path

from scripts.servers import start_postgres

NO_RELEASE = "no release has these tables yet, so no older version runs beside this one"
SAFE = {
    "tenants 0003_sign_in_policy": NO_RELEASE,
    "users 0004_people_groups_grants": NO_RELEASE,
    "users 0006_role_version": NO_RELEASE,
    "notifications 0003_interruptions": NO_RELEASE,
    "second_factor 0002_drop_open_seeds": NO_RELEASE,
    "practitioners 0004_specialties_documents": NO_RELEASE,
    "scheduling 0006_qualifications": NO_RELEASE,
    "scheduling 0011_indexes_of_a_large_book": NO_RELEASE,
}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="carewright-gate-") as directory:
        postgres = start_postgres(Path(directory) / "postgres", fsync=False)
        try:
            return lint(postgres.superuser_url)
        finally:
            postgres.stop()


def lint(database_url: str) -> int:
    os.environ["DATABASE_URL"] = database_url
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django
    from django.apps import apps
    from django.conf import settings
    from django.db import connections
    from django_migration_linter import MigrationLinter

    django.setup()
    ours = [config.label for config in apps.get_app_configs() if config.name in settings.ROOMS]
    names = [known.partition(" ")[2] for known in SAFE]
    linter = MigrationLinter(
        include_apps=ours, ignore_name=names, analyser_string="postgresql", no_cache=True, quiet=["ok", "ignore"]
    )
    linter.lint_all_migrations()
    connections.close_all()
    linter.print_summary()
    return 1 if linter.has_errors else 0


if __name__ == "__main__":
    sys.exit(main())
