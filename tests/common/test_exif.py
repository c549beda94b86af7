"""The orientation in EXIF, of every format that has it."""

import numpy as np
import pytest
from PIL import Image

from maskworks.config import InputConfig
from maskworks.errors import BadImage
from maskworks.images.reader import decode_image
from tests.support.samples import encoded

LOSSLESS = {"WEBP": {"lossless": True, "exact": True}}
RGB = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)


def stored(fmt, **options):
    return encoded(Image.fromarray(RGB), fmt, **LOSSLESS.get(fmt, {}), **options)


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation(fmt, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"compression": "tiff_lzw"} if fmt == "TIFF" and orientation % 2 else {}
    data = stored(fmt, exif=exif, **options)
    ignored, ignored_meta = decode_image(data, InputConfig(exif="ignore"))
    applied, applied_meta = decode_image(data, InputConfig(exif="apply"))
    np.testing.assert_array_equal(ignored, RGB)
    np.testing.assert_array_equal(applied, TURNED[orientation](RGB))
    assert (ignored_meta["width"], ignored_meta["height"]) == (34, 21)
    assert (applied_meta["height"], applied_meta["width"]) == applied.shape[:2]
    assert ignored_meta["exif"] == ("none" if orientation == 1 else "ignored")
    assert applied_meta["exif"] == ("none" if orientation == 1 else "applied")


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_unknown_orientations_change_nothing(value):
    exif = Image.Exif()
    exif[0x0112] = value
    pixels, meta = decode_image(stored("PNG", exif=exif), InputConfig(exif="apply"))
    np.testing.assert_array_equal(pixels, RGB)
    assert meta["exif"] == "none"


@pytest.mark.parametrize("exif", ["ignore", "apply"])
@pytest.mark.parametrize("broken", [b"Exif\0\0garbage!", b"\xff\xff", b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff"])
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_exif_that_cannot_be_read_counts_as_none(fmt, broken, exif):
    pixels, meta = decode_image(stored(fmt, exif=broken), InputConfig(exif=exif))
    np.testing.assert_array_equal(pixels, decode_image(stored(fmt), InputConfig())[0])
    assert meta == {"width": 34, "height": 21, "format": fmt, "exif": "none"}


def test_broken_pixels_are_told_from_broken_exif():
    data = stored("PNG", exif=b"Exif\0\0garbage!")
    end = data.index(b"IDAT") + 100
    for broken in (data[:end], stored("PNG")[: stored("PNG").index(b"IDAT") + 100]):
        with pytest.raises(BadImage, match="expected a complete image file"):
            decode_image(broken, InputConfig())
