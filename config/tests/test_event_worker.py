"""Events through a real worker and a real broker, with kill -9 for each of them (security.md FA-02 to FA-04)."""

import json
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from accounts.notifications.tests.mail_server import wait_until
from accounts.users.tests.factories import open_clinic
from clinic.patients.tests.factories import PatientFactory
from config.celery import app
from tenancy.events import services, tasks
from tenancy.events.models import Delivery, Event
from tenancy.events.tests.factories import SECRETS, open_endpoint
from tenancy.events.tests.receivers import Receiver
from tenancy.tenants import doorbell
from tenancy.tenants.context import tenant_context

from .workers import RECOVERY_SECONDS, kill, run_broker, run_worker

POINTS = [
    "before the claim",
    "in the claim",
    "between claim and send",
    "between send and note",
    "in the note",
    "after the note",
]


@pytest.fixture
def broker(tmp_path):
    with run_broker(tmp_path / "redis") as broker:
        yield broker


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def house(committed_db, receiver):
    """A clinic and its endpoint."""
    tenant, _ = open_clinic()
    with tenant_context(tenant.id):
        return tenant, open_endpoint(receiver.url)


def register(tenant, many):
    """So many patients; how long the slowest took to be registered."""
    slowest = 0.0
    for _ in range(many):
        began = time.monotonic()
        with tenant_context(tenant.id):
            PatientFactory()
        slowest = max(slowest, time.monotonic() - began)
    return slowest


def delivered(tenant):
    with tenant_context(tenant.id):
        return Delivery.objects.filter(state="delivered").count()


def check(tenant, endpoint, receiver):
    """Every event arrived, whatever came twice is the same, nothing else came."""
    with tenant_context(tenant.id):
        bodies = dict(Event.objects.values_list("id", "body"))
    came = {}
    for got in receiver.got:
        Webhook(SECRETS[endpoint.pk]).verify(got.body, got.headers)
        came.setdefault(got.headers["webhook-id"], set()).add(got.body.decode())
    assert came == {str(pk): {body} for pk, body in bodies.items()}


def test_s25_the_worker_hears_the_doorbell(house, broker, receiver, tmp_path):
    tenant, endpoint = house
    with run_worker(broker, tmp_path):
        register(tenant, 1)
        assert wait_until(lambda: delivered(tenant) == 1, 40), "the worker has not come up"
        time.sleep(1)

        rang = time.monotonic()
        slowest = register(tenant, 20)
        assert wait_until(lambda: delivered(tenant) == 21, 20)

    assert time.monotonic() - rang < 20
    assert slowest < 2
    check(tenant, endpoint, receiver)
    assert len(receiver.got) == 21


def test_many_commits_ring_once_and_a_busy_clinic_is_gathered(house, broker):
    tenant, _endpoint = house
    queued = app.connection_for_read().channel().client

    def etas():
        return [json.loads(text)["headers"]["eta"] for text in reversed(queued.lrange("celery", 0, -1))]

    register(tenant, 5)
    assert etas() == [None], "the first is heard at once, the others are the same ring"

    doorbell.answered(tasks.deliver.name, tenant.id)
    register(tenant, 5)
    _first, second = etas()
    assert 0 < (datetime.fromisoformat(second) - datetime.now(UTC)).total_seconds() <= doorbell.GATHER_SECONDS

    time.sleep(doorbell.RECENT_SECONDS + 0.1)
    doorbell.answered(tasks.deliver.name, tenant.id)
    register(tenant, 1)
    assert etas() == [None, second, None], "after a quiet second nobody waits"


@pytest.mark.parametrize("point", POINTS)
def test_fa03_kill_9_at_each_point_loses_nothing(house, broker, receiver, tmp_path, point):
    tenant, endpoint = house
    register(tenant, 3)
    with run_worker(broker, tmp_path, ("-m", "config.tests.dying_worker"), FAIL_POINT=point) as dying:
        assert wait_until(lambda: dying.poll() is not None, 60), "it has not reached the point"
    sent = len(receiver.got)
    with tenant_context(tenant.id):
        noted = Delivery.objects.filter(state="delivered").count()

    restarted = time.monotonic()
    with run_worker(broker, tmp_path):
        assert wait_until(lambda: delivered(tenant) == 3, RECOVERY_SECONDS)
    recovered = time.monotonic() - restarted

    check(tenant, endpoint, receiver)
    assert recovered < RECOVERY_SECONDS
    assert (sent > 0) == (POINTS.index(point) >= POINTS.index("between send and note"))
    assert (noted > 0) == (point == "after the note")
    assert len(receiver.got) <= 3 + sent


def test_fa02_kill_9_of_the_worker_again_and_again(house, broker, receiver, tmp_path):
    tenant, endpoint = house
    receiver.delay = 0.05
    register(tenant, 150)
    for _ in range(3):
        before = len(receiver.got)
        with run_worker(broker, tmp_path) as worker:
            assert wait_until(lambda before=before: len(receiver.got) > before + 5, 60)
            kill(worker)
    with run_worker(broker, tmp_path):
        assert wait_until(lambda: delivered(tenant) == 150, 60)

    check(tenant, endpoint, receiver)
    assert len(receiver.got) < 150 + 3 * 30


def test_fa04_a_dead_broker_holds_nobody_up_and_loses_nothing(house, broker, receiver, tmp_path):
    tenant, endpoint = house
    broker.kill()
    first, rest = register(tenant, 1), register(tenant, 4)
    broker.start()

    with run_worker(broker, tmp_path):
        assert wait_until(lambda: delivered(tenant) == 5, RECOVERY_SECONDS + 10)

    assert first < 4
    assert rest < 2, "who finds the broker dead once does not ask again at once"
    check(tenant, endpoint, receiver)


def test_fa04_a_broker_that_forgets_everything_loses_nothing(house, broker, receiver, tmp_path):
    tenant, endpoint = house
    register(tenant, 5)
    broker.kill()
    broker.start()

    with run_worker(broker, tmp_path):
        assert wait_until(lambda: delivered(tenant) == 5, RECOVERY_SECONDS + 10)

    check(tenant, endpoint, receiver)


def test_an_event_of_a_transaction_that_was_rolled_back_never_arrives(house, broker, receiver, tmp_path):
    tenant, _endpoint = house
    with pytest.raises(ZeroDivisionError), tenant_context(tenant.id):
        PatientFactory()
        raise ZeroDivisionError
    with tenant_context(tenant.id):
        services.send_test_event(open_endpoint(receiver.url), by=None)

    with run_worker(broker, tmp_path):
        assert wait_until(lambda: delivered(tenant) == 1, 60)

    assert [b"endpoint.test" in got.body for got in receiver.got] == [True]
