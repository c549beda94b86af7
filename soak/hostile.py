"""Hostile load beside the good one: always a bomb, a dear prompt and ten slow clients under way."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from soak.load import photo_request
from tests.support.bombs import progressive_jpeg
from tests.support.drivers import Driver, HttpDriver
from tests.support.requests import Request

SLOW_CLIENTS = 10
DEAR_OBJECTS = 255
_HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"
_BYTE_SECONDS = 1.0


class Hostile:
    """Keeps a driver under hostile load.

    Args:
        name: how the names of its requests begin.
        driver: the driver.
    """

    def __init__(self, name: str, driver: Driver) -> None:
        self._driver = driver
        self._names = [_names(f"{name}-bomb"), _names(f"{name}-dear")]
        self._under_way = ["", ""]
        self._slow = [_SlowClient(driver.url) for _ in range(SLOW_CLIENTS)] if isinstance(driver, HttpDriver) else []

    def keep_up(self) -> None:
        """Sends anew what has been answered, and for each slow client what is due."""
        for index, make in enumerate((_bomb, _dear)):
            if not self._driver.answers.waits_for(self._under_way[index]):
                self._under_way[index] = next(self._names[index])
                self._driver.send(make(self._under_way[index]))
        for client in self._slow:
            client.keep_up()

    def close(self) -> None:
        for client in self._slow:
            client.close()


def _names(prefix: str) -> Iterator[str]:
    return (f"{prefix}{index}" for index in itertools.count())


def _bomb(name: str) -> Request:
    return Request(name, _BOMB, b'{"points": [[1, 5], [5, 1], [9, 5], [5, 9]]}', "image_too_large", hostile=True)


def _dear(name: str) -> Request:
    """One photo with as many objects as a prompt may have."""
    image, points, size = photo_request()
    prompt = json.dumps({"objects": [{"points": points, "label": label + 1} for label in range(DEAR_OBJECTS)]}).encode()
    return Request(name, image, prompt, None, frozenset(range(1, 256)), size, hostile=True)


class _SlowClient:
    """Sends the body of a request a byte at a time, and comes again when it is cut off."""

    def __init__(self, url: str) -> None:
        self._address = (str(urlsplit(url).hostname), urlsplit(url).port)
        self._socket: socket.socket | None = None
        self._next = 0.0

    def keep_up(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _BYTE_SECONDS
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, timeout=1)
                self._socket.sendall(_HEAD)
            self._socket.sendall(b"x")
        except OSError:
            self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


_BOMB = progressive_jpeg(300_000)


def slower(calm: Sequence[float], hostile: Sequence[float]) -> float:
    """How many times the 99th percentile of one list of times is that of another."""
    return percentile(hostile) / percentile(calm)


def percentile(seconds: Sequence[float], share: float = 0.99) -> float:
    """The time within which this share of the answers came; 0 without any."""
    return sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))] if seconds else 0.0
