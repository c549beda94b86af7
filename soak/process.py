"""What a worker uses with all the processes that it has started, read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.support.children import children


@dataclass(frozen=True)
class Usage:
    """Bytes of memory of all processes (PSS: what they share counts once); open files and threads of the worker."""

    memory: int
    files: int
    threads: int


def usage(process: int) -> Usage:
    """Of the process with this number.

    Raises:
        OSError: it is gone.
    """
    folder = Path("/proc") / str(process)
    memory = sum(_memory(number) for number in (process, *children(process)))
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return Usage(memory, len(os.listdir(folder / "fd")), int(status["Threads"]))


def _memory(process: int) -> int:
    """PSS in bytes; 0 for one that has ended meanwhile."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
