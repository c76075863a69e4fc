"""One statement in a transaction of its own: whole or not at all, in one clinic, and on the disk when it says so."""

import secrets

import pytest
from django.db import connection, transaction
from psycopg import OperationalError as ConnectionLost
from psycopg import pq

from tenancy.tenants import one_trip
from tenancy.tenants.creation import as_texts
from tenancy.tenants.models import Counter, Tenant, new_id
from tenancy.tenants.one_trip import Refused, Then, Uncertain, Unusable, run_alone

ADD = "INSERT INTO tenants_counter (id, tenant_id, name, value) VALUES ($1::uuid, $2::uuid, $3, 1) RETURNING name"


@pytest.fixture
def tenant(committed_db):
    return make_tenant()


def make_tenant():
    return Tenant.objects.create(slug=f"trip-{secrets.token_hex(6)}", name="One Trip Clinic")


def add(tenant, name, **how):
    return run_alone(tenant.pk, ADD, [str(new_id()), str(tenant.pk), name], **({"durable": True} | how))


def counted(tenant, name) -> int:
    with transaction.atomic():
        connection.set_local_tenant(tenant.pk)
        return Counter.objects.model._base_manager.filter(tenant=tenant, name=name).count()


@pytest.mark.parametrize("durable", [True, False])
def test_what_it_writes_is_there_and_nothing_of_the_clinic_is_left(tenant, durable):
    assert add(tenant, "ü ' \\ %s", durable=durable) == [("ü ' \\ %s",)]

    assert counted(tenant, "ü ' \\ %s") == 1
    assert connection.connection.pgconn.transaction_status == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.tenant_id', true)")
        assert cursor.fetchone()[0] in ("", None)


def test_a_rule_of_the_database_refuses_and_the_connection_stays(tenant):
    add(tenant, "twice")
    process = connection.connection.info.backend_pid

    with pytest.raises(Refused):
        add(tenant, "twice")

    assert counted(tenant, "twice") == 1
    assert add(tenant, "after it") == [("after it",)]
    assert connection.connection.info.backend_pid == process


def test_another_error_gives_the_connection_up(tenant):
    with pytest.raises(Unusable) as failed:
        run_alone(tenant.pk, "SELECT 1 / $1::int", ["0"], durable=True)

    assert not isinstance(failed.value, Refused)
    assert add(tenant, "on another connection") == [("on another connection",)]


def test_another_clinics_row_can_not_be_written(tenant):
    other = make_tenant()

    with pytest.raises(Unusable):
        run_alone(tenant.pk, ADD, [str(new_id()), str(other.pk), "foreign"], durable=True)

    assert counted(other, "foreign") == 0


def end_backend(process):
    """End a server process, and wait until it is gone."""
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
    other.close()


def test_a_backend_that_was_killed_is_unusable_once(tenant):
    add(tenant, "before")
    victim = connection.connection.info.backend_pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
    end_backend(victim)

    with pytest.raises(Unusable):
        add(tenant, "on a dead one")

    assert add(tenant, "again") == [("again",)]


def kill_at(monkeypatch, place):
    """Kill this connection's backend when the results up to `place` have been read: 3 the statement, 4 COMMIT."""
    real, killed = one_trip._read_until, []

    def read(pgconn, syncs):
        results = real(pgconn, syncs)
        if not killed:
            killed.append(True)
            return [*results[:place], _Lost(), *results[place + 1 :]]
        return results

    monkeypatch.setattr(one_trip, "_read_until", read)


class _Lost:
    """What libpq makes of a server that went away."""

    status, command_status = pq.ExecStatus.FATAL_ERROR, None

    def error_field(self, _field):
        return b"57P01"


def test_a_server_lost_before_the_commit_has_written_nothing(tenant, monkeypatch):
    real = one_trip._exchange
    monkeypatch.setattr(one_trip, "_exchange", lambda *a, **k: [*real(*a, **k)[:3], _Lost(), _Aborted()])

    with pytest.raises(Unusable):
        add(tenant, "before")


class _Aborted:
    status, command_status = pq.ExecStatus.PIPELINE_ABORTED, None


def test_a_server_lost_after_the_commit_leaves_it_uncertain(tenant, monkeypatch):
    kill_at(monkeypatch, 5)

    with pytest.raises(Uncertain):
        add(tenant, "after")

    assert counted(tenant, "after") == 1


def test_a_connection_that_breaks_on_the_way_leaves_a_write_uncertain_and_a_note_not(tenant, monkeypatch):
    add(tenant, "warm")

    def breaks(pgconn, syncs):
        raise ConnectionLost("gone")

    for durable, said in ((True, Uncertain), (False, Unusable)):
        with monkeypatch.context() as patch:
            patch.setattr(one_trip, "_read_until", breaks)
            with pytest.raises(said):
                add(tenant, f"on the way {durable}", durable=durable)

    assert add(tenant, "again") == [("again",)]


AGAIN = "INSERT INTO tenants_counter (id, tenant_id, name, value) VALUES ($1::uuid, $2::uuid, $3, 2)"


def then(tenant, *, name="{} then"):
    return Then(AGAIN, lambda rows: [str(new_id()), str(tenant.pk), name.format(rows[0][0])])


def test_a_second_statement_says_what_the_first_has_told_in_the_same_transaction(tenant):
    assert add(tenant, "first", then=then(tenant)) == [("first",)]

    assert (counted(tenant, "first"), counted(tenant, "first then")) == (1, 1)


def test_a_second_statement_that_is_refused_takes_the_first_back(tenant):
    add(tenant, "there")

    with pytest.raises(Refused):
        add(tenant, "first", then=then(tenant, name="there"))

    assert (counted(tenant, "first"), counted(tenant, "there")) == (0, 1)
    assert add(tenant, "first", then=then(tenant)) == [("first",)]


def test_a_second_statement_that_can_not_be_made_takes_the_first_back(tenant):
    def fail(rows):
        raise RuntimeError("no values")

    with pytest.raises(RuntimeError, match="no values"):
        add(tenant, "first", then=Then(AGAIN, fail))

    assert counted(tenant, "first") == 0
    assert add(tenant, "first") == [("first",)]


def test_a_first_statement_that_is_refused_or_tells_nothing_asks_for_no_second(tenant):
    add(tenant, "there")

    with pytest.raises(Refused):
        add(tenant, "there", then=then(tenant))
    nothing = run_alone(
        tenant.pk, "SELECT name FROM tenants_counter WHERE name = $1", ["x"], durable=True, then=then(tenant)
    )

    assert nothing == []
    assert (counted(tenant, "there"), counted(tenant, "there then")) == (1, 0)


def test_a_server_lost_between_the_two_has_written_nothing(tenant, monkeypatch):
    def die(rows):
        end_backend(connection.connection.info.backend_pid)
        return then(tenant).values(rows)

    with pytest.raises((Unusable, Uncertain)):
        add(tenant, "first", then=Then(AGAIN, die))

    assert (counted(tenant, "first"), counted(tenant, "first then")) == (0, 0)


def test_inside_a_transaction_it_is_not_for_use(tenant):
    with transaction.atomic(), pytest.raises(Unusable):
        add(tenant, "inside")


LSN = "INSERT INTO tenants_counter (id, tenant_id, name, value) VALUES ($1::uuid, $2::uuid, $3, 1)"
LSN += " RETURNING pg_current_wal_insert_lsn()"


def test_durable_is_on_the_disk_before_the_answer_and_a_note_is_not(tenant):
    """What was in the log when the row was written is flushed when the answer comes; a note often is not yet."""
    add(tenant, "warm")
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")  # the servers of tests do without
    is_flushed = {}
    for durable in (True, False):
        is_flushed[durable] = []
        for number in range(30):
            [(place,)] = run_alone(
                tenant.pk, LSN, [str(new_id()), str(tenant.pk), f"{durable} {number}"], durable=durable
            )
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_wal_flush_lsn() > %s::pg_lsn", [place])
                is_flushed[durable].append(cursor.fetchone()[0])
    connection.close()

    assert all(is_flushed[True])
    assert not all(is_flushed[False])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None), (True, "true"), (7, "7"), (b"\x00\xff", "\\x00ff"), ({"a": 1}, '{"a":1}'),
        (['a"b', "c\\d", "", None], '{"a\\"b","c\\\\d","",NULL}'),
    ],
)  # fmt: skip
def test_values_as_postgres_reads_them(value, text):
    assert as_texts([value]) == [text]


def test_a_list_comes_back_as_it_was(tenant):
    words = ['a"b', "c\\d", "{e,f}", "", "NULL", "ü\u2028", "tab\there", "line\nend"]

    [(joined,)] = run_alone(tenant.pk, "SELECT array_to_string($1::text[], '|')", as_texts([words]), durable=False)

    assert joined == "|".join(words)
    assert Tenant.objects.filter(pk=tenant.pk).exists()
