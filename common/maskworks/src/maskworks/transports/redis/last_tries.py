"""How long a server can keep a worker from stopping: what it does not answer by then is cut off."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis.exceptions import ConnectionError

# A server that says nothing is asked once more, but a large message is not sent again. Containers get ten seconds to
# stop in, and the model has eight.
_SECONDS = 6.0
_LOOK_AROUND = 0.2


class LastTries:
    """The time of a server's commands once a worker is to stop. One that begins late has a third of it at least.

    Args:
        stop: set when the worker is to stop.
        hang_up: ends all connections, so that commands which wait fail.

    Attributes:
        over: a command was cut off; no other should be tried.
    """

    def __init__(self, stop: threading.Event, hang_up: Callable[[], None]) -> None:
        self.over = False
        self._stop, self._hang_up = stop, hang_up
        self._stopped_at: float | None = None
        self._begun: dict[object, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="redis last tries", daemon=True)

    def watch(self) -> None:
        """Begins to cut commands off."""
        self._thread.start()

    def close(self) -> None:
        """Ends the watch."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    @contextmanager
    def command(self) -> Iterator[None]:
        """A command to the server, in the block.

        Raises:
            redis.ConnectionError: it was cut off, whatever its client made of that.
        """
        key = object()
        with self._lock:
            self._begun[key] = time.monotonic()
        try:
            yield
        except (OSError, ValueError, AttributeError) as error:  # of a connection that is closed while it is read
            if not self.over:
                raise
            raise ConnectionError("cut off") from error
        finally:
            with self._lock:
                del self._begun[key]

    def too_late(self, begun: float) -> bool:
        """Whether a command that began then, and has failed or not ended since, is not tried any longer."""
        since = self._since()
        return since is not None and (self.over or time.monotonic() > max(since + _SECONDS, begun + _SECONDS / 3))

    def _since(self) -> float | None:
        """When the worker was to stop, as far as anybody has noticed."""
        if self._stopped_at is None and self._stop.is_set():
            self._stopped_at = time.monotonic()
        return self._stopped_at

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_AROUND):
            if self._since() is None:
                continue
            with self._lock:
                begun = min(self._begun.values(), default=math.inf)
            if self.too_late(begun):
                self.over = True
                self._hang_up()
