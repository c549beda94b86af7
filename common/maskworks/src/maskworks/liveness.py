"""Whether the main loop lives: it notes what it does, others judge by that."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STEP_SECONDS = 15.0
_TICK = 0.2


class Liveness:
    """When the main loop last made a step, or since when it has been in the model. One thread notes, any may ask.

    Before the first step, while the model is loaded, and after the end there is nothing to judge.

    Args:
        stuck_after: seconds in the model after which the loop counts as stuck.
        step_seconds: seconds outside the model without a step after which it does.
    """

    def __init__(self, stuck_after: float = 600.0, step_seconds: float = STEP_SECONDS) -> None:
        self._stuck_after, self._step_seconds = stuck_after, step_seconds
        self._noted: tuple[float, bool] | None = None  # when, and whether that was the beginning of the model's work

    @property
    def problem(self) -> str:
        """What is wrong; "" if the loop lives."""
        noted = self._noted
        if noted is None:
            return ""
        since, in_model = noted
        seconds = time.monotonic() - since
        if in_model and seconds > self._stuck_after:
            return f"stuck: the model has been working on a batch for {seconds:.0f} s (--stuck_after)"
        if not in_model and seconds > self._step_seconds:
            return f"stuck: the main loop has made no step for {seconds:.0f} s"
        return ""

    def step(self) -> None:
        """Notes that the loop goes on."""
        self._noted = time.monotonic(), False

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Notes that the model works in the block."""
        self._noted = time.monotonic(), True
        try:
            yield
        finally:
            self.step()

    def wait(self, condition: Callable[[float], object], seconds: float = math.inf) -> None:
        """Waits until the condition is true or the time is over, with a step every fraction of a second.

        Args:
            condition: waits itself, at most for the seconds that it gets.
            seconds: the time.
        """
        deadline = time.monotonic() + seconds
        while True:
            self.step()
            left = max(0.0, deadline - time.monotonic())
            if condition(min(left, _TICK)) or left <= _TICK:
                return

    def end(self) -> None:
        """Notes that the loop has ended."""
        self._noted = None
