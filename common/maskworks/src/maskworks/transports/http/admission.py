"""How many requests, and how many bytes of them, are held in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from maskworks.errors import Overloaded


class Admission:
    """Counts what is held, on the thread of the server alone.

    A body counts from its first byte on, a request from its last: who sends slowly takes room for bytes, but no place.

    Args:
        most_requests: requests that arrived in full and are not answered.
        most_bytes: bytes of all bodies that have arrived; a single one is always taken when there are no others.
    """

    def __init__(self, most_requests: int, most_bytes: int) -> None:
        self._most_requests, self._most_bytes = most_requests, most_bytes
        self.requests = 0
        self.bytes = 0

    def check(self) -> None:
        """Raises Overloaded if there is no place for another request."""
        if self.requests >= self._most_requests:
            raise Overloaded(f"{self.requests} requests are waiting (--max_waiting); send this one again in a moment")

    @contextmanager
    def request(self) -> Iterator[None]:
        """Holds a place for a request; raises Overloaded if there is none."""
        self.check()
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    @contextmanager
    def body(self) -> Iterator[Share]:
        """Holds the bytes of a body."""
        share = Share(self)
        try:
            yield share
        finally:
            self.bytes -= share.bytes

    def fits(self, more: int, own: int) -> bool:
        """Whether `more` bytes may be added to a body that has `own`."""
        return self.bytes == own or self.bytes + more <= self._most_bytes


class Share:
    """The part of a budget that one body takes."""

    def __init__(self, budget: Admission) -> None:
        self._budget = budget
        self.bytes = 0

    def add(self, number: int) -> None:
        """Takes `number` more bytes; raises Overloaded if there is no room for them."""
        if not self._budget.fits(number, self.bytes):
            held = self._budget.bytes
            raise Overloaded(f"{held} bytes of requests are held (--queue_bytes); send this one again in a moment")
        self.bytes += number
        self._budget.bytes += number
