"""Images to the input of the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tensormask.config import Config

_MULTIPLE = 32  # the stride of res5

Array = NDArray[np.uint8]


def resized_size(size: tuple[int, int], shortest: int, longest: int) -> tuple[int, int]:
    """Height and width after scaling the shorter side to `shortest`, or less if the longer one exceeded `longest`.

    A `shortest` of 0 keeps the size. No side is less than a pixel.
    """
    if shortest == 0:
        return size
    height, width = size
    scale = shortest / min(height, width)
    high, wide = (shortest, scale * width) if height < width else (scale * height, shortest)
    if max(high, wide) > longest:
        reduction = longest / max(high, wide)
        high, wide = high * reduction, wide * reduction
    return max(1, int(high + 0.5)), max(1, int(wide + 0.5))


def resize(image: Array, size: tuple[int, int]) -> Array:
    """Bilinear, with antialiasing when it shrinks: (H, W, 3) uint8 to the given height and width."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def padded_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width rounded up to the network's multiple."""
    height, width = size
    return -(-height // _MULTIPLE) * _MULTIPLE, -(-width // _MULTIPLE) * _MULTIPLE


def batch(images: Sequence[Tensor], config: Config, device: torch.device | str) -> Tensor:
    """Normalised images in one tensor, the smaller ones with zeros on the right and below.

    Args:
        images: (3, H, W) of 0 to 255 each, in the colour order of the config.
        config: has mean and deviation of the colours.
        device: of the result.

    Returns:
        float32 (N, 3, H, W), H and W multiples of 32, channels last.
    """
    height, width = padded_size((max(x.shape[1] for x in images), max(x.shape[2] for x in images)))
    result = torch.zeros(len(images), 3, height, width, device=device)
    mean = torch.tensor(config.pixel_mean, device=device)[:, None, None]
    std = torch.tensor(config.pixel_std, device=device)[:, None, None]
    for row, image in zip(result, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = (image.to(device).float() - mean) / std
    return result


def as_tensor(image: Array) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) uint8, without a copy where possible."""
    return torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)


def check(image: object, number: int) -> Array:
    """An image, if it is one.

    Raises:
        TypeError: not an array of uint8.
        ValueError: not (H, W, 3), or without pixels.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = f"an array of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"images[{number}] is {kind}; expected an array (H, W, 3) of uint8")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"images[{number}] has the shape {image.shape}; expected (H, W, 3) with at least one pixel")
    return image
