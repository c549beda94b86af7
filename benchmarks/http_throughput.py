"""Requests per second over HTTP: 50 clients at once against one client, and against a plain Starlette route.

Every client sends images of a size of its own and checks that the answer is about it; agreement is the share of answers
for which that holds. Times are per request. The model draws an ellipse; with a pause it sleeps as long for a batch as
for one image. The clients share the machine with the server.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.harness import Row
from benchmarks.pipeline_overhead import jpeg

CLIENTS = 50
ROUNDS = 3
# Bytes of a JPEG file, its width, requests per round, seconds that the model sleeps, flags of our server.
CASES = (
    ("10 KiB image, no model", 10 * 1024, 160, 400, 0.0, ()),
    ("300 KiB image, no model", 300 * 1024, 1000, 100, 0.0, ()),
    ("10 KiB image, model of 20 ms, batches of 16", 10 * 1024, 160, 200, 0.02, ("--batch_size", "16")),
)


@dataclass(frozen=True)
class Measured:
    """Seconds per request, the median and the worst latency in seconds, and the share of right answers."""

    seconds: float
    median: float
    worst: float
    right: float

    @property
    def note(self) -> str:
        return f"{1 / self.seconds:.0f}/s p50 {1000 * self.median:.0f} max {1000 * self.worst:.0f} ms"


def run() -> Iterator[Row]:
    for case, size, width, count, pause, flags in CASES:
        images = [jpeg(size, width + 4 * number) for number in range(CLIENTS)]
        with server("ours", pause, *flags) as ours, server("peer", pause) as peer:
            found = {name: [] for name in ("one", "ours", "peer")}
            for _ in range(ROUNDS + 1):
                found["one"].append(measure(ours, images, 1, max(10, count // 4)))
                found["ours"].append(measure(ours, images, CLIENTS, count))
                found["peer"].append(measure(peer, images, CLIENTS, count))
        one, many, plain = (sorted(found[name][1:], key=lambda m: m.seconds)[ROUNDS // 2] for name in found)
        right = f"{min(many.right, one.right):.4f}"
        yield Row(f"{case}: 1 -> 50 clients", one.seconds, many.seconds, right, f"{one.note} -> {many.note}")
        yield Row(f"{case}: plain route", plain.seconds, many.seconds, f"{plain.right:.4f}", plain.note)


def measure(port: int, images: list[bytes], clients: int, count: int) -> Measured:
    """`count` requests of so many clients, each on a connection of its own."""
    latencies: list[float] = []
    right: list[bool] = []
    numbers = iter(range(count))
    lock = threading.Lock()

    def work(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        image = images[client]
        while True:
            with lock:
                if next(numbers, None) is None:
                    break
            start = time.perf_counter()
            connection.request("POST", "/predict", image, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            text = answer.read()
            latencies.append(time.perf_counter() - start)
            right.append(answer.status == 200 and width_of(json.loads(text)["mask"]) == width_of_client(client, images))
        connection.close()

    threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = (time.perf_counter() - start) / count
    return Measured(seconds, statistics.median(latencies), max(latencies), sum(right) / count)


def width_of(mask: str) -> int:
    """The width in the header of a PNG file in base64."""
    return struct.unpack(">I", base64.b64decode(mask[:32])[16:20])[0]


def width_of_client(client: int, images: list[bytes]) -> int:
    """The width in the frame header of its JPEG file."""
    data = images[client]
    return struct.unpack(">H", data[data.index(b"\xff\xc0") + 7 :][:2])[0]


@contextmanager
def server(kind: str, pause: float, *flags: str) -> Iterator[int]:
    """One of the two servers; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.http_workers", kind, str(port), *flags],
        env={**os.environ, "BENCHMARK_SECONDS": str(pause)},
    )
    try:
        until_ready(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def until_ready(port: int) -> None:
    for _ in range(300):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise SystemExit("the server did not start")
