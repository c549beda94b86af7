"""The range of samples that becomes black to white."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskworks.types import Bytes

_OUTLIERS = 0.1  # percent of the values at each end that the range leaves out
_MOST_PIXELS = 1 << 21  # that the outliers are looked for in, of samples that no histogram holds
_STRIP_SAMPLES = 1 << 18  # at a time: these stay in the processor's cache


@dataclass(frozen=True)
class Levels:
    """Which values become 0 and 255, as everything below and above them.

    Attributes:
        low: becomes 0.
        high: becomes 255.
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
    """The range of the data themselves without outliers and without what stands for no data.

    Where nearly all samples have one value, the others are no outliers.

    Args:
        samples: (H, W, C) of any real type; all bands together have one range.
        nodata: the value that stands for no data, None if there is none.

    Returns:
        None if all samples are equal, or none is a number.
    """
    small = samples.dtype.kind in "iu" and samples.dtype.itemsize <= 2
    low, high = (_percentiles_of_few if small else _percentiles)(samples, nodata)
    if low >= high:
        low, high = _extremes(samples, nodata)
    return Levels(low, high) if low < high else None


def to_8_bits(samples: NDArray[Any], levels: Levels) -> Bytes:
    """uint8 in the same shape; what is not a number becomes 0."""
    with np.errstate(all="ignore"):
        scaled = (samples.astype(np.float64) - levels.low) * (255.0 / (levels.high - levels.low))
    np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    return np.clip(np.rint(scaled, out=scaled), 0, 255, out=scaled).astype(np.uint8)


def strips(samples: NDArray[Any]) -> Iterator[slice]:
    """The rows of (H, W, C) in pieces that are small."""
    height, width, bands = samples.shape
    rows = max(1, _STRIP_SAMPLES // (width * bands))
    return (slice(top, min(height, top + rows)) for top in range(0, height, rows))


def _percentiles_of_few(samples: NDArray[Any], nodata: float | None) -> tuple[float, float]:
    """Of samples of 8 or 16 bits, exactly: by a histogram."""
    lowest = int(np.iinfo(samples.dtype).min)
    counts = np.zeros(2 ** (8 * samples.dtype.itemsize), np.int64)
    for rows in strips(samples):
        counts += np.bincount(samples[rows].reshape(-1).astype(np.int64) - lowest, minlength=len(counts))
    if nodata is not None and nodata.is_integer() and 0 <= nodata - lowest < len(counts):
        counts[int(nodata) - lowest] = 0
    total = np.cumsum(counts)
    rank = (total[-1] - 1) * _OUTLIERS / 100
    ends = (round(rank), round(total[-1] - 1 - rank))
    low, high = np.searchsorted(total, ends, side="right")
    return (float(low + lowest), float(high + lowest)) if total[-1] else (0.0, 0.0)


def _percentiles(samples: NDArray[Any], nodata: float | None) -> tuple[float, float]:
    """Of samples of any type; of large images a part of rows and columns is looked at."""
    step = math.ceil(math.sqrt(samples.shape[0] * samples.shape[1] / _MOST_PIXELS))
    values = _numbers(samples[::step, ::step], nodata)
    if not values.size:
        return 0.0, 0.0
    low, high = np.percentile(values, (_OUTLIERS, 100 - _OUTLIERS), method="nearest")
    return float(low), float(high)


def _extremes(samples: NDArray[Any], nodata: float | None) -> tuple[float, float]:
    ends = [
        (values.min(), values.max()) for rows in strips(samples) if (values := _numbers(samples[rows], nodata)).size
    ]
    return (float(min(low for low, _ in ends)), float(max(high for _, high in ends))) if ends else (0.0, 0.0)


def _numbers(samples: NDArray[Any], nodata: float | None) -> NDArray[Any]:
    """The samples, flat, without what is not a number and what stands for no data."""
    values = samples.reshape(-1)
    if values.dtype.itemsize > 4 or values.dtype == np.float16:
        values = values.astype(np.float64)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if nodata is None:
        return values
    missing = float(values.dtype.type(nodata)) if values.dtype.kind == "f" else nodata
    return np.asarray(values[values.astype(np.float64) != missing])
