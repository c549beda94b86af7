"""Every broken image ends in an error of its own, or in pixels; nothing hangs, nothing swallows the memory."""

from __future__ import annotations

import resource
import time

import numpy as np
import pytest

from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge
from maskworks.images.reader import decode_image
from tests.support.broken_images import broken_images

LIMITS = InputConfig(max_pixels=1_000_000)
LONGEST_S = 5.0
MOST_MEMORY = 600e6


def error_of(data):
    """What a file is refused with; None for one that is read. Any other exception than these two is a fault."""
    try:
        pixels, meta = decode_image(data, LIMITS)
    except (BadImage, ImageTooLarge) as error:
        return error
    assert (pixels.shape, pixels.dtype) == ((meta["height"], meta["width"], 3), np.uint8)
    return None


@pytest.mark.slow("tries thousands of inputs")
def test_broken_images():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    errors = []
    for name, data in broken_images():
        start = time.monotonic()
        errors.append(error_of(data))
        assert time.monotonic() - start < LONGEST_S, name
    refused = [str(error) for error in errors if error is not None]
    assert len(refused) > 1000
    assert len(errors) - len(refused) > 100  # not everything that is changed is broken
    assert max(map(len, refused)) < 400
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MOST_MEMORY


@pytest.mark.slow("tries thousands of inputs")
@pytest.mark.parametrize(
    "name",
    [
        "png of 2 billion pixels a side",
        "tiff of 4 billion pixels a side",
        "jpeg of 65535 pixels a side",
        "bmp with a giant width",
    ],
)
def test_giants_are_told_by_their_header(name):
    assert isinstance(error_of(dict(broken_images())[name]), ImageTooLarge)
