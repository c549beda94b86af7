"""Photos and annotations from files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr import pixels

PathLike: TypeAlias = str | os.PathLike[str]

_INDEXED_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")


def read_photo(path: PathLike) -> Image.Image:
    """The image, in mode RGB."""
    with Image.open(path) as image:
        image.load()
        return pixels.rgb_region(image, (0, 0, image.width, image.height))[0]


def read_labels(path: PathLike) -> NDArray[Any]:
    """The values of a label image or a mask, (H, W), bool or integers: grey levels, or palette indices.

    Raises:
        ValueError: the file has colours and not one number per pixel.
    """
    with Image.open(path) as image:
        if image.mode not in _INDEXED_MODES:
            raise ValueError(
                f"{Path(path)} has the mode {image.mode}; expected one integer per pixel "
                f"(modes {', '.join(_INDEXED_MODES)}): save labels and masks as a grey or palette PNG"
            )
        return np.asarray(image)
