"""TIFF files of microscopes, satellites and scanners: any depth, any number of bands, pages, tiles, compressions."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from maskworks.config import InputConfig
from maskworks.errors import BadImage
from maskworks.images.common import NewImage, read_common, upright
from maskworks.images.levels import Levels
from maskworks.images.limits import check_pixels
from maskworks.images.raster import Raster
from maskworks.types import Bytes

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says of broken files, the error says, too

_REDUCED = 1  # of NewSubfileType: a thumbnail
_MOST_PAGES = 100_000
_ORIENTATION, _NODATA = 274, 42113
_RANGE_TAGS = ((280, 281), (340, 341))  # MinSampleValue and MaxSampleValue, SMin- and SMaxSampleValue
_ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
_PHOTOMETRIC = tifffile.PHOTOMETRIC
# Of these, with 8 bits or less, Pillow knows the colours; what else there is, is taken as it is.
_COLOURS_OF_PILLOW = (_PHOTOMETRIC.PALETTE, _PHOTOMETRIC.SEPARATED, _PHOTOMETRIC.YCBCR, _PHOTOMETRIC.CIELAB)


@dataclass(frozen=True)
class TiffPage:
    """The page of a TIFF file that is the image.

    Attributes:
        page: tifffile's.
        index: its place among all pages of the file, thumbnails included, from 0.
        facts: for `meta`: `pages`, if there are more.
    """

    page: Any
    index: int
    facts: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.page.imagewidth, self.page.imagelength

    @property
    def orientation(self) -> int:
        """As in EXIF."""
        return int(self.page.tags.valueof(_ORIENTATION, 1))

    @property
    def is_for_pillow(self) -> bool:
        """Whether Pillow reads it right: 8 bits or less in one plane, in one of its usual arrangements."""
        page = self.page
        if page.planarconfig != tifffile.PLANARCONFIG.CONTIG and page.samplesperpixel > 1:
            return False
        if page.dtype is None or page.dtype.kind not in "ub" or page.bitspersample not in (1, 2, 4, 8):
            return page.dtype is None  # arrangements that only libtiff knows, or nobody
        if page.photometric in _COLOURS_OF_PILLOW:
            return True
        extra = [sample not in _ALPHA for sample in page.extrasamples]
        return page.samplesperpixel <= 4 and not any(extra) and page.compression in _COMPRESSIONS_OF_PILLOW


_COMPRESSIONS_OF_PILLOW = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000, 50001})


def read_tiff(data: bytes | bytearray, config: InputConfig, new_image: NewImage) -> tuple[Bytes, dict[str, Any]]:
    """The image of the page that --page names, (H, W, 3) uint8 RGB, and facts about it.

    Raises:
        ImageTooLarge, BadImage: as `decode_image` does; errors of the readers, which it turns into these.
    """
    try:
        found = _open_page(data, config)
        if found.is_for_pillow:
            pixels, facts = read_common(data, config, new_image, page=found.index)
            return pixels, facts | found.facts
        raster = _read_page(found, len(data))
    except (tifffile.TiffFileError, RuntimeError) as error:  # that of imagecodecs is one
        raise ValueError(str(error)) from None
    exif = "none"
    if found.orientation in range(2, 9):
        exif = "applied" if config.exif == "apply" else "ignored"
    if exif == "applied":
        raster = replace(raster, samples=upright(raster.samples, found.orientation))
    pixels = new_image((*raster.samples.shape[:2], 3))
    facts = raster.render(config, pixels)
    return pixels, {"format": "TIFF", "exif": exif, **facts, **found.facts}


def _open_page(data: bytes | bytearray, config: InputConfig) -> TiffPage:
    """The page that `--page` names; thumbnails do not count.

    Raises:
        BadImage: there is no such page.
        ImageTooLarge: it is beyond --max_pixels.
    """
    found, count = None, 0
    for index, page in enumerate(_pages(data)):
        if index >= _MOST_PAGES:
            raise BadImage(f"image: a TIFF file of more than {_MOST_PAGES} pages")
        if page.subfiletype & _REDUCED and not page.subfiletype & 2:
            continue
        if count == config.page:
            found = TiffPage(page, index, {})
        count += 1
    if found is None and count == 0 and config.page == 0:  # nothing but thumbnails
        found, count = TiffPage(next(_pages(data)), 0, {}), 1
    if found is None:
        raise BadImage(f"image: has {count} pages; --page asks for {config.page}, counted from 0")
    check_pixels(found.size, config)
    if count > 1:
        found.facts["pages"] = {"used": config.page, "of": count}
    return found


def _pages(data: bytes | bytearray) -> Iterator[Any]:
    return iter(tifffile.TiffFile(BytesIO(data)).pages)


def _read_page(found: TiffPage, size: int) -> Raster:
    """The samples of a page of a file of `size` bytes.

    Raises:
        BadImage: it is cut off, or its colours have no defined way to RGB.
    """
    page = found.page
    _check_complete(page, size)
    samples = page.asarray(maxworkers=1)
    samples = _bands_last(samples, page)
    samples = samples[:, :, : _colour_bands(page, samples.shape[2])]
    if page.photometric == _PHOTOMETRIC.PALETTE:
        colours = np.asarray(page.colormap)
        samples = np.moveaxis(colours[:, samples[:, :, 0]], 0, 2)
        return Raster(samples=(samples >> 8).astype(np.uint8), bits=8)
    if page.photometric == _PHOTOMETRIC.SEPARATED:
        return Raster(samples=_rgb_of_cmyk(samples, page), bits=8)
    if samples.dtype.kind == "c":
        raise BadImage("image: complex numbers have no defined way to RGB; expected real ones")
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    return Raster(
        samples=samples,
        bits=bits,
        tagged=_tagged_levels(page),
        nodata=_nodata(page),
        white_is_zero=page.photometric == _PHOTOMETRIC.MINISWHITE,
    )


def _bands_last(samples: NDArray[Any], page: Any) -> NDArray[Any]:
    """(H, W, C) of what tifffile gives for a page."""
    axes = page.axes
    if samples.ndim == 2:
        return samples[:, :, None]
    if samples.ndim != 3 or "S" not in axes:
        raise BadImage(f"image: samples in an order that is not known ({axes}); expected rows, columns and bands")
    return np.moveaxis(samples, axes.index("S"), 2)


def _colour_bands(page: Any, count: int) -> int:
    """How many bands there are without alpha at the end."""
    alphas = 0
    for sample in reversed(page.extrasamples):
        if sample not in _ALPHA:
            break
        alphas += 1
    return max(1, count - alphas)


def _rgb_of_cmyk(samples: NDArray[Any], page: Any) -> NDArray[np.uint8]:
    """As Pillow turns CMYK into RGB: without a colour profile."""
    if samples.shape[2] < 4 or samples.dtype.kind != "u":
        raise BadImage(f"image: {samples.shape[2]} inks of {samples.dtype} have no defined way to RGB; expected CMYK")
    inks = samples[:, :, :4]
    if samples.dtype.itemsize > 1:
        inks = (inks >> (8 * samples.dtype.itemsize - 8)).astype(np.uint8)
    light = 255 - inks.astype(np.uint16)
    # 255 is divided by exactly, rounded: Pillow's MULDIV255.
    product = light[:, :, :3] * light[:, :, 3:] + 128
    return ((product + (product >> 8)) >> 8).astype(np.uint8)


def _tagged_levels(page: Any) -> Levels | None:
    """The range that tags name, if that is narrower than what the type holds."""
    for low_tag, high_tag in _RANGE_TAGS:
        low, high = page.tags.valueof(low_tag), page.tags.valueof(high_tag)
        if low is not None and high is not None:
            low, high = float(np.min(low)), float(np.max(high))
            if low < high:
                return Levels(low, high)
    return None


def _nodata(page: Any) -> float | None:
    """As GDAL notes it."""
    with contextlib.suppress(ValueError, TypeError):
        return float(str(page.tags.valueof(_NODATA)).strip("\0 "))
    return None


def _check_complete(page: Any, size: int) -> None:
    """tifffile fills what is missing with zeros, without a word."""
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset + length > size:
            raise BadImage(f"image: cut off: {size} of {offset + length} bytes; expected a complete image file")
    if page.compression == tifffile.COMPRESSION.NONE and not page.is_tiled:
        stored, needed = sum(page.databytecounts), page.nbytes if page.bitspersample in (8, 16, 32, 64) else 0
        if 0 < stored < needed:
            raise BadImage(f"image: cut off: {stored} of {needed} bytes of pixels; expected a complete image file")
