"""A mail server of somebody else's: answers as a test tells it, and keeps what it accepted."""

import asyncio
import email
import email.policy
import logging
import socket
import threading
import time

from aiosmtpd.controller import Controller

logging.getLogger("mail.log").setLevel("WARNING")  # it tells every line of the conversation


class MailServer:
    """`server.answers[address] = "550 5.1.1 No such user"`, `server.delay = 2`, `server.accepted`: EmailMessages."""

    def __init__(self):
        self.answers: dict[str, str] = {}
        self.once: dict[str, str] = {}
        self.delay = 0.0
        self.accepted = []
        self.asked: list[str] = []
        self.in_data = threading.Event()
        self._controller = None

    def start(self):
        # aiosmtpd connects to itself once to see that it listens; port 0 would be asked literally.
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self._controller.start()
        return self

    def stop(self):
        if self._controller:
            self._controller.stop()
            self._controller = None

    @property
    def port(self) -> int:
        return self._controller.port

    @property
    def recipients(self) -> list[str]:
        return sorted(message["To"] for message in self.accepted)

    def received_by(self, addresses: list[str]) -> list[str]:
        """Those of these addresses that got mail, once for each; other tests that commit leave mail behind."""
        return [address for address in self.recipients if address in addresses]

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.asked.append(address)
        refusal = self.once.pop(address, None) or self.answers.get(address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.in_data.set()
        if self.delay:
            await asyncio.sleep(self.delay)
        self.accepted.append(
            email.message_from_bytes(envelope.content.replace(b"\r\n", b"\n"), policy=email.policy.default)
        )
        return "250 OK"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds=20.0):
    """Whether it came true in time."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())
