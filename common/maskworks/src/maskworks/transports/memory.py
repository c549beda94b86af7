"""Jobs from a list, outcomes to a list: for tests and benchmarks."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence

from maskworks.types import Job, Outcome


class MemoryTransport:
    """Ends when everything put in is delivered. Jobs may be put in at any time before that.

    Attributes:
        outcomes: job and outcome in order of delivery.
        returned: jobs that were given back.
    """

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self.outcomes: list[tuple[Job, Outcome]] = []
        self.returned: list[Job] = []
        self._waiting = deque(jobs)
        self._open = 0
        self._changed = threading.Condition()

    @property
    def exhausted(self) -> bool:
        return not self._waiting and self._open == 0

    @property
    def backlog(self) -> int:
        return len(self._waiting)

    @property
    def oldest_age(self) -> float:
        with self._changed:
            return time.monotonic() - self._waiting[0].received if self._waiting else 0.0

    def check(self) -> None:
        pass

    def put(self, job: Job) -> None:
        """Adds a job to the end of the queue."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()

    def receive(self, limit: int, timeout: float) -> Sequence[Job]:
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._waiting and not self.exhausted and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())
            jobs = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
            self._open += len(jobs)
            return jobs

    def deliver(self, job: Job, outcome: Outcome) -> None:
        with self._changed:
            self.outcomes.append((job, outcome))
            self._open -= 1
            self._changed.notify()

    def give_back(self, job: Job) -> bool:
        with self._changed:
            self.returned.append(job)
            self._open -= 1
            return True

    def close(self) -> None:
        pass
