"""How many connections a server holds, and what becomes of those beyond that."""

from __future__ import annotations

import json
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from maskworks.config import HttpConfig
from tests.support.http_process import HttpProcess, complete, form, read_answer, sockets
from tests.support.workplace import wait_until

WITHOUT_CONNECTIONS = 3  # the listener, and the two ends with which the event loop wakes itself
ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def answered(connection: socket.socket) -> bool:
    connection.sendall(ASK)
    answer = b""
    while not complete(answer):
        answer += connection.recv(10_000)
    return answer.startswith(b"HTTP/1.1 200")


@pytest.mark.slow("starts a process")
def test_connections_beyond_the_limit_are_told_to_come_back():
    server = HttpProcess("--max_connections", "3")
    wait_until(lambda: sockets(server) == WITHOUT_CONNECTIONS)
    with ExitStack() as stack:
        held = [stack.enter_context(server.connect()) for _ in range(3)]
        assert all(map(answered, held))
        for _ in range(100):  # more than are refused at a time
            with server.connect() as one:
                head, _, body = read_answer(one).partition(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            assert lines[0].startswith(b"http/1.1 503")
            assert {b"retry-after: 1", b"connection: close"} < set(lines)
            error = json.loads(body)["error"]
            assert (error["code"], "--max_connections" in error["message"]) == ("overloaded", True)
        assert all(map(answered, held))
        held[0].close()
        wait_until(lambda: is_served(server))
    assert server.stop() == 0
    assert len([line for line in server.said if "--max_connections" in line]) == 1


@pytest.mark.slow("starts a process")
def test_silent_connections_beyond_the_limit_hold_up_nobody():
    """They are more than are refused at a time, and none of them takes its refusal."""
    server = HttpProcess("--max_connections", "3")
    with ExitStack() as stack:
        held = stack.enter_context(server.connect())
        assert answered(held)
        for _ in range(300):
            stack.enter_context(server.connect())
        for _ in range(20):
            assert answered(held)
        before = sockets(server)
        assert before < 100
    wait_until(lambda: is_served(server))
    assert server.stop() == 0


@pytest.mark.slow("starts a process")
def test_open_files_that_are_used_up_end_nothing_and_fill_no_log():
    """Whatever uses them: here they become fewer."""
    server = HttpProcess()
    with server.connect() as first, ExitStack() as stack:
        assert answered(first)
        others = [stack.enter_context(server.connect()) for _ in range(5)]
        assert all(map(answered, others))
        before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        used = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used // 2, before[1]))
        waiting = [stack.enter_context(server.connect()) for _ in range(300)]
        wait_until(lambda: any("open files" in line for line in server.said))
        for _ in range(20):
            assert answered(first)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)
        assert answered(waiting[-1])
    assert server.stop() == 0
    assert len([line for line in server.said if "open files" in line]) == 1
    assert len(server.said) < 10


@pytest.fixture
def many_files():
    """This process, and those that it starts, may have 6000 files open."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != most < 6000:
        pytest.skip(f"only {most} files may be open")
    if resource.RLIM_INFINITY != before < 6000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (6000, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.slow("opens 5000 connections")
@pytest.mark.usefixtures("many_files")
def test_five_thousand_idle_connections_hold_up_nobody():
    server = HttpProcess()
    with ExitStack() as stack:
        for _ in range(5000):
            stack.enter_context(server.connect())
        with server.client() as client:
            assert client.post("/predict", files=form()).status_code == 200
    assert server.stop() == 0
    assert not [line for line in server.said if "--max_connections" in line]


@pytest.mark.parametrize(
    ("allowed", "most"),
    [(100, 50), (400, 200), (1024, 768), (8192, 7936), (2**20, 10_000), (resource.RLIM_INFINITY, 10_000)],
)
def test_the_limit_follows_from_the_open_files_that_are_allowed(monkeypatch, allowed, most):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (allowed, allowed))  # what it is here can only be lowered
    assert HttpConfig().most_connections == most
    assert HttpConfig(max_connections=7).most_connections == 7
    assert not list(HttpConfig(max_connections=most).problems())
    problems = list(HttpConfig(max_connections=2**21).problems())
    assert len(problems) == (0 if allowed == resource.RLIM_INFINITY else 1)
    assert all("--max_connections" in problem and str(allowed) in problem for problem in problems)


def is_served(server: HttpProcess) -> bool:
    return httpx.get(f"{server.url}/health").status_code == 200
