"""The flags that only TensorMask has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskworks.config import ModelConfig
from maskworks.options import Options


@dataclass(frozen=True, kw_only=True)
class TensorMaskConfig(ModelConfig):
    """Which TensorMask model runs, and from which score on something is an object."""

    model: Path
    config: Path
    threshold: float = 0.5
    classes: Path | None = None

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not 0 < self.threshold < 1:
            yield f"--threshold: {self.threshold} is not a score; expected a number between 0 and 1, both excluded"


def add_options(options: Options) -> None:
    """Adds the flags of `TensorMaskConfig` to the group of the model."""
    options.value("model", Path, "FILE", "model file: .pkl or .pth of detectron2, or .safetensors")
    options.value("config", Path, "FILE", "its config, YAML of detectron2")
    options.value("threshold", float, "0-1", "objects have scores above it")
    options.value("classes", Path, "FILE", "names of the classes, one a line (default: COCO's if there are 80)")
