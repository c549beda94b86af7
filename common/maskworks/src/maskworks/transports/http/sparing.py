"""Warnings of what strangers can make happen as often as they like."""

from __future__ import annotations

import logging
import time

_SECONDS = 60.0  # between two warnings


class Sparing:
    """Warns at once, then once a minute at most, with how often it happened. For one kind of warning, on one thread.

    Args:
        log: gets the warnings.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._next = 0.0
        self._number = 0

    def warn(self, text: str) -> None:
        """It happened once more."""
        self._number += 1
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _SECONDS
        self._log.warning("%s%s", text, f" ({self._number} times since this was said)" if self._number > 1 else "")
        self._number = 0
