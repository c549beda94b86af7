"""Clients that ask until the server is gone, and tell a connection that was refused from one that was cut off."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence

from tests.support.http_process import complete

SECONDS = 60.0
BACK_OFF = 0.01  # seconds until the next try after the answer "come back in a moment"


class StubbornClients:
    """Threads that send requests one after the other until a connection is refused.

    Args:
        port: of the server.
        request: head and body.
        pauses: a client each: seconds between an answer and the next request; None makes a new connection each time.

    Attributes:
        counts: requests by the status of their answer.
        lost: what happened instead to each request, on a connection that had been made, that got none.
    """

    def __init__(self, port: int, request: bytes, pauses: Sequence[float | None]) -> None:
        self.counts: Counter[int] = Counter()
        self.lost: list[str] = []
        self._port, self._request = port, request
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(pause,), daemon=True) for pause in pauses]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Waits until all have been refused."""
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "the server is still there"

    def _ask(self, pause: float | None) -> None:
        connection = None
        while True:
            if connection is not None and ended(connection):  # as clients look that keep connections
                connection.close()
                connection = None
            if connection is None:
                try:
                    connection = socket.create_connection(("127.0.0.1", self._port), SECONDS)
                except ConnectionRefusedError:
                    return
            status, goes_on = self._exchange(connection)
            if pause is None or not goes_on:
                connection.close()
                connection = None
            time.sleep(BACK_OFF if status == 503 else pause or 0.0)

    def _exchange(self, connection: socket.socket) -> tuple[int, bool]:
        """Sends one request: the status of its answer, 0 if there was none, and whether the connection goes on."""
        answer = b""
        try:
            connection.sendall(self._request)
            while not complete(answer):
                piece = connection.recv(65536)
                if not piece:
                    raise EOFError(f"end of file after {answer!r}")
                answer += piece
        except (OSError, EOFError) as error:
            with self._lock:
                self.lost.append(repr(error))
            return 0, False
        status = int(answer.split(b" ", 2)[1])
        with self._lock:
            self.counts[status] += 1
        return status, b"connection: close" not in answer.partition(b"\r\n\r\n")[0].lower()


def ended(connection: socket.socket) -> bool:
    """Whether the server has closed a connection on which no answer is awaited."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
