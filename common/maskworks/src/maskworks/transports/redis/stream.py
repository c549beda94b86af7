"""Jobs from a Redis Stream, shared by the workers of a consumer group, results into another stream.

An entry stays with the group until it is acknowledged, which happens in one transaction with adding its result. So a
worker may die at any moment: its entries are claimed by others once they have been idle for --redis_claim_idle. While a
worker lives it keeps telling the server that it is at work on its entries.

The server counts the deliveries of each entry. A poison entry ends its worker and takes the others in flight along, so
the last delivery of an entry is made alone: then it is known which one it was.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from redis import exceptions

from maskworks.config import RedisConfig
from maskworks.errors import BadJson, Internal, TransportError
from maskworks.transports.redis.server import TRANSIENT, RedisServer, answer, error_code
from maskworks.transports.redis.transactions import Command, write
from maskworks.types import Format, Job, Outcome

log = logging.getLogger(__name__)

PAYLOAD = b"data"
_ABANDONED_MS = 2**31 - 1

Entry = tuple[bytes, dict[bytes, bytes] | None]


class StreamTransport:
    """One consumer of a group on the stream --redis_in.

    Args:
        config: server, streams, group and limits.
        message_format: how jobs are read and answered.
        stop: set when the command is to end.

    Raises:
        TransportError: the server refuses, or --redis_in is no stream.
    """

    def __init__(self, config: RedisConfig, message_format: Format, stop: threading.Event) -> None:
        self._config, self._format = config, message_format
        self._server = RedisServer(config, stop, config.redis_give_up)
        self._redis = self._server.client
        self._consumer = config.redis_consumer or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._idle_ms = int(1000 * config.redis_claim_idle)
        self._open: dict[bytes, int] = {}  # entries in flight, with the number of their deliveries
        self._trial = False  # an entry has its last try, or is about to; nothing else is taken
        self._delivered = threading.Event()
        self._next_claim = 0.0
        self._pulses_are_back = 0.0
        self._cursor: bytes | str = "0-0"
        self._closed = threading.Event()
        self._server.retry(self._create_group)
        for name in (config.redis_out, config.errors_to):
            self._server.retry(partial(self._check_stream, name))
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
            return max(0, int(self._redis.xlen(self._in)) - int(self._group_info()["pending"]))
        except exceptions.RedisError as error:
            log.debug("no backlog: %s", error)
            return 0

    @property
    def oldest_age(self) -> float:
        try:
            first = self._redis.xrange(self._in, b"(" + self._group_info()["last-delivered-id"], "+", 1)
        except exceptions.RedisError as error:
            log.debug("no age: %s", error)
            return 0.0
        return max(0.0, time.time() - int(first[0][0].partition(b"-")[0]) / 1000) if first else 0.0

    def check(self) -> None:
        self._server.check()

    def receive(self, limit: int, timeout: float) -> Sequence[Job]:
        return self._server.retry(lambda: self._with_group(limit, timeout))

    def deliver(self, job: Job, outcome: Outcome) -> None:
        answer(self._server, outcome, self._config, lambda stream, text: self._answer(job, stream, text))
        self._forget(job.receipt)

    def give_back(self, job: Job) -> bool:
        """Makes the entry so idle that the next worker to look takes it, as if it had never been here."""
        self._return(job.receipt, self._open[job.receipt])
        self._forget(job.receipt)
        return True

    def close(self) -> None:
        self._closed.set()
        self._pulse.join()
        try:
            pending = self._redis.xpending_range(self._in, self._group, "-", "+", 1, self._consumer)
            if not pending:
                self._redis.xgroup_delconsumer(self._in, self._group, self._consumer)
        except exceptions.RedisError as error:
            log.debug("consumer %s stays: %s", self._consumer, error)
        self._server.close()

    @property
    def _in(self) -> str:
        return self._config.redis_in

    @property
    def _group(self) -> str:
        return self._config.redis_group

    def _create_group(self) -> None:
        """From the start of the stream, so that entries older than the first worker count."""
        try:
            write(self._redis, [self._in], ["XGROUP", "CREATE", self._in, self._group, "0", "MKSTREAM"])
        except exceptions.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _with_group(self, limit: int, timeout: float) -> list[Job]:
        try:
            return self._receive(limit, timeout)
        except exceptions.ResponseError as error:
            # The stream was deleted, or the server lost its data.
            if error_code(error) not in ("NOGROUP", "UNBLOCKED"):
                raise
            self._create_group()
            return []
        except TRANSIENT:
            self._wait_for_pulses()
            raise

    def _wait_for_pulses(self) -> None:
        """After an outage, which may also be when this worker starts: the pulse of others could not get through.

        Theirs comes first, then it is known which entries were abandoned. Those that were given back are known at once.
        """
        self._pulses_are_back = time.monotonic() + 2 / 3 * self._config.redis_claim_idle

    def _check_stream(self, name: str) -> None:
        """A transaction goes on after a command that failed: requests would be gone, and their results, too."""
        try:
            self._redis.xinfo_stream(name)
        except exceptions.ResponseError as error:
            if error_code(error) == "WRONGTYPE":
                raise TransportError(
                    f"--redis_out, --redis_err: the key {name} is no stream; choose another name or remove it"
                ) from None

    def _receive(self, limit: int, timeout: float) -> list[Job]:
        self._delivered.clear()
        if self._trial and self._open:
            self._delivered.wait(timeout)
            return []
        self._trial = False
        if time.monotonic() >= self._next_claim:
            self._next_claim = time.monotonic() + self._config.redis_claim_idle / 3
            if claimed := self._claim_from_the_dead(limit):
                return claimed
        block = max(1, int(1000 * timeout))
        answer = self._redis.xreadgroup(self._group, self._consumer, {self._in: ">"}, count=limit, block=block)
        entries: list[Entry] = [entry for _, found in answer or () for entry in found]
        self._open.update((name, 1) for name, _ in entries)
        return [self._job(entry) for entry in entries]

    def _forget(self, entry: bytes) -> None:
        self._open.pop(entry, None)
        self._delivered.set()

    def _return(self, entry: bytes, deliveries: int) -> None:
        """Lets others have an entry at once, without counting this delivery; unreachable, the server will anyway."""
        try:
            self._redis.xclaim(
                self._in, self._group, self._consumer, 0, [entry], idle=_ABANDONED_MS, retrycount=deliveries - 1,
                justid=True,
            )  # fmt: skip
        except exceptions.RedisError as error:
            log.debug("%s is not given back: %s", entry.decode(), error)

    def _group_info(self) -> dict[str, Any]:
        for group in self._redis.xinfo_groups(self._in):
            if group["name"] == self._group.encode():
                return dict(group)
        raise exceptions.ResponseError(f"no group {self._group}")

    def _stay_alive(self) -> None:
        """The pulse thread: it renews the lease on entries in flight, so that no other worker claims them."""
        while not self._closed.wait(self._config.redis_claim_idle / 3):
            try:
                if entries := list(self._open):
                    self._redis.xclaim(self._in, self._group, self._consumer, 0, entries, idle=0, justid=True)
            except exceptions.RedisError as error:  # the next beat may get through
                log.debug("no pulse: %s", error)

    def _claim_from_the_dead(self, limit: int) -> list[Job]:
        """At most `limit`, as claimed entries are in flight here and have to be kept alive."""
        idle = self._idle_ms if time.monotonic() >= self._pulses_are_back else _ABANDONED_MS
        answer: Any = self._redis.xautoclaim(self._in, self._group, self._consumer, idle, self._cursor, count=limit)
        self._cursor, claimed = answer[0], [entry for entry in answer[1] if entry[0] not in self._open]
        if self._cursor != b"0-0":
            self._next_claim = 0.0  # there are more
        deliveries = {name: self._deliveries(name) for name, _ in claimed}
        last_tries = [entry for entry in claimed if deliveries[entry[0]] == self._config.redis_max_deliveries]
        now = [entry for entry in claimed if entry not in last_tries]
        if last_tries:
            self._trial, self._next_claim, self._cursor = True, 0.0, "0-0"
            if not now and not self._open:
                now.append(last_tries.pop(0))
            for name, _ in last_tries:
                self._return(name, deliveries[name])
        jobs = [self._taken_over(entry, deliveries[entry[0]]) for entry in now]
        # Only now, when nothing can go wrong any more: entries in flight are kept alive, so they must be worked on.
        self._open.update((name, deliveries[name]) for name, _ in now)
        return jobs

    def _deliveries(self, entry: bytes) -> int:
        states = self._redis.xpending_range(self._in, self._group, entry, entry, 1)
        return states[0]["times_delivered"] if states else 1

    def _taken_over(self, entry: Entry, deliveries: int) -> Job:
        log.warning("entry %s: taken over, delivery %d", entry[0].decode(), deliveries)
        return self._job(entry) if deliveries <= self._config.redis_max_deliveries else self._buried(entry, deliveries)

    def _buried(self, entry: Entry, deliveries: int) -> Job:
        """Keeps an entry that ended several workers away from the others; its requester gets an error."""
        payload = (entry[1] or {}).get(PAYLOAD, b"")
        write(self._server.sender, [f"{self._in}_dead"], self._added(f"{self._in}_dead", payload))
        log.error("entry %s: ended %d workers, moved to %s_dead", entry[0].decode(), deliveries - 1, self._in)
        error = Internal(f"given up after {deliveries - 1} tries (--redis_max_deliveries): the workers ended with it")
        return replace(self._job(entry), error=error)

    def _answer(self, job: Job, stream: str, text: bytes) -> None:
        write(
            self._server.sender,
            [stream, self._in],
            self._added(stream, text),
            ["XACK", self._in, self._group, job.receipt],
            ["XDEL", self._in, job.receipt],
        )

    def _added(self, stream: str, text: bytes) -> Command:
        """The command that adds an entry to a stream, which is cut to about --redis_maxlen."""
        return ["XADD", stream, "MAXLEN", "~", self._config.redis_maxlen, "*", PAYLOAD, text]

    def _job(self, entry: Entry) -> Job:
        name, fields = entry
        if fields is None or PAYLOAD not in fields:
            error = BadJson('entry: has no field "data"; expected the request in it')
            return Job(name.decode(), error=error, format=self._format, receipt=name)
        return Job(name.decode(), fields[PAYLOAD], format=self._format, receipt=name)
