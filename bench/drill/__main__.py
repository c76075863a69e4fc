"""`make drill`: kill everything again and again while patients are registered; print what came of it.

Exit code 0 when every promise was kept, 1 when one was not: unlike a figure,
a lost patient is not a matter of the machine. The logs of a drill that failed
stay. Ctrl-C ends the killing; what was done until then is judged.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.load import free_port
from bench.report import Figure, percentile, show

from .checker import Found, Verdict, judge, read_database
from .history import History
from .installation import Installation
from .receiver import Receiver
from .writers import Writers

# How often each is killed, relative to the others.
VICTIMS = {
    "web": 3,
    "web process": 3,
    "worker": 4,
    "worker process": 3,
    "beat": 2,
    "redis": 3,
    "redis, emptied": 1,
    "postgres": 3,
    "postgres backend": 3,
}
RECOVERY_SECONDS = 30
DRAIN_SECONDS = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="make drill", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--writes", type=int, default=10_000)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="carewright-drill-"))
    home.chmod(0o755)
    receiver = Receiver(free_port())
    installation = None
    passed = False
    try:
        installation = Installation(home, receiver.url)
        receiver.secret = installation.facts["secret"]
        outcome = drill(installation, receiver, options)
        report(outcome, as_json=options.json)
        passed = not outcome["broken"]
        return 0 if passed else 1
    finally:
        if installation is not None:
            installation.stop()
        receiver.close()
        if passed:
            shutil.rmtree(home, ignore_errors=True)
        else:
            print(f"The logs stay in {home}", file=sys.stderr)


def drill(installation: Installation, receiver: Receiver, options) -> dict:
    history = History(options.writes)
    writers = Writers(history, installation.address, installation.facts["key"], options.writers)
    began = time.monotonic()
    writers.start()
    kills = torment(installation, history, options.kills, random.Random(options.seed))
    while not history.wait_for(len(history.operations), 1):
        installation.revive()
    writers.join()
    seconds = time.monotonic() - began
    installation.wait_for_web()
    healed = time.time()
    found, drained = wait_for_quiet(installation, receiver)
    verdict = judge(history.operations, found, receiver.snapshot())
    chain = installation.audit_verify()
    return summary(options, history, writers, receiver, found, verdict, chain, kills, seconds, drained - healed)


def torment(installation: Installation, history: History, kills: int, chance: random.Random) -> list[tuple[str, float]]:
    """Kill so many times, evenly over all writes and in the middle of some; what, and how long until it worked."""
    total, done = len(history.operations), []
    ended = []
    usual = signal.signal(signal.SIGINT, lambda *_: ended.append(True))
    for number, victim in enumerate(choose_victims(kills, chance)):
        history.allow((number + 1) * total // kills)
        reached = int((number + chance.uniform(0.1, 0.9)) * total / kills)
        while not history.wait_for(reached, 1):
            installation.revive()
        if ended:
            history.end_here()
            break
        began = time.monotonic()
        installation.kill(victim)
        time.sleep(chance.choice((0, 0, 0.2, 1.0)))  # a supervisor is not always at hand
        installation.heal(victim)
        done.append((victim, time.monotonic() - began))
        print(f"\r  {number + 1} of {kills} kills, {history.done:,} writes", end="", file=sys.stderr, flush=True)
    signal.signal(signal.SIGINT, usual)
    history.allow(len(history.operations))
    print(file=sys.stderr)
    return done


def choose_victims(kills: int, chance: random.Random) -> list[str]:
    """Every kind in turn while there is room, then by weight, in a random order."""
    once = chance.sample(list(VICTIMS), min(kills, len(VICTIMS)))
    rest = chance.choices(list(VICTIMS), list(VICTIMS.values()), k=kills - len(once))
    return chance.sample(once + rest, kills)


def wait_for_quiet(installation: Installation, receiver: Receiver) -> tuple[Found, float]:
    """Wait until every event is marked as delivered; what the database says then, and when that was."""
    deadline = time.time() + DRAIN_SECONDS
    while True:
        installation.revive()
        with installation.database() as connection:
            found = read_database(connection, installation.facts["tenant"])
        arrived = receiver.snapshot()
        if (not found.undelivered and found.events.keys() <= arrived.keys()) or time.time() > deadline:
            return found, max((delivery.first_at for delivery in arrived.values()), default=time.time())
        time.sleep(0.5)


def summary(options, history, writers, receiver, found, verdict: Verdict, chain, kills, seconds, drain) -> dict:
    arrived = receiver.snapshot()
    delays = [arrived[event].first_at - at for event, (_p, _b, at) in found.events.items() if event in arrived] or [0.0]
    waits = [op.answered - op.started for op in history.operations if op.outcome == "ok"] or [0.0]
    broken = verdict.broken() | ({"chain": 1} if chain else {})
    if receiver.without_id:
        broken["without_id"] = receiver.without_id
    return {
        "writes": len(history.operations),
        "outcomes": dict(Counter(operation.outcome for operation in history.operations)),
        "refused_with": dict(Counter(op.status for op in history.operations if op.outcome == "fail")),
        "tries": sum(operation.tries for operation in history.operations),
        "replays": writers.replays,
        "kills": dict(Counter(victim for victim, _seconds in kills)),
        "back_after_p99": round(percentile([back for _victim, back in kills], 0.99), 1) if kills else 0.0,
        "patients": len(found.patients),
        "events": len(found.events),
        "deliveries": sum(len(delivery.bodies) for delivery in arrived.values()),
        "entries": sum(found.entries.values()),
        "verdict": vars(verdict),
        "chain": chain,
        "broken": broken,
        "event_delay_p50": round(percentile(delays, 0.5), 2),
        "event_delay_p99": round(percentile(delays, 0.99), 2),
        "event_delay_max": round(max(delays), 2),
        "drained_after": round(max(0.0, drain), 2),
        "answer_p99": round(percentile(waits, 0.99), 2),
        "seconds": round(seconds, 1),
    }


def report(outcome: dict, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(outcome))
        return
    killed = ", ".join(f"{count} {name}" for name, count in sorted(outcome["kills"].items()))
    print(f"\n{sum(outcome['kills'].values())} kill -9 over {outcome['writes']:,} writes in {outcome['seconds']:.0f} s")
    print(f"  {killed}")
    verdict = outcome["verdict"]
    show(
        "What was promised (how often it was broken)",
        [
            Figure("acknowledged writes lost", verdict["lost"], "", 0, f"{outcome['patients']:,} patients"),
            Figure("effects twice", verdict["doubled"], "", 0, f"{outcome['tries']:,} tries"),
            Figure("refused or unasked, and there", verdict["invented"], "", 0),
            Figure("keys without an answer in the end", verdict["unanswered"], "", 0),
            Figure("keys with two answers", verdict["other_answers"], "", 0, f"{outcome['replays']} asked again"),
            Figure("patients without exactly one event", verdict["not_told"], "", 0, f"{outcome['events']:,} events"),
            Figure("events never delivered", verdict["not_delivered"], "", 0, f"{outcome['deliveries']:,} deliveries"),
            Figure("wrong bodies or signatures", verdict["wrong_bodies"], "", 0),
            Figure("writes without exactly one entry", verdict["unaudited"], "", 0, f"{outcome['entries']:,} entries"),
            Figure("chains that do not verify", 1 if outcome["chain"] else 0, "", 0, outcome["chain"][:200]),
        ],
    )
    show(
        "How long it took",
        [
            Figure("event after its write, p50", outcome["event_delay_p50"], "s"),
            Figure("event after its write, p99", outcome["event_delay_p99"], "s", RECOVERY_SECONDS),
            Figure("event after its write, longest", outcome["event_delay_max"], "s"),
            Figure("last event after the last repair", outcome["drained_after"], "s", RECOVERY_SECONDS),
            Figure("back after a kill, p99", outcome["back_after_p99"], "s"),
            Figure("answer to a write, tries included, p99", outcome["answer_p99"], "s"),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
