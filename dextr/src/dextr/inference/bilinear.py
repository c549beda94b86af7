"""Bilinear sampling of masks as PIL does it, but several times faster for large results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 15  # pixels at a time: as many as fit into a core's cache


@dataclass(frozen=True)
class _Axis:
    """Where the results along one axis come from: value[low] + (value[high] - value[low]) * weight."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float64]
    inside: NDArray[np.bool_]

    @classmethod
    def sample(cls, start: float, end: float, count: int, length: int) -> _Axis:
        """`count` samples at the centres of equal parts of the interval start..end of a source of `length` pixels."""
        position = (end - start) / count * (np.arange(count) + 0.5) + start
        floor = np.floor(position - 0.5)
        low, high = (np.clip(floor + step, 0, length - 1).astype(np.intp) for step in (0, 1))
        return cls(low, high, position - 0.5 - floor, (position >= 0) & (position < length))


def sample_extent(
    mask: NDArray[np.uint8], start_yx: NDArray[np.float64], end_yx: NDArray[np.float64], size_yx: tuple[int, int]
) -> NDArray[np.uint8]:
    """The part of a mask between two points, scaled to a size.

    The result is, bit for bit, that of PIL's `transform` with `Transform.EXTENT` and `Resampling.BILINEAR`: no
    antialiasing, 0 outside the mask, fractions truncated. PIL works out position and weights anew for every pixel; here
    rows and columns share them, as the box is parallel to the axes.

    Args:
        mask: uint8 (h, w).
        start_yx: the upper left corner in continuous coordinates of the mask, [y, x].
        end_yx: the lower right corner.
        size_yx: height and width of the result.
    """
    y, x = (_Axis.sample(start_yx[i], end_yx[i], size_yx[i], mask.shape[i]) for i in (0, 1))
    left, across = (mask.take(columns, axis=1).astype(np.float64) for columns in (x.low, x.high))
    _interpolate(left, across, x.weight)
    across[:, ~x.inside] = 0
    result = np.zeros(size_yx, dtype=np.uint8)
    (inside,) = np.nonzero(y.inside)
    upper, lower = np.empty((2, max(1, _BLOCK // size_yx[1]), size_yx[1]))
    for first in range(0, len(inside), len(upper)):
        rows = inside[first : first + len(upper)]
        above = across.take(y.low[rows], axis=0, out=upper[: len(rows)], mode="clip")
        below = across.take(y.high[rows], axis=0, out=lower[: len(rows)], mode="clip")
        _interpolate(above, below, y.weight[rows, None])
        result[rows[0] : rows[-1] + 1] = below
    return result


def _interpolate(low: NDArray[np.float64], high: NDArray[np.float64], weight: NDArray[np.float64]) -> None:
    """Writes low + (high - low) * weight over `high`; in this order, on which the last bit depends."""
    np.subtract(high, low, out=high)
    np.multiply(high, weight, out=high)
    np.add(high, low, out=high)
