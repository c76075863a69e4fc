"""The three roles, made by a superuser or by the master that a cloud gives instead of one."""

import psycopg
import pytest

from scripts.servers import start_postgres
from tenancy.tenants.roles import create_roles_and_database

ROLES = {kind: (f"carewright_{kind}", f"{kind}-password") for kind in ("owner", "app", "backup")}
# Here pgvector is for superusers; a cloud that offers it lets its master create it.
NO_VECTOR = "The extension vector is missing, because the master can not create it."
MASTER = "LOGIN NOSUPERUSER CREATEDB CREATEROLE NOREPLICATION"


@pytest.fixture
def cluster(tmp_path):
    """A PostgreSQL of its own: roles belong to a whole server."""
    server = start_postgres(tmp_path / "postgres", fsync=False)
    yield server
    server.stop()


def make_master(cluster, attributes):
    """What RDS and its like hand out: no superuser, but somebody who may create roles and databases."""
    with psycopg.connect(cluster.superuser_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE master WITH {attributes} PASSWORD 'master-password'")
    return cluster.url("master", "master-password", "postgres")


def attributes_of(cluster):
    with psycopg.connect(cluster.superuser_url) as admin:
        rows = admin.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname ~ '^carewright_'"
        )
        return {name: attributes for name, *attributes in rows.fetchall()}


def owner_can_build(cluster):
    owner = cluster.url(*ROLES["owner"], "carewright")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS one (id int)")
        connection.execute("GRANT SELECT ON one TO carewright_app, carewright_backup")
    with psycopg.connect(cluster.url(*ROLES["app"], "carewright"), autocommit=True) as connection:
        connection.execute("SELECT * FROM one")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE two (id int)")
    return True


def test_a_superuser_makes_them_and_may_repeat_it(cluster):
    for _ in range(2):
        assert create_roles_and_database(cluster.superuser_url, database="carewright", roles=ROLES) == []

    assert attributes_of(cluster) == {
        "carewright_owner": [False, False, False],
        "carewright_app": [False, False, False],
        "carewright_backup": [False, True, False],
    }
    assert owner_can_build(cluster)


def test_a_master_that_bypasses_policies_makes_the_same(cluster):
    master = make_master(cluster, MASTER + " BYPASSRLS")

    for _ in range(2):
        assert create_roles_and_database(master, database="carewright", roles=ROLES) == [NO_VECTOR]

    assert attributes_of(cluster)["carewright_backup"] == [False, True, False]
    assert owner_can_build(cluster)


def test_a_master_that_does_not_makes_all_but_a_seeing_backup_and_says_so(cluster):
    master = make_master(cluster, MASTER)

    for _ in range(2):
        note, other = create_roles_and_database(master, database="carewright", roles=ROLES)
        assert note.startswith("carewright_backup has no BYPASSRLS")
        assert other == NO_VECTOR

    assert attributes_of(cluster) == {name: [False, False, False] for name in attributes_of(cluster)}
    assert owner_can_build(cluster)


def test_passwords_are_set_to_those_given(cluster):
    create_roles_and_database(cluster.superuser_url, database="carewright", roles=ROLES)
    other = ROLES | {"app": ("carewright_app", "another")}

    create_roles_and_database(cluster.superuser_url, database="carewright", roles=other)

    psycopg.connect(cluster.url("carewright_app", "another", "carewright")).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(cluster.url(*ROLES["app"], "carewright"))
