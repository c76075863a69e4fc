"""A real worker, a real broker, a mail server that can hang; and kill -9 for each of them (security.md F)."""

import os
import signal
import time

import pytest

from accounts.notifications import kinds, notices, services
from accounts.notifications.models import Delivery
from accounts.notifications.tests.mail_server import MailServer, wait_until
from accounts.users.tests.factories import MembershipFactory, open_clinic
from tenancy.tenants.context import tenant_context

from .workers import RECOVERY_SECONDS, kill, run_broker, run_worker

# A worker knows the kinds of the house only, so the test uses one of them, and wants it mailed.
KIND = kinds.Kind(notices.MAIL_FAILED.code, "system", title="…", body="…", mail="now")


@pytest.fixture
def mail_server():
    server = MailServer().start()
    yield server
    server.stop()


@pytest.fixture
def broker(tmp_path):
    with run_broker(tmp_path / "redis") as broker:
        yield broker


@pytest.fixture
def worker(broker, mail_server, tmp_path):
    """`with worker():` a worker that mails to our server."""
    return lambda: run_worker(broker, tmp_path, EMAIL_URL=f"smtp://127.0.0.1:{mail_server.port}")


@pytest.fixture
def people(committed_db):
    """A clinic with six members."""
    tenant, _ = open_clinic()
    with tenant_context(tenant.id):
        return tenant, [MembershipFactory() for _number in range(6)]


def tell(tenant, members):
    """Notify, and how long the caller had to wait for it."""
    started = time.monotonic()
    with tenant_context(tenant.id):
        services.notify(KIND, members)
    return time.monotonic() - started


def addresses(members):
    return sorted(member.user.email for member in members)


def sent(tenant):
    with tenant_context(tenant.id):
        return Delivery.objects.filter(state="sent").count()


def test_k45_the_worker_hears_the_doorbell(people, worker, mail_server):
    tenant, members = people
    with worker():
        tell(tenant, members[:1])
        assert wait_until(lambda: sent(tenant) == 1), "the worker has not come up"

        waited = tell(tenant, members[1:])

        assert wait_until(lambda: len(mail_server.accepted) == 6, 14), "the next round comes after 15 seconds"
    assert waited < 1
    assert mail_server.received_by(addresses(members)) == addresses(members)


def test_fa02_fa03_kill_9_of_the_worker_in_the_middle_of_a_mail_loses_nothing(people, worker, mail_server):
    tenant, members = people
    mail_server.delay = 4
    with worker() as process:
        waited = tell(tenant, members)
        assert mail_server.in_data.wait(20)
        kill(process)
    mail_server.delay = 0
    before = sent(tenant)

    restarted = time.monotonic()
    with worker():
        assert wait_until(lambda: sent(tenant) == 6, RECOVERY_SECONDS)
    recovered = time.monotonic() - restarted

    assert waited < 1, "FA-15: nobody waits for the mail server"
    assert before == 0
    assert recovered < RECOVERY_SECONDS
    ids = [message["Message-ID"] for message in mail_server.accepted if message["To"] in addresses(members)]
    assert len(set(ids)) == 6
    assert len(ids) <= 7, "only the one in the server's hands may have come twice, and is known by its Message-ID"


def test_fa04_a_dead_broker_holds_nobody_up_and_loses_nothing(people, broker, worker, mail_server):
    tenant, members = people
    broker.kill()

    first, second = tell(tenant, members[:3]), tell(tenant, members[3:])
    broker.start()
    with worker():
        assert wait_until(lambda: sent(tenant) == 6, RECOVERY_SECONDS)

    assert first < 3
    assert second < 0.5, "who finds the broker dead once does not ask again at once"
    assert mail_server.received_by(addresses(members)) == addresses(members)


def test_fa04_a_frozen_broker_holds_up_one_caller_for_a_moment_and_the_next_not_at_all(people, broker):
    tenant, members = people
    os.kill(broker.server.pid, signal.SIGSTOP)
    try:
        first, second = tell(tenant, members[:3]), tell(tenant, members[3:])
    finally:
        os.kill(broker.server.pid, signal.SIGCONT)

    with tenant_context(tenant.id):
        assert Delivery.objects.filter(state="waiting").count() == 6
    assert first < 3
    assert second < 0.5
