"""Images of any mode or array type, as 8-bit RGB, and only as much of them as is needed."""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ImageLike: TypeAlias = "Image.Image | NDArray[Any]"
Box: TypeAlias = tuple[int, int, int, int]


def image_size(image: ImageLike) -> tuple[int, int]:
    """Height and width in pixels.

    Raises:
        TypeError: neither a PIL image nor a numpy array.
        ValueError: an array that is not (H, W) or (H, W, 1 to 4), or an image without pixels.
    """
    if isinstance(image, Image.Image):
        height, width = image.height, image.width
    elif isinstance(image, np.ndarray):
        if image.ndim not in (2, 3) or (image.ndim == 3 and not 1 <= image.shape[2] <= 4):
            raise ValueError(f"an image array has the shape {image.shape}; expected (H, W) or (H, W, 1 to 4 channels)")
        height, width = image.shape[:2]
    else:
        raise TypeError(f"an image is a {type(image).__name__}; expected a PIL image or a numpy array")
    if height == 0 or width == 0:
        raise ValueError(f"an image of {height} x {width} pixels has nothing to look at")
    return height, width


def rgb_region(image: ImageLike, box: Box) -> tuple[Image.Image, tuple[int, int]]:
    """The part of the image inside the box, as a PIL image of mode RGB.

    Args:
        image: PIL image of any mode, or array (H, W) grey, (H, W, 1) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB or
            (H, W, 4) RGBA; alpha is ignored. Array values follow `as_uint8`.
        box: (x0, y0, x1, y1) in pixels; it may reach beyond the image.

    Returns:
        The region, and the x and y in the image of its upper left pixel. The region may be larger than was asked for
        (an RGB image is returned as it is, for nothing has to be converted) and has at least one pixel.
    """
    height, width = image_size(image)
    if isinstance(image, Image.Image) and image.mode == "RGB":
        return image, (0, 0)
    left, right = np.clip([box[0], box[2]], 0, width).tolist()
    top, bottom = np.clip([box[1], box[3]], 0, height).tolist()
    left, top = min(left, width - 1), min(top, height - 1)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    if isinstance(image, Image.Image):
        return _pil_to_rgb(image.crop((left, top, right, bottom)), image), (left, top)
    return _array_to_rgb(image, slice(top, bottom), slice(left, right)), (left, top)


def as_uint8(values: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixel values as 8 bit, in the way of scikit-image, which the original uses.

    bool becomes 0 or 255; floats in -1..1 become round(255 v), negative ones 0; integers of more than 8 bits keep their
    upper 8 bits (those without the sign), negative ones become 0. Integers that already fit in 8 bits are taken as they
    are, with a warning.

    Args:
        values: the part to convert.
        whole: the array it was cut from; its range decides, so that an answer does not depend on the crop.

    Raises:
        ValueError: floats beyond -1..1 or NaN.
        TypeError: complex numbers, text, objects.
    """
    kind = values.dtype.kind
    if values.dtype == np.uint8:
        return values
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if kind == "f":
        if not (whole.min() >= -1 and whole.max() <= 1):
            raise ValueError(f"a float image has values from {whole.min()} to {whole.max()}; expected 0 to 1")
        scaled: NDArray[np.float64] = np.rint(np.maximum(values, 0).astype(np.float64) * 255)
        return scaled.astype(np.uint8)
    if kind not in "iu":
        raise TypeError(f"an image array has the type {values.dtype}; expected integers, floats or bool")
    shift = max(8 * values.itemsize - (kind == "i") - 8, 0)
    if shift and int(whole.max()) <= 255:
        warnings.warn(f"an image of type {values.dtype} has no value above 255: taken as 8 bit", stacklevel=2)
        shift = 0
    shifted: NDArray[np.integer[Any]] = np.maximum(values, 0) >> values.dtype.type(shift)
    return shifted.astype(np.uint8)


def _array_to_rgb(array: NDArray[Any], rows: slice, columns: slice) -> Image.Image:
    region = as_uint8(array[rows, columns], array)
    if region.ndim == 2:
        return Image.fromarray(region).convert("RGB")
    if region.shape[2] < 3:
        return Image.fromarray(np.ascontiguousarray(region[:, :, 0])).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(region[:, :, :3]))


def _pil_to_rgb(region: Image.Image, whole: Image.Image) -> Image.Image:
    if region.mode.startswith("I"):
        # 32-bit integers come from files of 16 bit; PIL itself would clip them at 255.
        values = np.asarray(region).astype(np.int32)
        wide = region.mode != "I" or int(np.asarray(whole).max()) > 255
        return Image.fromarray(np.clip(values >> (8 if wide else 0), 0, 255).astype(np.uint8)).convert("RGB")
    if region.mode == "P" and "transparency" in whole.info:
        region = region.convert("RGBA")  # straight to RGB, PIL warns about the transparency
    return region.convert("RGB")
