"""The settings of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The flags of `mmdet_train`; see its help."""

    config: Path
    work_dir: Path | None = None
    cfg_options: tuple[str, ...] = ()
    resume: str | None = None
    amp: bool = False
    auto_scale_lr: bool = False
    launcher: str = "none"
    unsafe_load: bool = False
