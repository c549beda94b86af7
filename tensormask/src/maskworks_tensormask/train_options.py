"""The flags of `tensormask_train`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskworks.config import Config, LogConfig, ModelConfig, flag, switch, with_default


@dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """A data set of one's own; None means the one that the model's config names."""

    annotations: Path | None = flag(
        "FILE",
        "COCO annotations (default: the config's data set, e.g. coco_2017_train, in $DETECTRON2_DATASETS/coco or "
        "datasets/coco)",
        None,
        kind=Path,
    )
    images: Path | None = flag("DIR", "folder of the images; needed with --annotations", None, kind=Path)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if (self.annotations is None) != (self.images is None):
            yield "--annotations and --images belong together; give both or none"


@dataclass(frozen=True, kw_only=True)
class TrainConfig(DataConfig):
    """Data, first weights, device and output of a training."""

    weights: str | None = flag("FILE", "weights to start from (default: the config's WEIGHTS)", None)
    output_dir: Path | None = flag("DIR", "for checkpoints (default: the config's OUTPUT_DIR)", None, kind=Path)
    resume: bool = switch("go on from the last checkpoint in the output folder")
    device: str = with_default(ModelConfig, "device", "auto")
    quiet: bool = with_default(LogConfig, "quiet", False)
