"""Image files of all formats and kinds that are read."""

from __future__ import annotations

import numpy as np

from fuzz.target import Target
from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge
from maskworks.images.reader import decode_image
from tests.support.image_files import image_files

# Small, so that an input that claims to be large does not take a second each time.
LIMITS = InputConfig(max_bytes=1 << 20, max_pixels=1 << 18)


def run_image(data: bytes) -> None:
    """An image comes out as RGB and as large as it says, or it is refused."""
    try:
        pixels, meta = decode_image(data, LIMITS)
    except (BadImage, ImageTooLarge):
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape == (meta["height"], meta["width"], 3)
    assert pixels.size <= 3 * LIMITS.max_pixels


IMAGE = Target(run_image, image_files, longest=8192)
