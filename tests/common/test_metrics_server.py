"""The port for Prometheus: whoever connects there holds up neither the work nor the end of a worker."""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry

from maskworks.errors import ConfigError
from maskworks.metrics import Metrics
from maskworks.transports.http.metrics_server import metrics_server
from maskworks.types import Outcome
from tests.support.http_process import read_answer
from tests.support.redis_process import free_port
from tests.support.workplace import wait_for_line, wait_until


def scraped(port: int, path: str = "/metrics") -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return answer.read().decode()


def registry_of(metrics: Metrics) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def port(metrics):
    with metrics_server("127.0.0.1", 0, registry_of(metrics)) as server:
        yield int(server.url.rpartition(":")[2])


def test_the_counts_are_told_at_any_path(metrics, port):
    metrics.count(Outcome(objects=2))
    for path in ("/metrics", "/", "/metrics?name[]=x"):
        assert "maskworks_objects_total 2.0" in scraped(port, path)


def test_a_body_that_never_comes_holds_up_nobody(port):
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(
            b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n"
        )
        assert b"maskworks_objects_total" in read_answer(connection)


def test_a_value_that_does_not_come_ties_up_one_thread(metrics, port):
    asked, answer = [], threading.Event()

    def wait() -> float:
        asked.append(1)
        assert answer.wait(60)
        return 5.0

    metrics.gauges["slow"] = wait
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 60)) for _ in range(10)]
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        wait_until(lambda: asked)
        with socket.create_connection(("127.0.0.1", port), 60) as other:  # the others' requests are read before its
            other.sendall(b"nothing\r\n\r\n")
            assert read_answer(other).startswith(b"HTTP/1.1 400")
        assert [thread.name for thread in threading.enumerate()].count("metrics") == 1
        answer.set()
        assert all(b"maskworks_slow 5.0" in read_answer(connection) for connection in connections)


def test_a_value_that_cannot_be_had_is_asked_for_again(metrics, port, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda args: None)  # it would fail the test
    metrics.gauges["broken"] = lambda: 1 / 0
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert read_answer(connection).startswith(b"HTTP/1.1 503")
    metrics.gauges["broken"] = lambda: 7
    assert "maskworks_broken 7.0" in scraped(port)


def test_an_address_that_is_taken_is_named():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(
            ConfigError, match=rf"--metrics_port: 127.0.0.1:{taken.getsockname()[1]}: Address already in use"
        ),
    ):
        metrics_server("127.0.0.1", taken.getsockname()[1], CollectorRegistry())


@pytest.mark.slow("starts a process")
def test_silent_connections_stop_no_work(folders):
    port = free_port()
    with (
        folders.start("--continuous", "--poll_wait", "0.05", "--metrics_port", str(port)) as worker,
        ExitStack() as stack,
    ):
        stack.callback(worker.kill)
        folders.add("0.png")
        wait_until(lambda: "0.json" in folders.names(), 60)
        wait_until(lambda: "maskworks_results_total 1.0" in scraped(port))
        before = threads(worker.pid)
        for _ in range(50):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
        assert "maskworks_results_total 1.0" in scraped(port)
        for _ in range(500):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
        folders.add("1.png")
        wait_until(lambda: "1.json" in folders.names(), 60)
        assert threads(worker.pid) <= before + 1
        worker.send_signal(signal.SIGTERM)
        wait_for_line(worker, "2 images done")
        assert worker.wait(60) == 0


def threads(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("Threads:")[2].split()[0])
