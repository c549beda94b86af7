"""One connection of the HTTP server, with bounds on what uvicorn itself reads, keeps or waits for without an end."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
import threading
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_SECONDS = 10.0
_MOST_HEAD_BYTES = 64 * 1024
_MOST_PIPELINED = 8  # requests that wait behind the one that is being answered
_GRACE_SECONDS = 0.5  # for a request that is on its way on an idle connection when the server stops


class BoundedConnection(HttpToolsProtocol):
    """Bounds heads and trailers in time and bytes, the requests sent ahead, and how long an answer waits to be read.

    Args:
        lost: called once, when the connection has ended.
        read_seconds: an answer of which the client takes nothing for so long is thrown away.
        draining: set once each answer is to be the last one of its connection.
        settings: uvicorn's.
    """

    def __init__(
        self, lost: Callable[[], None], *, read_seconds: float, draining: threading.Event, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._lost = lost
        self.parser = _Parser(self)
        self._read_seconds, self._draining = read_seconds, draining
        self._head_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._bytes = 0  # since the last head or piece of a body: those of an unfinished head, or of trailers

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Writing is paused, then, for as long as anything at all waits to be read.
        transport.set_write_buffer_limits(0)
        self._expect_head()
        if self._draining.is_set():
            self.shutdown()

    def data_received(self, data: bytes) -> None:
        if self._head_timer is None and self._idle:
            self._expect_head()  # the next request on this connection
        self._bytes += len(data)
        super().data_received(data)
        if self._bytes > _MOST_HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._forget_head()
        self._in_head = False
        self._bytes = 0
        if self.parser.get_method() == b"CONNECT":
            raise httptools.HttpParserError("this is no proxy")
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise httptools.HttpParserError("too many requests wait on this connection")
        super().on_headers_complete()
        if self._draining.is_set():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._bytes = 0
        super().on_body(body)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        self._forget_reader()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        self._forget_reader()
        self._lost()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._draining.is_set() and self._idle:
            self.shutdown()

    def shutdown(self) -> None:
        """The server stops: what was asked is answered, and with the answer the connection ends.

        An idle connection ends a moment later. If it ended at once, a request that has been sent on it, and that this
        process has not read yet, would be lost. So it does if the head of its answer, which would have said that the
        connection ends, has already gone out.
        """
        if self._idle:
            self.loop.call_later(_GRACE_SECONDS, self._close_if_idle)
        elif not self.cycle.response_started:
            self.cycle.keep_alive = False

    def timeout_keep_alive_handler(self) -> None:
        self._close_if_idle()

    def head_without_upgrade(self) -> bytes:
        """The last head again, without the protocol that it offers to change to."""
        start = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([start, *lines, b"", b""])

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        """Unless a request has begun to arrive: its head has a time limit of its own.

        Closing a connection with bytes that are not read yet resets it, so the kernel is asked for such bytes last.
        """
        if self.transport.is_closing() or not self._idle or self._in_head:
            return
        if _unread(self.transport) == 0:
            self.transport.write_eof()  # takes effect at once; `close` waits for a turn of the event loop
            self.transport.close()

    def _should_upgrade(self) -> bool:
        return True  # so uvicorn does not answer the head of which the parser dropped the body; see `_Parser`

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, self.transport.abort)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _expect_reader(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._read_timer = self.loop.call_later(self._read_seconds, self._check_reader, unread)

    def _check_reader(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:
            self._expect_reader()
        else:
            self.transport.abort()

    def _forget_reader(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None


class _Parser(httptools.HttpRequestParser):
    """Ignores offers of another protocol, as a server has to that does not know it (RFC 9110, section 7.8).

    Java's clients offer HTTP/2 with every request. The parser of httptools takes what comes after such a head for the
    other protocol; this one reads the head once more, without the offer, and goes on behind it.
    """

    def __init__(self, connection: BoundedConnection) -> None:
        self._connection = connection
        self._start()

    def feed_data(self, data: Any) -> None:
        while True:
            try:
                super().feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = self._connection.head_without_upgrade() + data[offer.args[0] :]
                self._start()
            else:
                return

    def _start(self) -> None:
        super().__init__(self._connection)
        # As uvicorn does: what follows a request with `Connection: close` is no error in that request.
        self.set_dangerous_leniencies(lenient_data_after_close=True)


def _unread(transport: asyncio.Transport) -> int:
    """How many bytes the kernel holds that have arrived for a connection."""
    connection = transport.get_extra_info("socket")
    return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))[0])
