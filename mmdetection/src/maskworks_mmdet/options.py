"""The flags that only the MMDetection commands have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskworks.config import ModelConfig, flag, switch, with_default

TABLES = ("csv", "rois")  # the same; the second is its older name
FORMATS = ("opex", *TABLES)
ALL = -math.inf  # as a score: lower than any


def number_or_all(text: str) -> float:
    return ALL if text == "all" else float(text)


@dataclass(frozen=True, kw_only=True)
class MmdetConfig(ModelConfig):
    """The model, the detections that count, and their masks.

    `precision` is fp32 here, so that results are MMDetection's own.
    """

    checkpoint: Path = flag("FILE", "trained model, for example epoch_12.pth", kind=Path)
    config: Path = flag("FILE", "the config that it was trained with", kind=Path)
    precision: str = with_default(ModelConfig, "precision", "fp32")
    score: float = flag(
        "0-1|all", "leave out objects with a lower score; some models give scores below 0, which only all keeps", 0.0,
        kind=number_or_all,
    )  # fmt: skip
    mask_threshold: float = flag(
        "0-1", "for models that give probabilities instead of masks (mask_thr_binary below 0 in their config): pixels "
        "of at least this one belong to the object", 0.1, kind=float,
    )  # fmt: skip
    mask_nth: int = flag("N", "make polygons from every Nth row and column of a mask: fewer points", 1, kind=int)
    output_minrect: bool = switch("also write width and height of the smallest rotated rectangle of each polygon")
    fit_bbox_to_polygon: bool = switch("write the box around the polygon instead of the model's")
    bbox_as_fallback: float = flag(
        "R", "write the model's box as the polygon, too, where the box around the object's polygons covers less than "
        "this part of it; -1 is off", -1.0, kind=float,
    )  # fmt: skip
    unsafe_load: bool = switch("load a checkpoint even if that runs code from it; only for files that you trust")

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        for name, path in (("checkpoint", self.checkpoint), ("config", self.config)):
            if not path.is_file():
                yield f"--{name}: {path} is not a file; correct the path"
        if not (0 <= self.score <= 1 or self.score == ALL):
            yield f"--score: {self.score} is not a score; expected a number from 0 to 1, or all"
        if not 0 < self.mask_threshold <= 1:
            yield f"--mask_threshold: {self.mask_threshold} is not a probability; expected one above 0 and up to 1"
        if self.mask_nth < 1:
            yield f"--mask_nth: {self.mask_nth} is too small; expected 1 (all rows and columns) or more"
        if not math.isfinite(self.bbox_as_fallback) or self.bbox_as_fallback > 1:
            yield f"--bbox_as_fallback: {self.bbox_as_fallback} is no ratio; expected 0 to 1, or -1 for off"
        if self.bbox_as_fallback >= 0 and self.fit_bbox_to_polygon:
            yield "--bbox_as_fallback and --fit_bbox_to_polygon exclude each other; give one of them"


@dataclass(frozen=True, kw_only=True)
class MmdetFolderConfig(MmdetConfig):
    """The flags of results in the output folder."""

    prediction_format: str = flag("|".join(FORMATS), "what is written; rois is csv", "opex", choices=FORMATS)
    prediction_suffix: str | None = flag(
        "SUFFIX", "what its file is called after the image's name (default: .json for opex, -rois.csv for csv)", None
    )
    output_width_height: bool = switch("csv: write x, y, w, h instead of x0, y0, x1, y1")
    prediction_mask: bool = switch("also write NAME.png, a mask in which classes have numbers, counted from 1")

    @property
    def table(self) -> bool:
        """Whether results are tables of rows and columns, not OPEX."""
        return self.prediction_format in TABLES

    @property
    def suffix(self) -> str:
        """The end of a result's name, behind the image's stem."""
        if self.prediction_suffix is not None:
            return self.prediction_suffix
        return "-rois.csv" if self.table else ".json"

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not self.suffix or "/" in self.suffix or "\0" in self.suffix:
            yield f"--prediction_suffix: {self.suffix!r} does not end a file name; expected for example .json"
        if self.output_width_height and not self.table:
            yield "--output_width_height: is about the columns of --prediction_format csv; leave it out or add that"
