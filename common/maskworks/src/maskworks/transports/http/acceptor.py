"""Takes connections as long as there is room for them, and tells the others so."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from maskworks.errors import Overloaded, reason_of
from maskworks.transports.http.listener import begin_no_handshake
from maskworks.transports.http.media import JSON
from maskworks.transports.http.sparing import Sparing
from maskworks.wire.reply import encode_error

log = logging.getLogger(__name__)

_AT_ONCE = 64  # connections taken in one turn of the event loop, for which others wait
_MOST_REFUSED = 32  # connections that are being refused at a time; more wait in the kernel's queue
_REFUSAL_SECONDS = 2.0  # for a client to take the refusal
_PAUSE_SECONDS = 0.2  # until the next try where the system has nothing left for a connection
_HANDSHAKE_SECONDS = 0.1  # for handshakes that have begun, at the end
_TAKE_SECONDS = 1.0  # for what waits in the kernel's queue, at the end


class Acceptor:
    """Makes connections of what comes to a listening socket. Runs on the event loop's thread.

    Args:
        listener: does not block; closed by `close`.
        make: makes what speaks on a connection; its argument is called once that is lost.
        most: how many may be open at a time.
    """

    def __init__(
        self, listener: socket.socket, make: Callable[[Callable[[], None]], asyncio.BaseProtocol], most: int
    ) -> None:
        self._listener, self._make, self._most = listener, partial(make, self._lost), most
        self._open = 0
        self._refusal = _refusal(most)
        self._loop = asyncio.get_running_loop()
        self._being_made: set[asyncio.Task[None]] = set()
        self._refused: dict[socket.socket, asyncio.TimerHandle] = {}
        self._full, self._nothing_left, self._ended = (Sparing(log) for _ in range(3))
        self._resume()

    async def take_waiting(self) -> None:
        """Takes all connections that the kernel has made, as far as there is room."""
        while self._take() is None:
            await asyncio.sleep(0)
        if self._being_made:
            await asyncio.wait(self._being_made)

    async def close(self) -> None:
        """Takes the connections that clients have begun to make, waiting a second for room, and no more."""
        begin_no_handshake(self._listener)
        await asyncio.sleep(_HANDSHAKE_SECONDS)
        end = self._loop.time() + _TAKE_SECONDS
        while not self._take() and self._loop.time() < end:
            await asyncio.sleep(0.01)
        await self.take_waiting()
        self._pause()
        self._listener.close()
        for connection in tuple(self._refused):
            self._end(connection)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._take)

    def _pause(self) -> None:
        self._loop.remove_reader(self._listener)

    def _take(self) -> bool | None:
        """Takes some connections: True if there was no other, False if there is no room, None otherwise."""
        for _ in range(_AT_ONCE):
            if len(self._refused) >= _MOST_REFUSED:
                self._pause()
                return False
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return True
            except (InterruptedError, ConnectionAbortedError):
                continue
            except OSError as error:
                self._nothing_left.warn(
                    f"connections wait, as the system has nothing left for them: {reason_of(error)}"
                )
                self._pause()
                self._loop.call_later(_PAUSE_SECONDS, self._resume)
                return False
            connection.setblocking(False)
            if self._open >= self._most:
                self._refuse(connection)
            else:
                self._open += 1
                task = self._loop.create_task(self._begin(connection))
                self._being_made.add(task)
                task.add_done_callback(self._being_made.discard)
        return None

    async def _begin(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, connection)
        except OSError as error:
            connection.close()
            self._lost()
            self._ended.warn(f"a connection ended at once: {reason_of(error)}")

    def _lost(self) -> None:
        self._open -= 1

    def _refuse(self, connection: socket.socket) -> None:
        """Answers without a question. Closing at once could reset the answer, so the client may close first."""
        self._full.warn(f"{self._most} connections are open (--max_connections); others are told to come back")
        with suppress(OSError):  # it has gone
            connection.send(self._refusal)
            connection.shutdown(socket.SHUT_WR)
        self._refused[connection] = self._loop.call_later(_REFUSAL_SECONDS, self._end, connection)
        self._loop.add_reader(connection, self._drain, connection)

    def _drain(self, connection: socket.socket) -> None:
        try:
            ended = not connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        self._refused.pop(connection).cancel()
        self._loop.remove_reader(connection)
        connection.close()
        self._resume()


def _refusal(most: int) -> bytes:
    body = encode_error(Overloaded(f"{most} connections are open (--max_connections); come back in a moment"), None)
    head = (
        "HTTP/1.1 503 Service Unavailable",
        f"Content-Type: {JSON}",
        f"Content-Length: {len(body)}",
        "Retry-After: 1",
        "Connection: close",
    )
    return "\r\n".join([*head, "", ""]).encode() + body
