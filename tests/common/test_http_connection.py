"""What a client may do on one connection: offer other protocols, send ahead, and leave answers unread."""

from __future__ import annotations

import base64
import json
import socket
import time

import pytest

from tests.support.http_process import HttpProcess, check_headers_are_cut_off, read_answer, sockets, statuses
from tests.support.samples import PROMPT, encoded
from tests.support.workplace import wait_until

pytestmark = pytest.mark.slow("starts processes")

QUERY = '?prompt={"points":[[8,4],[4,8],[12,8],[8,12]]}'.replace('"', "%22")
UPGRADE = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
LARGE = 8_000_000


@pytest.fixture(scope="module")
def server():
    process = HttpProcess("--request_timeout", "2")
    yield process
    assert process.stop() == 0, process.said
    assert not [line for line in process.said if "ASGI" in line or "asyncio" in line or "pgrade" in line]


def request(*lines: str, body: bytes | None = None) -> bytes:
    body = encoded() if body is None else body
    start = [f"POST /predict{QUERY} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    return "\r\n".join([*start, *lines, "", ""]).encode() + body


def send(server, *parts: bytes) -> bytes:
    with server.connect() as connection:
        for part in parts:
            connection.sendall(part)
        return read_answer(connection)


def test_an_offer_of_another_protocol_is_ignored(server):
    offers = request("Connection: Upgrade, HTTP2-Settings", *UPGRADE)
    last = request("Connection: Upgrade, HTTP2-Settings, close", *UPGRADE)
    assert send(server, last).count(b"HTTP/1.1 200 ") == 1
    assert send(server, offers + offers + last).count(b"HTTP/1.1 200 ") == 3
    middle = len(offers) // 2
    assert send(server, offers[:middle], offers[middle:-5], offers[-5:] + last).count(b"HTTP/1.1 200 ") == 2


def test_an_offer_before_a_body_of_unknown_length_is_ignored(server):
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA"}
    with server.client() as client:
        for _ in range(2):
            content = iter([encoded()[:50], encoded()[50:]])
            assert client.post(f"/predict{QUERY}", content=content, headers=headers).status_code == 200


def test_it_is_no_proxy(server):
    assert send(server, b"CONNECT example.com:80 HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_trailers_that_never_end_are_cut_off(server):
    with server.connect() as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
        )
        check_headers_are_cut_off(connection, 10_000)


def test_what_is_sent_ahead_is_answered(server):
    """Requests beyond those that may wait are read once there is room; no head has room without an end."""
    ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
    answer = send(server, request() + (ask + b"\r\n") * 3000 + ask + b"Connection: close\r\n\r\n")
    assert statuses(answer) == [200] * 3002
    assert statuses(send(server, request() + ask + b"X: y\r\n" * 15_000)) == [200, 431]


def test_what_is_sent_ahead_is_bounded():
    server = HttpProcess(seconds=6)
    with server.connect() as connection:
        connection.sendall(request())
        connection.settimeout(2)
        with pytest.raises(TimeoutError):  # the server reads no more until it has answered
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_600_000)
    assert server.stop() == 0


@pytest.mark.parametrize("kept", ["keep-alive", "close"])
def test_answers_that_nobody_reads_are_thrown_away(server, kept):
    """The connection is gone from the server although the client stays."""
    before = sockets(server)
    with large_answer(server, kept) as connection:
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        wait_until(lambda: sockets(server) <= before)


def test_a_slow_reader_gets_all_of_it(server):
    """It takes longer than --request_timeout, but never pauses for as long."""
    with large_answer(server, "close") as connection:
        answer = b""
        for part in range(1, 9):
            time.sleep(0.5)  # it is slow, but never silent
            while len(answer) < part * 500_000:
                piece = connection.recv(10_000)
                assert piece, answer[:300]
                answer += piece
        answer += read_answer(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert len(body) > LARGE


def large_answer(server, kept: str) -> socket.socket:
    """A connection on which an answer comes that is larger than what the kernel holds."""
    message = {"image": base64.b64encode(encoded()).decode(), **json.loads(PROMPT), "note": "x" * LARGE}
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    connection.connect(("127.0.0.1", server.port))
    body = json.dumps(message).encode()
    connection.sendall(request("Content-Type: application/json", f"Connection: {kept}", body=body))
    return connection
