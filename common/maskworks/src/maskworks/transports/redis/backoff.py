"""Waiting between tries to reach a server: longer each time, never in step with others."""

from __future__ import annotations

import logging
import random
import threading
import time

from maskworks.errors import GaveUp
from maskworks.transports.redis.reasons import reason

log = logging.getLogger(__name__)

_FIRST, _LONGEST = 0.1, 15.0


class Backoff:
    """Pauses after failures, with jitter, and gives up when they have lasted too long.

    Args:
        name: of the server, for messages.
        give_up: seconds after the first failure in a row; None for never.
        stop: ends a pause early.
    """

    def __init__(self, name: str, give_up: float | None, stop: threading.Event) -> None:
        self._name, self._give_up, self._stop = name, give_up, stop
        self._since: float | None = None
        self._longest = _FIRST

    def worked(self) -> None:
        """The server answered."""
        if self._since is not None:
            log.warning("%s: works again after %.1f s", self._name, time.monotonic() - self._since)
        self._since = None
        self._longest = _FIRST

    def failed(self, error: Exception) -> None:
        """The server did not answer: waits.

        Raises:
            GaveUp: it has not for too long.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
            log.warning("%s: %s; trying again", self._name, reason(error))
        left = float("inf") if self._give_up is None else self._since + self._give_up - now
        if left <= 0:
            raise GaveUp(f"{self._name}: {reason(error)}; gave up after {self._give_up:g} s (--redis_give_up)")
        self._stop.wait(min(left, random.uniform(0.5, 1.0) * self._longest))
        self._longest = min(_LONGEST, 2 * self._longest)
