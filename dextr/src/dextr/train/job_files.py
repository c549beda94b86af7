"""The files of a job, in the original's places: folders `logs` and `checkpoints` of the working directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dextr.errors import TrainingError
from maskworks.atomic_write import replacing


@dataclass(frozen=True)
class JobFiles:
    """The files of a job."""

    job_name: str

    @property
    def log(self) -> Path:
        """All that is said."""
        return Path("logs", f"log_{self.job_name}.txt")

    @property
    def curves(self) -> Path:
        """A line per epoch."""
        return Path("logs", f"{self.job_name}.csv")

    @property
    def tensorboard(self) -> Path:
        """Folder with the same for TensorBoard."""
        return Path("logs", "tensorboard", self.job_name)

    @property
    def sheet(self) -> Path:
        """Picture of predictions in the last validation."""
        return Path("logs", f"{self.job_name}-validation.png")

    @property
    def checkpoint(self) -> Path:
        """The latest model, with the state for --resume."""
        return Path("checkpoints", f"{self.job_name}.pth")

    @property
    def best(self) -> Path:
        """The model of the best mIoU."""
        return Path("checkpoints", f"{self.job_name}.best.pth")


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Have `write` fill a file that takes the place of `path` once it is complete and on the disk.

    Whenever the process or the machine stops, `path` is the old file or the new one, whole.

    Raises:
        TrainingError: it cannot be written, for example because the disk is full; the old file is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own would leave a file for each time that a job was killed; only one process writes here.
        with replacing(path, path.with_name(f"{path.name}.new")) as draft, draft.open("wb") as file:
            write(file)
    except (OSError, RuntimeError) as error:  # torch wraps errors of the disk in the latter
        kept = "the one before is kept; " if path.exists() else ""
        raise TrainingError(
            f"{path} cannot be written ({error}); {kept}make room or correct the permissions, then go on with --resume"
        ) from error


def check_space(path: Path, needed: int) -> None:
    """See to it that the folder of `path` can be written to and has room for `needed` bytes.

    Raises:
        TrainingError: it cannot, or has not.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise TrainingError(f"the folder {path.parent} cannot be made or used: {error}") from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise TrainingError(f"the folder {path.parent} cannot be written to; correct its permissions")
    if free < needed:
        raise TrainingError(
            f"checkpoints need about {needed / 1e6:.0f} MB in {path.parent.absolute()}, which has {free / 1e6:.0f} MB "
            "left; make room or start from another folder"
        )
