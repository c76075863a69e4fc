"""Mail that goes into a folder instead of out: for `make run`, where no mail server is (EMAIL_URL=file:///folder).

One file a mail, named by its Message-ID, so that a mail sent twice is there once.
"""

import email
import email.policy
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

KEPT = 500
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
LINK = re.compile(r"https?://[^\s<>\"]+")


@dataclass(frozen=True)
class Mail:
    """A mail in the folder. `name` is its file's."""

    name: str
    to: str
    sender: str
    subject: str
    sent_at: datetime
    text: str


class MailboxBackend(BaseEmailBackend):
    """Django's e-mail backend that fills the folder EMAIL_FILE_PATH, and keeps the newest five hundred."""

    def send_messages(self, email_messages):
        folder = Path(settings.EMAIL_FILE_PATH)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for message in email_messages:
            _write(folder, message.message())
        for old in _files(folder)[KEPT:]:
            old.unlink(missing_ok=True)
        return len(email_messages)


def _write(folder, message):
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", message["Message-ID"].strip("<>").partition("@")[0])[:80]
    being_written = folder / f".{stem}.{os.getpid()}"
    being_written.write_bytes(message.as_bytes())
    being_written.chmod(0o600)
    being_written.replace(folder / f"{stem}.eml")


def _files(folder):
    """Newest first."""
    return sorted(folder.glob("*.eml"), key=lambda file: file.stat().st_mtime_ns, reverse=True)


def is_open() -> bool:
    """Whether mails may be read at /mails/: only in the demo, and only where they go into a folder."""
    return settings.DEMO and f"{MailboxBackend.__module__}.{MailboxBackend.__qualname__}" == settings.EMAIL_BACKEND


def list_mails(limit: int = 100) -> list[Mail]:
    """The newest mails."""
    folder = Path(settings.EMAIL_FILE_PATH)
    return [_read(file) for file in _files(folder)[:limit]] if folder.is_dir() else []


def find_mail(name: str) -> Mail | None:
    """One mail by the name of its file."""
    file = Path(settings.EMAIL_FILE_PATH) / f"{name}.eml"
    return _read(file) if NAME.fullmatch(name) and file.is_file() else None


def _read(file):
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    body = message.get_body(("plain",))
    return Mail(
        name=file.stem,
        to=str(message["To"] or ""),
        sender=str(message["From"] or ""),
        subject=str(message["Subject"] or ""),
        sent_at=datetime.fromtimestamp(file.stat().st_mtime, UTC),
        text=body.get_content() if body else "",
    )


def text_and_links(text: str) -> list[tuple[str, str]]:
    """A text cut into (words, address): an address of ours loses its host, so that it works wherever one looks from."""
    parts, last = [], 0
    for found in LINK.finditer(text):
        address = found[0].rstrip(".,;:!?)")
        ours = address.startswith(f"{settings.PUBLIC_URL}/")
        parts += [
            (text[last : found.start()], ""),
            (address, address.removeprefix(settings.PUBLIC_URL) if ours else ""),
        ]
        last = found.start() + len(address)
    return [part for part in [*parts, (text[last:], "")] if part[0]]
