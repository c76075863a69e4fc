"""What the app role can reach with SQL of its own, and what requests leave behind (security.md A4, A5).

Rows are committed here and asked for on fresh connections, as an intruder with
the app role's password would. The two clinics of a test have random slugs.
"""

import uuid
from contextlib import contextmanager

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django_scopes.state import state as scopes
from psycopg import errors, pq

from accounts.guards import public, requires
from accounts.permissions import Permission
from accounts.users.models import HeldRole, Membership, Role
from accounts.users.tests.factories import MembershipFactory, open_clinic
from accounts.users.tests.fixtures import PageClient, ProgramClient, sign_in_browser, sign_in_program
from config.urls import handler404, handler500  # noqa: F401  (this module is a URL configuration, too)
from config.urls import urlpatterns as house_urls
from tenancy.tenants.catalogue import _tenant_tables
from tenancy.tenants.context import get_current_tenant_id, tenant_context
from tenancy.tenants.tests.databases import address


@pytest.fixture
def clinics(committed_db):
    """Two clinics, (ours, theirs), each with its roles, an administrator and a nurse."""
    both = []
    for _ in range(2):
        tenant, administrator = open_clinic()
        with tenant_context(tenant.id):
            nurse = MembershipFactory(role="nurse")
            nurse.permissions  # read while the clinic is open
        tenant.administrator, tenant.nurse = administrator, nurse
        both.append(tenant)
    return both


@pytest.fixture
def sql(clinics):
    """A fresh connection of the app role, in autocommit."""
    with psycopg.connect(address(settings.DATABASES["default"]["NAME"], "app"), autocommit=True) as app:
        yield app


@contextmanager
def inside(sql, tenant):
    with sql.transaction():
        sql.execute(f"SET LOCAL app.tenant_id = '{tenant.id}'")
        yield


def rows(sql, statement, params=()):
    return sql.execute(statement, params).fetchall()


def tenant_tables(sql):
    with sql.cursor() as cursor:
        return sorted(_tenant_tables(cursor).values())


# --- A4: raw SQL -----------------------------------------------------------------------------------------------------


def test_s01_a_fresh_connection_sees_no_rows_at_all(sql):
    tables = tenant_tables(sql)

    assert len(tables) > 10
    assert {table: rows(sql, f'SELECT count(*) FROM "{table}"')[0][0] for table in tables} == dict.fromkeys(tables, 0)


def test_s02_nothing_is_seen_after_a_transaction_either(sql, clinics):
    with inside(sql, clinics[0]):
        assert rows(sql, "SELECT count(*) FROM users_membership") == [(2,)]

    assert rows(sql, "SELECT current_setting('app.tenant_id', true)") == [("",)]
    assert rows(sql, "SELECT count(*) FROM users_membership") == [(0,)]


@pytest.mark.parametrize(
    "value", ["garbage", "{a,b}", "x" * 10_000, "\u6f22\u5b57", "' OR true --", "00000000-0000-0000-0000-000000000000"]
)
def test_s03_garbage_for_a_tenant_shows_nothing(sql, value):
    try:
        with sql.transaction():
            sql.execute("SELECT set_config('app.tenant_id', %s, true)", [value])
            assert rows(sql, "SELECT count(*) FROM users_membership") == [(0,)]
    except errors.InvalidTextRepresentation:
        pass


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO tenants_counter (id, tenant_id, name, value) VALUES (gen_random_uuid(), %(b)s, 'secret', 1)",
        "UPDATE users_role SET tenant_id = %(b)s",
        "MERGE INTO users_role r USING (SELECT 1) s ON r.code = 'nurse' WHEN MATCHED THEN UPDATE SET tenant_id = %(b)s",
    ],
)
def test_s04_a_row_can_not_be_given_to_another_clinic(sql, clinics, statement):
    ours, theirs = clinics
    with pytest.raises(errors.InsufficientPrivilege) as refused, inside(sql, ours):
        sql.execute(statement, {"b": theirs.id})

    assert str(theirs.id) not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_s05_their_rows_can_not_be_changed_or_deleted(sql, clinics):
    ours, theirs = clinics
    with inside(sql, ours):
        changed = [
            sql.execute("UPDATE users_role SET name = 'x' WHERE tenant_id = %s", [theirs.id]).rowcount,
            sql.execute("DELETE FROM users_heldrole WHERE tenant_id = %s", [theirs.id]).rowcount,
        ]

    assert changed == [0, 0]


def test_s06_set_local_outside_of_a_transaction_does_nothing(sql, clinics):
    notices = []
    sql.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    sql.execute(f"SET LOCAL app.tenant_id = '{clinics[1].id}'")

    assert notices == ["SET LOCAL can only be used in transaction blocks"]
    assert rows(sql, "SELECT count(*) FROM users_membership") == [(0,)]


def test_s07_a_conflict_tells_nothing_of_the_other_clinic(sql, clinics):
    ours, theirs = clinics
    add = "INSERT INTO tenants_counter (id, tenant_id, name, value) VALUES (gen_random_uuid(), %s, 'shared', %s) "
    with inside(sql, theirs):
        sql.execute(add, [theirs.id, 41])
    with inside(sql, ours):
        added = sql.execute(add + "ON CONFLICT (tenant_id, name) DO NOTHING", [ours.id, 1]).rowcount
        sql.execute(add + "ON CONFLICT (tenant_id, name) DO UPDATE SET value = 2", [ours.id, 1])
        [(value,)] = rows(sql, "SELECT value FROM tenants_counter WHERE name = 'shared'")

    assert (added, value) == (1, 2)
    with inside(sql, theirs):
        assert rows(sql, "SELECT value FROM tenants_counter WHERE name = 'shared'") == [(41,)]


def test_s08_their_row_and_no_row_are_refused_alike(sql, clinics):
    ours, theirs = clinics
    with inside(sql, theirs):
        [(their_role,)] = rows(sql, "SELECT id FROM users_role WHERE code = 'nurse'")

    texts = []
    for role in (their_role, uuid.uuid4()):
        with pytest.raises(errors.ForeignKeyViolation) as refused, inside(sql, ours):
            sql.execute(
                "INSERT INTO users_heldrole (id, tenant_id, membership_id, role_id) VALUES (%s, %s, %s, %s)",
                [uuid.uuid4(), ours.id, ours.administrator.id, role],
            )
        texts.append(str(refused.value))

    assert texts[0] == texts[1]
    assert str(their_role) not in texts[0]


def test_s09_copying_out_gives_only_ones_own(sql, clinics):
    with inside(sql, clinics[0]), sql.cursor().copy("COPY users_membership (tenant_id) TO STDOUT") as copy:
        copied = {bytes(row).decode().strip() for row in copy}

    assert copied == {str(clinics[0].id)}


@pytest.mark.parametrize(
    "statement",
    [
        "COPY tenants_counter FROM STDIN",
        "TRUNCATE users_role",
        "TRUNCATE audit_auditentry",
        "LOCK TABLE audit_auditentry IN ACCESS EXCLUSIVE MODE",
        "ALTER TABLE users_role NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE users_role DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE audit_auditentry DISABLE TRIGGER ALL",
        "DROP POLICY tenant_isolation ON users_role",
        "DROP TABLE users_role",
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "SET ROLE carewright_test_owner",
        "SET SESSION AUTHORIZATION carewright_test_owner",
        "SET session_replication_role = replica",
        "ALTER ROLE carewright_test_app BYPASSRLS",
        "SELECT setval('django_content_type_id_seq', 1)",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/anything'",
    ],
)
def test_s09_s13_s14_what_the_app_role_may_never_do(sql, clinics, statement):
    with pytest.raises((errors.InsufficientPrivilege, errors.FeatureNotSupported)), inside(sql, clinics[0]):
        run(sql.cursor(), statement)


def run(cursor, statement):
    if "STDIN" not in statement:
        cursor.execute(statement)
        return
    with cursor.copy(statement) as copy:
        copy.write_row(["x"])


def test_s09_grants_of_the_app_role_go_nowhere(sql, clinics):
    """GRANT by somebody who holds no grant option is a warning in PostgreSQL, and has no effect."""
    sql.execute("SET client_min_messages = error")
    with pytest.raises(errors.InsufficientPrivilege), inside(sql, clinics[0]):
        sql.execute("GRANT TRUNCATE ON users_role TO carewright_test_app")
        sql.execute("TRUNCATE users_role")


def test_s10_a_condition_that_leaks_runs_after_the_policy(sql, clinics):
    ours, theirs = clinics
    with inside(sql, theirs):
        sql.execute("INSERT INTO tenants_counter VALUES (gen_random_uuid(), 'hidden', 1, %s)", [theirs.id])
    leaks = [
        "SELECT * FROM tenants_counter WHERE 1 / (CASE WHEN name = 'hidden' THEN 0 ELSE 1 END) = 1",
        "SELECT * FROM tenants_counter WHERE name::int > 0 AND name = 'hidden'",
        "SELECT * FROM tenants_counter ORDER BY CASE WHEN name = 'hidden' THEN name::int ELSE 0 END",
    ]
    with inside(sql, ours):
        sql.execute("DELETE FROM tenants_counter")

    for leak in leaks:
        with inside(sql, ours):
            assert rows(sql, leak) == []


def test_s14_switching_row_security_off_is_an_error_and_no_answer(sql, clinics):
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"), inside(sql, clinics[0]):
        sql.execute("SET LOCAL row_security = off")
        sql.execute("SELECT * FROM users_membership")


def test_s17_no_form_of_statement_reaches_further(sql, clinics):
    ours, _theirs = clinics
    own = {ours.id}
    with inside(sql, ours):
        seen = [
            {row[0] for row in rows(sql, statement)}
            for statement in (
                "SELECT tenant_id FROM users_role FOR UPDATE",
                "SELECT tenant_id FROM users_role TABLESAMPLE SYSTEM (100)",
                "WITH touched AS (UPDATE users_role SET name = name RETURNING tenant_id) SELECT * FROM touched",
                "MERGE INTO users_role r USING users_role s ON r.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name"
                " RETURNING r.tenant_id",
                "SELECT r.tenant_id FROM users_heldrole h RIGHT JOIN users_role r ON h.role_id = r.id",
                "SELECT r.tenant_id FROM tenants_tenant t, LATERAL (SELECT * FROM users_role WHERE tenant_id = t.id) r",
                "(SELECT tenant_id FROM users_role) UNION ALL (SELECT tenant_id FROM users_heldrole)",
            )
        ]

    assert seen == [own] * len(seen)


def test_s18_deleting_here_deletes_nothing_there(sql, clinics):
    ours, theirs = clinics
    with inside(sql, theirs):
        before = rows(sql, "SELECT count(*) FROM users_heldrole")
    with inside(sql, ours):
        sql.execute("DELETE FROM users_heldrole")

    with pytest.raises(errors.ForeignKeyViolation), inside(sql, theirs):
        sql.execute("DELETE FROM users_role")
    with inside(sql, theirs):
        assert rows(sql, "SELECT count(*) FROM users_heldrole") == before


# --- The ORM carries the tenant --------------------------------------------------------------------------------------


def test_joins_carry_the_tenant(clinics):
    ours = clinics[0]
    with tenant_context(ours.id):
        down = str(Membership.objects.filter(held_roles__role__code="nurse").query)
        up = str(HeldRole.objects.select_related("role", "membership").query)
        apart = list(Membership.objects.exclude(held_roles__role__code="nurse"))

    assert down.count('"tenant_id" = ("users_heldrole"."tenant_id")') == 2
    assert up.count('"tenant_id" = ("users_heldrole"."tenant_id")') == 2
    assert apart == [ours.administrator]


def test_following_pointers_names_the_tenant_every_time(clinics):
    ours = clinics[0]
    with tenant_context(ours.id), CaptureQueriesContext(connection) as queries:
        members = list(Membership.objects.prefetch_related("held_roles__role"))
        held = [held.role.code for member in members for held in member.held_roles.all()]
        assert HeldRole.objects.first().membership in members

    assert sorted(held) == ["admin", "nurse"]
    asked = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert all('"tenant_id" = ' in statement for statement in asked)


def test_a_foreign_id_and_an_unknown_one_are_refused_alike(clinics):
    ours, theirs = clinics
    with tenant_context(theirs.id):
        their_role = Role.objects.get(code="nurse")
    texts = []
    for role_id in (their_role.id, uuid.uuid4()):
        with pytest.raises(IntegrityError) as refused, tenant_context(ours.id):
            HeldRole.objects.create(membership=ours.nurse, role_id=role_id)
        texts.append(str(refused.value))

    assert texts[0] == texts[1]
    with tenant_context(ours.id):
        assert not Role.objects.filter(pk=their_role.pk).exists()


# --- What a request leaves behind ------------------------------------------------------------------------------------


@requires(Permission.OWN_PROFILE)
def broken_page(request):
    Membership.objects.update(department="never")
    raise ZeroDivisionError


@requires(Permission.OWN_PROFILE)
def quiet_failure(request):
    Membership.objects.update(department="never")
    return HttpResponse(status=500)


@public("A page of this test.")
def curious_page(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM users_membership")
        return HttpResponse(str(cursor.fetchone()[0]))


urlpatterns = [
    path("broken/", broken_page),
    path("quiet/", quiet_failure),
    path("curious/", curious_page),
    *house_urls,
]


def assert_idle_and_empty():
    assert get_current_tenant_id() is None
    assert scopes.get() in (None, {})
    assert (connection.in_atomic_block, connection.before_commit) == (False, [])
    assert connection.connection.info.transaction_status == pq.TransactionStatus.IDLE
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.tenant_id', true), count(*) FROM users_membership")
        told, count = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM pg_cursors WHERE is_holdable")
        assert (told or "", count, cursor.fetchone()[0]) == ("", 0, 0)


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("get", "/sign-in/", 200),
        ("get", "/api/auth/me", 200),
        ("post", "/language/", 302),
        ("get", "/nowhere/", 404),
        ("get", "/api/nowhere", 404),
        ("get", "/broken/", 500),
        ("get", "/quiet/", 500),
        ("post", "/sign-out/", 302),
        ("post", "/api/auth/logout", 200),
    ],
)
def test_every_request_leaves_the_connection_idle_and_empty(clinics, method, address, status):
    ours = clinics[0]
    sign_in = sign_in_program if address.startswith("/api") else sign_in_browser
    caller = sign_in(ours.nurse, raise_request_exception=False)

    assert getattr(caller, method)(address).status_code == status
    assert_idle_and_empty()
    with tenant_context(ours.id):
        assert not Membership.objects.filter(department="never").exists()


@pytest.mark.urls(__name__)
def test_a_request_that_raises_leaves_nothing_to_the_next_one(clinics):
    with pytest.raises(ZeroDivisionError):
        sign_in_browser(clinics[0].nurse).get("/broken/")

    assert_idle_and_empty()
    assert PageClient().get("/curious/").content == b"0"


@pytest.mark.urls(__name__)
def test_a_thousand_requests_never_see_the_other_clinic(clinics):
    callers = [sign_in_program(clinic.nurse) for clinic in clinics]
    names = [clinic.nurse.user.name for clinic in clinics]
    nobody, browser = ProgramClient(), sign_in_browser(clinics[1].nurse, raise_request_exception=False)
    seen = set()
    for number in range(60):
        seen.add((number % 2, callers[number % 2].get("/api/auth/me").json()["name"]))
        assert nobody.get("/api/auth/me").status_code == 401
        assert browser.get("/broken/").status_code == 500

    assert seen == {(0, names[0]), (1, names[1])}
    assert_idle_and_empty()
