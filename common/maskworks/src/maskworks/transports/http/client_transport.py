"""The way to a client: it can be told to read no more for now, and to let the client read the last answer."""

from __future__ import annotations

import asyncio
from typing import Any

_SECONDS = 2.0  # for a client to take the last answer and to stop sending
_MOST_BYTES = 1024 * 1024  # that it may still send meanwhile


class ClientTransport:
    """A transport of asyncio, of which uvicorn does not notice when reading is held up or closing takes a moment.

    Attributes:
        lingers: whether the client may still be sending when the connection is closed. The system throws an answer
            away if something arrives that nobody reads; so the server ends its own side first, and goes on to read.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self.lingers = False
        self._wanted, self._held = True, False
        self._lingering: asyncio.TimerHandle | None = None
        self._left = _MOST_BYTES

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def pause_reading(self) -> None:
        self._wanted = False
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._wanted = True
        if not self._held:
            self._transport.resume_reading()

    def hold(self, held: bool) -> None:
        """Whether nothing is read, even where uvicorn wants to."""
        if held == self._held:
            return
        self._held = held
        if held:
            self._transport.pause_reading()
        elif self._wanted:
            self._transport.resume_reading()

    def discard(self, number: int) -> None:
        """So many bytes came that nobody wants."""
        if self._lingering is not None:
            self._left -= number
            if self._left < 0:
                self._transport.abort()

    def is_closing(self) -> bool:
        return self._lingering is not None or self._transport.is_closing()

    def close(self) -> None:
        if not self.lingers:
            self._transport.close()
        elif not self.is_closing():
            self._transport.write_eof()
            self._transport.resume_reading()
            self._linger()

    def lost(self) -> None:
        """The connection has ended."""
        if self._lingering is not None:
            self._lingering.cancel()

    def _linger(self) -> None:
        self._lingering = self._loop.call_later(_SECONDS, self._end)

    def _end(self) -> None:
        if self._transport.get_write_buffer_size():
            self._linger()  # who reads nothing at all has a time limit of its own
        else:
            self._transport.abort()
