"""Masks of windows to masks in the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from numpy import bool_, zeros
from numpy.typing import NDArray
from torch import Tensor

_LEVEL = 0.5


@dataclass(frozen=True, eq=False)
class Patch:
    """The part of a mask around an object; the rest of the mask is False.

    Attributes:
        mask: bool (h, w).
        offset: x and y of its first pixel in the image.
    """

    mask: NDArray[bool_]
    offset: tuple[int, int]

    def in_image(self, size: tuple[int, int]) -> NDArray[bool_]:
        """The mask of the whole image, bool (H, W)."""
        result = zeros(size, dtype=bool_)
        self.paste(result)
        return result

    def paste(self, into: NDArray[bool_]) -> None:
        """Puts it into a mask of the image that is False everywhere."""
        (x, y), (height, width) = self.offset, self.mask.shape
        into[y : y + height, x : x + width] = self.mask


@dataclass(frozen=True, eq=False)
class Window:
    """The mask of an object as the network gives it, which is small however large the image is.

    Attributes:
        logits: float32 (V, V).
        box: x0, y0, x1, y1 of it in the image; it may reach beyond it.
        size: height and width of the image.
    """

    logits: Tensor
    box: tuple[float, float, float, float]
    size: tuple[int, int]

    def paste(self) -> Patch:
        """The part of the image's mask that it describes."""
        return paste(self.logits, self.box, self.size)


def paste(logits: Tensor, box: tuple[float, float, float, float], size: tuple[int, int]) -> Patch:
    """The pixels of an image in which the probability, interpolated bilinearly, is at least 1/2.

    Interpolation is that of probabilities, which are 0 beyond the window. Pixel i has its centre at i + 1/2.

    Args:
        logits: float32 (V, V), of the window.
        box: x0, y0, x1, y1 of the window in the image; it may reach beyond it.
        size: height and width of the image.
    """
    x0, y0, x1, y1 = box
    columns, left = _interpolation(x0, x1, size[1], logits)
    rows, top = _interpolation(y0, y1, size[0], logits)
    probability = rows @ logits.sigmoid() @ columns.t()
    return Patch((probability >= _LEVEL).cpu().numpy(), (left, top))


def _interpolation(start: float, end: float, size: int, logits: Tensor) -> tuple[Tensor, int]:
    """The weights, (pixels, V), of the window's values in the pixels of a row that it covers, and the first pixel."""
    first = min(max(math.floor(start) - 1, 0), size)
    last = max(min(math.ceil(end) + 1, size), first)
    side = logits.shape[-1]
    pixel = torch.arange(first, last, device=logits.device, dtype=torch.float32) + 0.5
    place = (pixel - start) / (end - start) * side - 0.5
    distance = (place[:, None] - torch.arange(side, device=logits.device)).abs()
    return (1 - distance).clamp(min=0), first
