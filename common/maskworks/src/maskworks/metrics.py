"""The counts of a worker, for its summary and for Prometheus."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from maskworks.types import Outcome

# Upper bounds in seconds; one more bucket takes the rest.
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counts of the jobs that ended. The loop counts, other threads may read.

    Attributes:
        done: jobs that ended with a result.
        errors: jobs that ended with an error, by code.
        objects: instances found.
        stages_ms: milliseconds spent in each stage, over all jobs.
        gauges: functions that give current values, by name.
        counters: functions that give values that only grow, by name.
    """

    def __init__(self) -> None:
        self.done = 0
        self.objects = 0
        self.errors: Counter[str] = Counter()
        self.stages_ms: Counter[str] = Counter()
        self.gauges: dict[str, Callable[[], float]] = {}
        self.counters: dict[str, Callable[[], float]] = {}
        self._buckets: dict[str, Counter[float]] = {}
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def count(self, outcome: Outcome) -> None:
        """Takes one finished job in."""
        with self._lock:
            if outcome.error is None:
                self.done += 1
                self.objects += outcome.objects
            else:
                self.errors[outcome.error.code] += 1
            for stage, value in outcome.timing_ms.items():
                self.stages_ms[stage] += value  # type: ignore[assignment]
                bound = next((bound for bound in BUCKETS if value / 1000 <= bound), float("inf"))
                self._buckets.setdefault(stage, Counter())[bound] += 1

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

    def collect(self) -> Iterator[Any]:
        """The values in the form that Prometheus' client library asks for."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        with self._lock:
            yield CounterMetricFamily("maskworks_results", "Requests that ended with a result", self.done)
            yield CounterMetricFamily("maskworks_objects", "Objects found", self.objects)
            errors = CounterMetricFamily("maskworks_errors", "Requests that ended with an error", labels=["code"])
            for code, number in self.errors.items():
                errors.add_metric([code], number)
            yield errors
            stages = HistogramMetricFamily("maskworks_stage_seconds", "Time in each stage", labels=["stage"])
            for stage, counts in self._buckets.items():
                stages.add_metric([stage], _cumulated(counts), self.stages_ms[stage] / 1000)
            yield stages
        for name, value in self.counters.items():
            yield CounterMetricFamily(f"maskworks_{name}", name.replace("_", " "), value())
        for name, value in self.gauges.items():
            yield GaugeMetricFamily(f"maskworks_{name}", name.replace("_", " "), value())


def _cumulated(counts: Counter[float]) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for bound in (*BUCKETS, float("inf")):
        total += counts[bound]
        buckets.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
    return buckets


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
