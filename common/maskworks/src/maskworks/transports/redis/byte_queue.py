"""A queue that is bounded by the bytes in it."""

from __future__ import annotations

import threading
import time
from collections import deque

from maskworks.types import Job

_OVERHEAD = 1024  # bytes, at most, that a job takes beside its body


class ByteQueue:
    """Jobs in order of arrival, as many as fit.

    Args:
        capacity: most bytes of memory; a single job is always taken when the queue is empty.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._jobs: deque[Job] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job) -> bool:
        """Adds a job; False if it does not fit."""
        with self._changed:
            if self._jobs and self._bytes + _size(job) > self._capacity:
                return False
            self._jobs.append(job)
            self._bytes += _size(job)
            self._changed.notify()
            return True

    def take(self, limit: int, timeout: float) -> list[Job]:
        """At most `limit` jobs as soon as there are any; none after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._jobs and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            jobs = [self._jobs.popleft() for _ in range(min(limit, len(self._jobs)))]
            self._bytes -= sum(map(_size, jobs))
            return jobs

    @property
    def oldest_age(self) -> float:
        """For how many seconds the first job waits; 0 if there is none."""
        with self._changed:
            return time.monotonic() - self._jobs[0].received if self._jobs else 0.0


def _size(job: Job) -> int:
    return len(job.body) + _OVERHEAD
