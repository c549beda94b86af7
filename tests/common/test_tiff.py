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
    behind = tags[273] + len(pixels)
    entries, texts = b"", b""
    for tag, value in sorted(tags.items()):
        if isinstance(value, bytes):
            entries += struct.pack("<HHII", tag, 2, len(value), behind + len(texts))
            texts += value
        else:
            entries += struct.pack("<HHII", tag, 4, 1, value)
    return b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + pixels + texts


def near(found, expected, wish):
    """Equal under `full`; under `auto`, which rounds, by 1."""
    return max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= (wish == "auto")


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
    for wish in ("auto", "full"):  # the values take the whole range, so both are the same but for rounding
        assert near(grey(tiff({258: bits, 262: 1}, pixels), range=wish), black_is_zero, wish)
        assert near(grey(tiff({258: bits, 262: 0}, pixels), range=wish), [255 - v for v in black_is_zero], wish)


@pytest.mark.parametrize("exif", ["ignore", "apply"])
def test_wide_grey_that_is_turned(exif):
    values, pixels = row_of(16)
    upright = [255 - (value >> 8) for value in values][:: -1 if exif == "apply" else 1]
    assert grey(tiff({258: 16, 262: 0, 274: 3}, pixels), exif=exif, range="full") == upright


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_of_packed_bits_the_highest_8_are_taken(bits):
    values, pixels = row_of(bits)
    assert grey(tiff({258: bits}, pixels), range="full") == [value >> (bits - 8) for value in values]
    assert grey(tiff({258: bits}, pixels)) == [round(255 * value / (2**bits - 1)) for value in values]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_less_than_8_bits_fill_8(bits):
    values = [value % 2**bits for value in range(16)]
    pixels = int("".join(f"{value:0{bits}b}" for value in values), 2).to_bytes(2 * bits, "big")
    assert grey(tiff({258: bits}, pixels)) == [255 * value // (2**bits - 1) for value in values]


def test_signed_numbers():
    values = [3000 * value - 20000 for value in range(16)]
    data = tiff({258: 16, 339: 2}, np.array(values, "<i2").tobytes())
    assert grey(data, range="full") == [round((value + 32768) / 65535 * 255) for value in values]
    assert grey(data) == [17 * value for value in range(16)]
    assert grey(data, range="-20000,-5000") == [min(255, 51 * value) for value in range(16)]


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8"])
def test_floats(kind):
    values = np.linspace(0.25, 0.75, 16).astype(kind)
    data = tiff({258: 8 * values.itemsize, 339: 3}, values.tobytes())
    assert grey(data, range="full") == np.rint(255 * values.astype(float)).astype(int).tolist()
    assert near(grey(data), [17 * value for value in range(16)], "auto")


def test_what_is_no_number_is_black_and_widens_no_range():
    values = np.array([np.nan, np.inf, -np.inf, *np.linspace(5, 6, 13)], "<f4")
    pixels, meta = decode_image(tiff({258: 32, 339: 3}, values.tobytes()), InputConfig())
    assert meta["range"] == [5, 6]
    assert pixels[0, :4, 0].tolist() == [0, 255, 0, 0]


def test_32_bits_without_sign():
    values = np.arange(16, dtype="<u4") * 0x11111111
    assert grey(tiff({258: 32}, values.tobytes()), range="full") == [17 * value for value in range(16)]


def test_values_for_no_data_widen_no_range():
    values = np.array([-9999, *range(100, 115)], "<i2")
    data = tiff({258: 16, 339: 2, 42113: b"-9999\0"}, values.tobytes())
    pixels, meta = decode_image(data, InputConfig())
    assert meta["range"] == [100, 114]
    assert pixels[0, :2, 0].tolist() == [0, 0]


def test_the_range_that_a_file_names_is_taken():
    data = tiff({258: 16, 280: 0, 281: 30000}, np.arange(0, 16000, 1000, dtype="<u2").tobytes())
    assert decode_image(data, InputConfig())[1]["range"] == [0, 30000]


def test_all_that_the_type_can_hold_is_not_a_range():
    data = tiff({258: 16, 280: 0, 281: 65535}, np.arange(0, 16000, 1000, dtype="<u2").tobytes())
    assert decode_image(data, InputConfig())[1]["range"] == [0, 15000]


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({258: 64, 339: 6}, "complex numbers have no defined way to RGB"),
        ({262: 8, 258: 16}, "colours of the kind CIELAB, which is not read"),
        ({262: 32803, 258: 16}, "colours of the kind CFA, which is not read"),
        ({262: 5, 258: 16}, "1 inks of the type uint16 have no defined way to RGB; expected CMYK"),
        ({32997: 4, 258: 16}, "a volume of 4 slices in one page"),
    ],
)
def test_what_has_no_defined_way_to_rgb_is_refused(tags, problem):
    with pytest.raises(BadImage, match=problem):
        grey(tiff(tags, bytes(16 * 16)))
