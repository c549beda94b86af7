"""The commands of the model that needs no weights."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.subject import Subject

_KINDS = {"folder": "poll", "redis": "redis", "http": "http"}


@dataclass(frozen=True, kw_only=True)
class BrightSubject(Subject):
    """Its one program is told by the environment which command to be."""

    def command(self, kind: str, *flags: str) -> list[str]:
        program = [sys.executable, str(Path(__file__).with_name("bright.py"))]
        return ["env", f"BRIGHT_COMMAND={_KINDS[kind]}", *program, *self.flags, "--quiet", *flags]


BRIGHT = BrightSubject(name="bright", flags=(), suffix=".points")
