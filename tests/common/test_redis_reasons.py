"""A server that cannot be reached is described in our words, whatever the library says of it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from redis import exceptions

from maskworks.config import RedisServerConfig
from maskworks.errors import TransportError
from maskworks.transports.redis.reasons import reason
from maskworks.transports.redis.server import RedisServer
from tests.support.redis_process import free_port
from tests.support.workplace import WORKER

# What none of our messages has: numbers of errors, tuples and objects of Python, sockets.
RAW = re.compile(r"Error -?\d|Errno|[(<]\w*Error|<\w|\(\d|from socket")


@contextmanager
def listening(reply):
    """A server that says one thing to everybody and closes the connection, or keeps it if it says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                kept.append(connection)
                if reply is not None:
                    connection.recv(1000)
                    connection.sendall(reply)
                    connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in kept:
            connection.close()


def said(**settings):
    server = RedisServer(RedisServerConfig(**settings), threading.Event())
    try:
        with pytest.raises(TransportError) as raised:
            server.check()
    finally:
        server.close()
    assert not RAW.search(raised.value.message), raised.value.message
    return raised.value.message


def test_nobody_listens():
    port = free_port()
    assert said(redis_port=port).startswith(f"Redis at localhost:{port}: connection refused: no server listens there")


def test_a_host_that_is_not_known():
    assert "the host's name is not known" in said(redis_host="no-such-host.invalid")


def test_a_socket_that_is_not_there(tmp_path):
    assert "no such file or directory" in said(redis_url=f"unix://{tmp_path}/redis.sock")


def test_a_server_that_says_nothing():
    with listening(None) as port:
        assert "no answer in time" in said(redis_url=f"redis://localhost:{port}?socket_timeout=0.2")


def test_a_server_that_hangs_up():
    with listening(b"") as port:
        assert "the server closed the connection" in said(redis_port=port)


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_a_server_of_another_kind(reply):
    with listening(reply) as port:
        assert "what it sends is not its protocol" in said(redis_port=port)


def test_a_server_without_tls():
    with listening(b"-ERR no TLS here\r\n") as port:
        assert "TLS failed" in said(redis_url=f"rediss://localhost:{port}")


def test_sentinels_and_nodes_that_are_away():
    port = free_port()
    text = said(redis_url=f"redis+sentinel://localhost:{port}/mymaster/0")
    assert "No master found for 'mymaster': the Sentinels do not answer" in text
    assert "no node of the cluster answers" in said(redis_url=f"redis+cluster://localhost:{port}")


def test_what_the_server_says_stays():
    error = exceptions.ResponseError("WRONGTYPE Operation against a key")
    assert reason(error) == str(error)
    assert reason(exceptions.ConnectionError("of another kind")) == "of another kind"


@pytest.mark.slow("starts a process")
@pytest.mark.parametrize("mode", ["pubsub", "stream"])
def test_a_worker_at_a_server_of_another_kind(mode):
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        flags = ["--redis_in", "in", "--redis_out", "out", "--redis_port", str(port), "--redis_mode", mode]
        done = subprocess.run(
            [sys.executable, str(WORKER), *flags], env={**os.environ, "BRIGHT_COMMAND": "redis"}, timeout=60,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"bright_predict_redis: Redis at localhost:{port}: what it sends is not its protocol")
    assert done.stderr.count("\n") == 1
