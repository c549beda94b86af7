"""TIFF files of microscopes, satellites and scanners: any depth, any number of bands, pages, tiles, compressions."""

from __future__ import annotations

import contextlib
import logging
import math
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from maskworks.config import InputConfig
from maskworks.errors import BadImage
from maskworks.images.common import NewImage, exif_fact, read_common, upright
from maskworks.images.levels import Levels, strips
from maskworks.images.limits import check_pixels
from maskworks.images.raster import Raster, band_facts, chosen_bands, pick
from maskworks.images.tiff_pages import find_page
from maskworks.types import Bytes

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says of broken files, the error says, too

_ORIENTATION, _NODATA = 274, 42113
_RANGE_TAGS = ((280, 281), (340, 341))  # MinSampleValue and MaxSampleValue, SMin- and SMaxSampleValue
_ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
_KIND = tifffile.PHOTOMETRIC
_COLOURS = {
    _KIND.MINISWHITE: 1,
    _KIND.MINISBLACK: 1,
    _KIND.RGB: 3,
    _KIND.PALETTE: 1,
    _KIND.SEPARATED: 4,
    _KIND.YCBCR: 3,
}
_JPEG = (tifffile.COMPRESSION.OJPEG, tifffile.COMPRESSION.JPEG)
_COMPRESSIONS_OF_PILLOW = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)  # none, those of fax, LZW, JPEG, deflate, PackBits
# Errors of tifffile and of the decoders that it calls, beside those of Pillow; the codecs' are RuntimeErrors.
_ERRORS = (tifffile.TiffFileError, RuntimeError, ArithmeticError, AssertionError, LookupError)


def read_tiff(
    data: bytes | bytearray, config: InputConfig, new_image: NewImage, *, alone: bool = False
) -> tuple[Bytes, dict[str, Any]]:
    """The image of the page that --page names, (H, W, 3) uint8 RGB, and facts about it.

    What Pillow reads right, it reads: 8 bits or less in one plane, in the usual arrangements.

    Raises:
        ImageTooLarge, BadImage: as `decode_image` does; errors of the readers, which it turns into these.
    """
    try:
        place = find_page(data, config.page)
        with tifffile.TiffFile(BytesIO(data)) as file:
            first: Any = file.pages[place.index]
            page = first
            if not place.is_image:
                page = next((sub for sub in page.pages or () if not sub.subfiletype), page)
            check_pixels((page.imagewidth, page.imagelength), config)
            facts = {} if place.count == 1 else {"pages": {"used": config.page, "of": place.count}}
            if page is first and _is_for_pillow(page):
                if page.compression == tifffile.COMPRESSION.JPEG:
                    _check_complete(page, len(data))
                with contextlib.suppress(UnidentifiedImageError):
                    pixels, more = read_common(data, config, new_image, page=place.index, alone=alone)
                    return pixels, more | facts
            pixels, more = _read(data, page, config, new_image)
            return pixels, more | facts
    except _ERRORS as error:
        raise ValueError(str(error)) from None


def _is_for_pillow(page: Any) -> bool:
    """Whether Pillow reads this page right."""
    colours, extra = _COLOURS.get(page.photometric, 0), len(page.extrasamples)
    one_plane = page.planarconfig == tifffile.PLANARCONFIG.CONTIG or page.samplesperpixel == 1
    one_plane = one_plane and page.imagedepth == 1
    usual = page.samplesperpixel == colours + extra and extra <= 1 and set(page.extrasamples) <= set(_ALPHA)
    depth = page.bitspersample == 8 or (page.samplesperpixel == 1 and page.bitspersample in (1, 2, 4))
    unsigned = page.sampleformat in (1, 4)  # the latter is: not known
    return one_plane and usual and depth and unsigned and page.compression in _COMPRESSIONS_OF_PILLOW


def _read(data: bytes | bytearray, page: Any, config: InputConfig, new_image: NewImage) -> tuple[Bytes, dict[str, Any]]:
    _check_kind(page)
    _check_complete(page, len(data))
    orientation = int(page.tags.valueof(_ORIENTATION, 1))
    facts: dict[str, Any] = {"format": "TIFF", "exif": exif_fact(orientation, config)}
    if page.photometric == _KIND.PALETTE:
        indices = _samples(data, page, (1,))[:, :, 0]
        samples = (np.moveaxis(np.asarray(page.colormap)[:, indices], 0, 2) >> 8).astype(np.uint8)
    elif page.photometric == _KIND.SEPARATED:
        samples = _rgb_of_cmyk(_samples(data, page, (1, 2, 3, 4)))
    else:
        samples = None
    if samples is None:
        count = _bands(page)
        used = chosen_bands(count, config)
        raster = _raster(page, _samples(data, page, used))
    else:
        count, used = 3, chosen_bands(3, config)
        raster = Raster(samples=pick(samples, used), bits=8)
    if facts["exif"] == "applied":
        raster = replace(raster, samples=upright(raster.samples, orientation))
    pixels = new_image((*raster.samples.shape[:2], 3))
    return pixels, facts | band_facts(used, count) | raster.render(config, pixels)


def _raster(page: Any, samples: NDArray[Any]) -> Raster:
    # Other widths than those of whole bytes are known as one number; those of a kind as 5, 6, 5 bits come as bytes.
    whole = 8 * samples.dtype.itemsize if samples.dtype.kind != "b" else 1
    bits = page.bitspersample if isinstance(page.bitspersample, int) and samples.dtype.kind in "ui" else whole
    return Raster(
        samples=samples,
        bits=bits,
        tagged=_tagged_levels(page),
        nodata=_nodata(page),
        white_is_zero=page.photometric == _KIND.MINISWHITE,
    )


def _samples(data: bytes | bytearray, page: Any, bands: tuple[int, ...]) -> NDArray[Any]:
    """(H, W, C) of these bands, counted from 1; parts that the file leaves out hold its value for no data."""
    _, _, height, width, _ = page.shaped
    separate = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    chosen = [0] if separate else [band - 1 for band in bands]
    out = np.empty((height, width, len(bands)), page.dtype)
    tables: dict[str, Any] = (
        {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader} if page.compression in _JPEG else {}
    )
    pieces = math.prod(page.chunked) // (page.samplesperpixel if separate else 1)  # of a plane
    for target, plane in enumerate([band - 1 for band in bands] if separate else [0]):
        for index in range(plane * pieces, (plane + 1) * pieces):
            offset, length = page.dataoffsets[index], page.databytecounts[index]
            stored = bytes(data[offset : offset + length]) if offset and length else None
            found, (_, _, top, left, _), (_, rows, columns, _) = page.decode(stored, index, **tables)
            area = out[top : top + rows, left : left + columns, target : target + 1 if separate else len(bands)]
            if found is None:
                area[:] = page.nodata
            else:
                area[:] = found[0, : area.shape[0], : area.shape[1]][:, :, chosen]
    return out


def _check_kind(page: Any) -> None:
    """Raises BadImage for what is stored in a way that has no defined way to RGB."""
    if page.photometric not in _COLOURS:
        kind = getattr(page.photometric, "name", page.photometric)
        raise BadImage(
            f"image: TIFF with colours of the kind {kind}, which is not read; expected grey, RGB, palette or CMYK"
        )
    if page.dtype is None:
        raise BadImage(
            f"image: samples of {page.bitspersample} bits in the format {page.sampleformat}, which is not read; "
            "expected whole numbers or floats"
        )
    if page.dtype.kind == "c":
        raise BadImage("image: complex numbers have no defined way to RGB; expected real ones")
    if page.photometric == _KIND.YCBCR and page.compression not in _JPEG:
        raise BadImage("image: TIFF with colours of the kind YCBCR, which is read with JPEG only; save it as RGB")
    if page.photometric == _KIND.SEPARATED and (page.samplesperpixel < 4 or page.dtype.kind != "u"):
        raise BadImage(
            f"image: {page.samplesperpixel} inks of the type {page.dtype} have no defined way to RGB; expected CMYK"
        )
    if page.imagedepth != 1:
        raise BadImage(f"image: a volume of {page.imagedepth} slices in one page; expected a page for each")


def _check_complete(page: Any, size: int) -> None:
    """Raises BadImage if pieces are missing, of which decoders would make something without a word."""
    pieces = math.prod(page.chunked)
    if min(len(page.dataoffsets), len(page.databytecounts)) < pieces or not any(page.databytecounts):
        raise BadImage("image: cannot be read: pixels are missing; expected a complete image file")
    end = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=False)))
    if end > size and page.compression != tifffile.COMPRESSION.NONE:  # some programs write large numbers there
        raise BadImage(f"image: cannot be read: cut off after {size} of {end} bytes; expected a complete image file")


def _bands(page: Any) -> int:
    """How many bands there are without alpha at the end."""
    alphas = 0
    for sample in reversed(page.extrasamples):
        if sample not in _ALPHA:
            break
        alphas += 1
    return int(max(1, page.samplesperpixel - alphas))


def _rgb_of_cmyk(inks: NDArray[Any]) -> Bytes:
    """(H, W, 3) uint8 of (H, W, 4) unsigned samples, as Pillow turns CMYK into RGB: without a colour profile."""
    rgb = np.empty((*inks.shape[:2], 3), np.uint8)
    for rows in strips(inks):
        light = 255 - (inks[rows] >> (8 * inks.dtype.itemsize - 8)).astype(np.uint16)
        product = light[:, :, :3] * light[:, :, 3:] + 128
        rgb[rows] = (product + (product >> 8)) >> 8  # divided by 255 and rounded
    return rgb


def _tagged_levels(page: Any) -> Levels | None:
    for low_tag, high_tag in _RANGE_TAGS:
        low, high = page.tags.valueof(low_tag), page.tags.valueof(high_tag)
        if low is not None and high is not None:
            low, high = float(np.min(low)), float(np.max(high))
            if math.isfinite(low) and math.isfinite(high) and low < high:
                return Levels(low, high)
    return None


def _nodata(page: Any) -> float | None:
    """As GDAL notes it."""
    with contextlib.suppress(ValueError, TypeError):
        return float(str(page.tags.valueof(_NODATA)).strip("\0 "))
    return None
