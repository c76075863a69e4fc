"""Where webhooks arrive: checks each signature with the published verifier, and remembers every byte."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass
class Arrived:
    """All deliveries of one event: when the first came, and each body with whether its signature held."""

    first_at: float
    bodies: list[bytes] = field(default_factory=list)
    forged: int = 0


class Receiver:
    """An HTTP server of this process. `arrived` maps a webhook-id to its deliveries."""

    def __init__(self, port: int):
        self.arrived: dict[str, Arrived] = {}
        self.without_id = 0
        self.secret = ""
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.take(dict(self.headers.items()), body)
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments):
                """The checker speaks."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                """A sender that is killed in the middle of a request is what this is about."""

        self.server = Server(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{port}/hooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, headers: dict[str, str], body: bytes) -> None:
        sent = {name.lower(): value for name, value in headers.items()}
        now = time.time()
        with self._lock:
            if not (event_id := sent.get("webhook-id")):
                self.without_id += 1
                return
            delivery = self.arrived.setdefault(event_id, Arrived(now))
            delivery.bodies.append(body)
            try:
                Webhook(self.secret).verify(body, sent)
            except WebhookVerificationError:
                delivery.forged += 1

    def snapshot(self) -> dict[str, Arrived]:
        with self._lock:
            return dict(self.arrived)

    def counts(self) -> dict[int, int]:
        """How many events came how often."""
        times: dict[int, int] = defaultdict(int)
        for delivery in self.snapshot().values():
            times[len(delivery.bodies)] += 1
        return dict(times)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
