"""The pytest plugin of the whole house (`addopts = -p config.testing`): servers, databases, quick settings.

One embedded PostgreSQL and Redis for the whole run, started by the process
that was called and inherited by its xdist workers through two variables:

    TEST_DATABASE_ADMIN_URL   a superuser's address; set it to use a running server
    TEST_REDIS_URL            its databases, from the one named on, are emptied

A template database is created and migrated by the owner role; each process
works in a copy of it **as the app role**, as the web does: a suite that runs
as owner proves nothing about isolation. Nothing is ever flushed, the app role
may not. Tests take one of two fixtures:

    db              the usual one: a transaction, rolled back at the end
    committed_db    real commits; such a test makes its own clinics (random slugs) and leaves its rows behind

The cast (`clinic`, `nurse`, `stranger` …) and the clients stand in
`accounts/users/tests/fixtures.py`.
"""

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest

from accounts.users.hashers import BCryptSHA256
from scripts.servers import start_postgres, start_redis
from tenancy.tenants.tests.databases import address

from .environment import Environment

RUN_DIRECTORY = "CAREWRIGHT_TEST_RUN"
FIXTURES = ["tenancy.tenants.tests.fixtures", "accounts.users.tests.fixtures"]


class QuickBCrypt(BCryptSHA256):
    """The same hash with the least work: a test may sign in often."""

    rounds = 4


# --- Servers and environment, before Django reads its settings -------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config):
    options = early_config.known_args_namespace
    if not (options.help or options.version):
        if RUN_DIRECTORY not in os.environ:
            _start_run(early_config)
        _set_environment()
    result = yield
    if not (options.help or options.version):
        _quicken_settings()
    return result


def _start_run(config):
    """Servers and a directory for this run. They are stopped when pytest ends, by Ctrl-C too, and die with it."""
    directory = Path(tempfile.mkdtemp(prefix="carewright-test-"))
    config.add_cleanup(lambda: _end_run(directory))
    directory.chmod(0o755)
    if "TEST_DATABASE_ADMIN_URL" not in os.environ:
        postgres = start_postgres(directory / "postgres", fsync=False)
        config.add_cleanup(lambda: _stop(postgres, "TEST_DATABASE_ADMIN_URL"))
        os.environ["TEST_DATABASE_ADMIN_URL"] = postgres.superuser_url
    if "TEST_REDIS_URL" not in os.environ:
        redis = start_redis(directory / "redis")
        config.add_cleanup(lambda: _stop(redis, "TEST_REDIS_URL"))
        os.environ["TEST_REDIS_URL"] = redis.url
    os.environ[RUN_DIRECTORY] = str(directory)


def _stop(server, variable):
    server.stop()
    os.environ.pop(variable, None)


def _end_run(directory):
    shutil.rmtree(directory, ignore_errors=True)
    os.environ.pop(RUN_DIRECTORY, None)


def _set_environment():
    """What this process's settings are made of; nothing of the caller's own environment or `.env` gets in."""
    for name in Environment.model_fields:
        os.environ.pop(name, None)
    for name in ("BACKEND_CORS_ORIGINS", "DEFAULT_LANGUAGE"):
        os.environ.pop(name, None)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    state = Path(os.environ[RUN_DIRECTORY]) / worker
    (state / "static").mkdir(parents=True, exist_ok=True)
    database = f"test_{Path(os.environ[RUN_DIRECTORY]).name.rpartition('-')[2]}_{worker}".lower()
    os.environ.update(
        ENV_FILE=os.devnull,
        # Playwright leaves its event loop in the thread, where Django would refuse the tests that come after.
        DJANGO_ALLOW_ASYNC_UNSAFE="true",
        SECRET_KEY="a secret for tests, of the length that is asked for",
        DATABASE_ADMIN_URL=os.environ["TEST_DATABASE_ADMIN_URL"],
        DATABASE_OWNER_URL=address(database, "owner"),
        DATABASE_URL=address(database, "app"),
        DATABASE_BACKUP_URL=address(database, "backup"),
        REDIS_URL=_redis_url(int(worker.removeprefix("gw"))),
        EMAIL_URL="memory://",
        STATE_DIR=str(state),
    )


def _redis_url(number):
    base = os.environ["TEST_REDIS_URL"]
    if base.startswith("unix://"):
        return f"{base}?db={number}"
    server, _, first = base.partition("://")[2].partition("/")
    return f"{base.partition('://')[0]}://{server}/{int(first or 0) + number}"


def _quicken_settings():
    from django.conf import settings

    house = f"{BCryptSHA256.__module__}.{BCryptSHA256.__qualname__}"
    settings.PASSWORD_HASHERS = [
        "config.testing.QuickBCrypt" if hasher == house else hasher for hasher in settings.PASSWORD_HASHERS
    ]
    settings.EVEN_ANSWER_SECONDS = 0.0
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}


def pytest_configure(config):
    """Register the fixtures late: they need Django, and stand before those of pytest-django by the same names."""
    # A property holds on a slow machine, too.
    hypothesis.settings.register_profile(
        "house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("house")
    if os.environ.get(RUN_DIRECTORY):
        for module in FIXTURES:
            config.pluginmanager.import_plugin(module)
