"""Where jobs come from and outcomes go to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from maskworks.types import Job, Outcome


class Transport(Protocol):
    """A source of jobs that also takes their outcomes.

    `receive` is called by one thread at a time, `deliver` and `give_back` by any, for different jobs at once.
    """

    @property
    def exhausted(self) -> bool:
        """True once no more jobs will come and everything received was delivered or given back."""
        ...

    @property
    def backlog(self) -> int:
        """Jobs known to wait beyond those received; 0 where that cannot be told."""
        ...

    @property
    def oldest_age(self) -> float:
        """For how many seconds the oldest of these waits; 0 if there is none."""
        ...

    def check(self) -> None:
        """Checks that the source and the target of jobs can be reached.

        Raises:
            TransportError: they cannot; the text says why.
        """
        ...

    def receive(self, limit: int, timeout: float) -> Sequence[Job]:
        """At most `limit` jobs, as soon as there are any; an empty list after `timeout` seconds without one.

        Raises:
            TransportError: the source cannot be read.
        """
        ...

    def deliver(self, job: Job, outcome: Outcome) -> None:
        """Writes the outcome where the requester looks for it and only then acknowledges the job.

        Raises:
            TransportError: it cannot be written; the job is as it was before.
            RequestError: the request itself is why this outcome cannot be written; deliver that error instead.
        """
        ...

    def give_back(self, job: Job) -> bool:
        """Returns a job that was not worked on to where it came from; False if that is not possible."""
        ...

    def close(self) -> None:
        """Lets go of everything that is held open."""
        ...
