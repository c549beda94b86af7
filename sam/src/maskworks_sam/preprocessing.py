"""From a photo to the encoder's input, as the package's `SamPredictor` makes it, pixel by pixel."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

# Part of the key of every cached embedding: a change here makes old ones useless.
VERSION = "pillow bilinear, longest side, imagenet mean and deviation, zeros to the right and below"
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def input_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of an image whose longest side is made `side` pixels long."""
    scale = side / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def network_input(image: NDArray[np.uint8], side: int) -> Tensor:
    """(H, W, 3) uint8 RGB -> (3, side, side) float32, resized, normalised and padded."""
    height, width = input_size(image.shape[0], image.shape[1], side)
    resized = image
    if image.shape[:2] != (height, width):
        resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    values = torch.zeros(3, side, side)
    part = values[:, :height, :width]
    part.copy_(torch.from_numpy(np.array(resized)).permute(2, 0, 1))
    part.sub_(torch.tensor(MEAN).view(3, 1, 1)).div_(torch.tensor(STD).view(3, 1, 1))
    return values
