"""One driver for each transport: starts its worker, hands requests over, collects the answers."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import redis
from PIL import Image

from soak.answers import Answers
from soak.load import Request

MODEL = ["--model", "demo", "--device", "cpu", "--quiet", "--max_pixels", "10000000"]


class Driver:
    """A worker process and the way to it.

    Args:
        folder: an empty one.
        stack: what has to end with the run is put onto it.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.answers = Answers()
        self._folder, self._stack = folder, stack
        folder.mkdir()
        self.worker = stack.enter_context(running(self.command(), folder / "worker.log"))

    def command(self) -> list[str]:
        """The command line of the worker."""
        raise NotImplementedError

    def send(self, request: Request) -> None:
        """Hands a request over."""
        raise NotImplementedError

    def collect(self) -> None:
        """Books the answers that have come; called again and again."""


class FolderDriver(Driver):
    """`dextr_predict_poll`."""

    def command(self) -> list[str]:
        for name in ("in", "out"):
            (self._folder / name).mkdir()
        folders = ["--prediction_in", str(self._folder / "in"), "--prediction_out", str(self._folder / "out")]
        waits = ["--continuous", "--poll_wait", "0.05", "--incomplete_wait", "0.5", "--delete_input"]
        return [script("dextr_predict_poll"), *MODEL, *folders, *waits]

    def send(self, request: Request) -> None:
        self.answers.sent(request)
        (self._folder / "in" / f"{request.name}.points").write_bytes(request.prompt)
        draft = self._folder / f"{request.name}.draft"
        draft.write_bytes(request.image)
        draft.rename(self._folder / "in" / f"{request.name}.jpg")

    def collect(self) -> None:
        out = self._folder / "out"
        for path in out.glob("*.json"):
            mask = path.with_suffix(".png")
            self.answers.found(path.stem, pixels(mask.read_bytes()))
            path.unlink()
            mask.unlink()
        for path in (out / "failed").glob("*.error.json"):
            self.answers.failed(path.name.removesuffix(".error.json"), json.loads(path.read_bytes())["error"]["code"])
        for path in (out / "failed").glob("*"):
            path.unlink()


class RedisDriver(Driver):
    """`dextr_predict_redis` on channels, with a server of its own."""

    mode = "pubsub"

    def command(self) -> list[str]:
        port = free_port()
        command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(self._folder), "--bind", "127.0.0.1"]
        self._stack.enter_context(running(command, self._folder / "server.log"))
        self._client: Any = redis.Redis(port=port)
        self._listen()
        flags = ["--redis_port", str(port), "--redis_in", "in", "--redis_out", "out", "--redis_mode", self.mode]
        return [script("dextr_predict_redis"), *MODEL, *flags]

    def send(self, request: Request) -> None:
        self.answers.sent(request)
        self._publish(message(request))

    def collect(self) -> None:
        while True:
            found = self._subscription.get_message()
            if found is None:
                return
            self._book(found["data"])

    def _listen(self) -> None:
        wait_for(self._client)
        self._subscription = self._client.pubsub(ignore_subscribe_messages=True)
        self._subscription.subscribe("out", "out_errors")

    def _publish(self, text: bytes) -> None:
        while not self._client.publish("in", text):  # nobody listens yet
            threading.Event().wait(0.1)

    def _book(self, text: bytes) -> None:
        reply = json.loads(text)
        if "error" in reply:
            self.answers.failed(reply["id"], reply["error"]["code"])
        else:
            self.answers.found(reply["id"], pixels(base64.b64decode(reply["mask"])))


class StreamDriver(RedisDriver):
    """`dextr_predict_redis` on streams."""

    mode = "stream"

    def collect(self) -> None:
        for stream in ("out", "out_errors"):
            for entry, fields in self._client.xrange(stream):
                self._book(fields[b"data"])
                self._client.xdel(stream, entry)

    def _listen(self) -> None:
        wait_for(self._client)

    def _publish(self, text: bytes) -> None:
        self._client.xadd("in", {"data": text})


class HttpDriver(Driver):
    """`dextr_serve`."""

    def command(self) -> list[str]:
        self._client = self._stack.enter_context(httpx.Client(timeout=60))
        self._threads = self._stack.enter_context(ThreadPoolExecutor(8))
        self._url = f"http://127.0.0.1:{free_port()}"
        return [script("dextr_serve"), *MODEL, "--host", "127.0.0.1", "--port", self._url.rpartition(":")[2]]

    def send(self, request: Request) -> None:
        self.answers.sent(request)
        self._threads.submit(self._ask, request)

    def _ask(self, request: Request) -> None:
        parts = {"image": ("a", request.image), "prompt": ("b", request.prompt)}
        while True:
            try:
                answer = self._client.post(f"{self._url}/predict", files=parts, headers={"Accept": "image/png"})
            except httpx.ConnectError:  # not there yet
                threading.Event().wait(0.2)
                continue
            break
        if answer.status_code == httpx.codes.OK:
            self.answers.found(request.name, pixels(answer.content))
        else:
            self.answers.failed(request.name, answer.json()["error"]["code"])


DRIVERS = {"folder": FolderDriver, "channels": RedisDriver, "streams": StreamDriver, "http": HttpDriver}


def script(name: str) -> str:
    """The path of an installed command."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def message(request: Request) -> bytes:
    """As it goes over Redis; a prompt that is no JSON object cannot."""
    text = {"id": request.name, "image": base64.b64encode(request.image).decode()}
    return json.dumps({**text, **json.loads(request.prompt)}).encode()


def pixels(png: bytes) -> np.ndarray:
    """(H, W) of palette indices."""
    with Image.open(io.BytesIO(png)) as image:
        return np.array(image)


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(client: redis.Redis) -> None:
    """Until the server answers."""
    for _ in range(100):
        try:
            client.ping()
        except redis.ConnectionError:
            threading.Event().wait(0.1)
        else:
            return
    raise RuntimeError("redis-server did not start; is it installed? Debian: apt-get install redis-server")


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block; what it says goes to the log."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
