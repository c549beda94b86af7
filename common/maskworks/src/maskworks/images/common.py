"""Image files of everyday formats by Pillow: JPEG, PNG, BMP, GIF, WebP, AVIF, HEIC, and TIFF of 8 bits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from maskworks.config import InputConfig
from maskworks.errors import BadImage
from maskworks.images.heif import is_container, is_turned, open_heif
from maskworks.images.jpeg import read_jpeg
from maskworks.images.limits import check_pixels
from maskworks.images.png_chunks import SIGNATURE as PNG
from maskworks.images.png_chunks import only_pixels
from maskworks.images.raster import Raster, band_facts, chosen_bands, pick
from maskworks.types import Bytes

NewImage = Callable[[tuple[int, int, int]], Bytes]

# Errors of Pillow's readers on broken files, depending on the place of the damage.
READER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError, AttributeError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip
PILLOW_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "AVIF")
_PNG_BITS = 24  # where the depth stands in the file
_ORIENTATION = 0x0112  # the number of the tag in EXIF
# For each value of the tag `_ORIENTATION` but 1: back from upright to how the pixels are stored. Pillow itself turns
# TIFF files upright, and only those.
_AS_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
# Pixels are taken out of Pillow's image in strips of so many: these stay in the processor's cache.
_STRIP_PIXELS = 1 << 18

# The limit is ours to check, from the header and as an error of the request; Pillow's would be a warning first.
Image.MAX_IMAGE_PIXELS = None


def read_common(
    data: bytes | bytearray, config: InputConfig, new_image: NewImage, *, page: int = 0, alone: bool = False
) -> tuple[Bytes, dict[str, Any]]:
    """The image, (H, W, 3) uint8 RGB, and facts about it; see `decode_image`, which turns Pillow's errors into ours.

    Args:
        data: the file.
        config: the limits and wishes.
        new_image: gives the array to fill.
        page: of a TIFF file, from 0, thumbnails included.
        alone: no other thread of this process writes to standard error, where libraries tell of damage.
    """
    if data[: len(PNG)] == PNG:
        data = only_pixels(data)
    with open_heif(data) if is_container(data) else Image.open(BytesIO(data), formats=PILLOW_FORMATS) as image:
        check_pixels(image.size, config)
        if page:
            image.seek(page)
            check_pixels(image.size, config)
        facts = {"format": _format(image)}
        orientation = _orientation(image)
        facts["exif"] = _exif(image, orientation, config, data)
        turned = orientation if facts["exif"] == "applied" else 1
        if facts["format"] == "PNG" and data[_PNG_BITS] == 16:
            pixels, more = _deep_png(image, data, turned, config, new_image)
        elif alone and facts["format"] == "JPEG":
            pixels, more = _jpeg(image, data, turned, config, new_image)
        else:
            pixels, more = _by_pillow(image, orientation, turned, config, new_image)
    return pixels, facts | more


def exif_fact(orientation: int, config: InputConfig) -> str:
    """`exif` for `meta`, of a file with this orientation."""
    return "none" if orientation not in _AS_STORED else "applied" if config.exif == "apply" else "ignored"


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Stored pixels, (H, W, ...), as an EXIF orientation wants them to be seen."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _format(image: Image.Image) -> str:
    # MPO is Pillow's name for JPEG files of several pictures.
    return {"MPO": "JPEG", "HEIF": "HEIC"}.get(str(image.format), str(image.format))


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1, which is upright, if it is missing or cannot be read."""
    if image.format == "TIFF":  # its EXIF are the tags of the image itself
        return int(image.getexif().get(_ORIENTATION, 1))
    if image.format == "PNG":  # its EXIF may stand behind the pixels, of which errors are not to be passed over
        image.load()
    if image.format == "HEIF":  # turned by its decoder
        return 1
    if image.format == "AVIF":  # Pillow gives the rotation of the container as EXIF's; that of XMP counts for nothing
        image.info.pop("xmp", None)
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except READER_ERRORS:
        return 1


def _exif(image: Image.Image, orientation: int, config: InputConfig, data: bytes | bytearray) -> str:
    """`exif` for `meta`. The rotation inside AVIF and HEIC is part of the decoding, whatever was wished for."""
    if image.format == "HEIF":
        return "applied" if is_turned(data) else "none"
    if image.format == "AVIF":
        return "applied" if orientation in _AS_STORED else "none"
    return exif_fact(orientation, config)


def _by_pillow(
    image: Image.Image, orientation: int, turned: int, config: InputConfig, new_image: NewImage
) -> tuple[Bytes, dict[str, Any]]:
    """An image of 8 bits or less; `turned` is the orientation that is to be applied, 1 if none is."""
    grey = image.mode in ("1", "L", "LA")
    bands = chosen_bands(1 if grey else 3, config)
    if orientation in _AS_STORED and turned != 1:
        ImageOps.exif_transpose(image, in_place=True)
    else:
        image.load()
        if image.format == "TIFF" and orientation in _AS_STORED:
            image = image.transpose(_AS_STORED[orientation])
    image.info.pop("transparency", None)  # alpha is dropped; Pillow would warn about the palette's
    pixels = new_image((image.height, image.width, 3))
    for rows, strip in _strips(image):
        colour = np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
        pixels[rows] = colour if grey else pick(colour, bands)
    return pixels, {} if grey else band_facts(bands, 3)


def _jpeg(
    image: Image.Image, data: bytes | bytearray, turned: int, config: InputConfig, new_image: NewImage
) -> tuple[Bytes, dict[str, Any]]:
    grey = image.mode == "L"
    stored, damage = read_jpeg(data, grey=grey)
    damaged = {"damaged": damage} if damage else {}
    if stored is None or image.mode not in ("L", "RGB"):  # Pillow says why, or reads it; CMYK it turns into other RGB
        pixels, facts = _by_pillow(image, turned, turned, config, new_image)
        return pixels, facts | damaged
    bands = chosen_bands(1 if grey else 3, config)
    stored = upright(stored, turned)
    pixels = new_image((*stored.shape[:2], 3))
    pixels[:] = stored[:, :, None] if grey else pick(stored, bands)
    return pixels, damaged | ({} if grey else band_facts(bands, 3))


def _deep_png(
    image: Image.Image, data: bytes | bytearray, turned: int, config: InputConfig, new_image: NewImage
) -> tuple[Bytes, dict[str, Any]]:
    """A PNG of 16 bits, of which Pillow keeps 8 unless it is grey without alpha."""
    image.load()  # which also checks that the file is whole
    if image.mode.startswith("I"):
        samples: NDArray[Any] = np.asarray(image).astype(np.uint16, copy=False)[:, :, None]
    else:
        flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if found is None or found.dtype != np.uint16:
            raise BadImage("image: cannot be read: a PNG of 16 bits that is broken; expected a complete image file")
        found = found if found.ndim == 3 else found[:, :, None]
        samples = found[:, :, :1] if image.mode in ("L", "LA") else found[:, :, 2::-1]  # blue comes first
    count = samples.shape[2]
    bands = chosen_bands(count, config)
    samples = upright(pick(samples, bands), turned)
    pixels = new_image((*samples.shape[:2], 3))
    return pixels, band_facts(bands, count) | Raster(samples=samples, bits=16).render(config, pixels)


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """An image in pieces of its full width, each with its rows."""
    height = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, height):
        bottom = min(image.height, top + height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))
