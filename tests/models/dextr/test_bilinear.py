"""`sample_extent` against PIL, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dextr.inference.bilinear import sample_extent


def pil(mask, start, end, size):
    box = (start[1], start[0], end[1], end[0])
    image = Image.fromarray(mask)
    return np.asarray(image.transform((size[1], size[0]), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR))


@pytest.mark.parametrize("seed", range(60))
def test_random_boxes(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    mask = rng.integers(0, 256, (height, width), dtype=np.uint8)
    if seed % 3 == 0:
        mask = (mask > 99) * np.uint8(255)
    start = rng.uniform(-3, (height, width))
    end = start + rng.uniform(0.01, 1.5 * np.array([height, width]))
    size = tuple(rng.integers(1, 90, 2).tolist())
    np.testing.assert_array_equal(sample_extent(mask, start, end, size), pil(mask, start, end, size))


@pytest.mark.parametrize("size", [(64, 96), (640, 96), (700, 1000), (3, 5), (1, 1), (2, 40_000)])
def test_every_size_is_resampled_as_pillow_does_it(size):
    mask = np.random.default_rng(0).integers(0, 256, (64, 96), dtype=np.uint8)
    start, end = np.zeros(2), np.array([64.0, 96.0])
    np.testing.assert_array_equal(sample_extent(mask, start, end, size), pil(mask, start, end, size))


def test_outside_of_the_mask_is_background():
    mask = np.full((4, 4), 255, np.uint8)
    assert not sample_extent(mask, np.array([5.0, 0.0]), np.array([9.0, 4.0]), (3, 3)).any()
    half = sample_extent(mask, np.array([-4.0, 0.0]), np.array([4.0, 4.0]), (8, 4))
    assert half[:4].max() == 0
    assert half[4:].min() == 255
