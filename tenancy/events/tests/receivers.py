"""Somebody else's server, on this machine: real sockets that answer, stall, lie and hang up."""

import datetime
import http.server
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Got:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.time)


class Receiver:
    """`receiver.status = 500`, `receiver.headers`, `receiver.answer`, `receiver.delay`; `receiver.got` are Gots.

    `receiver.script` is a list of statuses that are used up first.
    """

    def __init__(self, context=None):
        self.status, self.answer, self.delay = 200, b"ok", 0.0
        self.headers: dict[str, str] = {}
        self.script: list[int] = []
        self.got: list[Got] = []
        self.at_work = self.most_at_work = 0
        self.arrived = threading.Event()
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _handler_of(self))
        if context:
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.scheme = "https" if context else "http"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self):
        return self.server.server_address[1]

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    @property
    def ids(self):
        return [got.headers["webhook-id"] for got in self.got]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Callers hang up, on purpose."""


def _handler_of(receiver):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with receiver.lock:
                receiver.got.append(Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                receiver.at_work += 1
                receiver.most_at_work = max(receiver.most_at_work, receiver.at_work)
                status = receiver.script.pop(0) if receiver.script else receiver.status
            receiver.arrived.set()
            try:
                if receiver.delay:
                    time.sleep(receiver.delay)
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(receiver.answer)))
                self.end_headers()
                self.wfile.write(receiver.answer)
            finally:
                with receiver.lock:
                    receiver.at_work -= 1

        def log_message(self, *args):
            """Nobody reads it."""

    return Handler


@contextmanager
def raw_server(talk):
    """A server that speaks no HTTP of its own: `talk(connection)` runs for each caller. Yields its port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=16)

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_talk, args=(talk, connection), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.close()


def _talk(talk, connection):
    with connection:
        try:
            talk(connection)
        except OSError:
            return


# --- Certificates ----------------------------------------------------------------------------------------------------


def make_authority():
    """A certificate authority of a test's own: (key, certificate)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
    certificate = _certificate(name, name, key.public_key(), days=10).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    ).add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    ).add_extension(
        x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True
    )  # fmt: skip
    return key, certificate.sign(key, hashes.SHA256())


def server_context(authority, directory, host="127.0.0.1", days=10):
    """A server's TLS with a certificate for `host`, over when `days` is negative."""
    authority_key, authority_certificate = authority
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        alternative = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        _certificate(subject, authority_certificate.subject, key.public_key(), days)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    file = directory / f"{host}{days}.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _certificate(subject, issuer, public_key, days):
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=20))
        .not_valid_after(now + datetime.timedelta(days=days))
    )
