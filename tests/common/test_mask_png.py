"""Masks to PNG files."""

import io

import numpy as np
import pytest
from PIL import Image

from maskworks.wire.mask_png import encode_mask, palette


def test_mask_file_holds_every_label():
    mask = np.arange(256, dtype=np.uint8).reshape(8, 32)
    with Image.open(io.BytesIO(encode_mask(mask))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "P", (32, 8))
        np.testing.assert_array_equal(np.asarray(image), mask)
        colours = image.getpalette()
    assert bytes(colours) == palette()


@pytest.mark.parametrize("labels", [1, 2, 3, 4, 5, 16, 17, 255, 256])
def test_mask_files_with_few_labels(labels):
    mask = np.arange(7 * 300).reshape(7, 300) % labels
    with Image.open(io.BytesIO(encode_mask(mask.astype(np.uint8)))) as image:
        np.testing.assert_array_equal(np.asarray(image), mask)
        assert image.mode == "P"


@pytest.mark.parametrize("shape", [(1, 1), (1, 999), (999, 1)])
def test_empty_masks_are_black(shape):
    with Image.open(io.BytesIO(encode_mask(np.zeros(shape, np.uint8)))) as image:
        assert (image.mode, image.size) == ("P", shape[::-1])
        assert image.convert("RGB").getextrema() == ((0, 0), (0, 0), (0, 0))


def test_palette_is_visible_and_distinct():
    colours = np.frombuffer(palette(), np.uint8).reshape(256, 3)
    assert colours[0].tolist() == [0, 0, 0]
    assert len(np.unique(colours, axis=0)) == 256
    assert colours[1:].max(axis=1).min() >= 128
    first = colours[:9].astype(int)
    distances = abs(first[:, None] - first[None]).sum(-1)
    assert distances[~np.eye(9, dtype=bool)].min() > 60
