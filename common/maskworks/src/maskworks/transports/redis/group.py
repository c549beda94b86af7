"""A consumer group of a stream, as one of its consumers sees it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from redis import exceptions

from maskworks.transports.redis.faults import is_transient
from maskworks.transports.redis.transactions import write

log = logging.getLogger(__name__)

ABANDONED_MS = 2**31 - 1  # idle for so long is only what was given back

# Entries that were given back are in its hands: a worker that ends takes nothing along, and can leave the group.
_NOBODY = "given-back"

# Its key: the stream. Its arguments: the group, and for how many milliseconds nothing was heard of a consumer.
_FORGET = """
local forgotten = {}
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local said = {}
  for at = 1, #consumer, 2 do
    said[consumer[at]] = consumer[at + 1]
  end
  if said.pending == 0 and said.idle >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], said.name)
    forgotten[#forgotten + 1] = said.name
  end
end
return forgotten
"""

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
                self._stream, self._name, _NOBODY, 0, [entry], idle=ABANDONED_MS, retrycount=deliveries - 1,
                justid=True,
            )  # fmt: skip
        except exceptions.RedisError as error:
            log.debug("%s is not given back: %s", entry.decode(), error)

    def deliveries(self, entry: bytes) -> int:
        """How often an entry in hand was delivered."""
        states = self._client.xpending_range(self._stream, self._name, entry, entry, 1)
        return states[0]["times_delivered"] if states else 1

    def forget(self, idle_ms: int) -> None:
        """Takes consumers out of the group that have nothing in hand and were not heard of for so long.

        One step on the server: with a consumer that has entries in hand these would be gone. One that lives after all
        is made again by its next command.
        """
        try:
            for name in self._client.eval(_FORGET, 1, self._stream, self._name, idle_ms):
                log.info("consumer %s: not heard of for long, taken out of the group", name.decode(errors="replace"))
        except exceptions.ResponseError as error:
            if is_transient(error):
                raise
            log.debug("no consumer is taken out of the group: %s", error)

    def leave(self) -> None:
        """Takes this consumer out of the group if nothing is in its hands."""
        pending = self._client.xpending_range(self._stream, self._name, "-", "+", 1, self.consumer)
        if not pending:
            self._client.xgroup_delconsumer(self._stream, self._name, self.consumer)
