"""Progress on a folder: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from maskworks.types import Job, Outcome

log = logging.getLogger(__name__)


class Progress:
    """Reports every job that ended.

    Args:
        bar: draw a bar; ignored where standard error is no terminal.
        backlog: how many jobs are known to wait or to be worked on, for the bar's total.
    """

    def __init__(self, bar: bool, backlog: Callable[[], int]) -> None:
        self._backlog = backlog
        self._bar = None
        if bar and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(unit="image", dynamic_ncols=True)

    def report(self, job: Job, outcome: Outcome) -> None:
        """One job has ended."""
        if outcome.error is not None:
            log.warning("%s: %s: %s", job.id, outcome.error.code, outcome.error.message)
        else:
            level = logging.INFO if self._bar is None else logging.DEBUG
            stages = ", ".join(f"{stage} {value:.0f} ms" for stage, value in outcome.timing_ms.items())
            noun = "object" if outcome.objects == 1 else "objects"
            log.log(level, "%s: %d %s (%s)", job.id, outcome.objects, noun, stages)
        if self._bar is not None:
            # Some that have ended are not reported yet, so the total does not shrink.
            self._bar.total = max(self._bar.total or 0, self._bar.n + 1 + self._backlog())
            self._bar.update()

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.total = self._bar.n
            self._bar.refresh()
            self._bar.close()
