"""Masks as palette PNG files."""

from __future__ import annotations

import colorsys
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image

from maskworks.config import InputConfig
from maskworks.errors import BadImage
from maskworks.images.common import READER_ERRORS
from maskworks.images.limits import check_pixels
from maskworks.types import Bytes

_ANY_SIZE = InputConfig(max_pixels=1_000_000_000)


def decode_mask(data: bytes) -> Bytes:
    """(H, W) uint8 of palette indices from what `encode_mask` wrote, or a worker of another make.

    Raises:
        ImageTooLarge: beyond what any worker answers; nothing was decoded.
        BadImage: not such a mask, or broken.
    """
    try:
        with Image.open(BytesIO(data), formats=("PNG",)) as image:
            check_pixels(image.size, _ANY_SIZE)
            if image.mode not in ("P", "L"):
                raise BadImage(f"mask: PNG of mode {image.mode}; expected palette indices")
            return np.array(image)
    except READER_ERRORS as error:
        raise BadImage(f"mask: cannot be read: {error}; expected a complete PNG file") from None


def encode_mask(mask: Bytes) -> bytes:
    """A palette PNG (mode P) of (H, W) uint8 indices: 0 is black background, each label has a colour of its own."""
    image = Image.fromarray(mask)
    image.putpalette(palette()[: 3 * (int(mask.max(initial=0)) + 1)])
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@cache
def palette() -> bytes:
    """256 colours as R, G, B bytes: black, then hues that keep their distance for as long as possible."""
    golden = 0.618033988749895
    colours = [(0.0, 0.0, 0.0)]
    for label in range(1, 256):
        hue = (0.33 + (label - 1) * golden) % 1.0
        colours.append(colorsys.hsv_to_rgb(hue, 0.85 - 0.3 * (label // 8 % 2), 1.0 - 0.3 * (label // 16 % 2)))
    return bytes(round(255 * channel) for colour in colours for channel in colour)
