"""The programs of the mixed load measure what they say: against a small server of the test's own."""

import json
import threading
from collections import Counter
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench import programs
from bench.load import free_port
from bench.programs import READS, WRITES, Line, Program


@pytest.fixture
def clinic():
    """Answers like `/v1` by path: GET 200, POST 201, PATCH 200; `/chunked` in pieces, `/end` closes, `/500` fails."""
    port, seen = free_port(), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self):
            server.connections += 1
            super().setup()

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.command, self.path, body, self.headers.get("Idempotency-Key")))
            status = {"POST": 201}.get(self.command, 200) if self.path != "/500" else 500
            if self.path == "/end":
                self.close_connection = True
                return
            self.send_response(status)
            if self.path == "/chunked":
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"3\r\nabc\r\n10\r\n" + b"d" * 16 + b"\r\n0\r\n\r\n")
                return
            text = json.dumps({"path": self.path, "sent": body.decode()}).encode()
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = answer

        def log_message(self, *_arguments):
            """The test speaks."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.seen, server.address, server.connections = seen, f"127.0.0.1:{port}", 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def job(clinic, **more):
    return {
        "address": clinic.address,
        "key": "cw_key",
        "patients": [{"id": f"p{number}", "document": str(number)} for number in range(40)],
        "doctors": [f"d{number}" for number in range(8)],
        "programs": 4,
        "seed": 1,
        "first_day": "2030-03-04",
        "first_document": 3_000_000_000,
        "seconds": 1,
        **more,
    }


def test_line_reads_answers_with_a_length_and_in_pieces_over_one_connection(clinic):
    with closing(Line(clinic.address, "cw_key")) as line:
        assert line.ask("GET", "/chunked") == (200, b"abc" + b"d" * 16)
        assert json.loads(line.ask("POST", "/v1/patients", {"a": "ñ"})[1])["sent"] == '{"a": "\\u00f1"}'
        assert line.ask("GET", "/500")[0] == 500
    assert clinic.connections == 1


def test_line_says_0_where_there_was_no_answer_and_connects_again(clinic):
    with closing(Line(clinic.address, "cw_key")) as line:
        assert line.ask("GET", "/end") == (0, b"")
        assert line.ask("GET", "/v1/patients")[0] == 200
    assert clinic.connections == 2


def test_programs_keep_to_the_mix_and_count_what_they_were_promised(clinic):
    told = programs.work(job(clinic))

    reads, writes = len(told.of(READS)), len(told.of(WRITES))
    assert 0.1 < writes / (reads + writes) < 0.3
    assert set(told.times) == {*READS, *WRITES}
    sent = Counter(method for method, *_rest in clinic.seen)
    assert sent["PATCH"] == told.written["PATCH patient"]
    assert sent["POST"] == told.written["POST patient"] + told.written["POST appointment"] + told.replays
    assert told.replays
    assert told.other_answers == 0


def test_no_two_programs_write_the_same_patient_or_take_the_same_time(clinic):
    programs.work(job(clinic, writes=1.0))

    posts = {(path, body, key) for method, path, body, key in clinic.seen if method == "POST"}
    bodies = [json.loads(body) for _path, body, _key in posts]
    documents = [body["documentNumber"] for body in bodies if "documentNumber" in body]
    times = [(body["doctorId"], body["startAppointment"]) for body in bodies if "doctorId" in body]
    busy = [(body["patientDocumentNumber"], body["startAppointment"]) for body in bodies if "doctorId" in body]
    for found in (documents, times, busy):
        assert found
        assert len(found) == len(set(found))


def test_a_replay_that_is_told_something_else_is_counted(clinic):
    program = Program(job(clinic), 0)
    answers = iter([(201, b"one"), (201, b"two")] * 100)
    program.line.ask = lambda *_arguments: next(answers)

    while not program.told.replays:
        program._chance.random = lambda: 0.0
        program.do("POST patient", 0)

    assert program.told.other_answers == 1


def test_paced_programs_send_at_their_moments(clinic):
    told = programs.work(job(clinic, rate=50, writes=0.0))

    assert len(told.of(READS)) == 50
    assert len(clinic.seen) == 50


def test_what_is_refused_promises_nothing_and_is_shown(clinic):
    program = Program(job(clinic), 0)
    program.line.ask = lambda *_arguments: (409, b"taken")

    program.do("POST appointment", 0)

    assert program.told.written["POST appointment"] == 0
    assert program.told.examples == ["POST appointment: 409 taken"]
    assert program.told.count(lambda status: status >= 400) == 1
