"""The settings of a watched folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskworks.config.flag import Config, flag, switch
from maskworks.config.usable_folder import folder_problem


@dataclass(frozen=True, kw_only=True)
class FolderConfig(Config):
    """The folders that are watched and written. Times are seconds."""

    prediction_in: Path = flag("DIR", "folder with the images to process", kind=Path)
    prediction_out: Path = flag("DIR", "folder for the results; inputs move here when done", kind=Path)
    prediction_tmp: Path | None = flag(
        "DIR", "folder in which results are made first (default: beside the results)", None, kind=Path
    )
    prediction_failed: Path | None = flag("DIR", "folder for inputs that failed (default: OUT/failed)", None, kind=Path)
    poll_wait: float = flag("S", "seconds between two looks at the input folder", 1.0, kind=float, least=0.001)
    continuous: bool = switch("keep watching the folder; without it, work until the folder is empty and exit")
    use_watchdog: bool = switch("wake up as soon as a file arrives")
    watchdog_check_interval: float = flag(
        "S", "seconds between two looks when --use_watchdog is on", 10.0, kind=float, least=0.001
    )
    incomplete_wait: float = flag(
        "S", "seconds without change after which a half-written file is given up", 10.0, kind=float, least=0
    )
    settle_wait: float = flag(
        "S",
        "seconds without change after which a file is complete whose format marks no end (all but JPEG and PNG)",
        2.0,
        kind=float,
        least=0,
    )
    delete_input: bool = switch("delete inputs when done instead of moving them to --prediction_out")
    overlay: bool = switch("also write NAME-overlay.png: image, mask, outline and prompt")

    @property
    def failed(self) -> Path:
        """Where failed inputs go: --prediction_failed, or `failed` inside the output folder."""
        return self.prediction_failed or self.prediction_out / "failed"

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not self.prediction_in.is_dir():
            yield f"--prediction_in: {self.prediction_in} is not a folder; create it or correct the path"
        elif not os.access(self.prediction_in, os.R_OK | os.W_OK | os.X_OK):
            yield f"--prediction_in: {self.prediction_in} must be readable and writable: inputs are moved when done"
        named = {"prediction_failed": self.failed, "prediction_tmp": self.prediction_tmp}
        for name, folder in {"prediction_out": self.prediction_out, **named}.items():
            if folder is not None and (problem := folder_problem(folder)):
                yield f"--{name}: {problem}"
        for name in ("prediction_out", "prediction_tmp", "prediction_failed"):
            folder = getattr(self, name)
            if folder is not None and _same_folder(folder, self.prediction_in):
                yield f"--{name}: {folder} is the input folder; choose another one, results would be read as inputs"


def _same_folder(one: Path, other: Path) -> bool:
    """Whether two names lead to one folder: by links, mounts, or on a file system that ignores the case of letters."""
    return one.exists() and other.exists() and one.samefile(other)
