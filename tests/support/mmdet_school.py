"""A folder in which the commands of MMDetection's README are run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from maskworks_mmdet.installation import missing
from maskworks_mmdet.sample_data import NAMES, VALIDATION

README = Path(__file__).parents[2] / "mmdetection" / "README.md"
BIN = Path(sys.executable).parent
NEEDS_MMDET = pytest.mark.skipif(bool(missing()), reason="MMDetection is not installed: make mmdetection")
HELD_OUT = VALIDATION


@dataclass
class School:
    """A folder in which the README's commands run; its data set is in `data`, its held-out pictures are in `in`."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "my_config.py"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "my_model" / "iter_120.pth"

    @property
    def environment(self) -> dict[str, str]:
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        names = ",".join(f"'{name}'" for name in NAMES)
        return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "MMDET_CLASSES": names}

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def printed(command: str) -> list[list[str]]:
    """The words of the README's lines that call a command."""
    return [shlex.split(line) for line in re.findall(rf"^    ({command}\b.*)$", README.read_text(), re.MULTILINE)]
