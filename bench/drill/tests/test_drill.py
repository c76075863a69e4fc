"""The drill itself: its checker sees every kind of damage, and a small one is passed (security.md FA-01 to FA-05)."""

import copy
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.drill.__main__ import VICTIMS, choose_victims
from bench.drill.checker import Found, Verdict, judge
from bench.drill.history import History
from bench.drill.receiver import Arrived, Receiver
from bench.load import free_port

ROOT = Path(__file__).resolve().parents[3]


# --- The checker -----------------------------------------------------------------------------------------------------


@pytest.fixture
def world():
    """Three patients registered, told and delivered as it should be: history, database, what arrived."""
    history = History(3)
    for operation in history.operations:
        operation.outcome, operation.answers = "ok", [f"p{operation.number}"]
    found = Found(
        patients=[(f"p{o.number}", o.document) for o in history.operations],
        events={f"e{n}": (f"p{n}", f"body {n}", 1.0) for n in range(3)},
        entries={f"p{n}": 1 for n in range(3)},
        undelivered=0,
    )
    arrived = {f"e{n}": Arrived(2.0, [f"body {n}".encode()]) for n in range(3)}
    return history.operations, found, arrived


def test_judge_is_content_with_what_is_right(world):
    assert judge(*world) == Verdict()


def test_judge_is_content_with_a_webhook_that_came_twice(world):
    operations, found, arrived = world
    arrived["e1"].bodies *= 2

    assert judge(operations, found, arrived) == Verdict()


def lose_a_patient(operations, found, arrived):
    found.patients.pop()


def swap_an_id(operations, found, arrived):
    found.patients[0] = ("p9", found.patients[0][1])


def register_twice(operations, found, arrived):
    found.patients.append(("p7", operations[0].document))


def keep_what_was_refused(operations, found, arrived):
    operations[0].outcome, operations[0].answers = "fail", []


def register_a_stranger(operations, found, arrived):
    found.patients.append(("p8", "99"))


def never_answer(operations, found, arrived):
    operations[0].outcome = "unknown"


def answer_twice(operations, found, arrived):
    operations[0].answers.append("p1")


def tell_nobody(operations, found, arrived):
    del found.events["e0"]


def tell_twice(operations, found, arrived):
    found.events["e5"] = ("p0", "body 0", 1.0)


def deliver_nothing(operations, found, arrived):
    del arrived["e0"]


def change_a_body(operations, found, arrived):
    arrived["e0"].bodies.append(b"body 1")


def forge_a_signature(operations, found, arrived):
    arrived["e0"].forged = 1


def invent_an_event(operations, found, arrived):
    arrived["e9"] = Arrived(2.0, [b"body 0"])


def skip_the_trail(operations, found, arrived):
    del found.entries["p0"]


def write_the_trail_twice(operations, found, arrived):
    found.entries["p0"] = 2


def leave_an_entry_behind(operations, found, arrived):
    found.entries["p9"] = 1


MUTANTS = {
    lose_a_patient: "lost",
    swap_an_id: "lost",
    register_twice: "doubled",
    keep_what_was_refused: "invented",
    register_a_stranger: "invented",
    never_answer: "unanswered",
    answer_twice: "other_answers",
    tell_nobody: "not_told",
    tell_twice: "not_told",
    deliver_nothing: "not_delivered",
    change_a_body: "wrong_bodies",
    forge_a_signature: "wrong_bodies",
    invent_an_event: "wrong_bodies",
    skip_the_trail: "unaudited",
    write_the_trail_twice: "unaudited",
    leave_an_entry_behind: "unaudited",
}


@pytest.mark.parametrize(("damage", "promise"), MUTANTS.items(), ids=lambda value: getattr(value, "__name__", value))
def test_judge_sees_what_is_wrong(world, damage, promise):
    operations, found, arrived = copy.deepcopy(world)

    damage(operations, found, arrived)

    assert judge(operations, found, arrived).broken().get(promise), damage


# --- Its parts -------------------------------------------------------------------------------------------------------


def test_choose_victims_takes_each_once_before_any_twice():
    assert set(choose_victims(len(VICTIMS), random.Random(1))) == set(VICTIMS)
    many = Counter(choose_victims(100, random.Random(1)))
    assert set(many) == set(VICTIMS)
    assert many.total() == 100


def test_writers_go_no_further_than_they_are_allowed():
    history = History(5)
    history.allow(2)

    taken = [history.take(), history.take()]

    assert [operation.number for operation in taken] == [0, 1]
    assert not history.wait_for(1, 0.01)
    history.finish(taken[0], "ok")
    assert history.wait_for(1, 0.01)


def test_a_history_that_ends_early_forgets_what_nobody_was_asked_for():
    history = History(5)
    history.allow(3)
    taken = history.take()

    history.end_here()

    assert len(history.operations) == 3
    assert [history.take().number, history.take().number, history.take()] == [1, 2, None]
    assert taken.number == 0


def test_the_receiver_tells_a_forged_signature():
    receiver = Receiver(free_port())
    receiver.secret = "whsec_" + "A" * 44
    try:
        receiver.take({"Webhook-Id": "e1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}, b"{}")
    finally:
        receiver.close()

    assert receiver.snapshot()["e1"].forged == 1


# --- A small one, on a real installation -----------------------------------------------------------------------------


def test_fa01_to_fa05_nothing_is_lost_when_everything_is_killed():
    """Five kills over 60 writes; `make drill` does a hundred over ten thousand."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "TEST_"))}
    command = [sys.executable, "-m", "bench.drill", "--kills", "5", "--writes", "60", "--writers", "4", "--json"]

    done = subprocess.run(command, cwd=ROOT, env=inherited, capture_output=True, text=True)

    assert done.stdout, done.stderr[-3000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["broken"] == {}, outcome
    assert outcome["outcomes"] == {"ok": 60}
    assert outcome["patients"] == outcome["events"] == outcome["entries"] == 60
    assert sum(outcome["kills"].values()) == 5
    assert done.returncode == 0
