"""Overload: the answer `overloaded` goes out beside all other work, not after it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from maskworks.errors import Overloaded, TransportError
from maskworks.types import Job, Outcome

log = logging.getLogger(__name__)

_MOST = 1000  # rejected requests that wait for their answer


class OverloadReplies:
    """Delivers them in order, in a thread of its own.

    Args:
        deliver: called in that thread.

    Attributes:
        failure: why an answer could not be delivered; those after it are not tried any more.
        on_reply: called in that thread for every request that got its answer.
    """

    def __init__(self, deliver: Callable[[Job, Outcome], None]) -> None:
        self.failure: TransportError | None = None
        self.on_reply: Callable[[Outcome], None] = lambda outcome: None
        self._deliver = deliver
        self._room = threading.Semaphore(_MOST)
        self._thread = ThreadPoolExecutor(1, "overload")

    def add(self, job: Job, reason: str) -> None:
        """Rejects a job; blocks while very many wait for their answer. Of the job nothing but its address is kept."""
        name, reply_to = job.format.address(job)
        outcome = Outcome(error=Overloaded(reason), id=name, reply_to=reply_to)
        self._room.acquire()
        self._thread.submit(self._answer, replace(job, body=b"", error=outcome.error), outcome)

    def close(self) -> None:
        """Waits until all have been answered."""
        self._thread.shutdown()

    def _answer(self, job: Job, outcome: Outcome) -> None:
        try:
            if self.failure is None:
                self._deliver(job, outcome)
                log.warning("%s: overloaded: %s", job.id, outcome.error)
                self.on_reply(outcome)
        except TransportError as error:
            self.failure = error
        finally:
            self._room.release()
