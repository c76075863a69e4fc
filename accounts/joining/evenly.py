"""Answers that take the same time, whoever somebody is (AU-02)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 0.6
"""More than the slowest way through takes: a hash, some rows and the trails of several clinics."""


@contextmanager
def evenly() -> Iterator[None]:
    """Let the block take SECONDS at least, also where it fails. Limits in front of it keep threads from piling up."""
    ends_at = time.monotonic() + SECONDS
    try:
        yield
    finally:
        time.sleep(max(0.0, ends_at - time.monotonic()))
