"""Affine warps of an image and its mask: the pixels that PIL would give, sooner.

A matrix is float32 (1, 2, 3) and takes coordinates (x, y) of the image to those of the target; pixel i covers the
interval [i, i + 1) in both.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.data_pipeline.affine import Matrices, inv_nx2x3
from dextr.inference import pixels

# cv2 needs the source as float: with more source pixels than this per target pixel, the conversion eats what it saves.
_MAX_SOURCE_PER_TARGET = 4


def warp_mask(
    mask: Image.Image,
    matrix: Matrices,
    size_yx: tuple[int, int],
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> NDArray[np.uint8]:
    """A mask (mode L) alone: uint8 (h, w), 0 outside. With NEAREST, the value of the pixel that a pixel falls into."""
    return _warp_pil(mask, inv_nx2x3(matrix)[0], size_yx, resample)


def warp_bilinear(
    image: Image.Image, mask: Image.Image, matrix: Matrices, size_yx: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image and its mask, sampled bilinearly without antialiasing.

    Values are truncated, not rounded, as PIL does it. With OpenCV 5, single values differ from PIL's by 1.

    Args:
        image: any mode.
        mask: mode L, of the image's size.
        matrix: (1, 2, 3), image to target.
        size_yx: height and width of the target.

    Returns:
        uint8 (h, w, 3), R, G, B, and uint8 (h, w); both 0 outside the image.
    """
    to_image = inv_nx2x3(matrix)[0].astype(np.float64)
    x0, y0, x1, y1 = box = _source_box(to_image, size_yx, image.size)
    source, (left, top) = pixels.rgb_region(image, box)
    if (x1 - x0) * (y1 - y0) > _MAX_SOURCE_PER_TARGET * size_yx[0] * size_yx[1]:
        to_source = to_image - [[0, 0, left], [0, 0, top]]
        return (
            _warp_pil(source, to_source, size_yx, Image.Resampling.BILINEAR),
            _warp_pil(mask, to_image, size_yx, Image.Resampling.BILINEAR),
        )
    # One warp for both, and four channels are faster than three.
    region = source.crop((x0 - left, y0 - top, x1 - left, y1 - top))
    region.putalpha(mask.crop(box))
    to_region = to_image - [[0, 0, x0], [0, 0, y0]]
    to_region[:, 2] += to_region[:, :2] @ [0.5, 0.5] - 0.5  # the centre of a pixel is at a whole number in cv2
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (size_yx[1], size_yx[0])
    pixel_values = np.asarray(region, dtype=np.float32)
    warped = cv2.warpAffine(pixel_values, to_region, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    rgb_and_mask = warped.astype(np.uint8)
    _clear_outside(rgb_and_mask, to_image, image.size)
    rgb = np.asarray(cv2.cvtColor(rgb_and_mask, cv2.COLOR_RGBA2RGB), dtype=np.uint8)
    return rgb, rgb_and_mask[:, :, 3].copy()


def _warp_pil(
    image: Image.Image, to_image: NDArray[np.floating[Any]], size_yx: tuple[int, int], resample: Image.Resampling
) -> NDArray[np.uint8]:
    data = tuple(to_image.ravel().tolist())
    return np.asarray(image.transform((size_yx[1], size_yx[0]), Image.Transform.AFFINE, data, resample))


def _source_box(
    to_image: NDArray[np.float64], size_yx: tuple[int, int], image_size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The part (x0, y0, x1, y1) of the image that the target can need: inside the image and at least one pixel."""
    height, width = size_yx
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ to_image.T
    # Two pixels of margin hold every neighbour that bilinear sampling can ask for.
    low = np.clip(np.floor(corners.min(axis=0)) - 2, 0, np.subtract(image_size, 1))
    high = np.clip(np.ceil(corners.max(axis=0)) + 2, 1, image_size)
    (x0, y0), (x1, y1) = low.astype(int).tolist(), high.astype(int).tolist()
    return x0, y0, x1, y1


def _clear_outside(warped: NDArray[np.uint8], to_image: NDArray[np.float64], image_size: tuple[int, int]) -> None:
    """Set the pixels of the target (h, w, 4) whose centre lies outside the image to 0."""
    height, width = warped.shape[:2]
    rows = np.arange(height) + 0.5
    first, last = np.zeros(height), np.full(height, float(width))
    for (along_x, along_y, offset), length in zip(to_image, image_size, strict=True):
        # In each row, 0 <= along_x * x + start < length is one interval of x.
        start = along_y * rows + offset
        slope = along_x or 1e-300
        with np.errstate(over="ignore"):
            ends = np.sort([-start / slope, (length - start) / slope], axis=0)
        first, last = np.maximum(first, ends[0]), np.minimum(last, ends[1])
    if first.max() <= 0.5 and last.min() >= width - 0.5:
        return
    columns = np.arange(width) + 0.5
    inside = (columns >= first[:, None]) & (columns < last[:, None])
    warped.view(np.uint32)[:, :, 0] *= inside
