"""A server that stops: what was asked is answered, what still comes is told so. With many clients: tests/faults."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import closing, contextmanager

import pytest
import uvicorn
from uvicorn.server import ServerState

from maskworks.config import HttpConfig
from maskworks.transports.http.connection import BoundedConnection
from maskworks.transports.http.server import HttpServer
from maskworks.transports.http.transport import HttpTransport
from tests.support.http_process import HttpProcess, read_answer
from tests.support.samples import encoded
from tests.support.workplace import wait_until

ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class App:
    """Answers 204 once it may: the path /later waits after the head of its answer, any other before it."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = 0

    async def __call__(self, scope, receive, send) -> None:
        self.asked += 1
        later = scope["path"] == "/later"
        head = {"type": "http.response.start", "status": 204}
        if later:
            await send(head)
        while not self.may_answer.is_set():
            await asyncio.sleep(0.001)
        if not later:
            await send(head)
        await send({"type": "http.response.body"})


@pytest.fixture
def app():
    return App()


@pytest.fixture
def stop(app, monkeypatch):
    """Asks the server for its end; idle connections stay for as long as a test may take."""
    monkeypatch.setattr("maskworks.transports.http.connection._GRACE_SECONDS", 60)
    return threading.Event()


@contextmanager
def served(app: App, stop: threading.Event):
    """A connection to a server, and how to stop that up to the moment from which on requests are late."""
    transport = HttpTransport()

    def stop_and_wait() -> None:
        stop.set()
        assert transport.draining.wait(20)

    config = HttpConfig(host="127.0.0.1", port=0)
    with HttpServer(app, transport, config, stop) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        with socket.create_connection(address, 60) as connection:
            yield connection, stop_and_wait


def test_a_request_that_is_on_its_way_is_answered(app, stop):
    app.may_answer.set()
    with served(app, stop) as (connection, stop_and_wait):
        connection.sendall(ASK)
        assert b"204" in connection.recv(10_000)
        stop_and_wait()
        connection.sendall(ASK)
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 204")
    assert b"connection: close" in answer


def test_requests_that_were_sent_ahead_are_answered(app, stop):
    """The connection ends with the last answer, and not with the first."""
    with served(app, stop) as (connection, stop_and_wait):
        connection.sendall(ASK * 3)
        wait_until(lambda: app.asked)
        stop_and_wait()
        app.may_answer.set()
        answer = read_answer(connection)
    assert answer.count(b"HTTP/1.1 204") == 3
    assert answer.count(b"connection: close") == 1


def test_a_client_that_was_not_told_of_the_end_may_ask_again(app, stop):
    """The head of an answer had gone out before the server was stopped."""
    with served(app, stop) as (connection, stop_and_wait):
        connection.sendall(ASK.replace(b"/", b"/later", 1))
        answer = connection.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 204")
        assert b"close" not in answer
        stop_and_wait()
        app.may_answer.set()
        wait_until(lambda: app.asked == 1)
        connection.sendall(ASK)
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 204")
    assert b"connection: close" in answer


@pytest.mark.slow("starts a process")
def test_a_request_that_comes_late_is_told_to_come_back():
    server = HttpProcess()
    with server.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\n")
        with (
            server.connect() as other
        ):  # taken after the first one, whose beginning has been read when this is answered
            other.sendall(ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            read_answer(other)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refused(server.port))
        body = encoded()
        connection.sendall(
            b"Host: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        head, _, text = read_answer(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in head.lower()
    assert b"connection: close" in head.lower()
    assert json.loads(text)["error"]["code"] == "overloaded"
    assert server.process.wait(20) == 0
    assert server.stop() == 0


def test_an_idle_connection_is_not_closed_with_a_request_unread():
    """Neither when the server stops nor when it has been idle for long."""
    asyncio.run(asyncio.wait_for(ask_at_the_last_moment(), 20))


async def ask_at_the_last_moment() -> None:
    app = App()
    app.may_answer.set()
    loop, made = asyncio.get_running_loop(), asyncio.Queue()

    class Connection(BoundedConnection):
        def connection_made(self, transport) -> None:
            super().connection_made(transport)
            made.put_nowait(self)

    def make() -> BoundedConnection:
        config, state = uvicorn.Config(app, lifespan="off", log_config=None), ServerState()
        settings = {"config": config, "server_state": state, "app_state": {}}
        return Connection(lambda: None, read_seconds=60.0, draining=threading.Event(), **settings)

    server = await loop.create_server(make, "127.0.0.1", 0)
    for end in ("timeout_keep_alive_handler", "_close_if_idle"):
        with closing(socket.create_connection(server.sockets[0].getsockname(), 20)) as client:
            connection = await made.get()
            client.sendall(ASK)  # which the event loop cannot read before its next turn
            close: Callable[[], None] = getattr(connection, end)
            close()
            assert b"204" in await loop.run_in_executor(None, client.recv, 10_000)
            close()
            assert await loop.run_in_executor(None, client.recv, 10_000) == b""
    server.close()


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 60).close()
    except ConnectionRefusedError:
        return True
    return False
