"""The flags that only DEXTR has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskworks.config import ModelConfig
from maskworks.options import Options

DEMO_MODEL = Path(__file__).parent / "demo" / "demo.safetensors"


@dataclass(frozen=True, kw_only=True)
class DextrConfig(ModelConfig):
    """Which DEXTR model runs, and from which probability on a pixel belongs to the object."""

    model: str | None = None
    threshold: float = 0.5
    unsafe_load: bool = False

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not (math.isfinite(self.threshold) and 0 < self.threshold <= 1):
            yield f"--threshold: {self.threshold} is not a probability; expected a number above 0 and up to 1"


def add_options(options: Options) -> None:
    """Adds the flags of `DextrConfig` to the group of the model."""
    options.value(
        "model", str, "FILE", "model file, or `demo` for the small model that comes with this package; without it the "
        "pretrained Pascal VOC ResUNet-101 is used, downloaded once",
    )  # fmt: skip
    options.value("threshold", float, "0-1", "pixels of at least this probability belong to the object")
    options.switch("unsafe_load", "load a model file even if that runs code from it; only for files that you trust")
