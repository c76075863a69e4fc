"""One HTTP request to a stranger's server, bounded in every way there is.

Python's own `http.client`, because what matters here lies below any client
library: the socket goes to the address that was looked at (`targets`), each
read and write gets what is left of fifteen seconds, 64 kB are read and no more.
It follows no redirect, asks no proxy, and unpacks nothing.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from django.utils import timezone

from . import schedule, targets
from .models import Attempt

TOTAL_SECONDS = 15.0
CONNECT_SECONDS = 5.0
MOST_BYTES = 64 * 1024
MOST_KEPT = 1000
AGENT = "Carewright-Webhooks/1"
QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)


@dataclass(frozen=True)
class Answer:
    """How a try ended. `error` is one of Attempt.Error, empty for success; `asked` what Retry-After said."""

    status: int | None = None
    error: str = ""
    words: str = ""
    ms: int = 0
    asked: timedelta | None = None

    @property
    def is_success(self) -> bool:
        return not self.error

    @property
    def is_gone(self) -> bool:
        return self.status == http.client.GONE

    @property
    def is_silence(self) -> bool:
        """Nobody is there, so that the next delivery would only wait as long."""
        return self.status is None or self.status in {429, 502, 503, 504}


class Line:
    """A connection to one endpoint, kept for a few deliveries in a row. `with Line(url) as line: line.post(…)`."""

    def __init__(self, url: str):
        self._url = url
        self._connection: _Connection | None = None

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *error: object) -> None:
        self._hang_up()

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one body. Never raises: whatever happens is an Answer."""
        began = time.monotonic()
        deadline = began + TOTAL_SECONDS
        try:
            answer = self._exchange(body, headers, deadline)
        except Exception as error:  # also what a hostile server makes the parsers raise
            self._hang_up()
            answer = Answer(error=_name_of(error), words=f"{type(error).__name__}")
        return Answer(answer.status, answer.error, answer.words, int((time.monotonic() - began) * 1000), answer.asked)

    def _exchange(self, body: bytes, headers: Mapping[str, str], deadline: float) -> Answer:
        if self._connection is not None:
            try:
                return self._ask(self._connection, body, headers, deadline)
            except (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError):
                self._hang_up()  # it had been closed meanwhile: once more, on a new one
        target = targets.read_url(self._url)
        self._connection = _Connection(target, targets.find_addresses(target), deadline)
        return self._ask(self._connection, body, headers, deadline)

    def _ask(self, connection: "_Connection", body: bytes, headers: Mapping[str, str], deadline: float) -> Answer:
        connection.set_deadline(deadline)
        sent = {"Content-Type": "application/json", "User-Agent": AGENT, "Accept": "*/*", **headers}
        connection.request("POST", connection.target.path, body, sent)
        response = connection.getresponse()
        content = response.read(MOST_BYTES)
        if len(content) < MOST_BYTES and response.length:
            raise http.client.IncompleteRead(content, response.length)
        if not response.isclosed() or response.will_close:
            self._hang_up()  # longer than anybody reads, or said to be the last
        return Answer(
            response.status,
            _judge(response.status),
            _cut(content),
            asked=schedule.read_retry_after(response.headers.get("Retry-After"), now=timezone.now()),
        )

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _judge(status: int) -> str:
    if 200 <= status < 300:
        return ""
    return Attempt.Error.REDIRECT.value if 300 <= status < 400 else Attempt.Error.STATUS.value


def _name_of(error: Exception) -> str:
    for kinds, name in _ERRORS:
        if isinstance(error, kinds):
            return name.value
    return Attempt.Error.CONNECTION.value


_ERRORS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Attempt.Error], ...] = (
    (targets.NameNotFound, Attempt.Error.NAME),
    (targets.TargetRefused, Attempt.Error.ADDRESS),
    (TimeoutError, Attempt.Error.TIMEOUT),
    (ssl.SSLError, Attempt.Error.TLS),
    (http.client.RemoteDisconnected, Attempt.Error.CONNECTION),
    ((http.client.HTTPException, ValueError), Attempt.Error.ANSWER),
)


def _cut(content: bytes) -> str:
    """The beginning of an answer as plain text: no control characters, which a database or a terminal would obey."""
    text = content[: MOST_KEPT * 4].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else " " for character in text).strip()[:MOST_KEPT]


# --- Below HTTP ------------------------------------------------------------------------------------------------------


class _Connection(http.client.HTTPConnection):
    """HTTP to addresses that were looked at. The name stays in the Host header, in SNI and in the certificate check."""

    def __init__(self, target: targets.Target, addresses: list[targets.Address], deadline: float):
        super().__init__(target.host, target.port)
        self.target, self._addresses, self._deadline = target, addresses, deadline
        self.default_port = 443 if target.scheme == "https" else 80

    def connect(self) -> None:
        plain = _first_that_answers(self._addresses, self.target.port, self._deadline)
        try:
            self.sock = plain
            if self.target.scheme == "https":
                self.sock = _context().wrap_socket(plain, server_hostname=self.target.host)
            self.set_deadline(self._deadline)
        except BaseException:
            plain.close()
            raise

    def set_deadline(self, deadline: float) -> None:
        """When everything has to be over, in `time.monotonic()`."""
        self._deadline = deadline
        if self.sock is not None:
            self.sock.deadline = deadline


def _first_that_answers(addresses: list[targets.Address], port: int, deadline: float) -> "_Socket":
    trouble: OSError = ConnectionError("no address")
    for address in addresses[:4]:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        plain = _Socket(family, socket.SOCK_STREAM)
        try:
            plain.deadline = deadline
            plain.settimeout(min(_left(deadline), CONNECT_SECONDS))
            plain.connect((str(address), port))
            plain.settimeout(_left(deadline))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain
        except OSError as error:
            plain.close()
            trouble = error
    raise trouble


def _before_reading(connection: socket.socket, deadline: float) -> None:
    connection.settimeout(_left(deadline))
    if QUICK_ACK:  # else a server that sends head and body apart waits 40 ms for our kernel's word
        connection.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Hurried:
    """A socket whose every wait is cut to what is left: one byte a second does not keep anybody."""

    deadline = 0.0

    def recv_into(self, *args, **kwargs):
        _before_reading(self, self.deadline)
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args, **kwargs):
        self.settimeout(_left(self.deadline))
        return super().sendall(*args, **kwargs)


class _Socket(_Hurried, socket.socket):
    """In the clear."""


class _TlsSocket(_Hurried, ssl.SSLSocket):
    """The same under TLS."""


@cache
def _context() -> ssl.SSLContext:
    """TLS 1.2 or newer, the certificate and its name checked by the authorities this machine trusts (ASVS 12.3.2)."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _TlsSocket
    return context
