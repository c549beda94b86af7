"""A consumer group of a stream, as one of its consumers sees it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from redis import exceptions

from maskworks.transports.redis.transactions import write

log = logging.getLogger(__name__)

ABANDONED_MS = 2**31 - 1  # idle for so long is only what was given back

Entry = tuple[bytes, dict[bytes, bytes] | None]


class Group:
    """What a worker does with its group.

    Args:
        client: of redis-py.
        stream: the requests.
        name: of the group.
        consumer: name of this worker in it.
    """

    def __init__(self, client: Any, stream: str, name: str, consumer: str) -> None:
        self._client, self._stream, self._name, self.consumer = client, stream, name, consumer

    def create(self) -> bool:
        """From the start of the stream, so that entries older than the first worker count; False if it is there."""
        try:
            write(self._client, [self._stream], ["XGROUP", "CREATE", self._stream, self._name, "0", "MKSTREAM"])
        except exceptions.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
            return False
        return True

    def check(self) -> None:
        """Writes nothing, by a command that only a server performs which takes writes.

        Raises:
            redis.RedisError: it is away, a replica, or cannot write.
        """
        self._client.execute_command("XACK", self._stream, self._name, "0-0")

    def info(self) -> dict[str, Any]:
        """What the server says of the group.

        Raises:
            redis.ResponseError: there is none.
        """
        for group in self._client.xinfo_groups(self._stream):
            if group["name"] == self._name.encode():
                return dict(group)
        raise exceptions.ResponseError(f"no group {self._name}")

    def read(self, limit: int, block_ms: int) -> list[Entry]:
        """Entries that nobody had yet."""
        streams = {self._stream: ">"}
        answer: Any = self._client.xreadgroup(self._name, self.consumer, streams, count=limit, block=block_ms)
        return [entry for _, found in answer or () for entry in found]

    def claim(self, idle_ms: int, cursor: bytes | str, limit: int) -> tuple[bytes, list[Entry]]:
        """Entries that others have in hand and have not renewed for so long, and where to go on looking."""
        answer: Any = self._client.xautoclaim(self._stream, self._name, self.consumer, idle_ms, cursor, count=limit)
        return answer[0], answer[1]

    def renew(self, entries: Sequence[bytes]) -> None:
        """Renews the lease on entries in hand."""
        self._client.xclaim(self._stream, self._name, self.consumer, 0, entries, idle=0, justid=True)

    def give_back(self, entry: bytes, deliveries: int) -> None:
        """Lets others have an entry at once, without counting this delivery; unreachable, the server will anyway."""
        try:
            self._client.xclaim(
                self._stream, self._name, self.consumer, 0, [entry], idle=ABANDONED_MS, retrycount=deliveries - 1,
                justid=True,
            )  # fmt: skip
        except exceptions.RedisError as error:
            log.debug("%s is not given back: %s", entry.decode(), error)

    def deliveries(self, entry: bytes) -> int:
        """How often an entry in hand was delivered."""
        states = self._client.xpending_range(self._stream, self._name, entry, entry, 1)
        return states[0]["times_delivered"] if states else 1

    def leave(self) -> None:
        """Takes this consumer out of the group if nothing is in its hands."""
        pending = self._client.xpending_range(self._stream, self._name, "-", "+", 1, self.consumer)
        if not pending:
            self._client.xgroup_delconsumer(self._stream, self._name, self.consumer)
