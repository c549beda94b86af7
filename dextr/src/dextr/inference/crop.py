"""From extreme points to the crop that the network sees: its box, its pixels, and the points inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from dextr.inference import pixels

Points: TypeAlias = NDArray[np.float64]
CropBox: TypeAlias = NDArray[np.float64]

# Pixel coordinates above this have no exact float32, the type in which crop boxes are pasted.
MAX_COORDINATE = float(2**24)


@dataclass(frozen=True)
class CropSettings:
    """The form of a net's input; the fields are those of `DextrModel`."""

    target_size_yx: tuple[int, int]
    padding: int
    blob_sigma: float


def extreme_points(points: ArrayLike) -> Points:
    """The points as a (K, 2) float64 array of rows [y, x].

    Args:
        points: sequence, array or tensor of K >= 1 rows [y, x] in pixels, in any order. They may lie outside the image.

    Raises:
        ValueError: the shape is another one, there is no point, or a coordinate is not finite or beyond 2**24.
    """
    if hasattr(points, "detach"):  # a tensor, maybe on another device or part of a graph
        points = points.detach().cpu()
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
        raise ValueError(f"extreme points have the shape {array.shape}; expected (K, 2): at least one row [y, x]")
    if not (np.abs(array) <= MAX_COORDINATE).all():
        raise ValueError(f"extreme points must be finite and within ±{MAX_COORDINATE:.0f} pixels: {array.tolist()}")
    return array


def crop_box(points: Points, target_size_yx: tuple[int, int], padding: int) -> CropBox:
    """The part of the image that is scaled to the network's input.

    The box that the points span lands `padding` pixels inside the target; the aspect ratio is not kept and nothing is
    clipped to the image.

    Args:
        points: (K, 2) float64 rows [y, x], pixels of the image.
        target_size_yx: height and width of the network's input.
        padding: distance in pixels of the target between its border and the points' box.

    Returns:
        (2, 2) float64 [[y0, x0], [y1, x1]], continuous coordinates: pixel i covers the interval [i, i + 1).

    Raises:
        ValueError: the padding leaves nothing of the target.
    """
    inner = inner_size(target_size_yx, padding)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = (high - low) * (padding / inner)
    return np.stack([low - margin, high + margin])


def inner_size(target_size_yx: tuple[int, int], padding: int) -> NDArray[np.float64]:
    """Height and width of the target within its padding, float64 (2,).

    Raises:
        ValueError: the padding leaves nothing of the target.
    """
    inner = np.array(target_size_yx, dtype=np.float64) - 2 * padding
    if padding < 0 or (inner <= 0).any():
        raise ValueError(f"a padding of {padding} does not fit into a target of {target_size_yx} (height, width)")
    return inner


def points_in_crop(points: Points, crop_yx: CropBox, target_size_yx: tuple[int, int]) -> Points:
    """The points in pixels of the target: (K, 2) float64, rows [y, x]. A crop thinner than a pixel counts as one."""
    extent = np.maximum(crop_yx[1] - crop_yx[0], 1.0)
    scaled: Points = (points - crop_yx[0]) / extent * np.array(target_size_yx, dtype=np.float64)
    return scaled


def image_box(crop_yx: CropBox) -> tuple[int, int, int, int]:
    """The box (x0, y0, x1, y1) whose pixels are cropped: the crop, truncated towards zero as the original does.

    Heat map and paste use the untruncated crop; the shift of up to a pixel between the two is what published weights
    were trained with.
    """
    (y0, x0), (y1, x1) = crop_yx.tolist()
    return int(x0), int(y0), int(x1), int(y1)


def crop_image(image: pixels.ImageLike, crop_yx: CropBox, target_size_yx: tuple[int, int]) -> NDArray[np.uint8]:
    """The pixels under the crop, scaled to the target.

    Sampling is bilinear, without antialiasing, and black outside the image, as by PIL's `transform` with
    `Transform.EXTENT`. Only the part of the image under the crop is converted.

    Args:
        image: any PIL image or array that `pixels.rgb_region` takes.
        crop_yx: (2, 2) float64 [[y0, x0], [y1, x1]].
        target_size_yx: height and width of the result.

    Returns:
        uint8 (h, w, 3) in the order R, G, B.
    """
    x0, y0, x1, y1 = image_box(crop_yx)
    # Two pixels of margin hold every neighbour that bilinear sampling can ask for.
    region, (left, top) = pixels.rgb_region(image, (x0 - 2, y0 - 2, x1 + 2, y1 + 2))
    box = (x0 - left, y0 - top, x1 - left, y1 - top)
    size = (target_size_yx[1], target_size_yx[0])
    return np.asarray(region.transform(size, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR))
