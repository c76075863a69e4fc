"""Answers that take the same time, whoever somebody is (AU-02)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings


@contextmanager
def evenly() -> Iterator[None]:
    """Let the block take EVEN_ANSWER_SECONDS at least, also where it fails. A limit in front keeps threads free."""
    ends_at = time.monotonic() + settings.EVEN_ANSWER_SECONDS
    try:
        yield
    finally:
        time.sleep(max(0.0, ends_at - time.monotonic()))
