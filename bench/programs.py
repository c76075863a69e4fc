"""The programs of a mixed load: `python -m bench.programs` in a process of its own, a job in, what was answered out.

Closed loop: each program sends its next request when the last is answered, so
there are always as many under way as there are programs. Where the job has a
`rate`, requests are sent at fixed moments instead, and a time counts from the
moment a request was due. Plain sockets: the measuring takes as little as it can
of the two cores that it shares with what is measured.
"""

import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta

READS = {"GET one": 8, "page of patients": 3, "list of appointments": 4, "by document": 5}
WRITES = {"POST patient": 8, "PATCH patient": 7, "POST appointment": 5}
WRITE_SHARE = 0.2
KEYED, REPLAYED = 0.5, 0.1  # how many POSTs bring an Idempotency-Key, and how many of these are sent again
TIMES = [hour * 60 + minute for hour in (8, 9, 10, 11, 13, 14, 15, 16) for minute in (0, 20, 40)]
MINUTES, OFFSET = 20, "-05:00"
GIVEN = ("Ana", "Luis", "María", "Jorge", "Sofía", "Pedro", "Lucía", "Iván")
ANSWER_SECONDS = 30


@dataclass
class Told:
    """What one program was told. `times` in milliseconds by kind; `written` are answers that promise a row."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter = field(default_factory=Counter)
    written: Counter = field(default_factory=Counter)
    replays: int = 0
    other_answers: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, other: "Told") -> None:
        for kind, times in other.times.items():
            self.times[kind] += times
        self.statuses += other.statuses
        self.written += other.written
        self.replays += other.replays
        self.other_answers += other.other_answers
        self.examples = (self.examples + other.examples)[:5]

    def of(self, kinds) -> list[float]:
        """All times of these kinds."""
        return [taken for kind in kinds for taken in self.times.get(kind, [])]

    def count(self, fits: Callable[[int], bool]) -> int:
        return sum(count for status, count in self.statuses.items() if fits(int(status)))


def start(job: dict) -> subprocess.Popen:
    """Let the programs of a job begin; `finish` gives what they were told."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.programs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    return process


def finish(process: subprocess.Popen) -> Told:
    """Wait for the end of a job."""
    answer = json.loads(process.stdout.read())
    if process.wait(60):
        raise RuntimeError(f"The programs ended with {process.returncode}.")
    told = Told(**answer | {"statuses": Counter(answer["statuses"]), "written": Counter(answer["written"])})
    told.times = defaultdict(list, told.times)
    return told


def run(job: dict) -> Told:
    """`start` and `finish`."""
    return finish(start(job))


# --- One connection --------------------------------------------------------------------------------------------------


class Line:
    """A kept connection. `ask` gives status and body; status 0 where there was no answer."""

    def __init__(self, address: str, key: str):
        host, _, port = address.partition(":")
        self._place, self._socket, self._left = (host, int(port)), None, b""
        self._head = f"Host: {address}\r\nX-Api-Key: {key}\r\n"

    def ask(self, method: str, path: str, body: dict | None = None, headers: str = "") -> tuple[int, bytes]:
        content = b"" if body is None else json.dumps(body).encode()
        more = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if body is not None else ""
        try:
            if self._socket is None:
                self._socket, self._left = socket.create_connection(self._place, ANSWER_SECONDS), b""
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(f"{method} {path} HTTP/1.1\r\n{self._head}{headers}{more}\r\n".encode() + content)
            return self._read()
        except (OSError, ValueError):
            self.close()
            return 0, b""

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _read(self) -> tuple[int, bytes]:
        while b"\r\n\r\n" not in self._left:
            self._more()
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        status = int(lines[0].split()[1])
        if b"transfer-encoding: chunked" in lines:
            return status, b"".join(iter(self._chunk, b""))
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
        if length is None and status != 204:
            raise ValueError("An answer without a length.")
        return status, self._take(length or 0)

    def _chunk(self) -> bytes:
        while b"\r\n" not in self._left:
            self._more()
        length, _, self._left = self._left.partition(b"\r\n")
        return self._take(int(length, 16) + 2)[:-2]

    def _take(self, length: int) -> bytes:
        while len(self._left) < length:
            self._more()
        taken, self._left = self._left[:length], self._left[length:]
        return taken

    def _more(self) -> None:
        if not (received := self._socket.recv(65_536)):
            raise OSError("The connection was closed.")
        self._left += received


# --- What they do ----------------------------------------------------------------------------------------------------


class Program:
    """One client of the clinic. `number` of `count`: no two of them write about the same patients and doctors."""

    def __init__(self, job: dict, number: int):
        self.number, self.told, self._job = number, Told(), job
        self._chance = random.Random(f"{job['seed']} {number}")
        self.line = Line(job["address"], job["key"])
        self._patients = job["patients"]
        self._slots, self._made = self._free_times(), 0
        self._kinds = {
            "GET one": lambda: self._get(f"/v1/patients/{self._patient()['id']}"),
            "page of patients": lambda: self._get("/v1/patients?limit=20"),
            "list of appointments": lambda: self._get("/v1/appointments?limit=20"),
            "by document": lambda: self._get(f"/v1/patients/by-document/1/{self._patient()['document']}"),
            "POST patient": self._register,
            "PATCH patient": self._change,
            "POST appointment": self._book,
        }

    def go_on(self, ends_at: float) -> None:
        """One request after the other."""
        while time.monotonic() < ends_at:
            self.do(self.choose(), time.perf_counter())

    def choose(self) -> str:
        share = self._job.get("writes", WRITE_SHARE)
        weights = WRITES if self._chance.random() < share else READS
        return self._chance.choices(list(weights), list(weights.values()))[0]

    def do(self, kind: str, due: float) -> None:
        """One request, its time counted from `due`, by `time.perf_counter`."""
        status, body = self._kinds[kind]()
        self.told.times[kind].append((time.perf_counter() - due) * 1000)
        self.told.statuses[str(status)] += 1
        if 200 <= status < 300 and kind in WRITES:
            self.told.written[kind] += 1
        elif not 200 <= status < 300 and len(self.told.examples) < 5:
            self.told.examples.append(f"{kind}: {status} {body[:300].decode(errors='replace')}")

    def _get(self, path: str) -> tuple[int, bytes]:
        return self.line.ask("GET", path)

    def _patient(self) -> dict:
        return self._chance.choice(self._patients)

    def _register(self) -> tuple[int, bytes]:
        self._made += 1
        document = self._job["first_document"] + self.number * 1_000_000 + self._made
        body = {
            "eventType": "PATIENT",
            "actionType": "CREATE",
            "firstName": GIVEN[self._made % len(GIVEN)],
            "firstLastName": f"Carga{'abcdefghij'[self._made % 10]}",
            "birthDate": f"19{50 + self._made % 50}-0{1 + self._made % 9}-11",
            "genderId": 1 + self._made % 2,
            "documentTypeId": 1,
            "documentNumber": str(document),
            "cellPhone": self._phone(),
            "customFields": {"channel": "whatsapp"},
        }
        return self._post("/v1/patients", body, f"patient-{document}")

    def _change(self) -> tuple[int, bytes]:
        body = {"eventType": "PATIENT", "actionType": "UPDATE", "cellPhone": self._phone()}
        return self.line.ask("PATCH", f"/v1/patients/{self._patient()['id']}", body)

    def _book(self) -> tuple[int, bytes]:
        body = next(self._slots)
        key = f"visit-{self._job['seed']}-{body['doctorId']}-{body['startAppointment']}"
        return self._post("/v1/appointments", body, key)

    def _post(self, path: str, body: dict, key: str) -> tuple[int, bytes]:
        """With a key one time in two; of these one in ten is sent again, and has to be told the same."""
        if self._chance.random() >= KEYED:
            return self.line.ask("POST", path, body)
        header = f"Idempotency-Key: {key}\r\n"
        answer = self.line.ask("POST", path, body, header)
        if answer[0] == 201 and self._chance.random() < REPLAYED:
            self.told.replays += 1
            self.told.other_answers += self.line.ask("POST", path, body, header) != answer
        return answer

    def _phone(self) -> str:
        return f"30{self._chance.randrange(10**7, 10**8)}"

    def _free_times(self) -> Iterator[dict]:
        """Visits nobody else books: of this program's own doctors, each with another of its own patients."""
        doctors, patients = (self._job[name][self.number :: self._job["programs"]] for name in ("doctors", "patients"))
        first, booked = date.fromisoformat(self._job["first_day"]), 0
        for ahead in range(365):
            day = first + timedelta(days=ahead)
            for minute in TIMES:
                for doctor in doctors:
                    patient = patients[booked % len(patients)]
                    booked += 1
                    yield {
                        "eventType": "APPOINTMENT",
                        "actionType": "CREATE",
                        "startAppointment": f"{day}T{_clock(minute)}:00{OFFSET}",
                        "endAppointment": f"{day}T{_clock(minute + MINUTES)}:00{OFFSET}",
                        "patientDocumentTypeId": 1,
                        "patientDocumentNumber": patient["document"],
                        "doctorId": doctor,
                        "modality": "IN_PERSON",
                        "comment": "Control",
                        "customFields": {"channel": "whatsapp"},
                    }


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def work(job: dict) -> Told:
    """All programs of a job until its seconds are over."""
    programs = [Program(job, number) for number in range(job["programs"])]
    rounds = _at_their_moments(job, programs) if job.get("rate") else _one_after_the_other(job, programs)
    threads = [threading.Thread(target=one) for one in rounds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = Told()
    for program in programs:
        program.line.close()
        told.add(program.told)
    return told


def _one_after_the_other(job: dict, programs: list[Program]) -> list[Callable[[], None]]:
    ends_at = time.monotonic() + job["seconds"]
    return [lambda program=program: program.go_on(ends_at) for program in programs]


def _at_their_moments(job: dict, programs: list[Program]) -> list[Callable[[], None]]:
    numbers, lock = iter(range(int(job["rate"] * job["seconds"]))), threading.Lock()
    began = time.perf_counter() + 0.2

    def take(program: Program) -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            due = began + number / job["rate"]
            time.sleep(max(0.0, due - time.perf_counter()))
            program.do(program.choose(), due)

    return [lambda program=program: take(program) for program in programs]


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        json.dump(vars(work(json.load(sys.stdin))), sys.stdout)
