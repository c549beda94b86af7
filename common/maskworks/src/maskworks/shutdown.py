"""Stopping on a signal: the first one asks, the second one, of either kind, ends the process at once.

While nothing is at stake, as in the loading of a model, the first one does not ask but interrupts.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class Interrupted(BaseException):
    """A signal came where it interrupts. No `except Exception` holds it up."""


class Shutdown(threading.Event):
    """An event that SIGTERM and SIGINT set. Handlers are in place between enter and exit, in the main thread only."""

    signals = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[int, Any] = {}
        self._interrupts = False

    def __enter__(self) -> Shutdown:
        for number in self.signals:
            self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """In the block a signal raises Interrupted, and so does one that came before."""
        if self.is_set():
            raise Interrupted
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False

    def _stop(self, number: int, frame: FrameType | None) -> None:
        for each in self.signals:
            signal.signal(each, signal.SIG_DFL)
        self.set()
        if self._interrupts:
            raise Interrupted
