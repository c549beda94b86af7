"""Which requests are under way, and whether their answers are right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.requests import Request


@dataclass
class Answers:
    """Keeps the books of one transport.

    Attributes:
        right: how many were answered as they have to be.
        refused: how many were told to come again later by a worker that was stopping.
        stopping: whether that is a right answer now.
        wrong: what was wrong with the others.
        cut_off: why the connection of some ended that got no answer, for people.
        seconds: of each answer, but for those of hostile requests.
    """

    right: int = 0
    refused: int = 0
    stopping: bool = False
    wrong: list[str] = field(default_factory=list)
    cut_off: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    _waiting: dict[str, tuple[Request, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def outstanding(self) -> int:
        return len(self._waiting)

    def sent(self, request: Request) -> None:
        """Before a request is handed over."""
        with self._lock:
            self._waiting[request.name] = (request, time.monotonic())

    def failed(self, name: str, code: str) -> None:
        """It was answered with an error; `overloaded` also stands for a server that is not there any more."""
        if code == "overloaded" and self.stopping:
            with self._lock:
                del self._waiting[name]
                self.refused += 1
            return
        self._conclude(name, lambda request: _other_code(request, code))

    def found(self, name: str, size: tuple[int, int], labels: frozenset[int] | None) -> None:
        """It was answered with a mask of this width and height, in which there are these labels; None if unknown."""
        self._conclude(name, lambda request: _difference(request, size, labels))

    def waits_for(self, name: str) -> bool:
        """Whether the request of this name is under way."""
        return name in self._waiting

    def lost(self) -> list[str]:
        """The names of those that were never answered."""
        with self._lock:
            return sorted(self._waiting)

    def forget(self) -> None:
        """Nobody waits any longer for what is under way."""
        with self._lock:
            self._waiting.clear()

    def _conclude(self, name: str, compare: Callable[[Request], str]) -> None:
        with self._lock:
            request, start = self._waiting.pop(name, (None, 0.0))
            if request and not request.hostile:
                self.seconds.append(time.monotonic() - start)
            problem = compare(request) if request else "answered twice, or never asked"
            if problem:
                self.wrong.append(f"{name}: {problem}")
            else:
                self.right += 1


def _other_code(request: Request, code: str) -> str:
    """What is wrong with the code of an error. Hostile requests may also take longer than a request may."""
    right = code == request.code or (request.hostile and code == "timed_out")
    return "" if right else f"{code} instead of {request.code}"


def _difference(request: Request, size: tuple[int, int], labels: frozenset[int] | None) -> str:
    if request.code is not None:
        return f"a result instead of {request.code}"
    if size != request.size:
        return f"a mask of {size} instead of {request.size}"
    if labels is None or request.labels is None or (labels and labels <= request.labels):
        return ""
    return f"labels {sorted(labels)} instead of {sorted(request.labels)}"
