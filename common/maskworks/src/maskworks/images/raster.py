"""Samples as a file stores them, and how they become 8-bit RGB: which bands, which range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskworks.config import InputConfig
from maskworks.errors import BadImage
from maskworks.images.levels import Levels, data_levels, full_levels, to_8_bits
from maskworks.types import Bytes


@dataclass(frozen=True, kw_only=True)
class Raster:
    """The samples of an image.

    Attributes:
        samples: (H, W, C) of any number type: the bands, without alpha.
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
            Facts for `meta`, as far as they say something: `bands` and `range`.

        Raises:
            BadImage: a band is asked for that it does not have.
        """
        bands = chosen_bands(self.samples.shape[2], config)
        chosen = self.samples[:, :, [band - 1 for band in bands]] if self._all_bands != bands else self.samples
        facts: dict[str, Any] = {}
        if self.samples.shape[2] > 3 or self._all_bands != bands:
            facts["bands"] = {"used": list(bands), "of": self.samples.shape[2]}
        levels = self._levels(chosen, config)
        if levels is not None:
            facts["range"] = [_plain(levels.low), _plain(levels.high)]
        # Fancy indexing would copy: one band becomes three by broadcasting.
        target = out if len(bands) == 3 else out[:, :, :1]
        if levels is None:
            target[:] = _highest_8_bits(chosen, self.bits)
        else:
            to_8_bits(chosen, levels, target)
        if self.white_is_zero:
            np.subtract(255, target, out=target)
        if len(bands) == 1:
            out[:, :, 1:] = out[:, :, :1]
        return facts

    @property
    def _all_bands(self) -> tuple[int, ...]:
        return tuple(range(1, self.samples.shape[2] + 1))

    def _levels(self, chosen: NDArray[Any], config: InputConfig) -> Levels | None:
        """The range to take; None where the highest 8 bits are all there is to it."""
        unsigned = self.samples.dtype.kind in "ub"
        if unsigned and self.bits <= 8:
            return None  # never stretched: it is what people see
        full = full_levels(self.samples.dtype, self.bits)
        if config.levels is not None:
            return Levels(*config.levels)
        found = None
        if config.range == "auto":
            found = self.tagged or data_levels(chosen, self.nodata)
        return found or (None if unsigned else full)


def chosen_bands(count: int, config: InputConfig) -> tuple[int, ...]:
    """The bands to show, one or three, counted from 1: those of `--bands`, else the first three, or the only one.

    Raises:
        BadImage: there are not so many.
    """
    wanted = config.chosen_bands
    if wanted is None:
        return (1, 2, 3) if count >= 3 else (1,)
    if max(wanted) > count:
        raise BadImage(f"image: has {count} bands; --bands asks for {','.join(map(str, wanted))}")
    return wanted


def _highest_8_bits(samples: NDArray[Any], bits: int) -> NDArray[Any]:
    if samples.dtype.kind == "b":
        return samples.astype(np.uint8) * 255
    if bits < 8:
        return (samples.astype(np.uint16) * 255 // (2**bits - 1)).astype(np.uint8)
    shifted: NDArray[Any] = samples if bits == 8 else (samples >> (bits - 8)).astype(np.uint8)
    return shifted


def _plain(value: float) -> float:
    """A whole number as one in JSON."""
    return int(value) if float(value).is_integer() else round(float(value), 6)
