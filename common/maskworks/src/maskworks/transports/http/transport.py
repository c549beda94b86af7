"""Jobs from HTTP requests, outcomes to those who wait for them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError

from maskworks.errors import Overloaded
from maskworks.types import Job, Outcome


class HttpTransport:
    """Holds the requests that the server has read, until the loop takes them.

    The server's thread submits; what has an outcome is answered by whoever waits for its future.

    Attributes:
        draining: set once requests that have not begun are to be refused.
    """

    def __init__(self) -> None:
        self.draining = threading.Event()
        self._waiting: deque[Job] = deque()
        self._open: dict[Future[Outcome], Job] = {}
        self._finished = False
        self._changed = threading.Condition()

    @property
    def exhausted(self) -> bool:
        return self._finished and not self._open

    @property
    def backlog(self) -> int:
        return len(self._waiting)

    @property
    def oldest_age(self) -> float:
        with self._changed:
            return time.monotonic() - self._waiting[0].received if self._waiting else 0.0

    def check(self) -> None:
        pass

    def check_open(self) -> None:
        """Raises Overloaded if no more requests are to begin."""
        if self.draining.is_set():
            raise _stopping()

    def submit(self, job: Job) -> Future[Outcome]:
        """Puts a job, whose receipt is the future of its outcome, into the queue; cancelling that takes it out again.

        Raises:
            Overloaded: the server is about to end.
        """
        outcome: Future[Outcome] = job.receipt
        with self._changed:
            if self._finished:
                raise _stopping()
            self._waiting.append(job)
            self._open[outcome] = job
            self._changed.notify()
        # A callback that knew the job would keep both, and the answer, until the garbage collector comes by.
        outcome.add_done_callback(self._forget)
        return outcome

    def finish(self) -> None:
        """Says that no more jobs will come."""
        with self._changed:
            self._finished = True
            self._changed.notify()

    def receive(self, limit: int, timeout: float) -> Sequence[Job]:
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._waiting and not self._finished and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            jobs = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        return [job for job in jobs if job.receipt.set_running_or_notify_cancel()]

    def deliver(self, job: Job, outcome: Outcome) -> None:
        job.receipt.set_result(outcome)

    def give_back(self, job: Job) -> bool:
        return False  # whoever waits for the answer has no one else to ask

    def close(self) -> None:
        self.finish()
        for outcome in tuple(self._open):
            with contextlib.suppress(InvalidStateError):  # nobody waits for it any more
                outcome.set_result(Outcome(error=_stopping()))

    def _forget(self, outcome: Future[Outcome]) -> None:
        with self._changed:
            job = self._open.pop(outcome)
            if job in self._waiting:
                self._waiting.remove(job)


def _stopping() -> Overloaded:
    return Overloaded("the server is stopping; send this request again in a moment")
