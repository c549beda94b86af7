"""The flags that only Segment Anything has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskworks.config import ModelConfig
from maskworks.options import Options

MODEL_TYPES = ("default", "vit_h", "vit_l", "vit_b")
MASK_CHOICES = ("auto", "best", "single", "largest", "smallest", "all")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(ModelConfig):
    """Which model runs, and where embeddings of images are kept.

    `embedding_cache_mb` bounds the memory, `embedding_cache_gb` the folder `embedding_cache`.
    """

    model: str
    model_type: str | None = None
    unsafe_load: bool = False
    embedding_cache: Path | None = None
    embedding_cache_gb: float = 10.0
    embedding_cache_mb: float = 256.0

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        for flag in ("embedding_cache_mb", "embedding_cache_gb"):
            value = getattr(self, flag)
            if not math.isfinite(value) or value < 0:
                yield f"--{flag}: {value} is no size; expected 0 or more"
        if self.embedding_cache is not None and self.embedding_cache.exists() and not self.embedding_cache.is_dir():
            yield f"--embedding_cache: {self.embedding_cache} is a file; expected a folder"


@dataclass(frozen=True, kw_only=True)
class SamConfig(EncoderConfig):
    """Also which of the model's masks is the answer, and how everything in an image is found."""

    mask_choice: str = "auto"
    automatic: bool = False
    points_per_side: int = 32
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not 1 <= self.points_per_side <= 256:
            yield f"--points_per_side: {self.points_per_side} is out of range; expected 1 to 256"
        for flag in ("pred_iou_thresh", "stability_score_thresh"):
            if not 0 <= getattr(self, flag) <= 1:  # NaN is not between anything
                yield f"--{flag}: {getattr(self, flag)} is out of range; expected 0 to 1"


def add_options(options: Options) -> None:
    """Adds the flags of `SamConfig` to the group of the model."""
    add_encoder_options(options)
    options.value("embedding_cache_mb", float, "MB", "most memory for embeddings of images seen before; 0 keeps none")
    options.value(
        "mask_choice", str, "|".join(MASK_CHOICES), "which of the model's masks is the answer; auto is the best of its "
        "three for a single click, and the one it makes for anything richer", MASK_CHOICES,
    )  # fmt: skip
    options.switch("automatic", "masks for everything in the image; prompts are not read")
    options.value("points_per_side", int, "N", "--automatic: clicks in each row and column of the grid")
    options.value("pred_iou_thresh", float, "0-1", "--automatic: drop masks that the model itself scores no higher")
    options.value("stability_score_thresh", float, "0-1", "--automatic: drop masks that are less stable")


def add_encoder_options(options: Options) -> None:
    """Adds the flags of `EncoderConfig`, apart from that for the memory."""
    options.value("model", str, "FILE", "checkpoint: SAM's own .pth, or the same weights as .safetensors")
    options.value(
        "model_type", str, "|".join(MODEL_TYPES), "what the checkpoint has to be, default means vit_h; without this "
        "flag the weights tell", MODEL_TYPES,
    )  # fmt: skip
    options.switch("unsafe_load", "load a checkpoint even if that runs code from it; only for files that you trust")
    options.value(
        "embedding_cache", Path, "DIR", "also keep embeddings in this folder, for later and for other workers"
    )
    options.value("embedding_cache_gb", float, "GB", "most that this folder may hold; the oldest go first")
