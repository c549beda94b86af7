"""What made-up photos are made of besides noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cutout:
    """A real object: ``rgb`` (h, w, 3) uint8 and ``alpha`` (h, w) uint8, 255 inside."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8]


@dataclass(frozen=True)
class Material:
    """``photos``, (h, w, 3) RGB uint8 each, whose pieces become surfaces, and ``cutouts`` of real objects."""

    photos: Sequence[NDArray[np.uint8]] = field(default_factory=tuple)
    cutouts: Sequence[Cutout] = field(default_factory=tuple)
