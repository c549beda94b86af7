"""What a worker process uses, read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """Resident memory in bytes, open files, threads."""

    memory: int
    files: int
    threads: int


def usage(process: int) -> Usage:
    """Of the process with this number.

    Raises:
        OSError: it is gone.
    """
    folder = Path("/proc") / str(process)
    memory = int((folder / "statm").read_text().split()[1]) * _PAGE
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return Usage(memory, len(os.listdir(folder / "fd")), int(status["Threads"]))
