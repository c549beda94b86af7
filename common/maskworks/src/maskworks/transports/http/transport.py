"""Jobs from HTTP requests, outcomes to those who wait for them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field, replace

from maskworks.config import InputConfig
from maskworks.errors import Overloaded
from maskworks.transports.http.endpoint import Form
from maskworks.types import Job, Outcome, Prediction, Request


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """The receipt of a job: how it is read and answered, who waits for it.

    Attributes:
        form: how the request is read and its answer written.
        named: whether the requester gave the id.
        outcome: becomes the outcome; cancelled once nobody waits any more.
    """

    form: Form
    named: bool = False
    outcome: Future[Outcome] = field(default_factory=Future)


class HttpTransport:
    """Holds the requests that the server has read, until the loop takes them.

    The server's thread submits; what has an outcome is answered by whoever waits for its future.
    """

    def __init__(self) -> None:
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

    def submit(self, job: Job) -> Future[Outcome]:
        """Puts a job, whose receipt is an `Exchange`, into the queue. Cancelling its future takes it out again.

        Raises:
            Overloaded: the server is about to end.
        """
        outcome: Future[Outcome] = job.receipt.outcome
        with self._changed:
            if self._finished:
                raise Overloaded("the server is stopping; send this request again in a moment")
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
        return [job for job in jobs if job.receipt.outcome.set_running_or_notify_cancel()]

    def deliver(self, job: Job, outcome: Outcome) -> None:
        job.receipt.outcome.set_result(outcome)

    def give_back(self, job: Job) -> bool:
        return False  # whoever waits for the answer has no one else to ask

    def close(self) -> None:
        self.finish()
        for outcome in tuple(self._open):
            with contextlib.suppress(InvalidStateError):  # nobody waits for it any more
                outcome.set_result(Outcome(error=Overloaded("the server is stopping; send this again")))

    def _forget(self, outcome: Future[Outcome]) -> None:
        with self._changed:
            job = self._open.pop(outcome)
            if job in self._waiting:
                self._waiting.remove(job)


def decode(job: Job, config: InputConfig) -> Request:
    """The decoder of the pipeline: each job by its own form."""
    exchange: Exchange = job.receipt
    request = exchange.form.decode(job, config)
    return replace(request, named=request.named or exchange.named, receipt=exchange.form)


def encode(prediction: Prediction) -> Mapping[str, bytes]:
    """The encoder of the pipeline: the one part `answer` in the form of the request."""
    form: Form = prediction.request.receipt
    return {"answer": form.encode(prediction)}


def address(job: Job) -> tuple[str | None, str | None]:
    """The id to echo in an error."""
    exchange: Exchange = job.receipt
    return (job.id, None) if exchange.named else exchange.form.address(job)
