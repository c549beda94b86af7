"""The ground truth of a training image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Polygons = list[NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The n objects of an image.

    Attributes:
        boxes: float32 (n, 4) of x0, y0, x1, y1 in pixels.
        classes: int64 (n,), from 0.
        polygons: of each object its parts, float64 (2 k,) of x, y, x, y, ...; None with `masks`.
        masks: bool (n, H, W); None with `polygons`. Without either only boxes can be trained.
    """

    boxes: Tensor
    classes: Tensor
    polygons: tuple[Polygons, ...] | None = None
    masks: Tensor | None = None

    def to(self, device: object) -> GroundTruth:
        """With its tensors on a device."""
        masks = None if self.masks is None else self.masks.to(device)  # type: ignore[call-overload]
        return replace(self, boxes=self.boxes.to(device), classes=self.classes.to(device), masks=masks)  # type: ignore[call-overload]

    def pin_memory(self) -> GroundTruth:
        """With its tensors in memory that copies fast to a GPU."""
        masks = None if self.masks is None else self.masks.pin_memory()
        return replace(self, boxes=self.boxes.pin_memory(), classes=self.classes.pin_memory(), masks=masks)
