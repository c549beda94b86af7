"""TIFF files with what their writers put into them: codecs, colours, pages, thumbnails, turned and missing pieces."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge
from maskworks.images.common import upright
from maskworks.images.reader import decode_image
from tests.support.samples import encoded

RGB = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
SMOOTH = np.asarray(Image.fromarray(RGB[:4, :6]).resize((64, 48), Image.Resampling.BICUBIC))
DEEP = RGB.astype(np.uint16) * 257
FULL = InputConfig(range="full")


def tiff(*pages, **options):
    """A TIFF file of pages: arrays, or pairs of an array and its own options."""
    file = io.BytesIO()
    with tifffile.TiffWriter(
        file, **{key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    ) as out:
        for page in pages:
            pixels, own = page if isinstance(page, tuple) else (page, {})
            out.write(pixels, **{"metadata": None, **options, **own})
    return file.getvalue()


def decode(data, **wishes):
    return decode_image(data, InputConfig(**{"range": "full", **wishes}))


def high(samples):
    """The highest 8 bits, as RGB."""
    samples = samples if samples.ndim == 3 else np.repeat(samples[:, :, None], 3, axis=2)
    return samples >> (8 * samples.itemsize - 8)


@pytest.mark.parametrize(
    "compression", ["zstd", "lzma", "packbits", "jpeg2000", "jpegxl", "lerc", "png", "webp", "deflate"]
)
@pytest.mark.parametrize("samples", [RGB, DEEP, DEEP[:, :, 0]], ids=["8 bits", "16 bits", "16 bits grey"])
def test_codecs_without_loss(samples, compression):
    if compression == "webp" and samples.dtype != np.uint8:
        pytest.skip("WebP has 8 bits")
    options = {"photometric": "rgb" if samples.ndim == 3 else "minisblack", "compression": compression}
    if compression in ("jpeg2000", "jpegxl", "webp"):
        options["compressionargs"] = {
            "jpeg2000": {"reversible": True},
            "jpegxl": {"lossless": True},
            "webp": {"lossless": True},
        }[compression]
    np.testing.assert_array_equal(decode(tiff(samples, tile=(16, 32), **options))[0], high(samples))


def test_floats_in_lerc():
    values = SMOOTH[:, :, 0].astype(np.float32) / 255
    pixels, _ = decode(tiff(values, compression="lerc"))
    np.testing.assert_array_equal(pixels, high(SMOOTH[:, :, 0]))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_jpeg_inside(planar):
    samples = SMOOTH if planar == "contig" else np.moveaxis(SMOOTH, 2, 0)
    data = tiff(samples, photometric="rgb", planarconfig=planar, compression="jpeg", compressionargs={"level": 95})
    assert abs(decode(data)[0].astype(int) - SMOOTH).mean() < 3


def test_jpeg_inside_with_subsampled_colours():
    stored = np.asarray(Image.fromarray(SMOOTH).convert("YCbCr"))
    options = {"photometric": "ycbcr", "compression": "jpeg", "subsampling": (2, 2), "compressionargs": {"level": 95}}
    assert abs(decode(tiff(stored, tile=(16, 16), **options))[0].astype(int) - SMOOTH).mean() < 5


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_cmyk(planar, deep, alpha):
    """All as Pillow turns CMYK of 8 bits into RGB."""
    inks = np.random.default_rng(1).integers(0, 256, (48, 64, 4 + alpha), np.uint8)
    samples = inks.astype(np.uint16) * 257 if deep else inks
    samples = samples if planar == "contig" else np.moveaxis(samples, 2, 0)
    data = tiff(samples, photometric="separated", planarconfig=planar, extrasamples=["unassalpha"] * alpha)
    pixels, meta = decode(data, range="auto")
    np.testing.assert_array_equal(pixels, Image.fromarray(inks[:, :, :4], "CMYK").convert("RGB"))
    assert not meta.keys() & {"bands", "range"}


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(bits):
    indices = RGB[:, :, 0].astype(f"uint{bits}") << (bits - 8)
    colours = np.random.default_rng(2).integers(0, 65536, (3, 2**bits), np.uint16)
    data = tiff(indices, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(decode(data)[0], np.moveaxis(colours[:, indices] >> 8, 0, 2))


@pytest.mark.parametrize("name", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("wish", ["auto", "full"])
def test_alpha_is_dropped_and_takes_no_part_in_the_range(name, wish):
    deep = np.dstack([DEEP // 16, np.full((48, 64), 65535, np.uint16)])
    pixels, meta = decode(tiff(deep, photometric="rgb", extrasamples=[name]), range=wish)
    assert "bands" not in meta
    if wish == "auto":
        assert meta["range"][1] <= 4095
        np.testing.assert_allclose(pixels, RGB, atol=1)
    else:
        np.testing.assert_array_equal(pixels, RGB // 16)


def test_one_range_for_all_bands():
    """So that a red image stays red."""
    red = np.dstack([DEEP[:, :, 0] // 16, DEEP[:, :, 1] // 64, DEEP[:, :, 2] // 64])
    pixels, meta = decode(tiff(red, photometric="rgb"), range="auto")
    low, top = meta["range"]
    np.testing.assert_allclose(pixels, np.clip((red.astype(float) - low) / (top - low) * 255, 0, 255), atol=1)


@pytest.mark.parametrize("value", [0, 7, 4095, 65535])
def test_a_constant_image_stays_constant(value):
    pixels, meta = decode(tiff(np.full((48, 64), value, np.uint16)), range="auto")
    assert (pixels == value >> 8).all()
    assert "range" not in meta


def test_a_few_bright_pixels_on_black_are_no_outliers():
    """Of stars and single cells 0.1 percent may be left."""
    sky = np.zeros((200, 200), np.uint16)
    sky[5, 5:8] = 1000, 2000, 3000
    pixels, meta = decode(tiff(sky), range="auto")
    assert meta["range"] == [0, 3000]
    assert pixels[5, 7, 0] == 255


def test_outliers_widen_no_range():
    noisy = np.tile(np.arange(1000, 2000, dtype=np.uint16), (100, 1))
    noisy[0, :10] = 65535
    low, top = decode(tiff(noisy), range="auto")[1]["range"]
    assert 1000 <= low <= 1002
    assert 1997 <= top <= 1999


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("exif", ["ignore", "apply"])
def test_orientation(dtype, orientation, exif):
    samples = RGB.astype(np.float32) / 255 if dtype == "float32" else (DEEP // 2).astype(dtype)
    data = tiff(samples, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    plain = decode(tiff(samples, photometric="rgb"))[0]
    pixels, meta = decode(data, exif=exif)
    np.testing.assert_array_equal(pixels, upright(plain, orientation) if exif == "apply" else plain)
    assert meta["exif"] == ("none" if orientation == 1 else "applied" if exif == "apply" else "ignored")
    assert (meta["height"], meta["width"]) == pixels.shape[:2]


@pytest.mark.parametrize("pixels", [RGB, DEEP], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("first", [True, False])
def test_thumbnails_and_masks_are_not_the_image(pixels, first):
    thumbnail = (pixels[::4, ::4], {"subfiletype": 1})
    mask = (np.zeros((48, 64), bool), {"subfiletype": 4, "photometric": "minisblack"})
    pages = [thumbnail, mask, pixels, 255 - pixels] if first else [pixels, thumbnail, 255 - pixels, mask]
    data = tiff(*pages, photometric="rgb")
    for page, expected in enumerate((pixels, 255 - pixels)):
        found, meta = decode(data, page=page)
        np.testing.assert_array_equal(found, high(expected))
        assert meta["pages"] == {"used": page, "of": 2}
    with pytest.raises(BadImage, match="has 2 pages; --page 2 asks for another, counted from 0"):
        decode(data, page=2)


def test_a_thumbnail_with_the_image_below_it():
    data = tiff((RGB[::4, ::4], {"subfiletype": 1, "subifds": 1}), (RGB, {"subfiletype": 0}), photometric="rgb")
    np.testing.assert_array_equal(decode(data)[0], RGB)


def test_a_thumbnail_alone_is_an_image():
    data = tiff((RGB, {"subfiletype": 1}), photometric="rgb")
    pixels, meta = decode(data)
    np.testing.assert_array_equal(pixels, RGB)
    assert "pages" not in meta


def test_many_pages():
    data = tiff(*[np.full((2, 3), number, np.uint16) for number in range(300)])
    pixels, meta = decode(data, page=299, range="0,299")
    assert (pixels == 255).all()
    assert meta["pages"] == {"used": 299, "of": 300}


@pytest.mark.parametrize("big", [False, True])
def test_a_table_at_the_end_of_a_file_may_lack_the_pointer_to_the_next(big):
    """Some programs write it last, and cut that off."""
    data = bytearray(tiff(DEEP, photometric="rgb", bigtiff=big))
    kind, place, entry = ("<Q", 8, 20) if big else ("<I", 4, 12)
    (first,) = struct.unpack_from(kind, data, place)
    head = 8 if big else 2
    (count,) = struct.unpack_from("<Q" if big else "<H", data, first)
    struct.pack_into(kind, data, place, len(data))
    data += data[first : first + head + entry * count]
    np.testing.assert_array_equal(decode(bytes(data))[0], RGB)


@pytest.mark.parametrize("bigtiff", [False, True])
def test_pages_that_lead_back_to_the_first_end(bigtiff):
    data = bytearray(tiff(DEEP, photometric="rgb", bigtiff=bigtiff))
    kind, place = ("<Q", 8) if bigtiff else ("<I", 4)
    (first,) = struct.unpack_from(kind, data, place)
    (count,) = struct.unpack_from("<Q" if bigtiff else "<H", data, first)
    struct.pack_into(kind, data, first + (8 + 20 * count if bigtiff else 2 + 12 * count), first)
    assert decode(bytes(data))[0].shape == RGB.shape


ARRANGEMENTS = {
    "strips": {},
    "many strips": {"rowsperstrip": 5},
    "tiles": {"tile": (16, 16)},
    "lzw": {"compression": "lzw"},
    "deflate": {"compression": "zlib", "predictor": True},
    "zstd": {"compression": "zstd"},
    "jpeg2000": {"compression": "jpeg2000"},
    "jpeg": {"compression": "jpeg"},
}


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@pytest.mark.parametrize("samples", [RGB, DEEP], ids=["8 bits", "16 bits"])
def test_cut_off_files_are_refused(samples, arrangement):
    """And never filled with zeros."""
    if arrangement == "jpeg" and samples is DEEP:
        pytest.skip("JPEG has 8 bits")
    data = tiff(samples, photometric="rgb", **ARRANGEMENTS[arrangement])
    for twentieths in range(20):
        with pytest.raises(BadImage, match="expected"):
            decode(data[: len(data) * twentieths // 20])
    with pytest.raises(BadImage, match="expected a complete image file"):
        decode(data[:-1])


@pytest.mark.parametrize("arrangement", ["lzw", "deflate", "zstd", "jpeg2000"])
def test_pieces_that_end_early_are_refused(arrangement):
    """Their tables say that all is there."""
    data = tiff(DEEP, photometric="rgb", **ARRANGEMENTS[arrangement])
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[0].tags[279]
    broken = bytearray(data)
    struct.pack_into("<I" if tag.dtype == 4 else "<H", broken, tag.valueoffset, tag.value[0] // 2)
    with pytest.raises(BadImage, match="expected a complete image file"):
        decode(bytes(broken))


@pytest.mark.parametrize("nodata", [None, 7])
def test_pieces_that_a_sparse_file_leaves_out_hold_no_data(nodata):
    extra = [] if nodata is None else [(42113, 2, 0, str(nodata), True)]
    data = bytearray(tiff(DEEP[:, :, 0], tile=(16, 16), extratags=extra))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        for number in (324, 325):
            tag = file.pages[0].tags[number]
            struct.pack_into("<I" if tag.dtype == 4 else "<H", data, tag.valueoffset, 0)
    expected = DEEP[:, :, 0].copy()
    expected[:16, :16] = nodata or 0
    np.testing.assert_array_equal(decode(bytes(data))[0], high(expected))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_volumes_in_one_page_are_refused(dtype):
    with pytest.raises(BadImage, match="a volume of 16 slices in one page; expected a page for each"):
        decode(tiff(np.zeros((16, 32, 32), dtype), tile=(16, 16, 16), volumetric=True))


def test_limits_come_before_the_decoding():
    data = tiff(DEEP, photometric="rgb")
    with pytest.raises(ImageTooLarge, match="64x48 = 3072 pixels; expected at most 3071"):
        decode(data, max_pixels=3071)


def test_a_strip_that_says_it_is_longer_than_the_file_is_read_where_all_is_there():
    for samples in (RGB, DEEP):
        data = bytearray(tiff(samples, photometric="rgb"))
        with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
            tag = file.pages[0].tags[279]
        struct.pack_into("<I" if tag.dtype == 4 else "<H", data, tag.valueoffset, tag.value[0] + 100)
        np.testing.assert_array_equal(decode(bytes(data))[0], RGB)


def test_a_band_that_is_not_there():
    with pytest.raises(BadImage, match=r"has 3 bands; --bands 4 asks for more"):
        decode(tiff(DEEP, photometric="rgb"), bands="4")
    with pytest.raises(BadImage, match=r"has 1 band; --bands 1,1,2 asks for more"):
        decode(tiff(DEEP[:, :, 0]), bands="1,1,2")


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "JPEG", "TIFF", "WEBP"])
def test_bands_of_everyday_images(fmt):
    data = encoded(Image.fromarray(RGB), fmt)
    whole = decode(data)[0]
    pixels, meta = decode(data, bands="3,2,1")
    np.testing.assert_array_equal(pixels, whole[:, :, ::-1])
    assert meta["bands"] == {"used": [3, 2, 1], "of": 3}
    np.testing.assert_array_equal(decode(data, bands="2")[0], np.repeat(whole[:, :, 1:2], 3, axis=2))
