"""Jobs from a Redis Stream, shared by the workers of a consumer group, results into another stream.

An entry stays with the group until it is acknowledged, which happens in one step with adding its result. So a worker
may die at any moment: its entries are claimed by others once they have been idle for --redis_claim_idle. While a worker
lives it keeps telling the server that it is at work on its entries.

The server counts the deliveries of each entry. A poison entry ends its worker and takes the others in flight along, so
the last delivery of an entry is made alone: then it is known which one it was.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from redis import exceptions

from maskworks.config import RedisConfig
from maskworks.errors import BadJson, ConfigError, Internal, TransportError
from maskworks.transports.redis.faults import TRANSIENT, Unwritable, error_code, is_transient
from maskworks.transports.redis.group import ABANDONED_MS, Entry, Group
from maskworks.transports.redis.handover import Handover, stream_problem
from maskworks.transports.redis.memory import MemoryWatch
from maskworks.transports.redis.role import role
from maskworks.transports.redis.server import RedisServer, answer
from maskworks.transports.redis.transactions import Command, write
from maskworks.types import Format, Job, Outcome

log = logging.getLogger(__name__)

PAYLOAD = b"data"
_LONG_IDLE = 10  # times --redis_claim_idle
_GONE = (
    "the stream or its group is gone, with all that waited there, and is made again; it was deleted or dropped "
    "(DEL, FLUSHALL, a maxmemory-policy other than noeviction), or the server lost its data (appendonly yes keeps it)"
)


class StreamTransport:
    """One consumer of a group on the stream --redis_in.

    Args:
        config: server, streams, group and limits.
        message_format: how jobs are read and answered.
        stop: set when the command is to end.

    Raises:
        TransportError: the server refuses, or a stream of answers takes none.
        ConfigError: the server is of a cluster, and the names of the streams do not share a slot.
    """

    def __init__(self, config: RedisConfig, message_format: Format, stop: threading.Event) -> None:
        self._config, self._format = config, message_format
        self._server = RedisServer(config, stop, config.redis_give_up)
        self._redis = self._server.client
        consumer = config.redis_consumer or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._group = Group(self._redis, config.redis_in, config.redis_group, consumer)
        self._idle_ms = int(1000 * config.redis_claim_idle)
        self._open: dict[bytes, int] = {}  # entries in flight, with the number of their deliveries
        self._trial = False  # an entry has its last try, or is about to; nothing else is taken
        self._delivered = threading.Event()
        self._next_claim = 0.0
        self._pulses_are_back = 0.0
        self._cursor: bytes | str = "0-0"
        self._closed = threading.Event()
        self._handover = Handover(self._server.sender, config.redis_in, config.redis_group)
        answers = (config.redis_out, config.errors_to)
        self._memory = MemoryWatch(self._redis, config.server_name, config.redis_in, answers, config.redis_maxlen)
        with self._server.closed_on_failure():
            self._check_place()
            self._server.retry(self._group.create)
            log.info("reading from %s as %s, answers go to %s", config.redis_in, consumer, config.redis_out)
            self._server.retry(self._handover.look_ahead)
            self._check_streams()
            self._wait_for_pulses()
        self._pulse = threading.Thread(target=self._stay_alive, name="redis pulse", daemon=True)
        self._pulse.start()

    @property
    def exhausted(self) -> bool:
        return False

    @property
    def backlog(self) -> int:
        """Entries that are in flight at no worker; 0 if unknown.

        The server's own `lag` is unknown or wrong in streams of which entries are deleted.
        """
        try:
            return max(0, int(self._redis.xlen(self._in)) - int(self._group.info()["pending"]))
        except exceptions.RedisError as error:
            log.debug("no backlog: %s", error)
            return 0

    @property
    def oldest_age(self) -> float:
        try:
            first = self._redis.xrange(self._in, b"(" + self._group.info()["last-delivered-id"], "+", 1)
        except exceptions.RedisError as error:
            log.debug("no age: %s", error)
            return 0.0
        return max(0.0, time.time() - int(first[0][0].partition(b"-")[0]) / 1000) if first else 0.0

    def check(self) -> None:
        with self._server.errors():
            self._group.check()

    def receive(self, limit: int, timeout: float) -> Sequence[Job]:
        return self._server.retry(lambda: self._with_group(limit, timeout))

    def deliver(self, job: Job, outcome: Outcome) -> None:
        answer(self._server, outcome, self._config, lambda stream, text: self._answer(job, stream, text))
        self._forget(job.receipt)

    def give_back(self, job: Job) -> bool:
        """Makes the entry so idle that the next worker to look takes it, as if it had never been here."""
        with contextlib.suppress(exceptions.RedisError):  # then the server will, once its lease is over
            self._server.attempt(lambda: self._group.give_back(job.receipt, self._open[job.receipt]))
        self._forget(job.receipt)
        return True

    def close(self) -> None:
        self._closed.set()
        self._pulse.join()
        try:
            self._server.attempt(self._group.leave)
        except exceptions.RedisError as error:
            log.debug("consumer %s stays: %s", self._group.consumer, error)
        self._server.close()

    @property
    def _in(self) -> str:
        return self._config.redis_in

    def _with_group(self, limit: int, timeout: float) -> list[Job]:
        try:
            return self._receive(limit, timeout)
        except exceptions.ResponseError as error:
            if error_code(error) not in ("NOGROUP", "UNBLOCKED"):
                raise
            log.warning("%s: %s", self._in, _GONE)
            self._group.create()
            return []
        except TRANSIENT:
            self._wait_for_pulses()
            raise

    def _wait_for_pulses(self) -> None:
        """After an outage, which may also be when this worker starts: the pulse of others could not get through.

        Theirs comes first, then it is known which entries were abandoned. Those that were given back are known at once.
        """
        self._pulses_are_back = time.monotonic() + 2 / 3 * self._config.redis_claim_idle

    def _check_place(self) -> None:
        found = self._server.retry(lambda: role(self._redis))
        if found.mode == "sentinel":
            raise TransportError(f"{self._config.server_name}: {found.problem}")
        self._handover.one_slot = found.mode == "cluster"
        if self._handover.one_slot and not self._config.shares_a_slot:
            raise ConfigError([self._config.slot_problem])

    def _check_streams(self) -> None:
        """What cannot be written to is found out before there is work; no request can choose these."""
        for name in (self._config.redis_out, self._config.errors_to):
            if problem := self._server.retry(partial(stream_problem, self._redis, name)):
                text = f"the key {name} {problem}; choose another name or remove it"
                raise TransportError(f"--redis_out, --redis_err: {text}")
        dead = self._config.dead_to
        try:
            problem = self._server.retry(partial(stream_problem, self._redis, dead))
        except Unwritable as error:
            problem = f"is not this user's to use ({error.message})"
        if problem:
            log.warning("the key %s %s: requests that end workers are answered, but not kept", dead, problem)

    def _receive(self, limit: int, timeout: float) -> list[Job]:
        self._delivered.clear()
        if self._trial and self._open:
            self._delivered.wait(timeout)
            return []
        self._trial = False
        self._memory.look()
        if time.monotonic() >= self._next_claim:
            if self._handover.by_script:
                self._group.forget(_LONG_IDLE * self._idle_ms)
            self._next_claim = time.monotonic() + self._config.redis_claim_idle / 3
            if claimed := self._claim_from_the_dead(limit):
                return claimed
        block = max(1, int(1000 * timeout))
        entries = self._group.read(limit, block)
        self._open.update((name, 1) for name, _ in entries)
        return [self._job(entry) for entry in entries]

    def _forget(self, entry: bytes) -> None:
        self._open.pop(entry, None)
        self._delivered.set()

    def _stay_alive(self) -> None:
        """The pulse thread: it renews the lease on entries in flight, so that no other worker claims them."""
        while not self._closed.wait(self._config.redis_claim_idle / 3):
            try:
                if entries := list(self._open):
                    self._server.attempt(partial(self._group.renew, entries))
            except exceptions.RedisError as error:  # the next beat may get through
                log.debug("no pulse: %s", error)

    def _claim_from_the_dead(self, limit: int) -> list[Job]:
        """At most `limit`, as claimed entries are in flight here and have to be kept alive."""
        idle = self._idle_ms if time.monotonic() >= self._pulses_are_back else ABANDONED_MS
        self._cursor, found = self._group.claim(idle, self._cursor, limit)
        claimed = [entry for entry in found if entry[0] not in self._open]
        if self._cursor != b"0-0":
            self._next_claim = 0.0  # there are more
        deliveries = {name: self._group.deliveries(name) for name, _ in claimed}
        last_tries = [entry for entry in claimed if deliveries[entry[0]] == self._config.redis_max_deliveries]
        now = [entry for entry in claimed if entry not in last_tries]
        if last_tries:
            self._trial, self._next_claim, self._cursor = True, 0.0, "0-0"
            if not now and not self._open:
                now.append(last_tries.pop(0))
            for name, _ in last_tries:
                self._group.give_back(name, deliveries[name])
        jobs = [self._taken_over(entry, deliveries[entry[0]]) for entry in now]
        # Only now, when nothing can go wrong any more: entries in flight are kept alive, so they must be worked on.
        self._open.update((name, deliveries[name]) for name, _ in now)
        return jobs

    def _taken_over(self, entry: Entry, deliveries: int) -> Job:
        log.warning("entry %s: taken over, delivery %d", entry[0].decode(), deliveries)
        return self._job(entry) if deliveries <= self._config.redis_max_deliveries else self._buried(entry, deliveries)

    def _buried(self, entry: Entry, deliveries: int) -> Job:
        """Keeps an entry that ended several workers away from the others; its requester gets an error."""
        payload, tries, dead = (entry[1] or {}).get(PAYLOAD, b""), deliveries - 1, self._config.dead_to
        try:
            write(self._server.sender, [dead], self._added(dead, payload))
            log.error("entry %s: ended %d workers, moved to %s", entry[0].decode(), tries, dead)
        except exceptions.ResponseError as error:
            if is_transient(error):
                raise
            log.error("entry %s: ended %d workers, not kept in %s: %s", entry[0].decode(), tries, dead, error)
        fault = Internal(f"given up after {tries} tries (--redis_max_deliveries): the workers ended with it")
        return replace(self._job(entry), error=fault)

    def _answer(self, job: Job, stream: str, text: bytes) -> None:
        if not self._handover.give(job.receipt, stream, self._added(stream, text)):
            log.warning("entry %s: answered, but it was no longer in %s", job.receipt.decode(), self._in)

    def _added(self, stream: str, text: bytes) -> Command:
        """The command that adds an entry to a stream, which is cut to about --redis_maxlen."""
        return ["XADD", stream, "MAXLEN", "~", self._config.redis_maxlen, "*", PAYLOAD, text]

    def _job(self, entry: Entry) -> Job:
        name, fields = entry
        if fields is None or PAYLOAD not in fields:
            error = BadJson('entry: has no field "data"; expected the request in it')
            return Job(name.decode(), error=error, format=self._format, receipt=name)
        return Job(name.decode(), fields[PAYLOAD], format=self._format, receipt=name)
