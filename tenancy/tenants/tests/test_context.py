"""`tenant_context` on a connection of its own: what PostgreSQL is told, when, and what is left of it."""

import tempfile
import threading
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.utils import ProgrammingError
from django.test.utils import CaptureQueriesContext
from django_scopes.exceptions import ScopeError
from django_scopes.state import state as scopes
from psycopg import pq

from tenancy.tenants.context import (
    NoTenant,
    OtherTenant,
    before_leaving,
    current_tenant_id,
    get_current_tenant_id,
    tenant_context,
)
from tenancy.tenants.models import Counter, Tenant

from .databases import as_superuser, connected_to

pytestmark = pytest.mark.usefixtures("committed_db")


def make_tenant():
    return Tenant.objects.create(slug=f"t-{uuid.uuid4().hex[:12]}", name="Somewhere")


@pytest.fixture
def ours(committed_db):
    return make_tenant()


@pytest.fixture
def theirs(committed_db):
    tenant = make_tenant()
    with tenant_context(tenant.id):
        Counter.objects.create(name="theirs")
    return tenant


def ask(statement, params=()):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall()


def told():
    """The tenant PostgreSQL knows of; "" where it was emptied, None where it was never told."""
    return ask("SELECT current_setting('app.tenant_id', true)")[0][0]


def assert_nothing_is_left():
    assert get_current_tenant_id() is None
    assert scopes.get() in (None, {})
    assert connection.tenant_for_next_begin is None
    assert connection.before_commit == []
    if connection.connection:
        assert connection.connection.info.transaction_status == pq.TransactionStatus.IDLE
        assert told() in (None, "")
        assert ask("SELECT count(*) FROM tenants_counter") == [(0,)]
        assert ask("SELECT name FROM pg_cursors WHERE is_holdable") == []


@contextmanager
def wire():
    """What goes over the wire meanwhile: libpq's own trace, as lines."""
    connection.ensure_connection()
    lines = []
    with tempfile.NamedTemporaryFile() as file:
        pgconn = connection.connection.pgconn
        pgconn.trace(file.fileno())
        pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        try:
            yield lines
        finally:
            pgconn.untrace()
            lines += [line for line in Path(file.name).read_text().splitlines() if line.startswith("F")]


# --- Going in and out ------------------------------------------------------------------------------------------------


def test_tenant_context_begins_with_one_message(ours):
    with wire() as sent, tenant_context(ours.id):
        pass

    assert [line.split("\t", 3)[-1].strip() for line in sent] == [
        f"\"BEGIN; SET LOCAL app.tenant_id = '{ours.id}'\"",
        '"COMMIT"',
    ]


def test_tenant_context_shows_one_clinic_and_leaves_nothing(ours, theirs):
    with tenant_context(str(ours.id)):
        Counter.objects.create(name="mine")
        seen = told(), current_tenant_id(), ask("SELECT name FROM tenants_counter")

    assert seen == (str(ours.id), ours.id, [("mine",)])
    assert_nothing_is_left()


def test_tenant_context_rolls_back_on_an_error(ours):
    with pytest.raises(ZeroDivisionError), tenant_context(ours.id):
        Counter.objects.create(name="never")
        1 / 0

    assert_nothing_is_left()
    with tenant_context(ours.id):
        assert not Counter.objects.exists()


@pytest.mark.parametrize("nonsense", ["", "demo", "1 OR 1=1", "'; RESET ROLE; --", None])
def test_tenant_context_takes_nothing_but_ids(nonsense):
    with pytest.raises(ValueError), tenant_context(nonsense):
        pass

    assert_nothing_is_left()


def test_tenant_context_entered_again_is_a_savepoint(ours):
    with tenant_context(ours.id):
        Counter.objects.create(name="kept")
        with pytest.raises(ZeroDivisionError), tenant_context(ours.id):
            Counter.objects.create(name="dropped")
            1 / 0
        still = told()

    assert still == str(ours.id)
    with tenant_context(ours.id):
        assert list(Counter.objects.values_list("name", flat=True)) == ["kept"]


def test_tenant_context_refuses_another_tenant(ours, theirs):
    with tenant_context(ours.id):
        with pytest.raises(OtherTenant), tenant_context(theirs.id):
            pass
        assert told() == str(ours.id)
        Counter.objects.create(name="goes on")

    assert_nothing_is_left()


def test_tenant_context_survives_a_rolled_back_savepoint(ours):
    with tenant_context(ours.id):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Counter.objects.create(name="dropped")
            1 / 0
        assert told() == str(ours.id)
        assert not Counter.objects.exists()


def test_tenant_context_inside_of_a_transaction_is_emptied_at_its_end(ours, theirs):
    with transaction.atomic():
        with tenant_context(ours.id):
            Counter.objects.create(name="mine")
            inside = told()
        between = told(), ask("SELECT count(*) FROM tenants_counter")
        with tenant_context(theirs.id):
            assert Counter.objects.get().name == "theirs"

    assert inside == str(ours.id)
    assert between == ("", [(0,)])
    assert_nothing_is_left()


def test_tenant_context_inside_of_a_transaction_is_emptied_by_an_error(ours):
    with transaction.atomic():
        with pytest.raises(DatabaseError), tenant_context(ours.id):
            ask("SELECT 1/0")
        assert told() in (None, "")

    assert_nothing_is_left()


def test_tenant_context_survives_a_killed_connection(ours, theirs):
    with pytest.raises(OperationalError), tenant_context(ours.id):
        Counter.objects.create(name="never")
        before_leaving(lambda: None)
        [(pid,)] = ask("SELECT pg_backend_pid()")
        with as_superuser() as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        ask("SELECT 1")

    assert_nothing_is_left()
    with tenant_context(theirs.id):
        assert Counter.objects.get().name == "theirs"
    assert_nothing_is_left()


def test_tenant_context_forgets_the_tenant_when_nobody_answers(ours, theirs):
    with connected_to("no_such_database"):
        with pytest.raises(OperationalError), tenant_context(ours.id):
            pass
        assert connection.tenant_for_next_begin is None

    with transaction.atomic():
        assert told() in (None, "")
    assert_nothing_is_left()


def test_a_thread_does_not_inherit_the_tenant(ours):
    found = []

    def look():
        found.append((get_current_tenant_id(), told()))
        connection.close()

    with tenant_context(ours.id):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    assert found == [(None, None)]


# --- Without a tenant ------------------------------------------------------------------------------------------------


def test_a_query_without_tenant_raises(theirs):
    with pytest.raises(ScopeError):
        Counter.objects.count()
    with pytest.raises(NoTenant):
        Counter(name="nowhere")
    with pytest.raises(NoTenant):
        current_tenant_id()


def test_raw_sql_without_tenant_sees_nothing(theirs):
    connection.close()
    never_told = told(), ask("SELECT count(*) FROM tenants_counter")
    with tenant_context(theirs.id):
        assert Counter.objects.count() == 1
    emptied = told(), ask("SELECT count(*) FROM tenants_counter")

    assert never_told == (None, [(0,)])
    assert emptied == ("", [(0,)])


def test_iterator_leaves_no_cursor_behind(theirs):
    with CaptureQueriesContext(connection) as queries, tenant_context(theirs.id):
        assert len(list(Counter.objects.iterator(chunk_size=1))) == 1
    list(Tenant.objects.iterator(chunk_size=1))

    assert not [query for query in queries if "WITH HOLD" in query["sql"]]
    assert_nothing_is_left()


# --- What is written last --------------------------------------------------------------------------------------------


def test_before_leaving_runs_in_order_inside_of_the_transaction(ours):
    done = []

    def note(word, then=()):
        done.append((word, told() == str(ours.id), connection.in_atomic_block))
        for later in then:
            before_leaving(lambda: note(later))

    with tenant_context(ours.id):
        before_leaving(lambda: note("first", then=["third"]))
        with tenant_context(ours.id):
            before_leaving(lambda: note("second"))
        assert done == []

    assert done == [("first", True, True), ("second", True, True), ("third", True, True)]


def test_before_leaving_is_dropped_with_its_savepoint(ours):
    done = []
    with tenant_context(ours.id):
        with transaction.atomic():
            before_leaving(lambda: done.append("kept"))
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            with transaction.atomic():
                before_leaving(lambda: done.append("dropped with the outer one"))
            before_leaving(lambda: done.append("dropped"))
            1 / 0

    assert done == ["kept"]


def test_before_leaving_does_not_run_after_an_error(ours):
    done = []
    with pytest.raises(ZeroDivisionError), tenant_context(ours.id):
        before_leaving(lambda: done.append("never"))
        1 / 0

    assert done == []
    assert_nothing_is_left()


def test_before_leaving_that_fails_takes_the_change_with_it(ours):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), tenant_context(ours.id):
        Counter.objects.create(name="never")
        before_leaving(fail)

    assert_nothing_is_left()
    with tenant_context(ours.id):
        assert not Counter.objects.exists()


def test_before_leaving_needs_a_tenant():
    with pytest.raises(NoTenant):
        before_leaving(lambda: None)


# --- Nothing bleeds --------------------------------------------------------------------------------------------------


def alternate(ours, theirs, rounds):
    """Ours, theirs, an error and nobody, in turns on one connection; the first wrong answer raises."""
    for number in range(rounds):
        turn = number % 4
        if turn == 3:
            assert ask("SELECT count(*) FROM tenants_counter") == [(0,)]
            continue
        tenant, names = [(ours, ["ours"]), (theirs, ["theirs"]), (ours, ["ours"])][turn]
        try:
            with tenant_context(tenant.id):
                assert [row[0] for row in ask("SELECT name FROM tenants_counter")] == names
                assert list(Counter.objects.values_list("name", flat=True)) == names
                if turn == 2:
                    ask("SELECT 1/0")
        except DatabaseError:
            assert turn == 2


def test_nothing_bleeds_from_one_turn_into_the_next(ours, theirs):
    with tenant_context(ours.id):
        Counter.objects.create(name="ours")
    connection.cursor().execute("SET plan_cache_mode = force_generic_plan")

    alternate(ours, theirs, 1_000)

    assert_nothing_is_left()


def test_nothing_bleeds_between_threads(ours, theirs):
    with tenant_context(ours.id):
        Counter.objects.create(name="ours")
    failures = []

    def work():
        try:
            alternate(ours, theirs, 250)
            assert_nothing_is_left()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


# --- The model -------------------------------------------------------------------------------------------------------


def test_save_never_sets_the_tenant(ours):
    with tenant_context(ours.id):
        counter = Counter.objects.create(name="mine")
        counter.value = 7
        with CaptureQueriesContext(connection) as queries:
            counter.save()

    [update] = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    assert '"tenant_id" =' not in update.partition("WHERE")[0]
    assert f"\"tenant_id\" = '{ours.id.hex}'" in update.partition("WHERE")[2]


def test_save_can_not_move_a_row_to_another_clinic(ours, theirs):
    with tenant_context(ours.id):
        counter = Counter.objects.create(name="mine")
    with pytest.raises(DatabaseError), tenant_context(ours.id):
        counter.tenant_id = theirs.id
        counter.save()
    with pytest.raises(ProgrammingError, match="row-level security"), tenant_context(ours.id):
        Counter.objects.update(tenant_id=theirs.id)

    with tenant_context(ours.id):
        assert Counter.objects.get() == counter


def test_bulk_create_inserts_by_values(ours):
    with tenant_context(ours.id), CaptureQueriesContext(connection) as queries:
        Counter.objects.bulk_create([Counter(name=f"c{number}") for number in range(3)])

    [insert] = [query["sql"] for query in queries if query["sql"].startswith("INSERT")]
    assert "VALUES" in insert
    assert "UNNEST" not in insert


def test_bulk_create_of_more_than_one_statement_can_carry(ours):
    """Bound by the server, a statement takes 65,535 parameters; 17,000 rows of four columns are more."""
    with tenant_context(ours.id):
        Counter.objects.bulk_create([Counter(name=f"many{number}") for number in range(17_000)])

        assert Counter.objects.filter(name__startswith="many").count() == 17_000


# --- Kept connections ------------------------------------------------------------------------------------------------


def test_a_kept_connection_is_looked_at_without_asking_the_server():
    ask("SELECT 1")

    with CaptureQueriesContext(connection) as asked:
        assert connection.is_usable()

    assert len(asked) == 0


def test_a_connection_whose_server_has_gone_is_not_usable():
    [(process,)] = ask("SELECT pg_backend_pid()")
    with as_superuser() as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [process])

    assert not connection.is_usable()
    connection.close()
    assert not connection.is_usable()
    assert ask("SELECT pg_backend_pid()") != [(process,)]


def test_a_savepoint_of_a_transaction_that_failed_is_an_error_of_the_database():
    with pytest.raises(DatabaseError), transaction.atomic():
        with pytest.raises(DatabaseError):
            ask("SELECT 1 / 0")
        with transaction.atomic():
            pass


def test_what_a_savepoint_takes_back_is_gone_and_the_rest_stays(ours):
    with tenant_context(ours.id):
        Counter.objects.create(name="before")
        with suppress(KeyError), transaction.atomic():
            Counter.objects.create(name="within")
            raise KeyError
        with transaction.atomic():
            Counter.objects.create(name="after")
        assert set(Counter.objects.values_list("name", flat=True)) == {"before", "after"}
