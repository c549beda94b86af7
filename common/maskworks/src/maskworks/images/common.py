"""Image files of everyday formats by Pillow: JPEG, PNG, BMP, GIF, WebP, AVIF, HEIC, and TIFF of 8 bits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from maskworks.config import InputConfig
from maskworks.errors import BadImage
from maskworks.images.jpeg import read_jpeg
from maskworks.images.limits import check_pixels
from maskworks.images.png_text import SIGNATURE as PNG
from maskworks.images.png_text import without_text
from maskworks.images.raster import Raster, chosen_bands
from maskworks.types import Bytes

NewImage = Callable[[tuple[int, int, int]], Bytes]

# Errors of Pillow's readers on broken files, depending on the place of the damage.
READER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError, AttributeError,
    struct.error, zlib.error,
)  # fmt: skip
PILLOW_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "AVIF")
_HEIF = b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1"
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
        page: of a TIFF file, from 0.
        alone: no other thread of this process writes to standard error, so that libraries can be listened to there.
    """
    if data[: len(PNG)] == PNG:
        data = without_text(data)
    with _opened(data) as image:
        check_pixels(image.size, config)
        if page:
            image.seek(page)
        orientation = _orientation(image)
        facts: dict[str, Any] = {"format": "JPEG" if image.format == "MPO" else image.format}
        facts["exif"] = _exif(image.format, orientation, config.exif)
        found = None
        if image.format == "PNG" and data[_PNG_BITS] == 16:
            image.load()  # which checks that the file is whole
            found = _deep_png(data, grey=image.mode.startswith(("I", "L")))
        elif alone and facts["format"] == "JPEG" and image.mode in ("L", "RGB"):
            samples, damage = read_jpeg(data)
            facts |= {"damaged": damage} if damage else {}
            found = None if samples is None else Raster(samples=samples, bits=8)  # of None Pillow says why
        if found is None:
            turned = _turned(image, orientation, config.exif)
            pixels = new_image((turned.height, turned.width, 3))
            return pixels, facts | _fill(pixels, turned, config)
        if facts["exif"] == "applied":
            found = replace(found, samples=upright(found.samples, orientation))
        pixels = new_image((*found.samples.shape[:2], 3))
        return pixels, facts | found.render(config, pixels)


def _opened(data: bytes | bytearray) -> Image.Image:
    if data[4:12].startswith(_HEIF):
        try:
            from pillow_heif import HeifImageFile
        except ModuleNotFoundError:
            raise BadImage("image: HEIC is read by the package pillow-heif, which is not installed") from None
        file: Image.Image = HeifImageFile(BytesIO(data))  # type: ignore[no-untyped-call]
        return file
    return Image.open(BytesIO(data), formats=PILLOW_FORMATS)


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Stored pixels as an EXIF orientation wants them to be seen."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _exif(fmt: str | None, orientation: int, wish: str) -> str:
    if orientation not in _AS_STORED:
        return "none"
    return "applied" if wish == "apply" or fmt == "AVIF" else "ignored"


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1, which is upright, if it is missing or cannot be read."""
    if image.format == "TIFF":  # its EXIF are the tags of the image itself
        return int(image.getexif().get(_ORIENTATION, 1))
    if image.format == "PNG":  # its EXIF may stand behind the pixels, of which errors are not to be passed over
        image.load()
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except READER_ERRORS:
        return 1


def _turned(image: Image.Image, orientation: int, exif: str) -> Image.Image:
    if orientation not in _AS_STORED:
        return image
    # In AVIF Pillow gives the rotation that belongs to the coding of the picture as EXIF's, and EXIF's own not at all.
    if exif == "apply" or image.format == "AVIF":
        ImageOps.exif_transpose(image, in_place=True)
    elif image.format == "TIFF":
        image.load()
        return image.transpose(_AS_STORED[orientation])
    return image


def _deep_png(data: bytes | bytearray, *, grey: bool) -> Raster:
    """A PNG of 16 bits, of which Pillow keeps 8."""
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if samples is None or samples.dtype != np.uint16:
        raise BadImage("image: cannot be read: a PNG of 16 bits; expected a complete image file")
    samples = samples if samples.ndim == 3 else samples[:, :, None]
    return Raster(samples=samples[:, :, :1] if grey else samples[:, :, 2::-1], bits=16)  # blue comes first


def _fill(pixels: Bytes, image: Image.Image, config: InputConfig) -> dict[str, Any]:
    """Fills (H, W, 3) uint8 from an image of 8 bits; facts about its bands."""
    image.load()
    image.info.pop("transparency", None)  # alpha is dropped; Pillow would warn about the palette's
    grey = image.mode in ("1", "L", "LA")
    bands = chosen_bands(1 if grey else 3, config)
    facts = {} if grey or bands == (1, 2, 3) else {"bands": {"used": list(bands), "of": 3}}
    for rows, strip in _strips(image):
        colour = np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
        pixels[rows] = colour[:, :, [band - 1 for band in bands]] if facts else colour
    return facts


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """An image in pieces of its full width, each with its rows."""
    height = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, height):
        bottom = min(image.height, top + height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))
