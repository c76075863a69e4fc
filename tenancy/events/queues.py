"""Events into the installation's own queue on Amazon SQS, for receivers that fetch instead of listening (S25).

The same outbox, tries and log as a webhook; only the last step differs. One
queue for the whole installation, named by whoever runs it (EVENT_QUEUE_URL):
an address that administrators of clinics could type would let them write into
any queue the machine's credentials reach. Needs boto3 (requirements-aws.txt).
"""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from .models import Attempt
from .transport import Answer

TIME_OUT = 5


class Line:
    """As `transport.Line`. `groups` maps event ids to the group in which a FIFO queue keeps the order."""

    def __init__(self, url: str, *, groups: Mapping[str, str]):
        self._url, self._groups = url, groups

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is held."""

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Put one body into the queue, with the three headers as attributes. Never raises."""
        began = time.monotonic()
        message: dict[str, Any] = {
            "QueueUrl": self._url,
            "MessageBody": body.decode(),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in headers.items()
            },
        }
        if self._url.endswith(".fifo"):
            event_id = headers["webhook-id"]
            message |= {"MessageGroupId": self._groups[event_id], "MessageDeduplicationId": event_id}
        try:
            said = _client(_region_of(self._url)).send_message(**message)
        except Exception as error:  # whatever botocore raises: no credentials, no network, no such queue
            return Answer(error=Attempt.Error.CONNECTION.value, words=_words_of(error), ms=_since(began))
        return Answer(status=200, words=str(said.get("MessageId", "")), ms=_since(began))


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _words_of(error: Exception) -> str:
    answer = getattr(error, "response", {})
    return str(answer.get("Error", {}).get("Code") or type(error).__name__)[:100]


def _region_of(url: str) -> str | None:
    parts = (urlsplit(url).hostname or "").split(".")
    return parts[1] if len(parts) > 2 and parts[0] == "sqs" else None


@cache
def _client(region: str | None) -> Any:
    import boto3  # not everybody has a queue
    from botocore.config import Config

    patience = Config(connect_timeout=TIME_OUT, read_timeout=TIME_OUT, retries={"total_max_attempts": 1})
    return boto3.client("sqs", region_name=region, config=patience)
