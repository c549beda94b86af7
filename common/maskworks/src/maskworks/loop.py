"""receive -> decode -> predict -> encode -> deliver, with the model never waiting for the rest.

The thread that calls `step` runs the model and nothing else. One thread receives, some decode, a few encode and
deliver; what they hand over are futures, and all bookkeeping is done by the calling thread, so there is nothing to
lock. What is decoded first goes to the model first, unless the order of answers is promised; of a model that works in
chunks each requester gets its share.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from maskworks.config import LoopConfig
from maskworks.errors import Overloaded, RequestError, TransportError
from maskworks.liveness import Liveness
from maskworks.metrics import Metrics
from maskworks.pipeline import Decoded, Pipeline
from maskworks.predictor import Result
from maskworks.transports import Transport
from maskworks.turns import Turns
from maskworks.types import Job, Outcome

log = logging.getLogger(__name__)

CODEC_THREADS = 4
_SLOW_SECONDS = 1.0  # a decode that takes longer holds nothing else back
_MOST_SLOW, _MOST_SLOW_ANSWERS = 64, 8
_MOST_SLOW_IMAGES = 1024 * 1024 * 1024  # bytes of the images of those in the model
# Of decodes that take long there may be more: as long as they wait they are no more than their files.
_MOST_SLOW_DECODES, _MOST_SLOW_BYTES = 64, 256 * 1024 * 1024
_LARGE_ANSWER = 200_000_000  # pixels of masks from which on an answer is written beside all others: half a second
_GRACE_SECONDS = 8.0  # for what is in flight when the worker is asked to stop; containers get ten
_TICK = 0.2  # seconds after which a waiting thread looks whether it should stop
_LONGEST_PAUSE = 30.0


class _Decode(NamedTuple):
    began: float  # by the clock of `time.monotonic`
    size: int  # bytes of what is decoded


class Loop:
    """Takes jobs from a transport through a pipeline.

    Args:
        transport: where jobs come from and outcomes go to.
        pipeline: what is done with them.
        config: how batches are formed.
        stop: once set, nothing more is received; what is in flight is finished, or given back where the model has not
            ended with it. What can be neither within some seconds is answered as `overloaded`.
        patient: whether to try again, after a pause, when the transport fails; otherwise `run` raises its error.
        on_outcome: called in the calling thread for every job that ended.
        codec_threads: how many jobs are encoded at a time, and decoded beside one batch in the model and one in wait.
        in_order: jobs end in the order in which they arrived.
        liveness: is told what the loop does.
    """

    def __init__(
        self,
        transport: Transport,
        pipeline: Pipeline,
        config: LoopConfig,
        stop: threading.Event,
        *,
        patient: bool = False,
        on_outcome: Callable[[Job, Outcome], None] | None = None,
        codec_threads: int = CODEC_THREADS,
        in_order: bool = False,
        liveness: Liveness | None = None,
    ) -> None:
        self.metrics = Metrics()
        self.metrics.gauges["waiting_requests"] = lambda: transport.backlog
        self.metrics.gauges["oldest_request_age_seconds"] = lambda: transport.oldest_age
        self.metrics.gauges["requests_in_flight"] = lambda: self.in_flight
        self.metrics.counters["decodes_ended"] = lambda: pipeline.decoder.ended
        self._transport, self._pipeline, self._config, self._stop = transport, pipeline, config, stop
        self._patient, self._on_outcome, self._in_order = patient, on_outcome, in_order
        self._liveness = liveness or Liveness()
        # One batch in the model, one decoded and waiting, and the threads' hands full.
        self._most_in_flight = 2 * config.batch_size + codec_threads
        self._receiver = ThreadPoolExecutor(1, "receive")
        self._decoders = ThreadPoolExecutor(self._most_in_flight + _MOST_SLOW_DECODES, "decode")
        self._encoders = ThreadPoolExecutor(1 if in_order else codec_threads, "encode")
        self._large_encoder = ThreadPoolExecutor(1, "encode large")
        self._receiving: Future[dict[Future[Decoded], _Decode]] | None = None
        self._decoding: dict[Future[Decoded], _Decode] = {}  # in the order of arrival
        self._delivering: dict[Future[Outcome], Job] = {}
        self._large: set[Future[Outcome]] = set()  # of these the answers that take long to write
        self._turns = Turns(pipeline, config.batch_size, in_order=in_order)
        self._error: TransportError | None = None
        self._pause = 0.0

    def run(self, max_jobs: int | None = None) -> Metrics:
        """Works until the transport is exhausted, `stop` is set, or `max_jobs` have ended. Every job ends once.

        Raises:
            TransportError: the transport failed and the loop is not patient; unfinished jobs were given back.
        """
        try:
            while not self._stop.is_set() and not self._finished(max_jobs):
                self.step()
        finally:
            self._drain()
        return self.metrics

    def step(self, timeout: float = _TICK) -> int:
        """One round: take in what has arrived, give the model a batch or go on with one, hand the results over.

        Returns:
            How many jobs left the model; 0 if none was ready within `timeout` seconds, or if it has more to do.
        """
        self._receive()
        for item in self._next_batch(0.0 if self._turns else timeout):
            self._turns.add(item)
        if self._turns:
            self._receive()  # so that the next jobs arrive while the model runs
        ended = self._turn()
        self._collect()
        self._face_error()
        return ended

    @property
    def in_flight(self) -> int:
        """Jobs that were received and have not ended."""
        return len(self._decoding) + len(self._turns) + len(self._delivering)

    def _finished(self, max_jobs: int | None) -> bool:
        if max_jobs is not None and self.metrics.done + self.metrics.failed >= max_jobs:
            return True
        return self._receiving is None and self.in_flight == 0 and self._transport.exhausted

    def _receive(self) -> None:
        """Takes over what the receiving thread has, and sends it for more if there is room."""
        if self._receiving is not None and self._receiving.done():
            self._take_over(self._receiving)
        room = self._most_in_flight - self.in_flight + self._slow
        if self._receiving is None and room > 0 and self._wants_more():
            self._receiving = self._receiver.submit(self._receive_and_decode, room)

    def _wants_more(self) -> bool:
        return not self._stop.is_set() and self._error is None and not self._transport.exhausted

    def _receive_and_decode(self, limit: int) -> dict[Future[Decoded], _Decode]:
        jobs = self._transport.receive(limit, _TICK)
        now = time.monotonic()
        return {self._decoders.submit(self._pipeline.decode, job): _Decode(now, len(job.body)) for job in jobs}

    def _next_batch(self, timeout: float) -> list[Decoded]:
        """The next decoded jobs: the first that comes, and what else is ready or comes soon enough."""
        batch: list[Decoded] = []
        deadline = time.monotonic() + timeout
        while len(batch) < self._config.batch_size:
            item = self._next(deadline)
            if item is None:
                break
            if not batch:
                deadline = time.monotonic() + (0.0 if self._turns else self._config.batch_wait_ms / 1000)
            batch.append(item)
        return batch

    def _next(self, deadline: float) -> Decoded | None:
        """The next decoded job; None if it is not there at the deadline or if none will come."""
        while self._decoding or self._receiving is not None:
            if (ready := self._ready()) is not None:
                del self._decoding[ready]
                return ready.result()
            if time.monotonic() >= deadline or (self._stop.is_set() and not self._decoding):
                return None
            receiving = [self._receiving] if self._receiving is not None else []
            self._await([*self._awaited(), *receiving], max(0.0, deadline - time.monotonic()))
            self._receive()
        return None

    def _ready(self) -> Future[Decoded] | None:
        """The first decode that is done and may leave."""
        return next((future for future in self._awaited() if future.done()), None)

    def _awaited(self) -> list[Future[Decoded]]:
        """The decodes of which the next may leave first."""
        return list(itertools.islice(self._decoding, 1 if self._in_order else None))

    @property
    def _slow(self) -> int:
        """How many jobs do not count because they take long, so that others come in beside them."""
        if self._in_order:
            return 0
        before = time.monotonic() - _SLOW_SECONDS
        sizes = [each.size for future, each in self._decoding.items() if each.began < before and not future.done()]
        decodes = sum(held <= _MOST_SLOW_BYTES for held in itertools.accumulate(sizes))
        in_model = sum(held <= _MOST_SLOW_IMAGES for held in itertools.accumulate(self._turns.slow))
        answers = min(len(self._large), _MOST_SLOW_ANSWERS)
        return min(decodes, _MOST_SLOW_DECODES) + min(in_model, _MOST_SLOW) + answers

    def _turn(self) -> int:
        """Lets the model work for a moment, or on a batch; how many jobs have left it."""
        if not self._turns:
            return 0
        with self._liveness.in_model():
            ended = self._turns.turn()
        for item, found in ended:
            self._deliver(item, found)
        return len(ended)

    def _deliver(self, item: Decoded, found: Result) -> None:
        large = not self._in_order and _mask_pixels(found) > _LARGE_ANSWER
        future = (self._large_encoder if large else self._encoders).submit(self._finish, item, found)
        self._delivering[future] = item.job
        if large:
            self._large.add(future)

    def _await(self, futures: Collection[Future[Any]], seconds: float = math.inf) -> None:
        """Waits for the first of these."""
        self._liveness.wait(lambda tick: wait(futures, tick, FIRST_COMPLETED).done, seconds)

    def _finish(self, item: Decoded, found: Result) -> Outcome:
        outcome = self._pipeline.encode(item, found)
        try:
            self._transport.deliver(item.job, outcome)
        except RequestError as error:
            outcome = self._pipeline.encode(item, error)
            self._transport.deliver(item.job, outcome)
        return outcome

    def _collect(self) -> None:
        """Counts the jobs that ended; waits for one if there is nothing else to do."""
        if self._delivering and not self._decoding and not self._turns and self._receiving is None:
            self._await(self._delivering)
        for future in [future for future in self._delivering if future.done()]:
            self._liveness.step()
            job = self._delivering.pop(future)
            self._large.discard(future)
            try:
                outcome = future.result()
            except TransportError as error:
                self._transport.give_back(job)
                self._error = error
            else:
                self._pause = 0.0
                self.metrics.count(outcome)
                if self._on_outcome is not None:
                    self._on_outcome(job, outcome)

    def _face_error(self) -> None:
        """Raises the transport's error, or waits a while before it is tried again."""
        error, self._error = self._error, None
        if error is None:
            return
        if not self._patient:
            raise error
        self._pause = min(max(1.0, 2 * self._pause), _LONGEST_PAUSE)
        log.error("%s; trying again in %.0f s", error.message, self._pause)
        self._liveness.wait(self._stop.wait, self._pause)

    def _drain(self) -> None:
        """Stops receiving, gives back what the model has not ended with, and finishes the rest."""
        if self._receiving is not None:
            self._await([self._receiving])
            self._take_over(self._receiving)
        for decoding in self._decoding:
            self._await([decoding])
            self._turns.add(decoding.result())
        self._decoding.clear()
        self._turns.keep(lambda item: not self._transport.give_back(item.job))
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._turns and time.monotonic() < deadline:
            self._turn()
        for item in self._turns.keep(lambda item: False):
            self._deliver(item, Overloaded("the worker is stopping; send this again"))
        while self._delivering:
            self._await(self._delivering)
            self._collect()
        self._liveness.end()
        self._decoders.shutdown()
        self._encoders.shutdown()
        self._large_encoder.shutdown()
        self._receiver.shutdown()
        self._transport.close()
        self._face_error()

    def _take_over(self, receiving: Future[dict[Future[Decoded], _Decode]]) -> None:
        self._receiving = None
        error = receiving.exception()
        if isinstance(error, TransportError):
            self._error = error
        else:
            self._decoding.update(receiving.result())


def _mask_pixels(found: Result) -> int:
    """How many pixels the masks of an answer have."""
    if isinstance(found, RequestError):
        return 0
    return sum(math.prod(instance.mask.shape) for instance in found if instance.mask is not None)
