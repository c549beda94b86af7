"""The flags that only TensorMask has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskworks.config import ModelConfig, flag


@dataclass(frozen=True, kw_only=True)
class TensorMaskConfig(ModelConfig):
    """Which TensorMask model runs, and from which score on something is an object."""

    model: Path = flag("FILE", "model file: .pkl or .pth of detectron2, or .safetensors", kind=Path)
    config: Path = flag("FILE", "its config, YAML of detectron2", kind=Path)
    threshold: float = flag("0-1", "objects have scores above it", 0.5, kind=float)
    classes: Path | None = flag(
        "FILE", "names of the classes, one a line (default: COCO's if there are 80)", None, kind=Path
    )

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not 0 < self.threshold < 1:
            yield f"--threshold: {self.threshold} is not a score; expected a number between 0 and 1, both excluded"
