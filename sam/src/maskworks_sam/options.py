"""The flags that only Segment Anything has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskworks.config import ModelConfig, flag, switch
from maskworks.wire.prompt_aliases import MASK_CHOICES

MODEL_TYPES = ("default", "vit_h", "vit_l", "vit_b")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(ModelConfig):
    """Which model runs, and where embeddings of images are kept.

    `embedding_cache_mb` bounds the memory, `embedding_cache_gb` the folder `embedding_cache`.
    """

    model: str = flag("FILE", "checkpoint: SAM's own .pth, or the same weights as .safetensors")
    model_type: str | None = flag(
        "|".join(MODEL_TYPES), "what the checkpoint has to be, default means vit_h; without this flag the weights tell",
        None, choices=MODEL_TYPES,
    )  # fmt: skip
    unsafe_load: bool = switch("load a checkpoint even if that runs code from it; only for files that you trust")
    embedding_cache: Path | None = flag(
        "DIR", "also keep embeddings in this folder, for later and for other workers", None, kind=Path
    )
    embedding_cache_gb: float = flag("GB", "most that this folder may hold; the oldest go first", 10.0, kind=float)
    embedding_cache_mb: float = flag(
        "MB", "most memory for embeddings of images seen before; 0 keeps none", 256.0, kind=float
    )

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        for name in ("embedding_cache_mb", "embedding_cache_gb"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                yield f"--{name}: {value} is no size; expected 0 or more"
        if self.embedding_cache is not None and self.embedding_cache.exists() and not self.embedding_cache.is_dir():
            yield f"--embedding_cache: {self.embedding_cache} is a file; expected a folder"


@dataclass(frozen=True, kw_only=True)
class SamConfig(EncoderConfig):
    """Also which of the model's masks is the answer, and how everything in an image is found."""

    mask_choice: str = flag(
        "|".join(MASK_CHOICES), "which of the model's masks is the answer; auto is the best of its three for a single "
        "click, and the one it makes for anything richer; first is the first of the three for all prompts, as the "
        "original command took it", "auto", choices=MASK_CHOICES,
    )  # fmt: skip
    automatic: bool = switch("masks for everything in the image; prompts are not read")
    points_per_side: int = flag("N", "--automatic: clicks in each row and column of the grid", 32, kind=int)
    pred_iou_thresh: float = flag(
        "0-1", "--automatic: drop masks that the model itself scores no higher", 0.88, kind=float
    )
    stability_score_thresh: float = flag("0-1", "--automatic: drop masks that are less stable", 0.95, kind=float)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not 1 <= self.points_per_side <= 256:
            yield f"--points_per_side: {self.points_per_side} is out of range; expected 1 to 256"
        for name in ("pred_iou_thresh", "stability_score_thresh"):
            if not 0 <= getattr(self, name) <= 1:  # NaN is not between anything
                yield f"--{name}: {getattr(self, name)} is out of range; expected 0 to 1"
