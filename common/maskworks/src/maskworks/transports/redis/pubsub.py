"""Jobs from Redis channels, answers to channels: the protocol that existing clients speak.

Channels keep nothing: what is published while nobody listens is gone, and the server cuts off a listener that reads too
slowly. So a thread does nothing but read, and during a burst no work is begun beside it. What it cannot keep
is answered `overloaded`, beside all other work.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence

from redis import RedisError

from maskworks.config import RedisConfig
from maskworks.errors import TransportError
from maskworks.transports.redis.burst import Burst
from maskworks.transports.redis.byte_queue import ByteQueue
from maskworks.transports.redis.client import reconnect
from maskworks.transports.redis.faults import REFUSED, is_transient
from maskworks.transports.redis.listener import Listener
from maskworks.transports.redis.overload import OverloadReplies
from maskworks.transports.redis.reasons import NO_ANSWER, reason
from maskworks.transports.redis.role import role
from maskworks.transports.redis.server import RedisServer, answer
from maskworks.types import Format, Job, Outcome

log = logging.getLogger(__name__)

_LOOK_AROUND = 0.2  # seconds after which the reader looks whether it should stop
_CUT_OFF = (
    "the subscription broke, and what is published until it is back is lost; --redis_mode stream loses nothing, "
    "and a server that cuts off its readers needs a higher client-output-buffer-limit pubsub"
)


class PubSubTransport:
    """Subscribes to --redis_in as a pattern, publishes on --redis_out and --redis_err.

    Args:
        config: server, channels, how much may wait.
        message_format: how jobs are read and answered.
        stop: set when the command is to end.

    Raises:
        TransportError: the server refuses.
    """

    def __init__(self, config: RedisConfig, message_format: Format, stop: threading.Event) -> None:
        self._config, self._format, self._stop = config, message_format, stop
        self._server = RedisServer(config, stop, config.redis_give_up)
        self._queue = ByteQueue(config.redis_queue_bytes)
        self._overload = OverloadReplies(self.deliver)
        self._burst = Burst()
        self._names = itertools.count(1)
        self._failure: TransportError | None = None
        self._listener: Listener | None = None
        self._closed = threading.Event()
        self._reader = threading.Thread(target=self._read, name="redis reader", daemon=True)
        with self._server.closed_on_failure():
            if problem := self._server.retry(lambda: role(self._server.client)).problem:
                log.warning("%s: %s", config.server_name, problem)
        self._reader.start()

    def count_overloads(self, count: Callable[[Outcome], None]) -> None:
        """Has `count` called, from another thread, for every request that is answered `overloaded`."""
        self._overload.on_reply = count

    @property
    def exhausted(self) -> bool:
        return False

    @property
    def backlog(self) -> int:
        return len(self._queue)

    @property
    def oldest_age(self) -> float:
        return self._queue.oldest_age

    def check(self) -> None:
        listener = self._listener
        deaf = f"not subscribed to {self._config.redis_in}" if listener is None else listener.problem
        with self._server.errors():
            problem = role(self._server.client).problem
        if problem:
            reconnect(self._server.client)
        if problem or deaf:
            raise TransportError(f"{self._config.server_name}: {problem or deaf}")

    def receive(self, limit: int, timeout: float) -> Sequence[Job]:
        if self._overload.failure is not None:
            raise self._overload.failure  # while there is too much to do, the queue is never empty
        jobs = self._take_calmly(limit, timeout)
        if not jobs and self._failure is not None:
            raise self._failure
        return jobs

    def deliver(self, job: Job, outcome: Outcome) -> None:
        if not answer(self._server, outcome, self._config, self._server.sender.publish):
            log.debug("%s: nobody listens to its answer", job.id)

    def give_back(self, job: Job) -> bool:
        return False  # a channel takes nothing back: what was received is answered

    def close(self) -> None:
        """Ends the subscription. What still waits is rejected, so that its requesters need not wait, too."""
        self._closed.set()
        self._reader.join()
        for job in self._queue.take(len(self._queue), 0):
            self._overload.add(job, "the worker is stopping; send this again")
        self._overload.close()
        self._server.close()

    def _take_calmly(self, limit: int, timeout: float) -> list[Job]:
        """Waiting jobs. During a burst they are held back; after `timeout` seconds there is one anyway."""
        jobs = self._queue.take(1, timeout)
        deadline = time.monotonic() + timeout
        while jobs and (rest := self._burst.rest):
            if time.monotonic() > deadline:
                return jobs
            time.sleep(rest)
        return jobs + self._queue.take(limit - 1, 0)

    def _read(self) -> None:
        """The reader thread. Whatever ends it ends the worker, which would be deaf without it."""
        try:
            self._stay_subscribed()
        except TransportError as error:
            self._failure = error
        except Exception as error:
            log.debug("the reader failed", exc_info=True)
            self._failure = TransportError(f"{self._config.server_name}: {type(error).__name__}: {error}")

    def _stay_subscribed(self) -> None:
        """Puts every message into the queue."""
        backoff = self._server.backoff()
        while not self._closed.is_set() and not self._stop.is_set():
            listener: Listener | None = None
            try:
                with self._server.last_tries.command():
                    listener = Listener(self._server.client, self._config.redis_in)
                self._listener = listener
                backoff.worked()
                log.info("listening on %s, answers go to %s", self._config.redis_in, self._config.redis_out)
                self._take_messages(listener)
            except REFUSED as error:
                raise self._server.refusal(error) from None
            except RedisError as error:
                if not is_transient(error):
                    raise
                if self._stop.is_set() or self._closed.is_set():
                    said = NO_ANSWER if self._server.last_tries.over else reason(error)
                    log.warning("%s: %s; stopping without it", self._config.server_name, said)
                    return
                if listener is not None:
                    log.warning("%s: %s", self._config.server_name, _CUT_OFF)
                backoff.failed(error)
            finally:
                self._listener = None
                if listener is not None:
                    listener.close()

    def _take_messages(self, listener: Listener) -> None:
        while not self._closed.is_set() and not self._stop.is_set():
            if not listener.arrives(_LOOK_AROUND):
                continue
            body = None
            self._burst.begin()
            try:
                body = listener.receive()
            finally:  # also of a message that breaks off
                self._burst.note(len(body or b""))
            if body is not None:
                self._take(body)
        with self._server.last_tries.command():
            for body in listener.leave():
                self._take(body)

    def _take(self, body: bytearray) -> None:
        job = Job(str(next(self._names)), body, format=self._format)
        if not self._queue.put(job):
            waiting = len(self._queue)
            self._overload.add(job, f"{waiting} requests are waiting; send slower or use --redis_mode stream")
