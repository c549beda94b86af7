"""The processes that a process has started."""

from __future__ import annotations

from pathlib import Path


def children(parent: int, program: str = "") -> list[int]:
    """The numbers of its own processes with so much of a name in their command lines."""
    found = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        found += [int(number) for number in (task / "children").read_text().split()]
    return [number for number in found if program in command_line(number)]


def command_line(process: int) -> str:
    """How a process was called; "" if there is none of this number any more."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
