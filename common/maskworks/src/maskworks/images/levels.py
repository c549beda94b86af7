"""From samples of any depth to 8 bits, by one linear range for all bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskworks.types import Bytes

_OUTLIERS = 0.1  # percent of the values at each end that the range leaves out
_MOST_VALUES = 1 << 22  # that the range of floats is taken from; of more, every n-th
_ROWS_PIXELS = 1 << 18  # at a time


@dataclass(frozen=True)
class Levels:
    """Which values become 0 and 255.

    Attributes:
        low: becomes 0, as everything below.
        high: becomes 255, as everything above.
    """

    low: float
    high: float


def full_levels(dtype: np.dtype[Any], bits: int) -> Levels:
    """All that samples of this type and depth can hold; floats hold 0 to 1."""
    if dtype.kind == "f":
        return Levels(0.0, 1.0)
    if dtype.kind == "i":
        return Levels(-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
    return Levels(0.0, 2.0**bits - 1)


def data_levels(samples: NDArray[Any], nodata: float | None) -> Levels | None:
    """The range of the data themselves without outliers and without what stands for no data; None if it is empty."""
    values = samples.reshape(-1)
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        lowest = np.iinfo(values.dtype).min
        counts = np.bincount(values.astype(np.int32) - lowest, minlength=2 ** (8 * values.dtype.itemsize))
        if nodata is not None and float(nodata).is_integer() and 0 <= int(nodata) - lowest < len(counts):
            counts[int(nodata) - lowest] = 0
        low, high = _weighted_percentiles(counts)
        found = (low + lowest, high + lowest)
    else:
        values = values[:: max(1, values.size // _MOST_VALUES)]
        values = values[np.isfinite(values)]
        values = values if nodata is None else values[values != nodata]
        if not values.size:
            return None
        low, high = np.percentile(values, (_OUTLIERS, 100 - _OUTLIERS), method="nearest")
        found = (low, high)
    return Levels(float(found[0]), float(found[1])) if found[0] < found[1] else None


def to_8_bits(samples: NDArray[Any], levels: Levels, out: Bytes) -> None:
    """Fills (H, W, C) uint8 from (H, W, C) of any type; what is not a number becomes 0."""
    rows = max(1, _ROWS_PIXELS // max(1, samples.shape[1]))
    scale = 255.0 / (levels.high - levels.low)
    for top in range(0, samples.shape[0], rows):
        part = samples[top : top + rows].astype(np.float64)
        part -= levels.low
        part *= scale
        np.nan_to_num(part, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
        out[top : top + rows] = np.clip(np.rint(part, out=part), 0, 255, out=part)


def _weighted_percentiles(counts: NDArray[np.intp]) -> tuple[int, int]:
    """The values below and above which the outliers lie, of a histogram."""
    total = np.cumsum(counts)
    if not total[-1]:
        return 0, 0
    rank = (total[-1] - 1) * _OUTLIERS / 100
    low = np.searchsorted(total, round(rank), side="right")
    high = np.searchsorted(total, round(total[-1] - 1 - rank), side="right")
    return int(low), int(high)
