"""Requests per second over Redis with a model that does nothing; the peer is redis-docker-harness.

The same requests go through the same server, eight at a time, so that the peer loses none. Times are per request;
agreement is the IoU of the masks in the first answers of both. The note has the latencies, and for streams, which the
peer does not have, the peer's time is that of its channels. `bare loop` is no worker at all: one thread that decodes
the messages and encodes the answers, without Redis.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import redis

from benchmarks.harness import Row
from benchmarks.pipeline_overhead import PROMPT, SIZES, FixedMask, decoded, jpeg
from maskworks.formats import PromptMessages
from maskworks.pipeline import Pipeline
from maskworks.types import Job
from tests.support.iou import iou

OUTSTANDING = 8
ROUNDS = 3


@dataclass(frozen=True)
class Measured:
    """Seconds per request, latencies in seconds, and a mask that came back."""

    seconds: float
    latencies: list[float]
    mask: np.ndarray

    @property
    def percentiles(self) -> str:
        p50, p99 = np.percentile(self.latencies, [50, 99])
        return f"p50 {1000 * p50:.1f} p99 {1000 * p99:.1f} ms"


def run() -> Iterator[Row]:
    if shutil.which("redis-server") is None:
        raise SystemExit("redis-server is not installed (Debian: apt-get install redis-server)")
    for size, width, count in SIZES:
        image = jpeg(size, width)
        text = json.dumps({"image": base64.b64encode(image).decode(), **json.loads(PROMPT)}).encode()
        with ExitStack() as stack:
            client = stack.enter_context(server())
            stack.enter_context(worker("peer", client, "peer"))
            stack.enter_context(worker("ours", client, "ours"))
            stack.enter_context(worker("ours", client, "stream", "--redis_mode", "stream"))
            time.sleep(3)
            found = {name: [] for name in ("peer", "ours", "stream")}
            for _ in range(ROUNDS + 1):
                for name, results in found.items():
                    results.append(measure(client, name, text, count))
        median = {name: middle(results[1:]) for name, results in found.items()}
        for name, label in (("ours", "channels"), ("stream", "streams")):
            ours, peer = median[name], median["peer"]
            note = f"{1 / ours.seconds:.0f}/s, {ours.percentiles}; peer {1 / peer.seconds:.0f}/s, {peer.percentiles}"
            case = f"{len(image) // 1024} KiB image, {label}"
            yield Row(case, peer.seconds, ours.seconds, f"{iou(ours.mask, peer.mask):.4f}", note)
        alone = bare(text, count)
        yield Row(f"{len(image) // 1024} KiB image, bare loop", alone, median["ours"].seconds, "", "ours: channels")


def middle(results: list[Measured]) -> Measured:
    """The measurement with the median time."""
    return sorted(results, key=lambda result: result.seconds)[len(results) // 2]


def bare(text: bytes, count: int) -> float:
    """Median seconds to decode a message and encode its answer in one thread."""
    pipeline = Pipeline(predictor=FixedMask())
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(count):
            pipeline.run([Job("0", text, format=PromptMessages())])
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times)


def measure(client: redis.Redis, name: str, text: bytes, count: int) -> Measured:
    """Sends `count` requests, eight of them under way at any time."""
    stream = name == "stream"
    subscription = client.pubsub(ignore_subscribe_messages=True)
    subscription.subscribe(f"{name}.out")
    subscription.get_message(timeout=1)
    client.delete(f"{name}.out")
    last: str | bytes = "0"
    sent: list[float] = []
    latencies: list[float] = []
    reply = b""
    start = time.perf_counter()
    while len(latencies) < count:
        while len(sent) < count and len(sent) - len(latencies) < OUTSTANDING:
            sent.append(time.perf_counter())
            if stream:
                client.xadd(f"{name}.in", {"data": text})
            else:
                client.publish(f"{name}.in", text)
        if stream:
            for _, entries in client.xread({f"{name}.out": last}, block=5000):
                last = entries[-1][0]
                latencies += [time.perf_counter() - moment for moment in sent[len(latencies) :][: len(entries)]]
                reply = entries[-1][1][b"data"]
        else:
            message = subscription.get_message(timeout=5)
            if message is not None:
                latencies.append(time.perf_counter() - sent[len(latencies)])
                reply = message["data"]
    seconds = (time.perf_counter() - start) / count
    subscription.close()
    return Measured(seconds, latencies, decoded(base64.b64decode(json.loads(reply)["mask"])))


@contextmanager
def server() -> Iterator[redis.Redis]:
    """A server of its own on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--save", "", "--dir", folder, "--bind", "127.0.0.1"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=port)
        try:
            time.sleep(1)
            client.ping()
            yield client
        finally:
            client.close()
            process.terminate()
            process.wait()


@contextmanager
def worker(kind: str, client: redis.Redis, name: str, *flags: str) -> Iterator[None]:
    """One of the two workers, between the channels `name`.in and `name`.out."""
    port = str(client.connection_pool.connection_kwargs["port"])
    channels = ["--redis_in", f"{name}.in", "--redis_out", f"{name}.out", "--redis_port", port]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.redis_workers", kind, *channels, *flags])
    try:
        yield
    finally:
        process.kill()
        process.wait()
