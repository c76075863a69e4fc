"""A small load client: one process of its own, a thread and a kept connection each, real sign-in."""

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from urllib.parse import urlencode


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_v1(address: str, key: str, *, seconds: float = 60) -> None:
    """Until `/v1` answers a program with this key. Raises OSError when it does not."""
    request = urllib.request.Request(f"http://{address}/v1/patients?limit=1", headers={"X-Api-Key": key})
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                answer.read()
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def sign_in(address: str, username: str, password: str, *, seconds: float = 30) -> str:
    """The Cookie header of a browser that has signed in by the page. Waits until the server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection = http.client.HTTPConnection(address, timeout=10)
            connection.request("GET", "/sign-in/")
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    page = connection.getresponse()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.read().decode())[1]
    cookie = _cookies(page)
    form = {"username": username, "password": password, "csrfmiddlewaretoken": token, "next": ""}
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/sign-in/", urlencode(form), headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 302:
        raise RuntimeError(f"Signing in was answered {answer.status}.")
    return _cookies(answer)


def fetch_token(address: str, email: str, password: str, *, seconds: float = 30) -> str:
    """An access token for the Authorization header. Waits until the server answers."""
    deadline, body = time.monotonic() + seconds, json.dumps({"email": email, "password": password})
    while True:
        try:
            connection = http.client.HTTPConnection(address, timeout=10)
            connection.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    if answer.status != 200:
        raise RuntimeError(f"Signing in was answered {answer.status}.")
    return json.loads(content)["access_token"]


def _cookies(response) -> str:
    pairs = [value.split(";")[0] for name, value in response.getheaders() if name.lower() == "set-cookie"]
    return "; ".join(pairs)


def hammer(
    address: str, cookie: str, paths: list[str], *, connections: int, headers: dict[str, str] | None = None
) -> tuple[list[float], int, float]:
    """GET all paths over so many connections; milliseconds of each, how many failed, seconds in all.

    Runs in a process of its own, so that the measuring takes no part in what is measured.
    """
    job = {"address": address, "cookie": cookie, "paths": paths, "connections": connections, "headers": headers or {}}
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"], input=json.dumps(job), capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    return answer["times"], answer["errors"], answer["seconds"]


def _work(job: dict) -> dict:
    waiting, times, errors = iter(job["paths"]), [], []
    lock = threading.Lock()

    def run():
        connection = http.client.HTTPConnection(job["address"], timeout=30)
        headers = {"Cookie": job["cookie"], **job["headers"]}
        while True:
            with lock:
                path = next(waiting, None)
            if path is None:
                return
            began = time.perf_counter()
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read()
            spent = (time.perf_counter() - began) * 1000
            # One hit opens the chart: a redirect is an answer, too; one to the sign-in page is not.
            fine = response.status == 200 or (
                response.status == 302 and "/patients/" in response.getheader("Location", "")
            )
            with lock:
                times.append(spent)
                if not fine:
                    errors.append(response.status)

    threads = [threading.Thread(target=run) for _ in range(job["connections"])]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"times": times, "errors": len(errors), "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    json.dump(_work(json.load(sys.stdin)), sys.stdout)
