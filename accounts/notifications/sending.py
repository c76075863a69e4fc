"""Getting mail out: one delivery after the other, each tried under its own lock, until it is out or given up.

A try is two transactions. The first claims: it counts the try and sets the
next one, so that a worker that dies has lost nothing and a mail that kills
workers is found. The second holds the row's lock while the mail leaves, so that
no two workers send it; what the server says is written in it. Between the
server's yes and our commit a crash sends a mail twice, with the same Message-ID.
"""

import re
import smtplib
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import structlog
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.utils import timezone

from tenancy import backoff
from tenancy.tenants.context import tenant_context

from . import services
from .composing import compose
from .models import Delivery

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=30)
GIVE_UP_AFTER = timedelta(days=3)
MOST_INTERRUPTIONS = 5
MOST_BROKEN_TRIES = 5
ROUND_SECONDS = 60.0


class Verdict(Enum):
    """What an error says about the next try."""

    RETRY = "the same mail may pass later"
    REFUSED = "this mail will never pass"
    BROKEN = "our own words for it fail"
    SERVER_AWAY = "no mail passes now"


@dataclass(frozen=True)
class Outcome:
    """How a try ended: `words` is what an administrator may read, without address and text."""

    verdict: Verdict
    words: str


def deliver_due(tenant_id: uuid.UUID | str) -> int:
    """Send what is due in one clinic; how many left. Safe to run twice at once, and to be killed.

    Ends after a minute, or at once when the mail server is away: what is left is
    due at the next round.
    """
    ends_at, sent = time.monotonic() + ROUND_SECONDS, 0
    with _mail_server() as server:
        while time.monotonic() < ends_at:
            with tenant_context(tenant_id):
                claimed = _claim()
            if claimed is None:
                break
            with tenant_context(tenant_id):
                outcome = _try(claimed, server)
            sent += outcome is None
            if outcome is not None and outcome.verdict is Verdict.SERVER_AWAY:
                break
    return sent


def has_due() -> bool:
    """Whether this clinic has mail to send now."""
    return Delivery.objects.due(timezone.now()).exists()


@contextmanager
def _mail_server() -> Iterator[BaseEmailBackend]:
    """One connection for a round, opened by the first mail."""
    server = mail.get_connection()
    try:
        yield server
    finally:
        try:
            server.close()
        except Exception as error:  # the mails are out; a goodbye that fails changes nothing
            log.info("mail_server_left", error=type(error).__name__)


# --- Claiming --------------------------------------------------------------------------------------------------------


def _claim() -> Delivery | None:
    """Take the delivery that has waited longest, count the try and set the next; park the hopeless on the way."""
    due = Delivery.objects.due(timezone.now()).order_by("next_try_at").select_for_update(skip_locked=True)
    while (delivery := due.first()) is not None:
        if delivery.interruptions < MOST_INTERRUPTIONS:
            delivery.attempts += 1
            delivery.interruptions += 1
            delivery.next_try_at = timezone.now() + pause_after(delivery.interruptions)
            delivery.save(update_fields=["attempts", "interruptions", "next_try_at"])
            return delivery
        _fail(delivery, "The worker ended each time it tried.")
    return None


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many tries: twice as long each time, up to half an hour, give or take a fifth."""
    return backoff.pause_after(attempts, first=FIRST_PAUSE, longest=LONGEST_PAUSE)


# --- Trying ----------------------------------------------------------------------------------------------------------


def _try(claimed: Delivery, server: BaseEmailBackend) -> Outcome | None:
    """Send one claimed delivery under its lock; None when it is out or not needed, else why it is not."""
    mine = Delivery.objects.select_for_update(skip_locked=True)
    delivery = mine.filter(pk=claimed.pk, state=Delivery.State.WAITING, attempts=claimed.attempts).first()
    if delivery is None:
        return None  # another worker has it, because this one was frozen for longer than the pause
    delivery.interruptions = 0
    try:
        with transaction.atomic():  # a statement that fails in a kind's own words must not take the row's fate along
            message = compose(delivery)
    except Exception as error:
        return _note(delivery, Outcome(Verdict.BROKEN, f"Could not be written ({type(error).__name__})."))
    if message is None:
        _finish(delivery, Delivery.State.DROPPED)
        return None
    try:
        server.send_messages([message])
    except Exception as error:
        return _note(delivery, judge(error))
    _finish(delivery, Delivery.State.SENT)
    return None


def judge(error: Exception) -> Outcome:
    """What a mail server's answer, or its silence, says about the next try (RFC 5321, 4.2.1)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = list(error.recipients.values())
        forever = all(code >= 500 for code, _text in answers)
        return Outcome(Verdict.REFUSED if forever else Verdict.RETRY, _answer(*answers[0]))
    if isinstance(error, smtplib.SMTPDataError):
        return Outcome(Verdict.REFUSED if error.smtp_code >= 500 else Verdict.RETRY, _answer(*_said(error)))
    if isinstance(error, smtplib.SMTPSenderRefused):
        return Outcome(Verdict.RETRY, _answer(*_said(error)))  # our own address: an administrator can mend it
    if isinstance(error, smtplib.SMTPResponseException):
        return Outcome(Verdict.SERVER_AWAY, _answer(*_said(error)))
    if isinstance(error, (smtplib.SMTPException, OSError)):
        return Outcome(Verdict.SERVER_AWAY, f"The mail server did not answer ({type(error).__name__}).")
    return Outcome(Verdict.REFUSED, f"The address or the text is not usable ({type(error).__name__}).")


def _said(error: smtplib.SMTPResponseException) -> tuple[int, bytes | str]:
    return error.smtp_code, error.smtp_error


def _answer(code: int, text: bytes | str) -> str:
    """The two codes of an answer, `550 5.1.1`: servers repeat the address in their words."""
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}", words.strip())
    return f"{code} {enhanced[0]}" if enhanced else str(code)


# --- What became of it -----------------------------------------------------------------------------------------------


def _note(delivery: Delivery, outcome: Outcome) -> Outcome:
    now = timezone.now()
    is_broken = outcome.verdict is Verdict.BROKEN and delivery.attempts >= MOST_BROKEN_TRIES
    if outcome.verdict is Verdict.REFUSED or is_broken or _is_too_old(delivery, now):
        _fail(delivery, outcome.words)
        return outcome
    delivery.last_error = outcome.words
    delivery.next_try_at = now + pause_after(delivery.attempts)
    delivery.save(update_fields=["last_error", "next_try_at", "interruptions"])
    log.info("mail_waits", delivery=str(delivery.pk), tries=delivery.attempts, answer=outcome.words)
    return outcome


def _is_too_old(delivery: Delivery, now: datetime) -> bool:
    return now - delivery.created_at > GIVE_UP_AFTER


def _finish(delivery: Delivery, state: str) -> None:
    delivery.state, delivery.last_error = state, ""
    delivery.sent_at = timezone.now() if state == Delivery.State.SENT else None
    delivery.save(update_fields=["state", "last_error", "sent_at", "interruptions"])


def _fail(delivery: Delivery, words: str) -> None:
    delivery.state, delivery.last_error = Delivery.State.FAILED, words
    delivery.save(update_fields=["state", "last_error", "interruptions"])
    log.warning("mail_failed", delivery=str(delivery.pk), tries=delivery.attempts, answer=words)
    services.tell_of_failed_mail(delivery)
