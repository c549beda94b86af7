"""An image whose object is known because it was drawn."""

from __future__ import annotations

import cv2
import numpy as np

from maskworks.types import Bytes, Floats

# Left, top, right and bottom of the ellipse below, as [x, y].
EXTREME_POINTS: Floats = np.array([[55.0, 77.0], [99.0, 43.0], [181.0, 107.0], [137.0, 141.0]])


def known_image() -> tuple[Bytes, Bytes]:
    """A bright ellipse on a darker, uneven ground.

    Returns:
        The image, (192, 256, 3) uint8 RGB, and the ellipse's mask, (192, 256) uint8 of 0 and 1.
    """
    height, width = 192, 256
    y, x = np.mgrid[:height, :width]
    waves = 12 * np.sin(x / 17) * np.cos(y / 11)
    mask = cv2.ellipse(np.zeros((height, width), np.uint8), (118, 92), (66, 44), 25, 0, 360, 1, -1)
    ground = np.stack([60 + waves, 85 + waves + y / 8, 70 + x / 10], axis=-1)
    ellipse = np.stack([215 + waves, 170 - waves + y / 12, 60 + x / 9], axis=-1)
    image = np.where(mask[..., None] == 1, ellipse, ground)
    return cv2.GaussianBlur(image, (0, 0), 0.7).clip(0, 255).astype(np.uint8), mask.astype(np.uint8)
