"""A subscription that is read about as fast as the server can send.

The server cuts off whoever lets more than 32 MB pile up, and it sends some hundred megabytes a second. The reader of
redis-py copies every message several times, and of a burst of 78 MB it gets a third.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from redis import exceptions

from maskworks.transports.redis.client import subscribers_pool
from maskworks.transports.redis.resp import RespReader, Value

_SILENCE = 10.0  # seconds after which a server is asked whether it is there: one that hangs or is cut off says nothing
_ANSWER = 5.0  # seconds for its answer, until the subscription counts as doubtful
_PATIENCE = 20.0  # and until it is left


class Listener:
    """A connection of its own that is subscribed to patterns.

    Args:
        client: knows server, user, database and TLS.
        patterns: which channels, as of PSUBSCRIBE.

    Raises:
        redis.ConnectionError: the server is away.
        redis.AuthenticationError, redis.NoPermissionError: it refuses.
        redis.ResponseError: it has another reason.
    """

    def __init__(self, client: Any, *patterns: str) -> None:
        self._heard = time.monotonic()
        self._asked: float | None = None  # when, if there was no answer yet
        pool: Any = subscribers_pool(client)
        self._pool, self._connection = pool, pool.get_connection()
        try:
            self._connection.send_command("PSUBSCRIBE", *patterns)
            # From here on redis-py's own reader is not asked any more.
            self._reader = RespReader(self._connection._sock)
            for _ in patterns:
                self._reader.read()
        except BaseException:
            self.close()
            raise

    @property
    def problem(self) -> str:
        """What is wrong with the subscription as far as is known; "" if nothing is."""
        now, asked = time.monotonic(), self._asked
        doubtful = asked is not None and now - asked > _ANSWER
        return f"the subscription has been silent for {now - self._heard:.0f} s" if doubtful else ""

    def arrives(self, timeout: float) -> bool:
        """True as soon as a value begins, False if none does within `timeout` seconds.

        Raises:
            redis.ConnectionError: the server has said nothing for long, not even that it is there.
        """
        if self._reader.arrives(timeout):
            self._heard, self._asked = time.monotonic(), None
            return True
        silent = time.monotonic() - self._heard
        if silent > _SILENCE + _PATIENCE:
            raise exceptions.ConnectionError(f"the server has said nothing for {silent:.0f} s")
        if silent > _SILENCE and self._asked is None:
            self._connection.send_command("PING", check_health=False)
            self._asked = time.monotonic()
        return False

    def receive(self) -> bytearray | None:
        """The next message; None if it is something else.

        Raises:
            redis.ConnectionError: the connection is lost.
        """
        return _message(self._reader.read())

    def leave(self) -> Iterator[bytearray]:
        """Ends the subscription; gives the messages that the server had sent before it knew.

        Raises:
            redis.ConnectionError: the connection is lost.
        """
        self._connection.send_command("PUNSUBSCRIBE")
        while True:
            value = self._reader.read()
            if isinstance(value, list) and value[:1] == [b"punsubscribe"] and value[-1:] == [0]:
                return
            message = _message(value)
            if message is not None:
                yield message

    def close(self) -> None:
        """Closes the connection. The pool gets its place back, and would make a new one of it."""
        self._connection.disconnect()
        self._pool.release(self._connection)


def _message(value: Value) -> bytearray | None:
    if isinstance(value, list) and value[:1] == [b"pmessage"] and isinstance(value[-1], bytearray):
        return value[-1]
    return None
