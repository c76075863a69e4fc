"""Databases of a test run: made and migrated by the owner role, worked in as the app role.

Imported before Django knows its settings (`config.testing`), so nothing of
Django is imported at the top.
"""

import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parents[3]
CREATING = 7310201  # advisory lock: one process at a time creates databases and alters roles
ROLES = ("owner", "app", "backup")


def roles() -> dict[str, tuple[str, str]]:
    """Name and password of the three roles. Their own names, so that a server in use keeps its passwords."""
    secret = hashlib.sha256(os.environ["TEST_DATABASE_ADMIN_URL"].encode()).hexdigest()[:32]
    return {kind: (f"carewright_test_{kind}", secret) for kind in ROLES}


def address(database: str, role: str) -> str:
    """The address of a database on the test server for `owner`, `app`, `backup` or `admin` (the superuser)."""
    parts = conninfo_to_dict(os.environ["TEST_DATABASE_ADMIN_URL"])
    user, password = (parts["user"], parts.get("password", "")) if role == "admin" else roles()[role]
    kept = {name: value for name, value in parts.items() if name not in {"user", "password", "dbname"}}
    return f"postgresql://{quote(user)}:{quote(password, safe='')}@/{quote(database)}?{urlencode(kept)}"


@contextmanager
def as_superuser(database: str = "postgres"):
    """A connection of the superuser, in autocommit: for making databases, and for tampering in tests."""
    with psycopg.connect(address(database, "admin"), autocommit=True) as connection:
        yield connection


def ensure_template() -> str:
    """The name of a database that the owner has migrated; made once for the present state of the code."""
    name = f"test_template_{_fingerprint()}"
    with as_superuser() as admin, _one_at_a_time(admin):
        done = admin.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [name]).fetchone()
        if not done or not done[0]:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            _set_up(name)
            _migrate(name)
            admin.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(sql.Identifier(name)))
    return name


def create_database(name: str) -> None:
    """A database like the template: migrated, empty, with the grants of the three roles."""
    template = ensure_template()
    with as_superuser() as admin, _one_at_a_time(admin):
        copy = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"
        admin.execute(sql.SQL(copy).format(sql.Identifier(name), sql.Identifier(template)))
        _set_up(name)


def drop_database(name: str) -> None:
    with as_superuser() as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def empty_database(name: str) -> None:
    """An empty database of the owner, as `manage.py setup_database` makes it."""
    with as_superuser() as admin, _one_at_a_time(admin):
        _set_up(name)


def _set_up(name):
    """The three roles, and the database where there is none; safe to repeat."""
    from tenancy.tenants.roles import create_roles_and_database

    create_roles_and_database(os.environ["TEST_DATABASE_ADMIN_URL"], database=name, roles=roles())


def _migrate(name):
    """`manage.py migrate`, which becomes the owner and grants the app role its privileges."""
    from django.core.management import call_command

    with connected_to(name):
        call_command("migrate", verbosity=0)


@contextmanager
def connected_to(name: str):
    """Point Django's connection at another database of the test server."""
    from django.db import connection

    mine = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = mine


@contextmanager
def _one_at_a_time(admin):
    admin.execute("SELECT pg_advisory_lock(%s)", [CREATING])
    try:
        yield
    finally:
        admin.execute("SELECT pg_advisory_unlock(%s)", [CREATING])


def _fingerprint() -> str:
    """Changes with every migration, model and pinned package: with whatever may change a migrated database."""
    files = [ROOT / "requirements.lock", *ROOT.glob("*/*/migrations/*.py")]
    files += [*ROOT.glob("*/*/models.py"), *ROOT.glob("*/*/models/*.py"), *ROOT.glob("tenancy/tenants/*.py")]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
