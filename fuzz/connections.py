"""What clients send on a connection of the HTTP server: requests one after the other, however they are cut."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from fuzz.target import Target
from maskworks.config import HttpConfig
from maskworks.errors import HttpError
from maskworks.transports.http.connection import BoundedConnection
from maskworks.transports.http.guard import Guard, answer_error

_HEAD = b"POST /predict?a=b HTTP/1.1\r\nHost: localhost\r\n"


def seeds() -> Iterable[bytes]:
    whole = _HEAD + b"Content-Length: 3\r\n\r\nabc"
    chunked = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n4\r\n\r\n\r\n\r\n0\r\nA: b\r\n\r\n"
    upgrade = b"GET http://localhost/x HTTP/1.1\r\nHost: y\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
    yield whole + chunked + upgrade + b"HEAD / HTTP/1.0\r\n\r\n"
    yield chunked + b"\r\n" + whole + b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" + whole
    yield (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") * 12 + b"BREW / HTTP/1.1\r\n\r\n"


def run(data: bytes) -> None:
    """The answers are the same, however the bytes are cut; none is a fault of the server, and none follows an error."""
    middle = len(data) // 2
    cuts = [(data,), (data[:middle], data[middle:]), tuple(data[place : place + 1] for place in range(len(data)))]
    first, *others = [asyncio.run(_answers(pieces)) for pieces in cuts]
    assert all(other == first for other in others), (first, others)
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", first)]
    assert 500 not in statuses, first
    assert all(status < 400 for status in statuses[:-1]), first


async def _answers(pieces: Sequence[bytes]) -> bytearray:
    """What a server writes to a client that sends these pieces."""
    state, transport = ServerState(), _Transport()
    settings = uvicorn.Config(
        Guard(_echo, HttpConfig(cors=("*",))), http="httptools", ws="none", lifespan="off", log_config=None
    )
    connection = BoundedConnection(
        lambda: None, read_seconds=60.0, draining=threading.Event(), config=settings, server_state=state, app_state={}
    )
    connection.connection_made(transport)
    for piece in pieces:
        connection.data_received(piece)
        await asyncio.sleep(0)
    for _ in range(50):  # some wait for the rest of a body that does not come
        await asyncio.sleep(0)
    connection.connection_lost(None)
    if state.tasks:
        await asyncio.wait(state.tasks)
    return transport.written.replace(b"connection: close\r\n", b"")  # an answer may come before its body breaks


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    try:
        text = repr((request.method, scope["path"], scope["headers"], await request.body())).encode()
        response = Response(text.replace(b"HTTP/1.1 ", b""))
    except HttpError as error:
        response = await answer_error(request, error)
    await response(scope, receive, send)


class _Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self._closing:
            self.written += data

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self._closing = True

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


CONNECTION = Target(run, seeds)
