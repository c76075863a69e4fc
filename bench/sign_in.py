"""Signing in under attack: what a flood of sign-ins costs everybody else, and two tabs that renew at once.

The limits are the real ones here (RATE_LIMIT_SCALE 1). Requests are sent at
fixed moments, and a time counts from the moment a request was due: a server
that stalls does not slow the measuring down.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from bench import load
from bench.large_clinic import PASSWORD, LargeClinic, open_web, queries_of
from bench.report import Figure, percentile

PAGES_PER_SECOND, TRIES_PER_SECOND = 20, 50
SECONDS = 20
WRONG = "not the password"
ADMIN = "admin@large.example"


# --- A flood of sign-ins ---------------------------------------------------------------------------------------------


def measure_flood(clinic: LargeClinic) -> list[Figure]:
    """p99 of pages without and with 50 sign-ins a second: at one person, and made-up ones from one or many places."""
    clinic.environment["RATE_LIMIT_SCALE"] = "1"
    with open_web(clinic) as address:
        pages = _pages(address, clinic)
        _run(pages)  # warm
        quiet, floods = [_run(pages)], {}
        for name, flood in _floods(address).items():
            floods[name] = _run(pages, flood)
            quiet.append(_run(pages))
        honest = _sign_in_seconds(address)
    figures = [_quiet_figure(quiet)]
    for number, (name, run) in enumerate(floods.items()):
        # A machine is not as fast at every minute: each flood is compared with the calm before and after it.
        base = percentile(quiet[number].times + quiet[number + 1].times, 0.99)
        p99 = percentile(run.times, 0.99)
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(run.flood.items()))
        note = f"{p99:.0f} ms after {base:.0f} ms, {run.errors} errors; sign-ins: {answers}"
        figures.append(Figure(f"{name}, p99 of pages", p99 / base, "x", 2, note))
    return [*figures, Figure("a right password, right after", honest, "s", 1)]


def _quiet_figure(quiet: list["Run"]) -> Figure:
    each = ", ".join(f"{percentile(run.times, 0.99):.0f}" for run in quiet)
    base = percentile([taken for run in quiet for taken in run.times], 0.99)
    return Figure(f"pages at {PAGES_PER_SECOND}/s, no flood, p99", base, "ms", None, f"one by one: {each} ms")


@dataclass
class Run:
    """Times of the pages in milliseconds, failed ones, and how the flood was answered."""

    times: list[float]
    errors: int
    flood: Counter


def _pages(address: str, clinic: LargeClinic) -> dict:
    cookie = load.sign_in(address, ADMIN, PASSWORD)
    queries = [query for kind in queries_of(clinic.samples).values() for query in kind[:40]]
    paths = ["/patients/", *(f"/patients/?q={quote(query)}" for query in queries)]
    paths += [f"/patients/{sample['id']}/" for sample in clinic.samples[:100]]
    count = PAGES_PER_SECOND * SECONDS
    requests = [{"path": paths[number * 7 % len(paths)], "headers": {"Cookie": cookie}} for number in range(count)]
    return {"address": address, "rate": PAGES_PER_SECOND, "threads": 8, "requests": requests}


def _floods(address: str) -> dict[str, dict]:
    count = TRIES_PER_SECOND * (SECONDS + 4)
    numbers = range(count)
    form, cookie = _form(address)
    tries = {
        "one person, one address": [_try(ADMIN.replace("admin", "nobody"), "127.0.0.2") for _ in numbers],
        "made-up people, one address": [_try(f"a{number}@example.org", "127.0.0.3") for number in numbers],
        "made-up people, many addresses": [_try(f"b{number}@example.org", _address(number)) for number in numbers],
        "the same at the sign-in page": [
            _try_page(f"c{number}@example.org", _address(number + count), form, cookie) for number in numbers
        ],
    }
    return {
        name: {"address": address, "rate": TRIES_PER_SECOND, "threads": 60, "requests": requests}
        for name, requests in tries.items()
    }


def _address(number: int) -> str:
    """One of very many addresses of this machine."""
    return f"127.{1 + number // 62_500}.{1 + number // 250 % 250}.{1 + number % 250}"


def _try(email: str, source: str) -> dict:
    body = json.dumps({"email": email, "password": WRONG})
    return {"path": "/api/auth/login", "body": body, "source": source, "headers": {"Content-Type": "application/json"}}


def _try_page(email: str, source: str, token: str, cookie: str) -> dict:
    body = urlencode({"username": email, "password": WRONG, "csrfmiddlewaretoken": token})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    return {"path": "/sign-in/", "body": body, "source": source, "headers": headers}


def _form(address: str) -> tuple[str, str]:
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/sign-in/")
    answer = connection.getresponse()
    token = answer.read().decode().partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    return token, answer.getheader("Set-Cookie").partition(";")[0]


def _sign_in_seconds(address: str) -> float:
    time.sleep(12)  # until it is calm
    began = time.monotonic()
    load.sign_in(address, ADMIN, PASSWORD)
    return time.monotonic() - began


def _run(pages: dict, flood: dict | None = None) -> Run:
    """Both jobs in processes of their own; the flood begins a little earlier and ends a little later."""
    attack = _start(flood) if flood else None
    time.sleep(2)
    answer = _finish(_start(pages))
    errors = sum(count for status, count in answer["statuses"].items() if status not in {"200", "302"})
    return Run(answer["times"], errors, Counter(_finish(attack)["statuses"]) if attack else Counter())


def _start(job: dict) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.sign_in"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    return process


def _finish(process: subprocess.Popen) -> dict:
    answer = json.loads(process.stdout.read())
    process.wait(60)
    return answer


def _send_at_their_moments(job: dict) -> dict:
    """Every request at its moment, by the next free thread; milliseconds from when it was due."""
    numbers, lock = iter(enumerate(job["requests"])), threading.Lock()
    times, statuses = [], Counter()
    start = time.monotonic() + 0.2

    def run():
        connections: dict[str, http.client.HTTPConnection] = {}
        while True:
            with lock:
                number, asked = next(numbers, (None, None))
            if asked is None:
                return
            due = start + number / job["rate"]
            time.sleep(max(0, due - time.monotonic()))
            status = _send(connections, job["address"], asked)
            with lock:
                times.append((time.monotonic() - due) * 1000)
                statuses[str(status)] += 1

    threads = [threading.Thread(target=run) for _ in range(job["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"times": times, "statuses": statuses}


def _send(connections: dict, address: str, asked: dict) -> int | str:
    source = asked.get("source")
    connection = connections.get("kept") if not source else None
    if connection is None:
        connection = http.client.HTTPConnection(address, timeout=30, source_address=(source, 0) if source else None)
        if not source:
            connections["kept"] = connection
    try:
        connection.request("POST" if "body" in asked else "GET", asked["path"], asked.get("body"), asked["headers"])
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException) as error:
        connections.pop("kept", None)
        return type(error).__name__
    finally:
        if source:
            connection.close()


# --- Two tabs that renew at once -------------------------------------------------------------------------------------


def measure_refresh(clinic: LargeClinic, rounds: int = 1000) -> list[Figure]:
    """Two to ten tabs renew with one refresh token at once, round after round; every tenth a stolen one is used."""
    clinic.environment["RATE_LIMIT_SCALE"] = "100000"
    signed_out = forks = failures = thefts = found = 0
    times: list[float] = []
    with open_web(clinic) as address, ThreadPoolExecutor(10) as tabs:
        load.sign_in(address, ADMIN, PASSWORD)  # until the server answers
        token = _sign_in_for_refresh(address)
        for number in range(rounds):
            before = token
            answers = list(tabs.map(lambda _tab, sent=before: _renew(address, sent), range(2 + number % 9)))
            times += [answer.milliseconds for answer in answers]
            signed_out += sum(answer.status == 401 for answer in answers)
            failures += sum(answer.status >= 500 for answer in answers)
            forks += len({_id_of(answer.token) for answer in answers if answer.token}) > 1
            token = next((answer.token for answer in answers if answer.token), token)
            if number % 10 == 9:
                thefts += 1
                owner = _renew(address, token)
                thief = _renew(address, before)
                found += thief.status == 401 and _renew(address, owner.token).status == 401
                token = _sign_in_for_refresh(address)
    note = f"p99 of renewing {percentile(times, 0.99):.0f} ms, {len(times)} times"
    return [
        Figure(f"signed out in {rounds} rounds of 2 to 10 tabs", signed_out, "", 0, note),
        Figure("families forked", forks, "", 0),
        Figure("answers of 500 and more", failures, "", 0),
        Figure(f"stolen tokens not found, of {thefts}", thefts - found, "", 0),
    ]


@dataclass
class Renewed:
    status: int
    token: str
    milliseconds: float


def _renew(address: str, token: str) -> Renewed:
    began = time.monotonic()
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("POST", "/api/auth/refresh", headers={"Cookie": f"refresh_token={token}"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return Renewed(answer.status, _refresh_token(answer), (time.monotonic() - began) * 1000)


def _sign_in_for_refresh(address: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=30)
    body = json.dumps({"email": ADMIN, "password": PASSWORD})
    connection.request("POST", "/api/auth/login", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return _refresh_token(answer)


def _refresh_token(answer) -> str:
    cookies = [value for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    found = next((value for value in cookies if value.startswith("refresh_token=")), "")
    return found.partition("=")[2].partition(";")[0].strip('"')


def _id_of(token: str) -> str:
    """What the server knows a refresh token by; a token given twice is written anew, with the same id."""
    import jwt

    return jwt.decode(token, options={"verify_signature": False})["jti"]


if __name__ == "__main__":
    json.dump(_send_at_their_moments(json.load(sys.stdin)), sys.stdout)
