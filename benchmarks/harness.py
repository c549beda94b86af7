"""How things are timed and shown: ours and the peer's way in turns, so that a busy machine slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        case: what was measured.
        peer_s: the peer's median time in seconds.
        ours_s: our median time in seconds.
        agreement: how well the answers agree, 1 for the same; what is compared stands in the benchmark's docstring.
        note: what else is to be said.
    """

    case: str
    peer_s: float
    ours_s: float
    agreement: str = ""
    note: str = ""

    @property
    def speedup(self) -> float:
        """How many times faster ours is."""
        return self.peer_s / self.ours_s


def alternate(peer: Callable[[], Any], ours: Callable[[], Any], rounds: int = 5) -> tuple[float, float]:
    """Median seconds of both after one run each that does not count; they run in the order A B A B."""
    return alternate_timed(lambda: _seconds(peer), lambda: _seconds(ours), rounds)


def alternate_timed(peer: Callable[[], float], ours: Callable[[], float], rounds: int = 5) -> tuple[float, float]:
    """Like `alternate`, for callables that return how long they took, e.g. because they run in another process."""
    peer(), ours()
    times = [(peer(), ours()) for _ in range(rounds)]
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times)


def table(rows: Iterable[Row]) -> str:
    """The rows as an aligned table in Markdown."""
    cells = [["case", "peer", "ours", "faster", "agreement", "note"]]
    cells += [
        [row.case, _shown(row.peer_s), _shown(row.ours_s), f"{row.speedup:.2f}x", row.agreement, row.note]
        for row in rows
    ]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells)


def _shown(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
