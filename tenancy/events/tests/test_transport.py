"""One request to a stranger's server stays bounded whatever that server does (WH-04, WH-05, WH-07, WH-08)."""

import re
import socket
import ssl
import struct
import time
import zlib
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tenancy.events import targets, transport
from tenancy.events.transport import Line

from .receivers import Receiver, make_authority, raw_server, server_context

HEADERS = {"webhook-id": "1"}
BODY = b'{"type": "test"}'


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def hasty(monkeypatch):
    """A second and a half instead of fifteen."""
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 1.5)


def post(url):
    with Line(url) as line:
        return line.post(BODY, HEADERS)


def test_post_sends_the_bytes_and_the_name(receiver):
    answer = post(f"http://localhost:{receiver.port}/hook?x=1")

    [got] = receiver.got
    assert (answer.status, answer.error, answer.words, answer.is_success) == (200, "", "ok", True)
    assert (got.path, got.body) == ("/hook?x=1", BODY)
    assert got.headers == {
        "host": f"localhost:{receiver.port}",
        "accept-encoding": "identity",
        "content-length": str(len(BODY)),
        "content-type": "application/json",
        "user-agent": "Carewright-Webhooks/1",
        "accept": "*/*",
        "webhook-id": "1",
    }


def test_a_line_is_kept_for_the_next_and_renewed_when_it_was_cut(receiver):
    with Line(receiver.url) as line:
        first = line.post(BODY, HEADERS)
        kept = line._connection.sock
        second = line.post(BODY, HEADERS)
        assert line._connection.sock is kept
        line._connection.sock.shutdown(socket.SHUT_RDWR)
        third = line.post(BODY, HEADERS)

    assert [answer.status for answer in (first, second, third)] == [200, 200, 200]
    assert len(receiver.got) == 3


def test_a_server_that_sends_head_and_body_apart_is_not_kept_waiting(receiver):
    """Our kernel's word comes at once; else each delivery would take 40 ms longer."""
    began = time.monotonic()
    with Line(receiver.url) as line:
        assert all(line.post(BODY, HEADERS).is_success for _ in range(40))

    assert time.monotonic() - began < 1.2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_wh05_redirects_are_failures_and_not_followed(receiver, status):
    other = Receiver()
    receiver.status, receiver.headers = status, {"Location": other.url}

    answer = post(receiver.url)
    other.stop()

    assert (answer.status, answer.error) == (status, "redirect")
    assert len(receiver.got) == 1
    assert other.got == []


def test_wh05_a_page_that_sends_browsers_on_sends_us_nowhere(receiver):
    other = Receiver()
    receiver.answer = f'<meta http-equiv="refresh" content="0;url={other.url}">'.encode()
    receiver.headers = {"Refresh": f"0;url={other.url}", "Link": f"<{other.url}>; rel=preload"}

    assert post(receiver.url).is_success
    other.stop()

    assert other.got == []


def test_wh07_no_proxy_is_asked(receiver, monkeypatch):
    with raw_server(lambda connection: connection.recv(100)) as port:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        answer = post(receiver.url)

    assert answer.is_success
    assert receiver.got[0].path == "/hook"


def test_wh04_the_connection_goes_to_the_address_that_was_looked_at(receiver, monkeypatch):
    asked = []

    def getaddrinfo(host, port, **how):
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.9"
        return [(socket.AF_INET, 1, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    answer = post(f"http://localhost:{receiver.port}/")

    assert answer.is_success
    assert asked == ["localhost"], "nobody asks again between the look and the connection"
    assert receiver.got[0].headers["host"] == f"localhost:{receiver.port}"


def test_wh04_a_name_that_turns_inside_between_tries_is_not_called(receiver, monkeypatch, settings):
    monkeypatch.setattr(
        transport.targets, "read_url", lambda url: targets.Target("http", "a.example", receiver.port, "/")
    )
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254", "127.0.0.1"]])
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *a, **k: [(socket.AF_INET, 1, 6, "", (ip, 0)) for ip in next(answers)]
    )

    errors = [post("http://a.example/").error for _ in range(3)]

    assert errors == ["", "address", "address"]
    assert len(receiver.got) == 1


# --- Servers that lie, stall and flood -------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"


def read_request(connection):
    """Head and body, whole: who closes with something unread resets the connection instead of ending it."""
    sent = connection.recv(65536)
    while b"\r\n\r\n" not in sent:
        sent += connection.recv(65536)
    head, _, body = sent.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: *([0-9]+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)


def speak(*parts, pause=0.0, endless=False):
    def talk(connection):
        read_request(connection)
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        while endless:
            connection.sendall(parts[-1])
            time.sleep(pause)

    return talk


def answer_of(talk):
    began = time.monotonic()
    with raw_server(talk) as port:
        answer = post(f"http://127.0.0.1:{port}/")
    return answer, time.monotonic() - began


def test_wh08_a_gigabyte_is_read_to_64_kb(hasty):
    sent = []

    def talk(connection):
        connection.recv(65536)
        connection.sendall(OK + b"Content-Length: 1000000000\r\n\r\n")
        while True:
            sent.append(connection.send(b"x" * 65536))

    answer, seconds = answer_of(talk)

    assert (answer.status, answer.error, len(answer.words)) == (200, "", transport.MOST_KEPT)
    assert seconds < 1.5
    assert sum(sent) < 20_000_000


def test_wh08_an_endless_chunk_is_left(hasty):
    talk = speak(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + b"x" * 0x4000 + b"\r\n", endless=True)

    answer, seconds = answer_of(talk)

    assert (answer.status, answer.error) == (200, "")
    assert seconds < 1.5


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (speak(OK, b"X-Flood: 1\r\n", endless=True), "answer"),
        (speak(OK + b"X: " + b"y" * 100_000), "answer"),
        (speak(b"x" * 100_000), "answer"),
        (speak(b"SSH-2.0-OpenSSH_9.6\r\n"), "answer"),
        (speak(b"HTTP/1.1 abc OK\r\n\r\n"), "answer"),
        (speak(b"HTTP/1.1 99999 OK\r\n\r\n"), "answer"),
        (speak(b"HTTP/3.7 200 OK\r\n\r\n"), "answer"),
        (speak(b"220 mail.example.org ESMTP\r\n"), "answer"),
        (speak(OK + b"Content-Length: 100\r\n\r\nshort"), "answer"),
        (speak(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "answer"),
        (speak(b""), "connection"),
        # one byte every now and then: each read is quick, the whole is not
        (speak(*[bytes([b]) for b in OK * 20], pause=0.2), "timeout"),
        (speak(OK + b"Content-Length: 500\r\n\r\n", b"x", pause=0.2, endless=True), "timeout"),
        (speak(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.01, endless=True), "timeout"),
        (lambda connection: time.sleep(3), "timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wh08_what_is_no_answer_is_a_failure_in_time(hasty, talk, error):
    answer, seconds = answer_of(talk)

    assert (answer.is_success, answer.error) == (False, error)
    assert seconds < 2.5


def test_wh08_a_reset_connection_is_a_failure():
    def reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    answer, _ = answer_of(reset)

    assert (answer.status, answer.error) == (None, "connection")


def test_wh08_a_port_nobody_listens_at_is_a_failure():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    assert post(f"http://127.0.0.1:{port}/").error == "connection"


def test_wh08_a_bomb_is_not_unpacked(receiver):
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    receiver.answer = bomb.compress(b"\0" * 50_000_000) + bomb.flush()
    receiver.headers = {"Content-Encoding": "gzip"}

    answer = post(receiver.url)

    assert answer.status == 200
    assert len(answer.words) <= transport.MOST_KEPT
    assert receiver.got[0].headers["accept-encoding"] == "identity"


def test_wh09_an_answer_is_cut_and_has_no_control_characters(receiver):
    receiver.answer = b"a\x00b\x1b[31m\xff\r\n" + "é<script>".encode() + b"x" * 5000

    answer = post(receiver.url)

    assert len(answer.words) == transport.MOST_KEPT
    assert answer.words.isprintable()
    assert answer.words.startswith("a b [31m\ufffd  é<script>xxx")


def test_post_tells_how_long_to_wait(receiver):
    receiver.status, receiver.headers = 429, {"Retry-After": "120"}

    answer = post(receiver.url)

    assert (answer.status, answer.error, answer.is_silence) == (429, "status", True)
    assert answer.asked == timedelta(seconds=120)


@pytest.mark.parametrize(
    ("status", "error"),
    [(200, ""), (202, ""), (204, ""), (299, "")] + [(status, "status") for status in (400, 404, 410, 500, 599)],
)
def test_wh12_2xx_is_success_and_nothing_else(receiver, status, error):
    receiver.status, receiver.answer = status, b""

    answer = post(receiver.url)

    assert (answer.status, answer.error) == (status, error)


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(monkeypatch, tmp_path):
    """An authority this machine trusts for the test, as the system's own would be."""
    authority = make_authority()
    file = tmp_path / "authority.pem"
    file.write_bytes(authority[1].public_bytes(Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    transport._context.cache_clear()
    yield authority
    transport._context.cache_clear()


def tls_receiver(authority, directory, **certificate):
    seen = []
    context = server_context(authority, directory, **certificate)
    context.sni_callback = lambda connection, name, _context: seen.append(name)
    receiver = Receiver(context)
    receiver.names = seen
    return receiver


def test_tls_is_verified_and_names_the_server(authority, tmp_path):
    receiver = tls_receiver(authority, tmp_path, host="localhost")

    with Line(f"https://localhost:{receiver.port}/hook") as line:
        answer, again = line.post(BODY, HEADERS), line.post(BODY, HEADERS)
    receiver.stop()

    assert (answer.status, answer.error, again.status) == (200, "", 200)
    assert receiver.names == ["localhost"]
    assert receiver.got[0].body == BODY


@pytest.mark.parametrize(("host", "days"), [("localhost", -1), ("other.example.org", 10)])
def test_wh08_an_expired_or_foreign_certificate_is_refused(authority, tmp_path, host, days):
    receiver = tls_receiver(authority, tmp_path, host=host, days=days)

    answer = post(f"https://localhost:{receiver.port}/hook")
    receiver.stop()

    assert (answer.status, answer.error) == (None, "tls")
    assert receiver.got == []


def test_wh08_an_unknown_authority_and_plain_http_are_refused(authority, tmp_path):
    receiver = tls_receiver(make_authority(), tmp_path, host="localhost")
    plain = Receiver()

    errors = [post(f"https://localhost:{port}/hook").error for port in (receiver.port, plain.port)]
    receiver.stop()
    plain.stop()

    assert errors == ["tls", "tls"]
    assert receiver.got == plain.got == []


def test_wh08_a_stalled_handshake_is_left_in_time(hasty):
    began = time.monotonic()
    with raw_server(lambda connection: time.sleep(4)) as port:
        answer = post(f"https://localhost:{port}/")

    assert answer.error == "timeout"
    assert time.monotonic() - began < 2.5


def test_tls_is_1_2_or_newer():
    assert transport._context().minimum_version is ssl.TLSVersion.TLSv1_2
    assert transport._context().verify_mode is ssl.CERT_REQUIRED
    assert transport._context().check_hostname
