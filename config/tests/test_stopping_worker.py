"""A worker that is told to stop brings what it has in hand to its end (security.md FA-14); and it lets others first."""

import os
import signal
from pathlib import Path

import pytest

from accounts.notifications.tests.mail_server import wait_until
from accounts.users.tests.factories import open_clinic
from clinic.patients.tests.factories import PatientFactory
from config.celery import NICENESS
from tenancy.events.models import Attempt, Delivery
from tenancy.events.tests.factories import open_endpoint
from tenancy.events.tests.receivers import Receiver
from tenancy.tenants.context import tenant_context

from .workers import run_broker, run_worker

ANSWERS_AFTER = 3.0


@pytest.fixture
def broker(tmp_path):
    with run_broker(tmp_path / "redis") as broker:
        yield broker


@pytest.fixture
def slow_receiver():
    receiver = Receiver()
    receiver.delay = ANSWERS_AFTER
    yield receiver
    receiver.stop()


def stop_while_it_sends(tenant, broker, receiver, tmp_path, number):
    """Signal the worker while a webhook is on its way; state of the delivery, tries noted, how the worker ended."""
    with tenant_context(tenant.id):
        open_endpoint(receiver.url)
        PatientFactory()
    with run_worker(broker, tmp_path) as worker:
        assert wait_until(lambda: receiver.got, 60), "nothing was sent"
        worker.send_signal(number)
        code = worker.wait(30)
    with tenant_context(tenant.id):
        return Delivery.objects.get().state, Attempt.objects.count(), code


def test_fa14_a_worker_told_to_stop_finishes_and_notes_it(committed_db, broker, slow_receiver, tmp_path):
    tenant, _ = open_clinic()

    ended = stop_while_it_sends(tenant, broker, slow_receiver, tmp_path, signal.SIGTERM)

    assert ended == ("delivered", 1, 0)
    assert len(slow_receiver.got) == 1


def test_fa14_a_worker_that_is_killed_does_not(committed_db, broker, slow_receiver, tmp_path):
    """The negative control; the outbox sends it again (config.tests.test_event_worker)."""
    tenant, _ = open_clinic()

    ended = stop_while_it_sends(tenant, broker, slow_receiver, tmp_path, signal.SIGKILL)

    assert ended == ("waiting", 0, -signal.SIGKILL)


def test_a_worker_and_its_processes_give_way_to_the_web(committed_db, broker, tmp_path):
    with run_worker(broker, tmp_path) as worker:
        children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
        assert wait_until(lambda: children.read_text(), 60), "it has no processes"
        family = [worker.pid, *map(int, children.read_text().split())]
        found = {os.getpriority(os.PRIO_PROCESS, pid) for pid in family}

    assert found == {min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)}
