"""Image files to RGB arrays. Every file is made here."""

import struct
import time
import zlib

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge
from maskworks.images.reader import decode_image
from maskworks.wire.mask_png import palette
from tests.support.peak_memory import peak_memory
from tests.support.samples import encoded

CONFIG = InputConfig()
LOSSLESS = {"WEBP": {"lossless": True, "exact": True}}
RGB = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)
GREY = RGB[:, :, 0]
ALPHA = RGB[:, :, 1]


def decode(data, **limits):
    return decode_image(data, InputConfig(**limits))[0]


def stored(pixels, fmt, **options):
    return encoded(Image.fromarray(pixels), fmt, **{**LOSSLESS.get(fmt, {}), **options})


def grey(pixels):
    return np.repeat(pixels[:, :, None], 3, axis=2)


def smooth():
    return cv2.resize(RGB[:4, :6], (60, 40), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "WEBP"])
def test_rgb_is_kept_exactly(fmt):
    pixels, meta = decode_image(stored(RGB, fmt), CONFIG)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, RGB)
    assert meta == {"width": 34, "height": 21, "format": fmt, "exif": "none"}


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "WEBP"])
def test_grey_is_repeated(fmt):
    np.testing.assert_array_equal(decode(stored(GREY, fmt)), grey(GREY))


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF"])
def test_one_bit_becomes_black_and_white(fmt):
    np.testing.assert_array_equal(decode(stored(GREY > 127, fmt)), grey(np.where(GREY > 127, 255, 0).astype(np.uint8)))


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_dropped(fmt):
    np.testing.assert_array_equal(decode(stored(np.dstack([GREY, ALPHA]), fmt)), grey(GREY))
    np.testing.assert_array_equal(decode(stored(np.dstack([RGB, ALPHA]), fmt)), RGB)


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("transparency", [None, 3, bytes(range(256))])
def test_palette_indices_are_looked_up(fmt, transparency):
    image = Image.fromarray(GREY)
    image.putpalette(palette())
    options = {} if transparency is None or fmt != "PNG" else {"transparency": transparency}
    expected = np.frombuffer(palette(), np.uint8).reshape(256, 3)[GREY]
    np.testing.assert_array_equal(decode(encoded(image, fmt, **options)), expected)


@pytest.mark.parametrize(("mode", "transparency"), [("RGB", (1, 2, 3)), ("L", 7), ("1", 0)])
def test_transparent_colours_are_colours(mode, transparency):
    expected = Image.fromarray(RGB).convert(mode)
    np.testing.assert_array_equal(decode(encoded(expected, "PNG", transparency=transparency)), expected.convert("RGB"))


@pytest.mark.parametrize(("mode", "options"), [("L", {}), ("RGB", {}), ("RGB", {"progressive": True}), ("CMYK", {})])
def test_jpeg_of_every_mode_and_kind(mode, options):
    image = Image.fromarray(smooth()).convert(mode)
    decoded = decode(encoded(image, "JPEG", quality=95, **options))
    assert abs(decoded.astype(int) - np.asarray(image.convert("RGB"))).mean() < 3


def test_jpeg_files_of_several_pictures_are_jpeg_files():
    data = stored(smooth(), "MPO", quality=95, save_all=True, append_images=[Image.fromarray(255 - smooth())])
    pixels, meta = decode_image(data, CONFIG)
    assert meta["format"] == "JPEG"
    assert abs(pixels.astype(int) - smooth()).mean() < 3


def test_cmyk_tiff():
    cmyk = np.random.default_rng(1).integers(0, 256, (9, 8, 4), np.uint8)
    expected = (255 - cmyk[:, :, :3].astype(int)) * (255 - cmyk[:, :, 3:].astype(int)) / 255
    decoded = decode(encoded(Image.fromarray(cmyk, "CMYK"), "TIFF"))
    assert abs(decoded - expected).max() <= 1


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_keeps_the_high_byte(extension, channels):
    wide = np.random.default_rng(2).integers(0, 2**16, (12, 10, channels), np.uint16)
    ordered = wide if channels == 1 else wide[:, :, [2, 1, 0, 3][:channels]]  # OpenCV writes B, G, R
    data = cv2.imencode(extension, ordered, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()
    high = (wide >> 8).astype(np.uint8)
    expected = grey(high[:, :, 0]) if channels == 1 else high[:, :, :3]
    np.testing.assert_array_equal(decode(data, range="full"), expected)
    pixels, meta = decode_image(data, CONFIG)  # these values take nearly the whole range
    np.testing.assert_allclose(pixels, expected, atol=4)
    assert "range" in meta


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_12_bits_in_16_are_not_black(extension, channels):
    camera = np.random.default_rng(2).integers(0, 4096, (120, 100, channels), np.uint16)
    if channels == 4:
        camera[:, :, 3] = 65535  # alpha takes no part
    data = cv2.imencode(extension, camera, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()
    pixels, meta = decode_image(data, CONFIG)
    low, high = meta["range"]
    assert 0 <= low < 20
    assert 4075 < high <= 4095
    expected = camera if channels == 1 else camera[:, :, 2::-1]
    np.testing.assert_allclose(pixels, np.broadcast_to(expected / 4095 * 255, pixels.shape), atol=2)
    assert decode(data, range="full").max() == 15
    np.testing.assert_array_equal(
        decode(data, range="0,4095"), np.rint(np.broadcast_to(expected, pixels.shape) / 4095 * 255)
    )


@pytest.mark.parametrize("wish", ["auto", "full", "0,255"])
@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bits(dtype, wish):
    """Once they had no defined range and were refused."""
    data = stored(GREY.astype(dtype), "TIFF")
    pixels, meta = decode_image(data, InputConfig(range=wish))
    low, high = meta["range"]
    np.testing.assert_allclose(pixels, np.clip((grey(GREY).astype(float) - low) / (high - low) * 255, 0, 255), atol=1)
    if wish == "0,255":
        np.testing.assert_array_equal(pixels, grey(GREY))


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "WEBP", "GIF"])
def test_of_several_frames_the_first_is_read(fmt):
    pixels = grey(GREY) if fmt == "GIF" else RGB
    second = Image.fromarray(255 - pixels)
    np.testing.assert_array_equal(decode(stored(pixels, fmt, save_all=True, append_images=[second])), pixels)


FORMATS = {fmt: stored(RGB, fmt) for fmt in ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "AVIF")}


@pytest.mark.parametrize("twentieths", range(20))
@pytest.mark.parametrize("fmt", FORMATS)
def test_cut_off_files(fmt, twentieths):
    data = FORMATS[fmt]
    with pytest.raises(BadImage, match="expected"):
        decode(data[: len(data) * twentieths // 20])


@pytest.mark.filterwarnings("ignore")  # Pillow warns about some broken files that it then reads
@pytest.mark.parametrize("fmt", FORMATS)
def test_damaged_files_are_read_or_refused(fmt):
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(300):
        data = bytearray(FORMATS[fmt])
        for position in rng.integers(0, min(len(data), 300), 3):
            data[position] = rng.integers(256)
        try:
            decode(bytes(data), max_pixels=1_000_000)
        except (BadImage, ImageTooLarge):
            refused += 1
    assert refused > 0


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"hello", "not of a known format; expected JPEG, PNG, BMP, TIFF, WebP, GIF, AVIF, HEIC"),
        (b'{"points": []}', "JSON, which is not read; expected JPEG, PNG"),
        (b"\x00" * 1000, "not of a known format"),
        (b"\x89PNG\r\n\x1a\n", "expected"),
        (encoded(Image.fromarray(GREY), "PPM"), "a Netpbm image, which is not read"),
        (encoded(Image.fromarray(GREY), "JPEG2000"), "JPEG 2000, which is not read"),
        (encoded(Image.fromarray(GREY), "DDS"), "DDS, which is not read"),
        (encoded(Image.fromarray(GREY), "ICO"), "a Windows icon, which is not read"),
        (imagecodecs.jpegxl_encode(RGB), "JPEG XL, which is not read"),
        (imagecodecs.jpegxr_encode(RGB), "JPEG XR, which is not read"),
        (b"II*\0\x10\0\0\0CR\2\0", "a raw photo \\(CR2\\), which is not read"),
        (b"%PDF-1.7", "a PDF document, which is not read"),
        (b"  <!DOCTYPE html><html></html>", "an HTML page, which is not read"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a pointer of Git LFS, not the file itself"),
        (bytes(128) + b"DICM", "DICOM, which is not read"),
        (b"\xff\xd8\xff\xe0", "JPEG .*; expected a complete image file"),
        (b"GIF89a", "GIF .*; expected a complete image file"),
        (FORMATS["AVIF"][:40], "AVIF .*; expected a complete image file"),
    ],
)
def test_other_files_are_refused(data, problem):
    with pytest.raises(BadImage, match=problem):
        decode(data)


def png_header(width, height):
    """A PNG file of a given size whose pixels are missing."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def bmp_header(width, height):
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 1, 1, 0, 0)


def tiff_header(width, height):
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 1)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)


@pytest.mark.parametrize("header", [png_header, bmp_header, tiff_header])
def test_huge_sizes_are_refused_from_the_header(header):
    data = header(50_000, 50_000)
    with peak_memory() as peak:
        start = time.process_time()  # of this process alone
        with pytest.raises(ImageTooLarge, match=r"50000x50000 .* at most 100000000 \(--max_pixels\)"):
            decode(data)
        assert time.process_time() - start < 1
        assert peak() < 1_000_000


@pytest.mark.parametrize("header", [png_header, bmp_header, tiff_header])
@pytest.mark.parametrize("size", [(0, 0), (0, 7), (7, 0)])
def test_images_without_pixels_are_refused(header, size):
    with pytest.raises(BadImage, match="expected"):
        decode(header(*size))


@pytest.mark.parametrize("keyword", [b"Comment", b"Raw profile type exif", b"XML:com.adobe.xmp"])
@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_compressed_text_that_explodes_is_passed_over(keyword, kind):
    bomb = zlib.compress(bytes(60_000_000), 9)
    body = keyword + (b"\0\1\0\0\0" if kind == b"iTXt" else b"\0\0") + bomb
    with peak_memory() as peak:
        np.testing.assert_array_equal(decode(with_chunk(kind, body)), RGB)
        assert peak() < 10_000_000


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"pHYs", b"gAMA", b"cHRM", b"vpAg", b"eXIf"])
@pytest.mark.parametrize("size", [0, 30, 3_000_000])
def test_broken_chunks_that_are_not_pixels_are_passed_over(kind, size):
    body = np.random.default_rng(4).bytes(size)
    np.testing.assert_array_equal(decode(with_chunk(kind, body)), RGB)
    np.testing.assert_array_equal(decode(with_chunk(kind, body, crc=1)), RGB)


def with_chunk(kind, body, crc=None):
    """A PNG file of `RGB` with one chunk more."""
    crc = zlib.crc32(kind + body) if crc is None else crc
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)
    return FORMATS["PNG"][:33] + chunk + FORMATS["PNG"][33:]


def test_limit_of_pixels():
    assert decode(FORMATS["PNG"], max_pixels=34 * 21).shape == (21, 34, 3)
    with pytest.raises(ImageTooLarge, match="34x21 = 714 pixels; expected at most 713"):
        decode(FORMATS["PNG"], max_pixels=34 * 21 - 1)


def test_limit_of_bytes():
    data = FORMATS["JPEG"]
    assert decode(data, max_bytes=len(data)).shape == (21, 34, 3)
    with pytest.raises(ImageTooLarge, match=rf"{len(data)} bytes; expected at most {len(data) - 1} \(--max_bytes\)"):
        decode(data, max_bytes=len(data) - 1)


@pytest.mark.slow("takes a second or more")
def test_large_images_within_the_limit_are_read_without_a_warning():
    data = encoded(Image.new("1", (10_000, 9_000)), "PNG")  # above the number at which Pillow begins to warn
    assert decode(data).shape == (9_000, 10_000, 3)


def test_an_image_with_a_side_beyond_all_measure_is_refused():
    """Much of what is done with it, and with its mask, goes row by row."""
    with pytest.raises(ImageTooLarge, match="expected at most 250000 a side"):
        decode_image(encoded(Image.new("L", (1, 250_001))), InputConfig())
    assert decode_image(encoded(Image.new("L", (1, 250_000))), InputConfig())[0].shape == (250_000, 1, 3)
