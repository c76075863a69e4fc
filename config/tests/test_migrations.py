"""Migrations match the models, and the schema can be spread over machines later (design/database.md)."""

import re
import uuid
from io import StringIO

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import RunPython

from tenancy.tenants.catalogue import find_defects
from tenancy.tenants.tests.databases import address, connected_to, drop_database, empty_database

TABLE = re.compile(r'^CREATE TABLE "(?P<table>\w+)" \((?P<columns>.*)\);$', re.MULTILINE)
KEY = re.compile(r'("(\w+)" [^,]*?)( PRIMARY KEY)')


def test_migrations_match_the_models(db):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_migrations_are_safe_to_repeat(committed_db):
    """`migrate` also renews the grants; neither changes anything the second time."""
    call_command("migrate", verbosity=0)

    with connection.cursor() as cursor:
        assert find_defects(cursor, settings.DATABASE_APP[0]) == []


def test_every_migration_of_ours_can_be_taken_back(committed_db):
    loader = MigrationLoader(connection)
    ours = {config.label for config in apps.get_app_configs() if config.name in settings.ROOMS}
    one_way = [
        f"{key[0]}.{key[1]}: {operation.describe()}"
        for key, migration in loader.disk_migrations.items()
        if key[0] in ours
        for operation in migration.operations
        if not operation.reversible
    ]

    assert one_way == []


# --- The test of distribution: every tenant table known by (tenant_id, id) -------------------------------------------


def scripts():
    """What `sqlmigrate` prints for every migration, in the order they are applied."""
    loader = MigrationLoader(None)
    printed = {}
    for leaf in sorted(loader.graph.leaf_nodes()):
        for key in loader.graph.forwards_plan(leaf):
            # Python has no SQL, and there are no rows to move in an empty database.
            only_python = all(isinstance(step, RunPython) for step in loader.get_migration(*key).operations)
            if key not in printed and not only_python:
                printed[key] = print_sql(*key)
    return printed


def print_sql(app, name):
    paper = StringIO()
    call_command("sqlmigrate", app, name, stdout=paper, no_color=True)
    return paper.getvalue()


def swap_keys(script):
    """The script with the primary key of each tenant table made (tenant_id, key)."""

    def swap(table):
        columns = table["columns"]
        if '"tenant_id" ' not in columns or table["table"] == "users_workplace":
            return table[0]
        found = KEY.search(columns)
        keyless = columns[: found.start(3)] + columns[found.end(3) :]
        return f'CREATE TABLE "{table["table"]}" ({keyless}, PRIMARY KEY ("tenant_id", "{found[2]}"));'

    return TABLE.sub(swap, script)


def test_the_whole_schema_applies_with_the_tenant_in_every_key(committed_db):
    name = f"test_swap_{uuid.uuid4().hex[:8]}"
    printed = scripts()
    empty_database(name)
    try:
        with psycopg.connect(address(name, "owner"), autocommit=True) as owner:
            for script in printed.values():
                owner.execute(swap_keys(script))
            keys = owner.execute(
                "SELECT count(*) FROM pg_constraint WHERE contype = 'p' AND array_length(conkey, 1) = 2"
                " AND connamespace = 'public'::regnamespace"
            ).fetchone()[0]
            tables = owner.execute(
                "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
                " WHERE attname = 'tenant_id' AND relkind = 'r' AND relname <> 'users_workplace'"
            ).fetchone()[0]
            # The negative control: a pointer that leaves the tenant out has nothing to point at any more.
            with pytest.raises(psycopg.errors.InvalidForeignKey):
                owner.execute("ALTER TABLE users_heldrole ADD FOREIGN KEY (role_id) REFERENCES users_role (id)")
    finally:
        drop_database(name)

    assert keys == tables > 10


def test_connected_to_comes_back(committed_db):
    mine = connection.settings_dict["NAME"]
    with pytest.raises(ZeroDivisionError), connected_to("postgres"):
        1 / 0

    assert connection.settings_dict["NAME"] == mine
