"""Photos and annotations from files."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.errors import ImageFileError
from dextr.inference import pixels
from maskworks.regular_file import open_regular

PathLike: TypeAlias = str | os.PathLike[str]
Size: TypeAlias = tuple[int, int]

_INDEXED_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")
# Errors of Pillow's readers on broken files, depending on the place of the damage.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


def read_photo(path: PathLike) -> Image.Image:
    """The image, in mode RGB.

    Raises:
        FileNotFoundError: there is no such file.
        ImageFileError: it is broken, or no image.
    """
    with _opened(path) as image:
        image.load()
        return pixels.rgb_region(image, (0, 0, image.width, image.height))[0]


def check_photo(path: PathLike) -> Size:
    """Height and width of an image that can be read to its end.

    Raises:
        FileNotFoundError, ImageFileError: as for `read_photo`.
    """
    with _opened(path) as image:
        width, height = image.size
        image.draft("RGB", (1, 1))  # a JPEG is read to its end, but an eighth of its size is computed
        image.load()
        return height, width


def read_labels(path: PathLike) -> NDArray[Any]:
    """The values of a label image or a mask, (H, W), bool or integers: grey levels, or palette indices.

    Raises:
        FileNotFoundError: there is no such file.
        ImageFileError: it is broken, or has colours and not one number per pixel.
    """
    with _opened(path) as image:
        if image.mode not in _INDEXED_MODES:
            raise ImageFileError(
                f"{Path(path)} has the mode {image.mode}; expected one integer per pixel "
                f"(modes {', '.join(_INDEXED_MODES)}): save labels and masks as a grey or palette PNG"
            )
        return np.asarray(image)


@contextmanager
def _opened(path: PathLike) -> Iterator[Image.Image]:
    try:
        with open_regular(Path(path)) as file, Image.open(file) as image:
            yield image
    except (FileNotFoundError, ImageFileError):
        raise
    except _BROKEN as error:
        raise ImageFileError(f"{Path(path)} cannot be read: {error}; mend it or leave it out") from error
