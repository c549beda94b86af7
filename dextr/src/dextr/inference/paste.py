"""The network's mask of a crop, put back into the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dextr.inference.bilinear import sample_extent
from dextr.inference.crop import CropBox


@dataclass(frozen=True, eq=False)
class Patch:
    """The part of an image's mask that is not zero by construction.

    Attributes:
        probability: uint8 (h, w), 255 times the probability, truncated; (0, 0) where the crop does not meet the image.
        offset: row and column in the image of the patch's upper left pixel.
    """

    probability: NDArray[np.uint8]
    offset: tuple[int, int]

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rows and columns of the image that the patch covers."""
        (y, x), (height, width) = self.offset, self.probability.shape
        return slice(y, y + height), slice(x, x + width)

    def in_image(self, image_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """The mask of the whole image: uint8 (H, W), zero outside the patch."""
        mask = np.zeros(image_hw, dtype=np.uint8)
        mask[self.slices] = self.probability
        return mask


NOTHING = Patch(np.zeros((0, 0), dtype=np.uint8), (0, 0))


def pasted_box(crop_yx: CropBox, image_hw: tuple[int, int]) -> NDArray[np.int64] | None:
    """The pixels that the crop touches: (2, 2) int64 [[y0, x0], [y1, x1]], or None where it misses the image."""
    low, high = _rounded(crop_yx)
    box = np.stack([np.maximum(np.floor(low), 0), np.minimum(np.ceil(high), image_hw)]).astype(np.int64)
    if (box[1] <= box[0]).any() or (high <= low).any():
        return None
    return box


def paste_patch(mask: NDArray[np.uint8], crop_yx: CropBox, image_hw: tuple[int, int]) -> Patch:
    """The mask of a crop, scaled back to the image's pixels by bilinear sampling.

    Args:
        mask: uint8 (h, w), the crop's mask in the network's resolution.
        crop_yx: (2, 2) float64 [[y0, x0], [y1, x1]], the crop's box in the image.
        image_hw: height and width of the image.
    """
    box = pasted_box(crop_yx, image_hw)
    if box is None:
        return NOTHING
    low, high = _rounded(crop_yx)
    start, end = mask.shape * (box - low) / (high - low)
    (y0, x0), (y1, x1) = box.tolist()
    return Patch(sample_extent(mask, start, end, (y1 - y0, x1 - x0)), (y0, x0))


def _rounded(crop_yx: CropBox) -> CropBox:
    # The original carries the box as float32 from here on, and floor and ceil notice.
    return crop_yx.astype(np.float32).astype(np.float64)
