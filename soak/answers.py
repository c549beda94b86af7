"""Which requests are under way, and whether their answers are right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from soak.load import Request


@dataclass
class Answers:
    """Keeps the books of one transport.

    Attributes:
        right: how many were answered as they have to be.
        wrong: what was wrong with the others.
        slowest: seconds of the slowest answer.
    """

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
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
        """It was answered with an error."""
        self._conclude(name, lambda request: "" if code == request.code else f"{code} instead of {request.code}")

    def found(self, name: str, mask: np.ndarray) -> None:
        """It was answered with a mask, (H, W) of palette indices."""
        self._conclude(name, lambda request: _difference(request, mask))

    def lost(self) -> list[str]:
        """The names of those that were never answered."""
        with self._lock:
            return sorted(self._waiting)

    def _conclude(self, name: str, compare: Callable[[Request], str]) -> None:
        with self._lock:
            request, start = self._waiting.pop(name, (None, 0.0))
            self.slowest = max(self.slowest, time.monotonic() - start if request else 0.0)
            problem = compare(request) if request else "answered twice, or never asked"
            if problem:
                self.wrong.append(f"{name}: {problem}")
            else:
                self.right += 1


def _difference(request: Request, mask: np.ndarray) -> str:
    if request.code is not None:
        return f"a mask instead of {request.code}"
    if mask.shape[::-1] != request.size:
        return f"a mask of {mask.shape[::-1]} instead of {request.size}"
    labels = frozenset(np.unique(mask).tolist()) - {0}
    return "" if labels <= request.labels and labels else f"labels {sorted(labels)} instead of {sorted(request.labels)}"
