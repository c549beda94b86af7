"""Samples as a file stores them, and how they become 8-bit RGB: which bands, which range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskworks.config import InputConfig
from maskworks.errors import BadImage
from maskworks.images.levels import Levels, data_levels, full_levels, strips, to_8_bits
from maskworks.types import Bytes


@dataclass(frozen=True, kw_only=True)
class Raster:
    """The bands of an image that are shown.

    Attributes:
        samples: (H, W, 1) or (H, W, 3) of any real number type, or bool.
        bits: how many of a sample are used.
        tagged: the range that the file itself names, None if it names none.
        nodata: the value that stands for no data, None if there is none.
        white_is_zero: low samples are bright.
    """

    samples: NDArray[Any]
    bits: int
    tagged: Levels | None = None
    nodata: float | None = None
    white_is_zero: bool = False

    def render(self, config: InputConfig, out: Bytes) -> dict[str, Any]:
        """Fills (H, W, 3) uint8 RGB.

        Returns:
            `range` for `meta`, if samples were scaled to it.
        """
        levels = self._levels(config)
        for rows in strips(self.samples):
            part = self.samples[rows]
            eight = _highest_8_bits(part, self.bits) if levels is None else to_8_bits(part, levels)
            out[rows] = 255 - eight if self.white_is_zero else eight
        return {} if levels is None else {"range": [_plain(levels.low), _plain(levels.high)]}

    def _levels(self, config: InputConfig) -> Levels | None:
        """The range to take; None where the highest 8 bits are all there is to it."""
        kind = self.samples.dtype.kind
        full = full_levels(self.samples.dtype, self.bits)
        found: Levels | None = None
        if self.bits > 8:  # what has fewer is never stretched: it is what people see
            found = None if config.levels is None else Levels(*config.levels)
            if found is None and config.range == "auto":
                found = self._tagged_levels(full) or data_levels(self.samples, self.nodata)
        return found or (None if kind in "ub" else full)

    def _tagged_levels(self, full: Levels) -> Levels | None:
        """The range that the file names. Programs that do not know it name all that the type can hold."""
        tagged = self.tagged
        says_nothing = tagged is None or (
            self.samples.dtype.kind in "iu" and tagged.high - tagged.low >= full.high - full.low
        )
        return None if says_nothing else tagged


def chosen_bands(count: int, config: InputConfig) -> tuple[int, ...]:
    """The bands to show, one or three, counted from 1: those of `--bands`, else the first three, or the only one.

    Raises:
        BadImage: there are not so many.
    """
    wanted = config.chosen_bands
    if wanted is None:
        return (1, 2, 3) if count >= 3 else (1,)
    if max(wanted) > count:
        raise BadImage(
            f"image: has {count} band{'s' * (count > 1)}; --bands {','.join(map(str, wanted))} asks for more"
        )
    return wanted


def band_facts(used: tuple[int, ...], count: int) -> dict[str, Any]:
    """`bands` for `meta`, unless all are shown in their order."""
    return {} if used == tuple(range(1, count + 1)) else {"bands": {"used": list(used), "of": count}}


def pick(samples: NDArray[Any], bands: tuple[int, ...]) -> NDArray[Any]:
    """These bands, counted from 1, of (H, W, C); no copy if they are all in their order."""
    if bands == tuple(range(1, samples.shape[2] + 1)):
        return samples
    return samples[:, :, [band - 1 for band in bands]]


def _highest_8_bits(samples: NDArray[Any], bits: int) -> Bytes:
    eight: NDArray[Any] = samples.astype(np.uint16) * 255 // (2**bits - 1) if bits < 8 else samples >> (bits - 8)
    return eight.astype(np.uint8, copy=False)


def _plain(value: float) -> float:
    """A whole number as one in JSON, others with the digits that a float32 has."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else float(f"{value:.7g}")
