"""A Redis server of the tests' own, and what clients do with it."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import redis
from PIL import Image

from maskworks.config import RedisConfig
from maskworks.formats import PromptMessages
from maskworks.transports.redis.stream import StreamTransport
from tests.support.samples import PROMPT, encoded
from tests.support.workplace import WORKER, catches, wait_until

SERVER = shutil.which("redis-server")


def free_port() -> int:
    """One that was free a moment ago, of those below the ones that the kernel gives to whoever names none."""
    while True:
        port = secrets.randbelow(12_000) + 20_000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class RedisProcess:
    """A server on a free port; what it holds is gone when it stops, unless it is told to keep it."""

    def __init__(self, folder: Path, *flags: str, config: Path | None = None) -> None:
        self.folder, self.flags, self.config, self.port, self.bus_port = folder, flags, config, free_port(), 0
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        assert SERVER is not None
        command = [SERVER, *([] if self.config is None else [str(self.config)])]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", ""] if self.config is None else []
        self.process = subprocess.Popen([*command, *self.flags], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return
            except OSError:
                assert time.monotonic() < deadline, "redis-server did not start"
                time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def client(self, **settings: object) -> redis.Redis:
        return redis.Redis(port=self.port, **settings)

    @contextmanager
    def worker(self, *flags: str, seconds: float = 0.0) -> Iterator[subprocess.Popen[str]]:
        """A worker process between `requests` and `results`; it does not outlive the block."""
        process = self.start_worker(*flags, seconds=seconds)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def start_worker(self, *flags: str, seconds: float = 0.0) -> subprocess.Popen[str]:
        """A worker process between `requests` and `results`."""
        channels = ["--redis_in", "requests", "--redis_out", "results", "--redis_port", str(self.port)]
        return subprocess.Popen(
            [sys.executable, str(WORKER), *channels, *flags],
            env={**os.environ, "BRIGHT_COMMAND": "redis", "BRIGHT_SECONDS": str(seconds)},
            stderr=subprocess.PIPE,
            text=True,
        )


def message(image: bytes | None = None, **keys: object) -> bytes:
    """A request: by default a small image and the prompt that goes with it."""
    text = base64.encodebytes(encoded() if image is None else image).decode()
    return json.dumps({"image": text, **json.loads(PROMPT), **keys}).encode()


def heavy_message(size: int, **keys: object) -> bytes:
    """A request of about `size` bytes, with a small image that is followed by bytes nobody reads."""
    return message(encoded() + os.urandom(max(0, size * 3 // 4 - len(encoded()))), **keys)


def mask_of(reply: dict[str, str]) -> np.ndarray:
    with Image.open(BytesIO(base64.b64decode(reply["mask"]))) as image:
        return np.array(image)


class Listener:
    """A subscriber that exists from the start."""

    def __init__(self, client: redis.Redis, *channels: str) -> None:
        self.subscription = client.pubsub(ignore_subscribe_messages=True)
        self.subscription.subscribe(*channels)
        self.subscription.get_message(timeout=5)

    def answers(self, number: int, timeout: float = 30) -> list[dict]:
        """That many answers, or those that came in time; each has its channel under `channel`."""
        found, deadline = [], time.monotonic() + timeout
        while len(found) < number and time.monotonic() < deadline:
            item = self.subscription.get_message(timeout=0.2)
            if item is not None:
                found.append({**json.loads(item["data"]), "channel": item["channel"].decode()})
        return found

    def close(self) -> None:
        self.subscription.close()


def stream_transport(server: RedisProcess, **settings: object) -> StreamTransport:
    """A worker's transport from the stream `requests` to `results`."""
    config = RedisConfig(redis_port=server.port, redis_in="requests", redis_out="results", **settings)
    return StreamTransport(config, PromptMessages(), threading.Event())


def entries(client: redis.Redis, stream: str) -> Iterator[dict]:
    """All answers in a stream."""
    for _, fields in client.xrange(stream):
        yield json.loads(fields[b"data"])


def results(client: redis.Redis, number: int, timeout: float = 60.0) -> dict[str | None, list[dict]]:
    """The answers in the streams by id, once so many requests have one."""
    found: dict[str | None, list[dict]] = {}

    def all_answered() -> bool:
        if client.xlen("results") + client.xlen("results_errors") < number:
            return False
        found.clear()
        for answer in [*entries(client, "results"), *entries(client, "results_errors")]:
            found.setdefault(answer["id"], []).append(answer)
        return len(found) >= number  # some may have come twice

    wait_until(all_answered, timeout)
    return found


def end(*workers: subprocess.Popen[str]) -> str:
    """Stops workers the polite way; what they said."""
    all_said = ""
    for worker in workers:
        wait_until(lambda worker=worker: catches(worker, signal.SIGTERM), 60)  # one that is only starting
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        _, said = worker.communicate(timeout=60)
        assert worker.returncode == 0, said
        assert "Traceback" not in said
        all_said += said
    return all_said
