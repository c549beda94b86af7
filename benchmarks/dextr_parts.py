"""What DEXTR does before and after its network, for an object of 1000x800 pixels in an image of 2000x1500.

Ours is what the commands run, the peer the original's way (`original_dextr`). Agreement: before, the largest difference
of the network's inputs; after, the IoU of the masks at a probability of one half.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks import original_dextr
from benchmarks.harness import Row, alternate
from dextr.inference.crop import CropSettings, crop_box
from dextr.inference.paste import paste_patch
from dextr.inference.prediction import InputBatches
from maskworks.geometry import compose
from maskworks.types import Instance
from tests.support.iou import iou

SIZE, PADDING, SIGMA = 512, 10, 10.0
IMAGE_HW = (1500, 2000)
POINTS_YX = np.array([[350.0, 1000.0], [750.0, 500.0], [1149.0, 980.0], [760.0, 1499.0]])


def run() -> Iterator[Row]:
    pixels, logits = photo(), network_output()
    image = Image.fromarray(pixels)
    settings = CropSettings((SIZE, SIZE), PADDING, SIGMA)

    def peer_before() -> torch.Tensor:
        crop = original_dextr.crop_box(POINTS_YX, SIZE, PADDING)
        return original_dextr.network_input(image, POINTS_YX, crop, SIZE, SIGMA)

    def ours_before() -> torch.Tensor:
        crop = crop_box(POINTS_YX, settings.target_size_yx, PADDING)
        return InputBatches([pixels], [POINTS_YX], [crop], settings, 1)[0]

    def peer_after() -> np.ndarray:
        crop = original_dextr.crop_box(POINTS_YX, SIZE, PADDING)
        return original_dextr.whole_mask(logits, crop, IMAGE_HW) > 0.5

    def ours_after() -> np.ndarray:
        patch = paste_patch(
            torch.sigmoid(logits).mul_(255).to(torch.uint8).numpy(),
            crop_box(POINTS_YX, (SIZE, SIZE), PADDING),
            IMAGE_HW,
        )
        mask = (patch.probability >= 128).view(np.uint8)
        return compose([Instance(mask, (patch.offset[1], patch.offset[0]))], IMAGE_HW)

    difference = float((peer_before() - ours_before()).abs().max())
    yield Row(
        "crop, heat map, normalise", *alternate(peer_before, ours_before, 15), f"{difference:.1e}", "largest difference"
    )
    yield Row(
        "paste, threshold", *alternate(peer_after, ours_after, 15), f"{iou(peer_after(), ours_after()):.5f}", "IoU"
    )
    both = alternate(lambda: (peer_before(), peer_after()), lambda: (ours_before(), ours_after()), 15)
    yield Row("both", *both)


def photo() -> np.ndarray:
    """(1500, 2000, 3) uint8, something with structure at every scale."""
    rng = np.random.default_rng(0)
    layers = [rng.integers(0, 256, (3 * n, 4 * n, 3)).astype(np.float32) for n in (2, 20, 200)]
    return np.mean([cv2.resize(layer, IMAGE_HW[::-1]) for layer in layers], axis=0).astype(np.uint8)


def network_output() -> torch.Tensor:
    """(512, 512) float32: logits of an ellipse with an uneven edge."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    return torch.from_numpy((8 * (0.9 - np.hypot(x, y) + 0.05 * np.sin(9 * x) * np.cos(7 * y))).astype(np.float32))
