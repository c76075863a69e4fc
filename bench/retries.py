"""The same order, sent by 64 at once: how often it is carried out (security.md, figure 16).

Over HTTP, against the web as it runs in production. Every thread sends every
key; who is told that the first is still running asks again, as clients do.
"""

import http.client
import json
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

from bench import load
from bench.large_clinic import PASSWORD, LargeClinic, open_web
from bench.report import Figure, percentile

THREADS, KEYS, PLAIN = 64, 200, 300
ADMIN = "admin@large.example"
ORDER = {
    "name": "Ana Pérez",
    "email": "ana@example.com",
    "phone": "+573001234567",
    "dateOfBirth": "1980-02-29",
    "gender": "female",
    "address": "Calle 1",
    "bloodType": "O+",
}


def measure_retries(clinic: LargeClinic) -> list[Figure]:
    """64 threads x 200 keys: effects, answers that differ, keys used again for something else, and what a key costs."""
    with open_web(clinic) as address:
        load.sign_in(address, ADMIN, PASSWORD)  # until the server answers
        token = _token(address)
        caller = _Caller(address, token)
        before = caller.total()
        plain = [caller.post(None)[3] for _ in range(PLAIN)]
        first = [caller.post(f"single-{number}")[3] for number in range(PLAIN)]
        replays = [caller.post(f"single-{number}")[3] for number in range(PLAIN)]
        effects = caller.total() - before
        assert effects == 2 * PLAIN, f"{effects} effects of {2 * PLAIN} requests"
        began = time.monotonic()
        answers, told_to_wait, statuses = _all_at_once(address, token)
        seconds = time.monotonic() - began
        caller = _Caller(address, token)  # the kept connection has been idle for too long
        effects = caller.total() - before - effects
        mismatches = Counter(caller.post(f"order-{number}", ORDER | {"name": "Other"})[0] for number in range(KEYS))
        effects_of_mismatches = caller.total() - before - effects - 2 * PLAIN
    sent = sum(len(bodies) for bodies in answers.values())
    note = f"{sent} answers in {seconds:.0f} s, {told_to_wait} times told to wait"
    differing = sum(len(set(bodies)) - 1 for bodies in answers.values())
    failures = sum(count for status, count in statuses.items() if status >= 500)
    return [
        Figure(f"effects of {THREADS} threads x {KEYS} keys", effects, "", KEYS, note),
        Figure("answers that differ from the first", differing, "", 0, f"status, body and ETag of {sent} answers"),
        Figure("answers of 500 and more", failures, "", 0),
        Figure("another body, not answered 422", KEYS - mismatches[422], "", 0, f"effects: {effects_of_mismatches}"),
        Figure("POST without a key, median", percentile(plain, 0.5), "ms"),
        Figure("POST with a key, median", percentile(first, 0.5), "ms"),
        Figure("its replay, median", percentile(replays, 0.5), "ms"),
    ]


class _Caller:
    """A program with a kept connection."""

    def __init__(self, address: str, token: str):
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._line = http.client.HTTPConnection(address, timeout=60)

    def post(self, key: str | None, body: dict = ORDER) -> tuple[int, bytes, str | None, float]:
        """Status, body, ETag and milliseconds."""
        headers = self._headers | ({"Idempotency-Key": key} if key else {})
        began = time.perf_counter()
        self._line.request("POST", "/api/patients", json.dumps(body), headers)
        answer = self._line.getresponse()
        read = answer.read()
        return answer.status, read, answer.getheader("ETag"), (time.perf_counter() - began) * 1000

    def total(self) -> int:
        self._line.request("GET", "/api/patients?limit=1", headers=self._headers)
        return json.loads(self._line.getresponse().read())["total"]


def _all_at_once(address: str, token: str) -> tuple[dict[str, list], int, Counter]:
    """Every answer that was not "wait" by key; how often somebody was told to wait; all statuses."""
    answers, statuses, lock = defaultdict(list), Counter(), threading.Lock()
    gate = threading.Barrier(THREADS)

    def run(_number: int) -> int:
        caller, waited = _Caller(address, token), 0
        gate.wait(timeout=60)
        for number in range(KEYS):
            key = f"order-{number}"
            while True:
                status, body, etag, _milliseconds = caller.post(key)
                with lock:
                    statuses[status] += 1
                if status != 409:
                    break
                waited += 1
                time.sleep(0.05)
            with lock:
                answers[key].append((status, body, etag))
        return waited

    with ThreadPoolExecutor(THREADS) as threads:
        waited = sum(threads.map(run, range(THREADS)))
    return answers, waited, statuses


def _token(address: str) -> str:
    line = http.client.HTTPConnection(address, timeout=30)
    body = json.dumps({"email": ADMIN, "password": PASSWORD})
    line.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
    return json.loads(line.getresponse().read())["access_token"]
