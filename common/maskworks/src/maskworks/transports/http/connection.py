"""One connection of the HTTP server, with bounds on what uvicorn itself reads, keeps or waits for without an end."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from maskworks.errors import HttpError
from maskworks.transports.http.client_transport import ClientTransport
from maskworks.transports.http.framing import Framing, Head
from maskworks.transports.http.guard import REFUSAL
from maskworks.transports.http.head import RequestLine, check_headers, with_host

_HEAD_SECONDS = 10.0
_MOST_BETWEEN = 64 * 1024  # bytes of trailers, or of what stands before a chunk
_MOST_PIPELINED = 8  # requests that wait behind the one that is being answered
_GRACE_SECONDS = 0.5  # for a request that is on its way on an idle connection when the server stops

Message = MutableMapping[str, Any]


class BoundedConnection(HttpToolsProtocol):
    """Bounds heads and trailers in time and bytes, the requests sent ahead, and how long an answer waits to be read.

    What is no HTTP gets an answer of its own, after those of all requests before it; with that the connection ends.

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
        self._serve, self.app = self.app, self._answer
        self._read_seconds, self._draining = read_seconds, draining
        self._head_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self._framing = Framing()
        self._line: RequestLine | None = None  # of the last request
        self._in_body = False
        self._between = 0  # bytes of a body since the last piece of its content
        self._ended = False  # what comes from here on is thrown away
        self._refusal: HttpError | None = None  # the last answer, to what was no request
        self._broken: tuple[Message, HttpError] | None = None  # the last request, whose body cannot be read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._client = ClientTransport(transport, self.loop)
        super().connection_made(self._client)  # type: ignore[arg-type]
        # Writing is paused, then, for as long as anything at all waits to be read.
        transport.set_write_buffer_limits(0)
        self._expect_head()
        if self._draining.is_set():
            self.shutdown()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            self._client.discard(len(data))
            return
        self._framing.feed(data)
        self._read()
        self._expect_rest_of_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # what a trailer says is not asked for, and does not change what the head says
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        if self._refusal is None:
            check_headers(self.headers, version)
            self._framing.expect_body(self._length())
        if self._line is not None and self._line.authority:
            self.headers[:] = with_host(self.headers, self._line.authority)
        if version == "1.0":  # it has no interim answers (RFC 9110, section 10.1.1)
            self.expect_100_continue = False
            self.headers[:] = [header for header in self.headers if header[0] != b"expect"]
        self._forget_head()
        self._in_body, self._between = True, 0
        super().on_headers_complete()
        if self._refusal is not None:
            self.scope["extensions"] = {REFUSAL: {"reason": self._refusal}}
        elif self._line is not None and self._line.target == b"*":
            self.scope["path"] = "*"
        if self._draining.is_set():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._between = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body, self._line = False, None
        self._framing.expect_head()
        super().on_message_complete()
        if not self.cycle.keep_alive:
            self._end()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        self._forget_reader()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        self._forget_reader()
        self._end()
        self._client.lost()
        self._lost()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._read()
        self._expect_rest_of_head()
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

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        """Unless a request has begun to arrive: its head has a time limit of its own.

        Closing a connection with bytes that are not read yet resets it, so the kernel is asked for such bytes last.
        """
        if self.transport.is_closing() or not self._idle or self._framing.begun:
            return
        if _unread(self.transport) == 0:
            self.transport.write_eof()  # takes effect at once; `close` waits for a turn of the event loop
            self.transport.close()

    def _read(self) -> None:
        """Goes on with what has come, as far as requests may wait behind the one that is being answered."""
        while not self._ended:
            full = len(self.pipeline) >= _MOST_PIPELINED
            self._client.hold(full)
            if full:
                return
            try:
                piece = self._framing.take()
                if piece is None:
                    return
                self._parse(piece)
            except HttpError as error:
                self._refuse(error)

    def _parse(self, piece: Head | bytes) -> None:
        """Raises HttpError if the piece is not HTTP."""
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        if isinstance(piece, Head):
            self._line, text = piece.line, piece.text
        else:
            text = piece
            self._between += len(piece)
        try:
            self.parser.feed_data(text)
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, HttpError):
                raise error.__context__ from None
            part = "body" if self._in_body else "head"
            raise HttpError(400, f"{part} of a request: {str(error)[:200]}; expected HTTP/1.1") from None
        if self._in_body and self._between > _MOST_BETWEEN:
            raise HttpError(431, f"more than {_MOST_BETWEEN} bytes of trailers, or before a chunk; expected no more")

    def _refuse(self, error: HttpError) -> None:
        """Nothing that comes from here on can be understood. What was asked before is answered first."""
        line = self._line or self._framing.line
        self._end()
        self._client.lingers = True
        if not self._in_body:
            self._refusal = error
            self.parser = httptools.HttpRequestParser(self)
            method = b"HEAD" if line is not None and line.method == b"HEAD" else b"GET"
            self.parser.feed_data(method + b" / HTTP/1.1\r\nConnection: close\r\n\r\n")
        elif self.cycle.response_complete:
            self._client.close()
        else:
            self._broken = (self.cycle.scope, error)  # type: ignore[assignment]
            self.cycle.keep_alive = False
            self.cycle.message_event.set()

    def _end(self) -> None:
        """No request comes after this."""
        self._ended = True
        self._framing.clear()
        self._forget_head()
        self._client.hold(False)

    async def _answer(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """The application. If the body of the request cannot be read, this is an error where it would be read."""
        told = False

        async def read() -> Message:
            nonlocal told
            if not told:
                message = await receive()
                if self._broken is None or self._broken[0] is not scope:
                    return message
                told = True
                raise self._broken[1]
            return {"type": "http.disconnect"}

        await self._serve(scope, read, send)

    def _length(self) -> int | None:
        """How many bytes the body has of the request whose headers have been read; None if it has chunks."""
        headers = dict(self.headers)
        return None if b"transfer-encoding" in headers else int(headers.get(b"content-length", 0))

    def _expect_rest_of_head(self) -> None:
        """The next request on this connection has a time limit once it has begun, and there is nothing else to do."""
        if self._framing.begun and self._head_timer is None and self._idle:
            self._expect_head()

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._framing.begun:
            self._refuse(HttpError(408, f"no whole head after {_HEAD_SECONDS:g} s; expected all of it by then"))
        else:
            self.transport.abort()

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


def _unread(transport: asyncio.Transport) -> int:
    """How many bytes the kernel holds that have arrived for a connection."""
    connection = transport.get_extra_info("socket")
    return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))[0])
