"""What the writers were told, one line an operation: invoked, and then ok, failed or unknown."""

import threading
import time
from dataclasses import dataclass, field


@dataclass
class Operation:
    """One patient to register. `key` is its Idempotency-Key; `answers` are the ids that any try was told.

    Every other one has no key: it takes the short way (docs/decisions/0017), and its client looks by the document.
    """

    number: int
    key: str
    document: str
    started: float = 0.0
    answered: float = 0.0
    outcome: str = "invoked"  # then ok, fail or unknown
    status: int = 0
    tries: int = 0
    answers: list[str] = field(default_factory=list)


class History:
    """All operations of a drill, handed out one by one. Safe for many threads."""

    def __init__(self, total: int):
        keys = [f"drill-{number}" if number % 2 else "" for number in range(total)]
        self.operations = [Operation(number, key, str(1_000_000_000 + number)) for number, key in enumerate(keys)]
        self._lock = threading.Condition()
        self._next, self._allowed, self._done = 0, 0, 0

    def allow(self, count: int) -> None:
        """Let writers go as far as this operation; the nemesis holds them to its own pace."""
        with self._lock:
            self._allowed = max(self._allowed, count)
            self._lock.notify_all()

    def end_here(self) -> None:
        """No operation beyond those allowed already; they are forgotten, as nobody has been asked for them."""
        with self._lock:
            del self.operations[self._allowed :]
            self._lock.notify_all()

    def take(self) -> Operation | None:
        """The next operation, once it is allowed; None when there are no more."""
        with self._lock:
            while self._next >= min(self._allowed, len(self.operations)):
                if self._next >= len(self.operations):
                    return None
                self._lock.wait(1)
            operation = self.operations[self._next]
            self._next += 1
        operation.started = time.time()
        return operation

    def finish(self, operation: Operation, outcome: str) -> None:
        with self._lock:
            operation.outcome, operation.answered = outcome, time.time()
            self._done += 1
            self._lock.notify_all()

    def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until so many operations have ended, whichever way."""
        deadline = time.monotonic() + seconds
        with self._lock:
            while self._done < count:
                if (left := deadline - time.monotonic()) <= 0:
                    return False
                self._lock.wait(min(left, 1))
        return True

    @property
    def done(self) -> int:
        with self._lock:
            return self._done
