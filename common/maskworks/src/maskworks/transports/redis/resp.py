"""Reading the protocol of Redis (RESP) from a socket, large values without a copy.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
from typing import TypeAlias

from redis import exceptions

from maskworks.transports.redis.faults import error_from
from maskworks.transports.redis.reasons import NO_REDIS

Value: TypeAlias = "bytes | bytearray | int | list[Value] | None"

_HEADERS = 1 << 16  # bytes that are received at a time while it is not known how long the next part is
_LONGEST = 1 << 30  # bytes of a value; a server's own limit is 512 MiB if it is not told otherwise
_DEEPEST = 8  # lists within lists; messages are one list


class RespReader:
    """Values from a connected socket.

    A bulk string is received straight into the memory that it stays in, as a rule with a single call, during which
    other threads run: waiting for the interpreter after each of many small parts takes longer than the parts do.

    Args:
        connection: a socket, with TLS or without; it is set to block.
        patience: seconds without a byte in the middle of a value after which the connection counts as lost.
    """

    def __init__(self, connection: socket.socket, patience: float = 30.0) -> None:
        self._socket = connection
        self._buffer = bytearray(_HEADERS)
        self._begin = self._end = 0
        # A timeout of Python's is a second system call for each part, and it forbids to wait for the whole of one.
        connection.settimeout(None)
        seconds = int(patience)
        timeval = struct.pack("ll", seconds, int(1e6 * (patience - seconds)))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self._whole = 0 if isinstance(connection, ssl.SSLSocket) else socket.MSG_WAITALL

    def arrives(self, timeout: float) -> bool:
        """True as soon as a value begins, False if none does within `timeout` seconds."""
        if self._begin < self._end:
            return True
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return bool(select.select([self._socket], [], [], timeout)[0])

    def read(self, depth: int = 0) -> Value:
        """The next value: a number, text, bytes, or a list of these; `depth` is that of the list it is in.

        Raises:
            redis.ConnectionError: the connection is lost or does not speak the protocol.
            redis.RedisError: the value is an error; of the class that redis-py has for it, as `NoPermissionError`.
        """
        line = self._line()
        kind, rest = line[:1], line[1:]
        try:
            if kind in (b"*", b">") and depth < _DEEPEST:
                return [self.read(depth + 1) for _ in range(int(rest))]
            if kind == b"$" and int(rest) <= _LONGEST:
                return self._bulk(int(rest))
            if kind == b":":
                return int(rest)
        except ValueError:
            raise _not_the_protocol() from None
        if kind == b"-":
            raise error_from(rest.decode(errors="replace"))
        if kind == b"+":
            return rest
        raise _not_the_protocol()

    def _line(self) -> bytes:
        while (stop := self._buffer.find(b"\r\n", self._begin, self._end)) < 0:
            rest = self._buffer[self._begin : self._end]
            if len(rest) == _HEADERS:
                raise _not_the_protocol()
            self._buffer[: len(rest)] = rest
            self._begin, self._end = 0, len(rest)
            self._end += self._receive_into(memoryview(self._buffer)[self._end :], 0)
        line = bytes(self._buffer[self._begin : stop])
        self._begin = stop + 2
        return line

    def _bulk(self, length: int) -> bytearray | None:
        """`length` bytes and the end of the line behind them."""
        if length < 0:
            return None
        body = bytearray(length)
        known = min(length, self._end - self._begin)
        body[:known] = self._buffer[self._begin : self._begin + known]
        self._begin += known
        rest = memoryview(body)
        while known < length:
            known += self._receive_into(rest[known:], self._whole)
        if self._line():
            raise _not_the_protocol()
        return body

    def _receive_into(self, view: memoryview, flags: int) -> int:
        try:
            received = self._socket.recv_into(view, 0, flags)
        except OSError as error:
            raise exceptions.ConnectionError("connection lost") from error
        if not received:
            raise exceptions.ConnectionError("the server closed the connection")
        return received


def _not_the_protocol() -> exceptions.ConnectionError:
    return exceptions.ConnectionError(NO_REDIS)
