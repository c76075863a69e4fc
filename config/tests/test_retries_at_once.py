"""Idempotency-Key under many at once, and when the server dies (security.md CC-07, FA). Real threads, real commits."""

import http.client
import json
import os
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.cache import caches
from django.db import connection

from accounts.users.models import Session
from accounts.users.tests.factories import MembershipFactory, open_clinic
from accounts.users.tests.fixtures import ProgramClient, open_session, tokens_of
from clinic.patients.models import Patient
from tenancy.audit.models import AuditEntry
from tenancy.retries import services
from tenancy.retries.models import Answer
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Counter

from .test_retries import ANA, PATIENTS

ROOT = Path(__file__).resolve().parents[2]
THREADS, KEYS = 64, 4  # `make bench BENCH_ARGS=retries` runs 64 x 200 over HTTP


@pytest.fixture
def caller(committed_db, settings):
    """A receptionist in a clinic of their own, with rows that other threads see; `token` opens the doors."""
    settings.RATE_LIMIT_SCALE = 100_000
    tenant, _ = open_clinic()
    with tenant_context(tenant.id):
        member = MembershipFactory(role="staff")
    member.token = tokens_of(open_session(member, Session.Kind.TOKEN))[0]
    return member


def program_of(member):
    program = ProgramClient(raise_request_exception=False)
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {member.token}")
    return program


def post(member, key, body=ANA):
    """One request on a connection of its own thread."""
    headers = {"Idempotency-Key": key} if key else {}
    return program_of(member).post(PATIENTS, body, headers=headers)


def count_patients(member):
    with tenant_context(member.tenant_id):
        return Patient.objects.count()


class Sender(threading.Thread):
    """One request in a thread: `.answer` when it is there."""

    def __init__(self, act):
        super().__init__()
        self.act, self.answer = act, None
        self.start()

    def run(self):
        try:
            self.answer = self.act()
        finally:
            connection.close()
            caches.close_all()

    def wait(self):
        self.join(timeout=60)
        assert self.answer is not None
        return self.answer


@contextmanager
def numbers_held(member):
    """Nobody gets a patient number meanwhile: whoever registers waits in the middle of it."""
    with tenant_context(member.tenant_id):
        assert Counter.objects.select_for_update().filter(name="patient").first()
        yield


def is_waiting(count=1):
    """Whether so many statements of this database wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees what it saw first
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0] >= count


def wait_until_waiting(count=1):
    pause = threading.Event()
    assert any(is_waiting(count) or pause.wait(0.05) for _ in range(400))


# --- Many at once ----------------------------------------------------------------------------------------------------


def test_cc07_of_64_who_send_the_same_there_is_one_effect_and_one_answer(caller):
    keys = [f"order-{uuid.uuid4()}" for _ in range(KEYS)]
    seats, answers, refusals = threading.Semaphore(24), [], []  # the server has 100 connections for all tests

    def send():
        for key in keys:
            for _try in range(200):
                with seats:
                    answer = post(caller, key)
                    connection.close()
                if answer.status_code != 409:
                    answers.append((key, answer.status_code, answer.content, answer.get("ETag")))
                    break
                refusals.append((answer.json()["code"], answer["Retry-After"]))
                threading.Event().wait(0.05)

    for sender in [Sender(lambda: send() or True) for _ in range(THREADS)]:
        sender.wait()

    assert len(answers) == THREADS * KEYS
    assert len(set(answers)) == KEYS
    assert {status for _key, status, _body, _etag in answers} == {201}
    assert set(refusals) <= {("still_running", "1")}
    assert count_patients(caller) == KEYS
    with tenant_context(caller.tenant_id):
        assert AuditEntry.objects.filter(action="patient_created").count() == KEYS
        assert Answer.objects.count() == KEYS


def test_without_a_key_each_of_many_has_an_effect(caller):
    """Negative control."""
    for sender in [Sender(lambda: post(caller, None)) for _ in range(8)]:
        assert sender.wait().status_code == 201

    assert count_patients(caller) == 8


def test_cc07_who_asks_while_the_first_runs_is_told_so_at_once(caller):
    post(caller, None)  # so that there is a counter of numbers
    key = "the-same"
    with numbers_held(caller):
        first = Sender(lambda: post(caller, key))
        wait_until_waiting()
        early = Sender(lambda: post(caller, key)).wait()
        other = Sender(lambda: post(caller, key, ANA | {"name": "Other"})).wait()
        assert first.answer is None

    done = first.wait()
    late = post(caller, key)
    for answer in (early, other):
        assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (409, "still_running", "1")
    assert (done.status_code, late.status_code, late.content) == (201, 201, done.content)
    assert count_patients(caller) == 2


def test_the_table_itself_refuses_a_second_effect(caller, monkeypatch):
    """With the lock taken away both begin; the second finds the row of the first and takes all of its own back."""
    post(caller, None)
    monkeypatch.setattr(services, "_lock_id", lambda _name: uuid.uuid4().int % 2**62)
    with numbers_held(caller):
        senders = [Sender(lambda: post(caller, "the-same")) for _ in range(2)]
        wait_until_waiting(2)

    answers = sorted(sender.wait().status_code for sender in senders)

    assert answers == [201, 409]
    assert count_patients(caller) == 2


def test_without_lock_and_table_there_would_be_two(caller, monkeypatch):
    """Negative control of both."""
    post(caller, None)
    monkeypatch.setattr(services, "_lock_id", lambda _name: uuid.uuid4().int % 2**62)
    monkeypatch.setattr(services, "keep", lambda attempt, reply: None)
    with numbers_held(caller):
        senders = [Sender(lambda: post(caller, "the-same")) for _ in range(2)]
        wait_until_waiting(2)

    assert [sender.wait().status_code for sender in senders] == [201, 201]
    assert count_patients(caller) == 3


# --- The server dies -------------------------------------------------------------------------------------------------


@pytest.fixture
def dying_server(caller):
    """The port of a server of its own process; each request is a process that can be killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "config.tests.crashing"], cwd=ROOT, env=os.environ | {"RATE_LIMIT_SCALE": "100000"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def send_over_http(port, member, key, die=""):
    """(status, headers, body), or None where the connection broke without an answer."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {member.token}", "Content-Type": "application/json", "X-Die": die}
    try:
        line.request("POST", PATIENTS, json.dumps(ANA), headers | ({"Idempotency-Key": key} if key else {}))
        answer = line.getresponse()
        return answer.status, answer.headers, answer.read()
    except (http.client.HTTPException, ConnectionError):
        return None
    finally:
        line.close()


def test_cc07_an_answer_lost_by_kill_9_after_the_commit_is_given_again(dying_server, caller):
    assert send_over_http(dying_server, caller, "after", die="after-commit") is None
    assert count_patients(caller) == 1

    status, headers, body = send_over_http(dying_server, caller, "after")
    again = send_over_http(dying_server, caller, "after")

    assert (status, headers["Idempotent-Replayed"], headers["ETag"]) == (201, "true", '"1"')
    assert json.loads(body)["name"] == ANA["name"]
    assert again[2] == body
    assert count_patients(caller) == 1

    # Killed before the commit nothing is there, and the key is free at once.
    assert send_over_http(dying_server, caller, "before", die="before-commit") is None
    assert count_patients(caller) == 1
    status, headers, _body = send_over_http(dying_server, caller, "before")
    assert (status, headers["Idempotent-Replayed"]) == (201, None)
    assert count_patients(caller) == 2

    # Negative control: a retry without a key makes a second one of what was committed.
    assert send_over_http(dying_server, caller, None, die="after-commit") is None
    assert send_over_http(dying_server, caller, None)[0] == 201
    assert count_patients(caller) == 4
