"""Counts of what a worker did."""

from __future__ import annotations

import time
from collections import Counter

from segkit.types import Outcome


class Metrics:
    """What became of the jobs so far. Only the loop's thread counts.

    Attributes:
        done: jobs that ended with a result.
        errors: jobs that ended with an error, by code.
        objects: instances found.
        stages_ms: milliseconds spent in each stage, over all jobs.
    """

    def __init__(self) -> None:
        self.done = 0
        self.objects = 0
        self.errors: Counter[str] = Counter()
        self.stages_ms: Counter[str] = Counter()
        self._start = time.monotonic()

    def count(self, outcome: Outcome) -> None:
        """Takes one finished job in."""
        if outcome.error is None:
            self.done += 1
            self.objects += outcome.objects
        else:
            self.errors[outcome.error.code] += 1
        self.stages_ms.update(outcome.timing_ms)

    @property
    def failed(self) -> int:
        """Jobs that ended with an error."""
        return self.errors.total()

    def summary(self) -> str:
        """One line for people, e.g. `48 images done (60 objects), 2 failed (bad_image: 2) in 12.5 s, 4.0 images/s`."""
        seconds = time.monotonic() - self._start
        text = f"{_counted(self.done, 'image')} done ({_counted(self.objects, 'object')})"
        if self.failed:
            text += f", {self.failed} failed ({', '.join(f'{code}: {n}' for code, n in sorted(self.errors.items()))})"
        return f"{text} in {seconds:.1f} s, {(self.done + self.failed) / max(seconds, 1e-9):.1f} images/s"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
