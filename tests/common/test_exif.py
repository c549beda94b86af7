"""The orientation in EXIF, of every format that has it."""

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

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


BLOCKS = np.kron(RGB[:4, :6], np.ones((16, 16, 1), np.uint8))


@pytest.mark.parametrize("wish", ["ignore", "apply"])
@pytest.mark.parametrize("orientation", TURNED)
def test_the_rotation_inside_avif_is_applied_once_whatever_is_wished(orientation, wish):
    """Phones write it and EXIF's beside it, which counts for nothing then."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(BLOCKS), "AVIF", exif=exif, quality=95)
    pixels, meta = decode_image(data, InputConfig(exif=wish))
    check_blocks(pixels, TURNED[orientation](BLOCKS))
    assert meta["exif"] == ("none" if orientation == 1 else "applied")


@pytest.mark.parametrize("wish", ["ignore", "apply"])
@pytest.mark.parametrize("quarters", range(4))
def test_the_rotation_inside_heic_is_applied_once_whatever_is_wished(quarters, wish):
    data = heic(orientation=6)
    place = data.index(b"\0\0\0\x10pixi")  # a property that is not needed
    turned = data[: place + 4] + b"irot" + bytes([quarters]) + bytes(7) + data[place + 16 :]
    pixels, meta = decode_image(turned, InputConfig(exif=wish))
    check_blocks(pixels, np.rot90(BLOCKS, quarters))
    assert meta["exif"] == ("applied" if quarters else "none")


@pytest.mark.parametrize("wish", ["ignore", "apply"])
def test_an_orientation_in_xmp_turns_no_avif(wish):
    data = encoded(Image.fromarray(RGB), "AVIF", xmp=b'<x tiff:Orientation="6"/>')
    pixels, meta = decode_image(data, InputConfig(exif=wish))
    assert (pixels.shape, meta["exif"]) == (RGB.shape, "none")


@pytest.mark.parametrize("wish", ["ignore", "apply"])
def test_an_orientation_in_exif_turns_no_heic(wish):
    pixels, meta = decode_image(heic(orientation=6), InputConfig(exif=wish))
    assert (pixels.shape, meta["exif"]) == (BLOCKS.shape, "none")


def heic(orientation=1, **options):
    pytest.importorskip("pillow_heif").register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.fromarray(BLOCKS), "HEIF", exif=exif, quality=95, **options)


def check_blocks(pixels, expected):
    assert pixels.shape == expected.shape
    assert abs(pixels.astype(int) - expected).mean() < 12


@pytest.mark.parametrize("wish", ["ignore", "apply"])
@pytest.mark.parametrize("keyword", ["XML:com.adobe.xmp", "Raw profile type exif"])
def test_an_orientation_in_the_text_of_a_png_counts(keyword, wish):
    text = PngImagePlugin.PngInfo()
    if keyword.startswith("XML"):
        text.add_itxt(keyword, '<x tiff:Orientation="6"/>')
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        text.add_text(keyword, f"\nexif\n{len(exif.tobytes())}\n{exif.tobytes().hex()}\n", zip=True)
    text.add_text("Comment", "x" * 2_000_000)
    pixels, meta = decode_image(stored("PNG", pnginfo=text), InputConfig(exif=wish))
    np.testing.assert_array_equal(pixels, RGB if wish == "ignore" else TURNED[6](RGB))
    assert meta["exif"] == ("ignored" if wish == "ignore" else "applied")


@pytest.mark.parametrize("wish", ["ignore", "apply"])
def test_orientation_of_a_deep_png(wish):
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(RGB[:, :, 0].astype(np.uint16) * 257)
    pixels, meta = decode_image(encoded(deep, "PNG", exif=exif), InputConfig(exif=wish, range="full"))
    expected = RGB[:, :, :1] if wish == "ignore" else TURNED[6](RGB[:, :, :1])
    np.testing.assert_array_equal(pixels, np.broadcast_to(expected, (*expected.shape[:2], 3)))
    assert meta["exif"] == ("ignored" if wish == "ignore" else "applied")
