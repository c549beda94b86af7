"""Anchors: the windows in which objects are looked for. Each is a box and, at the same place, a window of a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensormask.config import Config

FIRST_STRIDE = 4


@dataclass(frozen=True, eq=False)
class Locations:
    """Where anchors are: row `i` of all five belongs to one anchor.

    Attributes:
        level: of the pyramid, 0 for p2.
        image: in the batch.
        y, x: in the level's features.
        size: which of the level's sizes.
    """

    level: Tensor
    image: Tensor
    y: Tensor
    x: Tensor
    size: Tensor

    def __getitem__(self, index: Tensor) -> Locations:
        return Locations(*(getattr(self, name)[index] for name in ("level", "image", "y", "x", "size")))

    def __len__(self) -> int:
        return len(self.level)


class AnchorGrid:
    """The anchors of all levels for one size of input, in their order: level, y, x, size.

    The box of an anchor is a square of its size around (x, y) times the level's stride; it may reach beyond the image.

    Args:
        config: has the sizes.
        level_sizes: (H_l, W_l) of each level.
        device: of all tensors.
    """

    def __init__(self, config: Config, level_sizes: Sequence[tuple[int, int]], device: torch.device) -> None:
        self.level_sizes = list(level_sizes)
        self._sizes = torch.tensor(config.anchor_sizes, device=device)
        self._per_location = self._sizes.shape[1]
        self.counts = [h * w * self._per_location for h, w in level_sizes]
        self._starts = torch.tensor([0, *self.counts], device=device).cumsum(0)
        self._widths = torch.tensor([w for _, w in level_sizes], device=device)

    def __len__(self) -> int:
        return sum(self.counts)

    def locations(self, index: Tensor, image: Tensor) -> Locations:
        """Where the anchors of these numbers are, int64 (n,), for these images, int64 (n,)."""
        level = torch.searchsorted(self._starts, index, right=True) - 1
        cell, size = (index - self._starts[level]).div(self._per_location, rounding_mode="floor"), index
        size = (index - self._starts[level]).remainder(self._per_location)
        width = self._widths[level]
        return Locations(level, image, cell.div(width, rounding_mode="floor"), cell.remainder(width), size)

    def boxes(self, at: Locations) -> Tensor:
        """float32 (n, 4) of x0, y0, x1, y1 in pixels of the network's input."""
        stride = FIRST_STRIDE * 2**at.level
        centre = torch.stack([at.x * stride, at.y * stride], 1).float()
        half = (self._sizes[at.level, at.size].float() / 2)[:, None]
        return torch.cat([centre - half, centre + half], 1)

    def all(self) -> tuple[Locations, Tensor]:
        """Locations and boxes of all anchors, for image 0."""
        index = torch.arange(len(self), device=self._starts.device)
        at = self.locations(index, torch.zeros_like(index))
        return at, self.boxes(at)
