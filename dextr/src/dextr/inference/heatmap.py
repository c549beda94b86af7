"""Extreme points as a heat map: the network's fourth input channel."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Combine: TypeAlias = Literal["sum", "max"]


def gaussian_heatmap(
    points: NDArray[np.float64],
    size_yx: tuple[int, int],
    sigma: float,
    combine: Combine = "sum",
) -> NDArray[np.float32]:
    """One Gaussian of height 1 per point.

    Args:
        points: (K, 2) rows [y, x] in pixels of the map; they may lie outside it.
        size_yx: height and width of the map.
        sigma: standard deviation in pixels.
        combine: how Gaussians meet. The original adds them in inference, so values above 1 occur where points are
            close, and takes their maximum in training.

    Returns:
        float32 (h, w), sampled at integer coordinates.
    """
    meet = np.add if combine == "sum" else np.maximum
    rows, columns = gaussian_factors(points, size_yx, sigma)
    heatmap = np.zeros(size_yx, dtype=np.float32)
    for row, column in zip(rows, columns, strict=True):
        meet(heatmap, np.outer(row, column), out=heatmap)
    return heatmap


def gaussian_factors(
    points: NDArray[np.float64], size_yx: tuple[int, int], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The Gaussians of `gaussian_heatmap` along y, float32 (K, h), and along x, (K, w); a point's is their product."""
    height, width = size_yx
    return _gaussians(points[:, 0], height, sigma), _gaussians(points[:, 1], width, sigma)


def _gaussians(centres: NDArray[np.float64], length: int, sigma: float) -> NDArray[np.float32]:
    offset = np.arange(length) - centres[:, None]
    return np.exp(-(offset**2) / (2 * sigma**2)).astype(np.float32)
