"""Places for work of which only so much may go on at a time; each requester gets its share of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TICK = 0.1


class Places:
    """Some places. Of those who wait, one whose requester has fewest is next, and of these the first.

    Args:
        number: how many places there are.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._taken: Counter[str | None] = Counter()
        self._waiting: dict[object, str | None] = {}  # in the order in which they came
        self._changed = threading.Condition()

    @contextmanager
    def place(self, requester: str | None, check: Callable[[], None]) -> Iterator[None]:
        """Has a place in the block, once there is one.

        Args:
            requester: who asks, as far as that is known.
            check: called again and again in the meantime; what it raises ends the wait.
        """
        ticket = object()
        with self._changed:
            self._waiting[ticket] = requester
            try:
                while not self._is_next(ticket):
                    self._changed.wait(_TICK)
                    check()
                self._take(requester)
            finally:
                del self._waiting[ticket]
                self._changed.notify_all()
        try:
            yield
        finally:
            self.leave(requester)

    def take(self, requester: str | None) -> bool:
        """Takes a place if there is a free one for which nobody waits; whether it did. `leave` gives it back."""
        with self._changed:
            if self._free == 0 or self._waiting:
                return False
            self._take(requester)
            return True

    def leave(self, requester: str | None) -> None:
        """Gives a place back."""
        with self._changed:
            self._free += 1
            self._taken[requester] -= 1
            if not self._taken[requester]:
                del self._taken[requester]
            self._changed.notify_all()

    def _is_next(self, ticket: object) -> bool:
        return self._free > 0 and min(self._waiting, key=lambda one: self._taken[self._waiting[one]]) is ticket

    def _take(self, requester: str | None) -> None:
        self._free -= 1
        self._taken[requester] += 1
