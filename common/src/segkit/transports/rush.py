"""Whether messages arrive so fast that their reader needs the processor for itself."""

from __future__ import annotations

import threading
import time

_CALM_RATE = 100e6  # bytes a second that are read beside other work
_RUSH, _MOST = 0.3e6, 2e6  # bytes ahead of that rate; the second bounds how long a rush is remembered


class Rush:
    """A leaky bucket that one thread fills and others look at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._level, self._noted = 0.0, time.monotonic()

    def note(self, size: int) -> None:
        """Notes that `size` bytes have arrived."""
        with self._lock:
            now = time.monotonic()
            self._level = min(self._leaked(now) + size, _MOST)
            self._noted = now

    @property
    def rest(self) -> float:
        """In how many seconds it is over if nothing more arrives; 0 if there is none."""
        with self._lock:
            return max(0.0, self._leaked(time.monotonic()) - _RUSH) / _CALM_RATE

    def _leaked(self, now: float) -> float:
        return max(0.0, self._level - _CALM_RATE * (now - self._noted))
