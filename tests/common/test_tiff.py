"""TIFF files of grey in all the ways that TIFF has for it."""

import struct

import numpy as np
import pytest

from maskworks.config import InputConfig
from maskworks.errors import BadImage
from maskworks.images.reader import decode_image


def grey(data, **options):
    """The values of a row of grey pixels."""
    pixels, _ = decode_image(data, InputConfig(**options))
    np.testing.assert_array_equal(pixels, np.repeat(pixels[:, :, :1], 3, axis=2))
    return pixels[0, :, 0].tolist()


def tiff(tags, pixels):
    """A TIFF file of one row; `tags` beside or instead of those of 8-bit grey."""
    width = 16
    tags = {256: width, 257: 1, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 1, 279: len(pixels), **tags}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + pixels


def row_of(bits):
    """16 values from 0 to the largest, and their bits one after the other."""
    values = [value * (2**bits - 1) // 15 for value in range(16)]
    if bits == 16:
        return values, np.array(values, "<u2").tobytes()
    return values, int("".join(f"{value:0{bits}b}" for value in values), 2).to_bytes(2 * bits, "big")


@pytest.mark.parametrize("bits", [8, 16])
def test_white_may_be_zero(bits):
    values, pixels = row_of(bits)
    black_is_zero = [value >> (bits - 8) for value in values]
    assert grey(tiff({258: bits, 262: 1}, pixels)) == black_is_zero
    assert grey(tiff({258: bits, 262: 0}, pixels)) == [255 - value for value in black_is_zero]


@pytest.mark.parametrize("exif", ["ignore", "apply"])
def test_wide_grey_that_is_turned(exif):
    values, pixels = row_of(16)
    upright = [255 - (value >> 8) for value in values][:: -1 if exif == "apply" else 1]
    assert grey(tiff({258: 16, 262: 0, 274: 3}, pixels), exif=exif) == upright


def test_12_bits_keep_the_highest_8():
    values, pixels = row_of(12)
    assert grey(tiff({258: 12}, pixels)) == [value >> 4 for value in values]


def test_signed_numbers_have_no_range():
    with pytest.raises(BadImage, match=r"16 bits with a sign .* expected 8 or 16 bits a channel without one"):
        grey(tiff({258: 16, 339: 2}, bytes(32)))
