"""Image files as people have them, each of a kind that went wrong somewhere, and their right pixels."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

from maskworks.config import InputConfig
from maskworks.errors import BadImage
from maskworks.images.decoder_pool import DecoderPool
from maskworks.images.reader import decode_image
from tests.support.image_files import CASES

Y, X = np.mgrid[:40, :60]
RGB = np.stack([4 * X % 256, 6 * Y % 256, 2 * (X + Y) % 256], axis=-1)
GREY = np.repeat((4 * X % 256)[:, :, None], 3, axis=2)
SIZE = {"width": 60, "height": 40, "exif": "none"}


def decode(name, **wishes):
    return decode_image((CASES / name).read_bytes(), InputConfig(**wishes))


def stretched(values, low, high):
    return np.clip((values - low) / (high - low) * 255, 0, 255)


def distance(pixels, expected):
    return abs(pixels.astype(float) - expected).max()


@pytest.mark.parametrize(
    ("name", "full", "stored", "facts"),
    [
        ("u16_rgb_planar.tif", RGB, RGB * 257, {}),
        ("u16_12bit.tif", GREY // 16, GREY * 16, {}),
        ("b8_u16_minisblack.tif", RGB // 32, RGB * 8, {"bands": {"used": [1, 2, 3], "of": 8}}),
        ("u16_la.tif", GREY, GREY * 257, {}),
        ("f32_rgb.tif", RGB, RGB / 255, {}),
    ],
)
def test_deep_images(name, full, stored, facts):
    """`full` takes all that the type can hold; `auto` the range of the data, and says which."""
    pixels, meta = decode(name, range="full")
    np.testing.assert_array_equal(pixels, full)
    range_of_floats = {"range": [0, 1]} if name.startswith("f32") else {}
    assert meta == {**SIZE, "format": "TIFF", **facts, **range_of_floats}

    pixels, meta = decode(name)
    low, high = meta.pop("range")
    assert meta == {**SIZE, "format": "TIFF", **facts}
    assert (low, high) == (stored.min(), pytest.approx(stored.max(), rel=1e-6))
    assert distance(pixels, stretched(stored, low, high)) <= 1
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_the_range_of_a_12_bit_camera_can_be_given():
    pixels, meta = decode("u16_12bit.tif", range="0,4080")
    assert distance(pixels, GREY) <= 1
    assert meta["range"] == [0, 4080]


@pytest.mark.parametrize("wishes", [{}, {"range": "full"}, {"range": "10,20"}])
def test_what_has_8_bits_is_not_stretched(wishes):
    pixels, meta = decode("rgbn_u8_minisblack.tif", **wishes)
    np.testing.assert_array_equal(pixels, RGB)
    assert meta == {**SIZE, "format": "TIFF", "bands": {"used": [1, 2, 3], "of": 4}}


@pytest.mark.parametrize(("page", "expected"), [(0, 0 * GREY), (1, GREY), (2, 255 - GREY)])
def test_pages(page, expected):
    pixels, meta = decode("stack_pages.tif", page=page)
    np.testing.assert_array_equal(pixels, expected)
    assert meta["pages"] == {"used": page, "of": 3}


@pytest.mark.parametrize("name", ["xmp_itxt_2MB.png", "bad_crc_text.png"])
def test_what_is_not_pixels_does_not_decide(name):
    pixels, meta = decode(name)
    np.testing.assert_array_equal(pixels, RGB)
    assert meta == {**SIZE, "format": "PNG"}


def test_avif():
    pixels, meta = decode("x.avif")
    assert distance(pixels, RGB) <= 8
    assert meta == {**SIZE, "format": "AVIF"}


def test_heic():
    pytest.importorskip("pillow_heif")
    pixels, meta = decode("phone.heic")
    assert meta == {"width": 451, "height": 300, "format": "HEIC", "exif": "none"}
    photo = decode("cut_with_eoi.jpg")[0]  # the same photo; its upper half is whole
    assert abs(pixels[:100].astype(float) - photo[:100]).mean() < 4


def test_heic_without_the_package_that_reads_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(
        BadImage, match=r"HEIC, which the package pillow-heif reads: install it, or maskworks\[heic\]; or"
    ):
        decode("phone.heic")


@pytest.mark.parametrize("cut", [0, 4, 12, 40, 300, 700, 1231])
def test_cut_off_avif(cut):
    with pytest.raises(BadImage, match="expected"):
        decode_image((CASES / "x.avif").read_bytes()[:cut], InputConfig())


@pytest.mark.parametrize("twentieths", range(20))
def test_cut_off_heic(twentieths):
    pytest.importorskip("pillow_heif")
    data = (CASES / "phone.heic").read_bytes()
    with pytest.raises(BadImage, match="expected"):
        decode_image(data[: len(data) * twentieths // 20], InputConfig())


def test_a_damaged_jpeg_is_answered_and_says_so(caplog):
    with DecoderPool(InputConfig(), threading.Event()) as pool:
        pixels, meta = pool.decode((CASES / "cut_with_eoi.jpg").read_bytes())
    assert pixels.shape == (300, 451, 3)
    assert meta["damaged"] == "Corrupt JPEG data: premature end of data segment"
    assert "an image is damaged, parts of it may be wrong: Corrupt JPEG data: premature end" in caplog.text
