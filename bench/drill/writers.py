"""Programs that register patients, as a careful client does: the same key until there is an answer.

Those without a key ask again, too, and where the patient is there already they ask which one it is.
"""

import http.client
import json
import random
import threading
import time

from .history import History, Operation

ANSWER_SECONDS = 20
GIVE_UP_SECONDS = 180
AGAIN = {409, 425, 429, 500, 502, 503, 504}  # 409: the first try of the same key still runs
REPLAYS = 0.05
NAMES = ("Ana", "Luis", "María", "Jorge", "Sofía", "Pedro", "Lucía", "Iván")


class Writers:
    """So many threads, each with a connection of its own, until the history is through."""

    def __init__(self, history: History, address: str, api_key: str, count: int):
        self.history, self.address, self.api_key = history, address, api_key
        self.replays = 0
        self.threads = [threading.Thread(target=self._work, args=(seed,), daemon=True) for seed in range(count)]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join()

    def _work(self, seed: int) -> None:
        chance, line = random.Random(seed), _Line(self.address, self.api_key)
        while (operation := self.history.take()) is not None:
            body = _patient(operation)
            outcome = self._register(line, operation, body)
            if outcome == "ok" and operation.key and chance.random() < REPLAYS:
                # A client that has lost the answer asks again: it must be told the same.
                self.replays += 1
                self._register(line, operation, body)
            self.history.finish(operation, outcome)

    def _register(self, line: "_Line", operation: Operation, body: bytes) -> str:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        pause = 0.05
        while True:
            operation.tries += 1
            status, answer = line.ask("POST", "/v1/patients", body, operation.key)
            if status == 409 and not operation.key:
                status, answer = line.ask("GET", f"/v1/patients/by-document/CC/{operation.document}")
                status = 201 if status == 200 else status
            operation.status = status or operation.status
            if status == 201:
                operation.answers.append(answer["id"])
                return "ok"
            if status and status not in AGAIN:
                return "fail"
            if time.monotonic() > deadline:
                return "unknown"
            time.sleep(pause)
            pause = min(1.0, pause * 2)


class _Line:
    """One kept connection; a new one after anything went wrong."""

    def __init__(self, address: str, api_key: str):
        self.address, self.api_key = address, api_key
        self.connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: bytes | None = None, key: str = "") -> tuple[int, dict]:
        """Status and answer; 0 where the connection was refused or cut, and nobody knows what happened."""
        headers = {"X-Api-Key": self.api_key, "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.address, timeout=ANSWER_SECONDS)
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content else {}
        except (OSError, http.client.HTTPException, ValueError):
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return 0, {}


def _patient(operation: Operation) -> bytes:
    return json.dumps(
        {
            "eventType": "PATIENT",
            "actionType": "CREATE",
            "firstName": NAMES[operation.number % len(NAMES)],
            "firstLastName": f"Ensayo{'abcdefghij'[operation.number % 10]}",
            "birthDate": f"19{50 + operation.number % 50}-0{1 + operation.number % 9}-11",
            "genderId": 1 + operation.number % 2,
            "documentTypeId": 1,
            "documentNumber": operation.document,
        }
    ).encode()
