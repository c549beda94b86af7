"""A server's memory: what a worker on a stream says of it, since the server itself says nothing to its operators."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from redis import exceptions

from maskworks.transports.redis.client import Cluster

log = logging.getLogger(__name__)

_EVERY = 60.0  # seconds between looks


class MemoryWatch:
    """Warns when a server drops keys instead of refusing new ones, and when answers keep it full.

    It needs the right to `INFO`, and is silent without.

    Args:
        client: of redis-py.
        name: of the server, for messages.
        requests: their stream.
        answers: the streams of the answers.
        kept: about how many answers are kept in each.
    """

    def __init__(self, client: Any, name: str, requests: str, answers: Sequence[str], kept: int) -> None:
        self._client, self._name, self._requests, self._answers, self._kept = client, name, requests, answers, kept
        self._next = 0.0
        self._said_policy = self._said_full = False

    def look(self) -> None:
        """Looks, if the last look was a while ago; what it cannot see it does not mention."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY
        try:
            self._say(self._memory())
        except exceptions.NoPermissionError as error:
            log.debug("%s: nothing is known of its memory: %s", self._name, error)
            self._next = float("inf")
        except (exceptions.RedisError, KeyError) as error:
            log.debug("%s: nothing is known of its memory: %s", self._name, error)

    def _memory(self) -> dict[str, Any]:
        if not isinstance(self._client, Cluster):
            return dict(self._client.info("memory"))
        node = self._client.get_node_from_key(self._requests)
        return dict(self._client.info("memory", target_nodes=node))

    def _say(self, memory: dict[str, Any]) -> None:
        limit, policy = memory["maxmemory"], str(memory["maxmemory_policy"])
        if limit and policy.startswith("allkeys-") and not self._said_policy:
            log.warning(
                "%s: when it is full it drops keys, and so all requests that wait in %s (maxmemory-policy %s); "
                "set it to noeviction", self._name, self._requests, policy,
            )  # fmt: skip
            self._said_policy = True
        full = bool(limit) and memory["used_memory"] - memory.get("mem_not_counted_for_evict", 0) >= limit
        if full and not self._said_full:
            held = ", ".join(f"{self._client.xlen(stream)} in {stream}" for stream in self._answers)
            log.warning(
                "%s: its memory is full, so it refuses requests; answers take part of it: %s, kept until they are %d "
                "(--redis_maxlen). Delete those that were read, keep fewer, or raise maxmemory",
                self._name, held, self._kept,
            )  # fmt: skip
        self._said_full = full
