"""Crop and heat map, normalised into the network's input: one by one as arrays, or a batch on its device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dextr.inference.heatmap import Combine

# Of R, G, B (those of ImageNet) and of the heat map, for values of 0 to 1.
MEAN = (0.485, 0.456, 0.406, 0.008)
STD = (0.229, 0.224, 0.225, 0.066)

# Per colour, the input for each of the 256 byte values; rounded step by step in float32 as the original does.
_BYTES = np.arange(256, dtype=np.float32) / np.float32(255)
_COLOURS = [(_BYTES - np.float32(mean)) / np.float32(std) for mean, std in zip(MEAN[:3], STD[:3], strict=True)]


def normalise(crop: NDArray[np.uint8], heatmap: NDArray[np.float32]) -> torch.Tensor:
    """The network's input: (value - mean) / std per channel, of values of 0 to 1.

    Args:
        crop: uint8 (h, w, 3), R G B.
        heatmap: float32 (h, w), about 0 to 1.

    Returns:
        float32 (4, h, w): R, G, B, heat map.
    """
    channels = np.empty((4, *heatmap.shape), dtype=np.float32)
    normalise_into(channels, crop, heatmap)
    return torch.from_numpy(channels)


def normalise_into(channels: NDArray[np.float32], crop: NDArray[np.uint8], heatmap: NDArray[np.float32]) -> None:
    """`normalise` into an existing float32 array (4, h, w)."""
    for index, colours in enumerate(_COLOURS):
        np.take(colours, crop[:, :, index], out=channels[index], mode="clip")
    np.subtract(heatmap, np.float32(MEAN[3]), out=channels[3])
    channels[3] /= np.float32(STD[3])


def normalise_batch(
    crops: torch.Tensor, heat_rows: torch.Tensor, heat_columns: torch.Tensor, combine: Combine
) -> torch.Tensor:
    """The network's inputs from bytes, computed where these are: `normalise` of the crops and their heat maps.

    Args:
        crops: uint8 (N, h, w, 3), R G B.
        heat_rows, heat_columns: float32 (N, K, h) and (N, K, w); see `heatmap.gaussian_factors`.
        combine: how Gaussians meet; see `heatmap.gaussian_heatmap`.

    Returns:
        float32 (N, 4, h, w); the last bits may differ from those of `normalise`.
    """
    number, height, width, _ = crops.shape
    inputs = torch.empty((number, 4, height, width), device=crops.device)
    for index in range(3):
        inputs[:, index] = crops[..., index]
        inputs[:, index].mul_(1 / (255 * STD[index])).sub_(MEAN[index] / STD[index])
    heat = inputs[:, 3]
    torch.mul(heat_rows[:, 0, :, None], heat_columns[:, 0, None], out=heat)
    for rows, columns in zip(heat_rows.unbind(1)[1:], heat_columns.unbind(1)[1:], strict=True):
        gaussian = rows[:, :, None] * columns[:, None]
        heat.add_(gaussian) if combine == "sum" else torch.maximum(heat, gaussian, out=heat)
    heat.mul_(1 / STD[3]).sub_(MEAN[3] / STD[3])
    return inputs
