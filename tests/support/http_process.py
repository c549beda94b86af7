"""A server process of the tests' own, and clients that behave well or badly."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.support.samples import PROMPT, encoded
from tests.support.workplace import WORKER, wait_until


class HttpProcess:
    """A worker on a free port; ready once it is made. What it says is in `said`."""

    def __init__(self, *flags: str, seconds: float = 0.0, command: Sequence[str] = (), env: dict | None = None) -> None:
        self.process = subprocess.Popen(
            [*(command or (sys.executable, str(WORKER))), "--port", "0", *flags],
            env={**os.environ, "BRIGHT_COMMAND": "http", "BRIGHT_SECONDS": str(seconds), **(env or {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            wait_until(lambda: self._url() or not self._listener.is_alive(), 60)
            assert self._url(), f"the server did not start: {''.join(self.said)}"
            self.url = self._url()
            self.port = int(self.url.rpartition(":")[2])
            wait_until(lambda: httpx.get(f"{self.url}/ready").status_code == 200, 60)
        except BaseException:
            self.process.kill()
            raise

    def _listen(self) -> None:
        with self.process.stderr as lines:
            for line in lines:
                self.said.append(line)

    def _url(self) -> str:
        """What it says about where it listens; "" if it has not said so yet."""
        return next((line.rpartition(" ")[2].strip() for line in self.said if "listening at" in line), "")

    def client(self, **settings: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **settings)

    def connect(self) -> socket.socket:
        """A bare connection, for clients that do not speak HTTP as they should."""
        return socket.create_connection(("127.0.0.1", self.port), 60)

    def stop(self, timeout: float = 20) -> int:
        """Stops it the polite way: its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends it the hard way."""
        self.process.kill()
        self.process.wait()
        self._listener.join()


def form(image: bytes | None = None, prompt: bytes = PROMPT) -> dict:
    """The parts of a good request."""
    return {"image": ("a.png", encoded() if image is None else image), "prompt": (None, prompt)}


def metric(server: HttpProcess, name: str) -> float:
    """The value of a metric; 0 if it is not there."""
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


def sockets(server: HttpProcess) -> int:
    """How many the server has open."""
    names = [str(name.readlink()) for name in Path(f"/proc/{server.process.pid}/fd").iterdir() if name.is_symlink()]
    return sum(name.startswith("socket:") for name in names)


def read_answer(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    answer = b""
    while chunk := connection.recv(65536):
        answer += chunk
    return answer


def statuses(answers: bytes) -> list[int]:
    """Those of all answers that came on a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def complete(answer: bytes) -> bool:
    """Whether an answer with a declared length is there in full."""
    head, end, body = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and len(body) >= int(lengths[0].partition(b":")[2])


def check_headers_are_cut_off(connection: socket.socket, number: int) -> None:
    """Sends up to so many headers of a kilobyte; the server is to end the connection, without an answer."""
    with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012 - whichever call sees it first
        for index in range(number):
            connection.sendall(f"X-{index}: {'y' * 1000}\r\n".encode())
        connection.recv(1)


def pixels(png: bytes) -> np.ndarray:
    with Image.open(BytesIO(png)) as image:
        return np.array(image)
