"""The three database roles, and the few moments when somebody is not the app role.

owner   owns the tables and runs migrations
app     LOGIN, NOSUPERUSER, NOBYPASSRLS, owner of nothing: web, worker, beat, tests
backup  BYPASSRLS, read only: dumps

The superuser is used once, to create them (design/database.md, "Roles").
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
from django.apps import apps
from django.conf import settings
from django.db import connection, models
from psycopg import sql

from .models import TenantModel

DEFAULT_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")
# A statement or a transaction that somebody forgot must not hold locks, or the chain of a clinic, for ever.
APP_LIMITS = {"statement_timeout": "60s", "idle_in_transaction_session_timeout": "300s"}
ATTRIBUTES = {
    "owner": "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE",
    "app": "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB",
    "backup": "LOGIN NOSUPERUSER BYPASSRLS NOCREATEROLE NOCREATEDB",
}
READ_ONLY_TABLES = {"django_migrations"}


class RoleNotConfigured(Exception):
    """The environment does not name the role this needs; the message says which variable to set."""


@contextmanager
def as_role(role: tuple[str, str] | None, variable: str) -> Iterator[None]:
    """Reconnect the default connection as another role for the length of the block."""
    if role is None:
        raise RoleNotConfigured(f"{variable} is not set, and this can not be done as the app role.")
    if connection.in_atomic_block:
        raise RuntimeError("The role can not change inside a transaction.")
    mine = connection.settings_dict
    before = mine["USER"], mine["PASSWORD"]
    connection.close()
    mine["USER"], mine["PASSWORD"] = role
    try:
        yield
    finally:
        connection.close()
        mine["USER"], mine["PASSWORD"] = before


def as_owner() -> AbstractContextManager[None]:
    """Be the owner of the tables: for migrations and grants only."""
    return as_role(settings.DATABASE_OWNER, "DATABASE_OWNER_URL")


def create_roles_and_database(admin_url: str, *, database: str, roles: dict[str, tuple[str, str]]) -> list[str]:
    """Create or repair the three roles and the database. Safe to repeat.

    `admin_url` is the address of a superuser of the cluster, or of the master
    that a cloud gives instead: a role that may create roles and databases.
    `roles` maps "owner", "app" and "backup" to (name, password). Passwords are
    set to those given. Returns sentences on what the master could not do.
    """
    with psycopg.connect(admin_url, autocommit=True) as admin:
        notes = [note for kind, role in roles.items() if (note := _create_role(admin, kind, *role))]
        for setting, limit in APP_LIMITS.items():
            parts = sql.Identifier(roles["app"][0]), sql.Identifier(setting), sql.Literal(limit)
            admin.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(*parts))
        owner = sql.Identifier(roles["owner"][0])
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), owner))
    with psycopg.connect(admin_url, autocommit=True, dbname=database) as admin:
        if admin.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone():
            try:
                admin.execute("CREATE EXTENSION IF NOT EXISTS vector")
            except psycopg.errors.InsufficientPrivilege:
                notes.append("The extension vector is missing, because the master can not create it.")
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), owner))
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
        admin.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        admin.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(owner))
        for kind in ("app", "backup"):
            name = sql.Identifier(roles[kind][0])
            admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), name))
            admin.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
    return notes


def _create_role(admin: psycopg.Connection, kind: str, role: str, password: str) -> str:
    """Create or repair one role. A sentence where it did not become what it should be, "" otherwise."""
    found = admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    is_superuser = found is not None and found[0]
    exists = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    # Naming an attribute is a change of it, even to what it is, and not everybody may.
    attributes = ATTRIBUTES[kind] if is_superuser or not exists else "LOGIN"
    statement = sql.SQL("{} ROLE {} WITH {} PASSWORD {}")
    verb, name, secret = sql.SQL("ALTER" if exists else "CREATE"), sql.Identifier(role), sql.Literal(password)
    try:
        admin.execute(statement.format(verb, name, sql.SQL(attributes), secret))
    except psycopg.errors.InsufficientPrivilege:
        if kind != "backup":
            raise
        admin.execute(statement.format(verb, name, sql.SQL("LOGIN"), secret))
    if not is_superuser and kind == "owner":
        # Who makes a role here does not thereby act as it; the database and its schema belong to the owner.
        admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))
    bypasses = admin.execute("SELECT rolbypassrls FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    if kind == "backup" and not (bypasses and bypasses[0]):
        return (
            f"{role} has no BYPASSRLS, because the master can not give it: take snapshots, `manage.py backup` refuses."
        )
    return ""


def grant_privileges() -> None:
    """Give app and backup exactly what each table allows. Runs as the owner, after every migration.

    A model says what the app role may do in `app_privileges`; without that it is
    read and write. Nobody but the owner gets TRUNCATE, REFERENCES or TRIGGER.
    """
    assert settings.DATABASE_APP is not None  # DATABASE_URL is required
    app = sql.Identifier(settings.DATABASE_APP[0])
    declared = {model._meta.db_table: _privileges_of(model) for model in apps.get_models(include_auto_created=True)}
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
        for (table,) in cursor.fetchall():
            privileges = ("SELECT",) if table in READ_ONLY_TABLES else declared.get(table, DEFAULT_PRIVILEGES)
            name = sql.Identifier(table)
            cursor.execute(sql.SQL("REVOKE ALL ON {} FROM PUBLIC, {}").format(name, app))
            cursor.execute(sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(", ".join(privileges)), name, app))
        cursor.execute(sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}").format(app))
        if settings.DATABASE_BACKUP:
            backup = sql.Identifier(settings.DATABASE_BACKUP[0])
            cursor.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(backup))
            cursor.execute(sql.SQL("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(backup))


def _privileges_of(model: type[models.Model]) -> tuple[str, ...]:
    return getattr(model, "app_privileges", TenantModel.app_privileges)
