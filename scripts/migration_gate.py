"""Refuse migrations that would lock a busy table or break the version still running (django-migration-linter).

The linter asks a database which migrations are applied, so it gets an empty
one of its own. A migration that is safe for a reason the linter cannot see
says so with `IgnoreMigration()` among its operations, and a comment.
"""

import os
import sys
import tempfile
from pathlib import Path

from scripts.servers import start_postgres


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
    linter = MigrationLinter(include_apps=ours, analyser_string="postgresql", no_cache=True, quiet=["ok", "ignore"])
    linter.lint_all_migrations()
    connections.close_all()
    linter.print_summary()
    return 1 if linter.has_errors else 0


if __name__ == "__main__":
    sys.exit(main())
