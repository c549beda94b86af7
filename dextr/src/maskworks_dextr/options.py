"""The flags that only DEXTR has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskworks.config import ModelConfig, flag, switch

DEMO_MODEL = Path(__file__).parent / "demo" / "demo.safetensors"


@dataclass(frozen=True, kw_only=True)
class DextrConfig(ModelConfig):
    """Which DEXTR model runs, and from which probability on a pixel belongs to the object."""

    model: str | None = flag(
        "FILE", "model file, or `demo` for the small model that comes with this package; without it the pretrained "
        "Pascal VOC ResUNet-101 is used, downloaded once", None,
    )  # fmt: skip
    threshold: float = flag("0-1", "pixels of at least this probability belong to the object", 0.5, kind=float)
    unsafe_load: bool = switch("load a model file even if that runs code from it; only for files that you trust")

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not (math.isfinite(self.threshold) and 0 < self.threshold <= 1):
            yield f"--threshold: {self.threshold} is not a probability; expected a number above 0 and up to 1"
