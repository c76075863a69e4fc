"""A real broker and a real worker of a test's own, to be killed (security.md F)."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from accounts.notifications.tests.mail_server import wait_until
from config.celery import app
from scripts import servers
from tenancy.tenants import doorbell

ROOT = Path(__file__).resolve().parents[2]
RECOVERY_SECONDS = 30


class Broker:
    """A Redis that can be killed and started again."""

    def __init__(self, directory):
        self.directory = directory
        self.server = None

    def start(self):
        self.server = servers.start_redis(self.directory)

    def kill(self):
        os.kill(self.server.pid, signal.SIGKILL)
        assert wait_until(lambda: not self.server.is_running())


@contextmanager
def run_broker(directory):
    """A Redis which this process and the worker use; `broker.kill()`, `broker.start()`."""
    broker = Broker(directory)
    broker.start()
    usual = app.conf.broker_url
    doorbell.forget()
    connect_to(broker.server.url.replace("unix://", "redis+socket://", 1))
    try:
        yield broker
    finally:
        connect_to(usual)
        doorbell.forget()
        broker.server.stop()


def connect_to(address):
    """Where this process leaves its tasks from now on."""
    app.conf.broker_url = app.conf.broker_write_url = address
    app.amqp._producer_pool = app._pool = None


@contextmanager
def run_worker(broker, directory, program=("-m", "celery", "-A", "config"), **environment):
    """A worker with its clock, in a process group of its own; `environment` is added to that of the test."""
    environment["REDIS_URL"], environment["DJANGO_SETTINGS_MODULE"] = broker.server.url, "config.settings"
    command = ["worker", "-B", "-s", str(directory / "beat"), "--concurrency", "1", "--loglevel", "WARNING"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with open(directory / "worker.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, *program, *command, *quiet],
            cwd=ROOT, env=os.environ | environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        kill(process)


def kill(process):
    """kill -9 of the worker and all it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
